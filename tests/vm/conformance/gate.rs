// SPDX-License-Identifier: MIT OR Apache-2.0
//! Handshakes: a pipe on which one side lets the other go on, and a look at
//! whether a thread sleeps.

use std::os::fd::OwnedFd;
use std::thread;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{pipe2, read, write, Pid};

pub(crate) struct Gate {
    read: OwnedFd,
    write: OwnedFd,
}

impl Gate {
    pub(crate) fn new() -> Gate {
        let (read, write) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
        Gate { read, write }
    }

    pub(crate) fn open(&self) {
        write(&self.write, &[1]).expect("write to a gate");
    }

    /// Waits for one `open`; the limit is that of the cell.
    pub(crate) fn pass(&self) {
        while let Err(errno) = read(&self.read, &mut [0]) {
            assert_eq!(errno, Errno::EINTR, "read from a gate");
        }
    }
}

/// Whether the thread of this folder in /proc sleeps in a system call: the
/// kernel gives the number of that only for one that has gone to sleep, and one
/// that is being woken is not in state S. One that has ended sleeps no more.
pub(crate) fn asleep(folder: &str) -> bool {
    let read = |name| std::fs::read_to_string(format!("{folder}/{name}")).unwrap_or_default();
    let call = read("syscall");
    let stat = read("stat");
    !call.is_empty()
        && !call.starts_with("running")
        && stat
            .rsplit_once(") ")
            .is_some_and(|(_, state)| state.starts_with('S'))
}

/// Waits until this thread of the process sleeps in a system call.
pub(crate) fn until_asleep(tid: Pid) {
    while !asleep(&format!("/proc/self/task/{tid}")) {
        thread::yield_now();
    }
}
