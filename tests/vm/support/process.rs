// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes: forked copies of the test, which have one thread each.

use std::io::Write;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::panic::{catch_unwind, AssertUnwindSafe};

use nix::errno::Errno;
use nix::sys::signal::{kill, Signal};
use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};
use nix::unistd::{fork, pipe, read, write, ForkResult, Pid};

use super::until_readable;

/// A forked child; killed if it is dropped before it was waited for.
pub(crate) struct Child {
    pid: Pid,
    waited: bool,
}

impl Child {
    /// Runs `run` in a child, which succeeds if that does not panic.
    pub(crate) fn fork(run: impl FnOnce()) -> Self {
        // SAFETY: No other thread holds a lock that the child could want: the harness's waits for
        // this one, and workers only make system calls while a test forks.
        match unsafe { fork() }.expect("fork") {
            ForkResult::Parent { child } => Self {
                pid: child,
                waited: false,
            },
            ForkResult::Child => {
                // The harness captures what is printed, and the child's copy of that is lost.
                std::panic::set_hook(Box::new(|info| {
                    let text = format!("in a child process: {info}\n");
                    let _ = write(std::io::stderr(), text.as_bytes());
                }));
                let status = i32::from(catch_unwind(AssertUnwindSafe(run)).is_err());
                let _ = std::io::stdout().flush();
                // SAFETY: Ends the process without running what the parent will run.
                unsafe { libc::_exit(status) }
            }
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits until it has ended, and expects it to have succeeded.
    pub(crate) fn success(mut self) {
        let status = self.wait();
        assert_eq!(
            status,
            WaitStatus::Exited(self.pid, 0),
            "how the child has ended"
        );
    }

    fn wait(&mut self) -> WaitStatus {
        until_ended(self.pid);
        self.waited = true;
        waitpid(self.pid, None).expect("waitpid of a child")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.waited {
            let _ = kill(self.pid, Signal::SIGKILL);
            let _ = waitpid(self.pid, None);
        }
    }
}

/// Waits until a child has ended, but not for ever.
pub(crate) fn until_ended(pid: Pid) {
    // SAFETY: Makes a descriptor, touches no memory.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) });
    let fd = i32::try_from(fd.expect("pidfd_open of a child")).expect("a descriptor");
    // SAFETY: Just made.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    until_readable(fd.as_fd(), &format!("the end of process {pid}"));
}

/// A pipe on which one side tells the other to go on.
pub(crate) struct Gate {
    read: OwnedFd,
    write: OwnedFd,
}

impl Gate {
    pub(crate) fn new() -> Self {
        let (read, write) = pipe().expect("pipe");
        Self { read, write }
    }

    /// Lets whoever waits, or will wait, go on; once.
    pub(crate) fn open(&self) {
        assert_eq!(write(&self.write, &[1]), Ok(1), "write to a pipe");
    }

    /// Waits for one `open`.
    pub(crate) fn wait(&self) {
        until_readable(self.read.as_fd(), "the pipe from the other process");
        let mut byte = [0];
        assert_eq!(read(&self.read, &mut byte), Ok(1), "read from a pipe");
    }
}

/// Waits for a child to have been stopped by SIGSTOP.
pub(crate) fn until_stopped(child: Pid) {
    let status = waitpid(child, Some(WaitPidFlag::WUNTRACED));
    assert_eq!(status, Ok(WaitStatus::Stopped(child, Signal::SIGSTOP)));
}
