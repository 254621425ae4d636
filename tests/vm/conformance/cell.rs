// SPDX-License-Identifier: MIT OR Apache-2.0
//! One cell of the table: a process of its own, so that one that hangs or dies
//! is one failure and not the end of the suite.
//!
//! It hangs if it makes no [`progress`] for a while: how long it may take in all
//! depends on the machine and on the kernel's checkers, and says nothing.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::OnceLock;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::mman::{mmap_anonymous, MapFlags, ProtFlags};
use nix::sys::signal::{killpg, Signal};
use nix::unistd::{fork, pipe2, setpgid, ForkResult, Pid};

/// Far more than a healthy cell takes for a step; only turns a hang into a
/// failure.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// The steps that the cell has made, shared between it and the harness.
fn steps() -> &'static AtomicU64 {
    static STEPS: OnceLock<&AtomicU64> = OnceLock::new();
    STEPS.get_or_init(|| {
        let size = NonZeroUsize::new(size_of::<AtomicU64>()).expect("not 0");
        let (prot, flags) = (
            ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
            MapFlags::MAP_SHARED,
        );
        // SAFETY: makes a mapping wherever there is room, and touches no other.
        let page: NonNull<_> = unsafe { mmap_anonymous(None, size, prot, flags) }.expect("a page");
        // SAFETY: zeroed, aligned to a page, and never unmapped.
        unsafe { page.cast::<AtomicU64>().as_ref() }
    })
}

/// The cell is one step nearer to its end. Not for a turn of a loop that could
/// go on for ever: that is a hang too.
pub(crate) fn progress() {
    steps().fetch_add(1, Ordering::Relaxed);
}

/// How often something is to be done that is done `count` times in full.
/// `EVQ_STORM` is what is left of a million where the kernel's checkers make
/// everything slow.
pub(crate) fn rounds(count: u64) -> u64 {
    let storm = std::env::var("EVQ_STORM").map_or(1_000_000, |storm| {
        storm.parse().expect("EVQ_STORM is a number of events")
    });
    (count * storm / 1_000_000).max(1)
}

/// Runs `run` in a child; what went wrong, if anything did.
pub(crate) fn run(run: impl FnOnce()) -> Result<(), String> {
    // Before the fork: made later it would not be shared.
    steps().store(0, Ordering::Relaxed);
    let (said, say) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).expect("a pipe");
    // SAFETY: the harness has one thread, so no lock is held in the child.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Child => {
            drop(said);
            // What it starts is killed with it.
            setpgid(Pid::from_raw(0), Pid::from_raw(0)).expect("setpgid");
            let mut say = File::from(say);
            std::panic::set_hook(Box::new({
                let say = say.try_clone().expect("a duplicate");
                move |info| {
                    let _ = (&say).write_all(format!("{info}\n").as_bytes());
                }
            }));
            let status = i32::from(catch_unwind(AssertUnwindSafe(run)).is_err());
            let _ = say.flush();
            // SAFETY: ends the process without what the harness does at exit.
            unsafe { libc::_exit(status) }
        }
        ForkResult::Parent { child } => {
            drop(say);
            // Both do it: whoever comes first. It fails once the child is gone.
            let _ = setpgid(child, child);
            let ended = ends_in_time(child);
            let state = (!ended).then(|| state(child));
            // Whatever it has left behind, also when it ended by itself.
            let _ = killpg(child, Signal::SIGKILL);
            let mut status = 0;
            // Not by nix, which gives EINVAL for the death by a realtime signal.
            // SAFETY: writes one int.
            let waited = unsafe { libc::waitpid(child.as_raw(), &raw mut status, 0) };
            assert_eq!(waited, child.as_raw(), "waitpid of a cell");
            let mut text = String::new();
            // Ends with EAGAIN if a process of the cell still holds the pipe.
            let _ = File::from(said).read_to_string(&mut text);
            let text = text.trim().replace('\n', " | ");
            if let Some(state) = state {
                let steps = steps().load(Ordering::Relaxed);
                Err(format!(
                    "hung: no progress for {LIMIT:?} after {steps} steps, {state}; {text}"
                ))
            } else if libc::WIFSIGNALED(status) {
                Err(format!(
                    "killed by signal {}; {text}",
                    libc::WTERMSIG(status)
                ))
            } else if libc::WEXITSTATUS(status) == 0 {
                Ok(())
            } else {
                Err(text)
            }
        }
    }
}

fn ends_in_time(child: Pid) -> bool {
    // SAFETY: makes a descriptor, touches no memory.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, child.as_raw(), 0) });
    let fd = i32::try_from(fd.expect("pidfd_open")).expect("a descriptor");
    // SAFETY: just made.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    let limit = PollTimeout::try_from(LIMIT).expect("it fits");
    let mut before = steps().load(Ordering::Relaxed);
    while poll(&mut fds, limit).expect("poll of a cell") == 0 {
        let now = steps().load(Ordering::Relaxed);
        if now == before {
            return false;
        }
        before = now;
    }
    true
}

/// Where each thread of a hung cell, and of the processes that it has started,
/// is: its state, and its system call with its first two arguments.
fn state(cell: Pid) -> String {
    let mut text = String::from("system calls of its threads:");
    let folders = |path| std::fs::read_dir(path).into_iter().flatten().flatten();
    for process in folders("/proc".into()) {
        for thread in folders(process.path().join("task")) {
            let read = |name| std::fs::read_to_string(thread.path().join(name)).unwrap_or_default();
            let stat = read("stat");
            let fields: Vec<_> = stat
                .rsplit_once(") ")
                .map_or("", |(_, rest)| rest)
                .split(' ')
                .collect();
            if let [state, _parent, group, ..] = fields[..] {
                if group == cell.to_string() {
                    let call = read("syscall");
                    let call: Vec<_> = call.trim().split(' ').take(3).collect();
                    text += &format!(" [{state} {}]", call.join(" "));
                }
            }
        }
    }
    text
}
