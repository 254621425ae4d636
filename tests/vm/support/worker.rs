// SPDX-License-Identifier: MIT OR Apache-2.0
//! Threads that are known to have got somewhere.

use std::os::unix::thread::JoinHandleExt;
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::unistd::{gettid, Pid};

use super::LIMIT;

/// A thread whose result is waited for, but not for ever.
pub(crate) struct Worker<T> {
    thread: JoinHandle<()>,
    tid: Pid,
    result: Receiver<T>,
}

impl<T: Send + 'static> Worker<T> {
    pub(crate) fn start(run: impl FnOnce() -> T + Send + 'static) -> Self {
        let (send_tid, tid) = channel();
        let (send_result, result) = channel();
        let thread = thread::spawn(move || {
            send_tid
                .send(gettid())
                .expect("the test waits for the thread's id");
            // The test may have given up.
            let _ = send_result.send(run());
        });
        let tid = tid.recv().expect("the thread says its id first");
        Self {
            thread,
            tid,
            result,
        }
    }

    /// Waits until the thread sleeps in this system call.
    pub(crate) fn until_blocked_in(&self, call: libc::c_long) {
        until_blocked_in(self.tid, call);
    }

    /// Whether it has ended.
    pub(crate) fn is_done(&self) -> bool {
        self.thread.is_finished()
    }

    /// Sends a signal to this thread alone.
    pub(crate) fn signal(&self, signal: libc::c_int) {
        // SAFETY: The thread has not been joined.
        let error = unsafe { libc::pthread_kill(self.thread.as_pthread_t(), signal) };
        assert_eq!(error, 0, "pthread_kill: {}", Errno::from_raw(error));
    }

    /// The result; panics if the thread has, or takes longer than any healthy one.
    pub(crate) fn join(self) -> T {
        self.join_within(LIMIT)
    }

    /// As [`Worker::join`], for what takes longer than most.
    pub(crate) fn join_within(self, limit: Duration) -> T {
        match self.result.recv_timeout(limit) {
            Ok(result) => {
                self.thread.join().expect("it has sent its result");
                result
            }
            Err(RecvTimeoutError::Disconnected) => match self.thread.join() {
                Err(panic) => std::panic::resume_unwind(panic),
                Ok(()) => unreachable!("it ends by a result or by a panic"),
            },
            Err(RecvTimeoutError::Timeout) => panic!(
                "the thread did not end within {limit:?}; it is in system call {:?}",
                current_call(self.tid)
            ),
        }
    }
}

/// The line that the kernel has about the system call that the thread sleeps in.
fn current_call(tid: Pid) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{tid}/syscall")).ok()
}

/// The state of the thread as in /proc/PID/stat.
fn state(tid: Pid) -> Option<char> {
    let line = std::fs::read_to_string(format!("/proc/{tid}/stat")).ok()?;
    line.rsplit_once(") ")?.1.chars().next()
}

/// Waits until a thread (or process) sleeps in this system call.
///
/// For one that is running, or only waits for its turn on the processor, the
/// kernel says "running" there: a number means that it has gone to sleep. One
/// that is being woken can still show the number, so it has to be asleep after
/// that as well.
pub(crate) fn until_blocked_in(tid: Pid, call: libc::c_long) {
    let wanted = format!("{call} ");
    until(
        || {
            current_call(tid).is_some_and(|line| line.starts_with(&wanted))
                && state(tid) == Some('S')
        },
        || {
            format!(
                "thread {tid} to sleep in system call {call}, it is in {:?}",
                current_call(tid)
            )
        },
    );
}

/// Waits until the first thread of a process sleeps in whatever system call.
pub(crate) fn until_asleep(pid: Pid) {
    until(
        || {
            current_call(pid).is_some_and(|line| !line.starts_with("running"))
                && state(pid) == Some('S')
        },
        || format!("process {pid} to sleep, it is in {:?}", current_call(pid)),
    );
}

/// Waits for a condition that nothing tells us about.
pub(crate) fn until(mut condition: impl FnMut() -> bool, what: impl Fn() -> String) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LIMIT, "waited {LIMIT:?} for {}", what());
        thread::yield_now();
    }
}
