// SPDX-License-Identifier: MIT OR Apache-2.0
//! F3: who gets which signal, and what it says.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::resource::{getrlimit, setrlimit, Resource};
use nix::unistd::{getpid, gettid, setpgid, Pid};

use crate::support::device::*;
use crate::support::process::{Child, Gate};
use crate::support::signals::*;
use crate::support::worker::Worker;

/// `si_band` of POLL_IN: EPOLLIN | EPOLLRDNORM.
const BAND_IN: u32 = 0x41;

/// F3: with F_SETSIG the signal says which fd, that it is readable, and how.
#[test]
fn the_signal_says_which_fd_and_why() {
    let signals = Signals::block();
    let writer = open_rw();
    let files = [open_nonblock(), open_nonblock()];
    for fd in &files {
        arm(fd);
    }
    post(&writer, &[record(1)]);
    let mut told: Vec<_> = signals
        .pending()
        .iter()
        .map(|info| {
            assert_eq!(info.ssi_signo as i32, realtime());
            assert_eq!((info.ssi_code, info.ssi_band), (POLL_IN, BAND_IN));
            info.ssi_fd
        })
        .collect();
    told.sort_unstable();
    let mut expected = files.map(|fd| fd.as_raw_fd());
    expected.sort_unstable();
    assert_eq!(told, expected);
}

/// F3: F_SETSIG with SIGIO itself gives details too.
#[test]
fn sigio_by_f_setsig_has_details() {
    let signals = Signals::block();
    let fd = open_nonblock();
    arm(&fd);
    set_signal(&fd, libc::SIGIO);
    post(&fd, &[record(1)]);
    let [info] = signals.pending()[..] else {
        panic!("one signal")
    };
    assert_eq!(info.ssi_signo as i32, libc::SIGIO);
    assert_eq!((info.ssi_code, info.ssi_fd), (POLL_IN, fd.as_raw_fd()));
}

/// In a child: waits for one realtime signal, after telling that it is ready.
fn expect_one_signal(ready: &Gate, told: &Gate) {
    let signals = Signals::block();
    ready.open();
    let got = signals.wait("the signal of the armed fd");
    assert_eq!(got.len(), 1, "one post, one signal");
    assert_eq!(
        (got[0].ssi_signo as i32, got[0].ssi_code),
        (realtime(), POLL_IN)
    );
    told.open();
}

/// F3: F_SETOWN to another process.
#[test]
fn the_owner_can_be_another_process() {
    let signals = Signals::block();
    let (ready, told) = (Gate::new(), Gate::new());
    let fd = open_nonblock();
    let child = Child::fork(|| expect_one_signal(&ready, &told));
    ready.wait();
    arm(&fd);
    set_owner(&fd, child.pid().as_raw());
    post(&fd, &[record(1)]);
    told.wait();
    child.success();
    assert_eq!(signals.pending_numbers(), [], "only the owner is told");
}

/// F3: F_SETOWN to a process group: each process in it.
#[test]
fn the_owner_can_be_a_process_group() {
    let signals = Signals::block();
    let (ready, told) = (Gate::new(), Gate::new());
    let fd = open_nonblock();
    let first = Child::fork(|| {
        setpgid(Pid::from_raw(0), Pid::from_raw(0)).expect("a group of its own");
        expect_one_signal(&ready, &told);
    });
    ready.wait();
    let group = first.pid();
    let second = Child::fork(|| {
        setpgid(Pid::from_raw(0), group).expect("the group of the first");
        expect_one_signal(&ready, &told);
    });
    ready.wait();
    arm(&fd);
    set_owner(&fd, -group.as_raw());
    post(&fd, &[record(1)]);
    told.wait();
    told.wait();
    first.success();
    second.success();
    assert_eq!(signals.pending_numbers(), [], "only the group is told");
}

/// F3: F_SETOWN_EX to one thread: no other thread can take the signal.
#[test]
fn the_owner_can_be_a_thread() {
    let signals = Signals::block();
    let fd = open_nonblock();
    arm(&fd);
    set_owner_thread(&fd, gettid());
    assert_eq!(
        owner(&fd),
        OwnerEx {
            kind: F_OWNER_TID,
            pid: gettid().as_raw()
        }
    );
    post(&fd, &[record(1)]);
    let others = Worker::start(Signals::peek).join();
    assert_eq!(others, [], "another thread of the process sees nothing");
    let [info] = signals.pending()[..] else {
        panic!("one signal for this thread")
    };
    assert_eq!(
        (info.ssi_signo as i32, info.ssi_fd),
        (realtime(), fd.as_raw_fd())
    );
}

/// F3: an owner that is gone gets nothing, and nobody else does instead.
#[test]
fn an_owner_that_has_ended_is_nobody() {
    let signals = Signals::block();
    let fd = open_nonblock();
    let child = Child::fork(|| ());
    arm(&fd);
    set_owner(&fd, child.pid().as_raw());
    child.success();
    post(&fd, &[record(1)]);
    assert_eq!(signals.pending_numbers(), []);
    set_owner(&fd, getpid().as_raw());
    post(&fd, &[record(2)]);
    assert_eq!(signals.pending_numbers(), [realtime()]);
}

/// Limits how many signals of this user may be queued, while it lives.
struct PendingLimit((u64, u64));

impl PendingLimit {
    fn new(soft: u64) -> Self {
        let old = getrlimit(Resource::RLIMIT_SIGPENDING).expect("RLIMIT_SIGPENDING");
        setrlimit(Resource::RLIMIT_SIGPENDING, soft, old.1).expect("lowering RLIMIT_SIGPENDING");
        Self(old)
    }
}

impl Drop for PendingLimit {
    fn drop(&mut self) {
        let _ = setrlimit(Resource::RLIMIT_SIGPENDING, self.0 .0, self.0 .1);
    }
}

fn overflow(limit: u64) -> (Vec<i32>, OwnedFd) {
    let signals = Signals::block();
    let fd = open_nonblock();
    arm(&fd);
    let _limit = PendingLimit::new(limit);
    for number in 0..20 {
        post(&fd, &[record(number)]);
    }
    (signals.pending_numbers(), fd)
}

/// F3: when the queue of signals is full the kernel falls back to SIGIO, once,
/// and the events are all there.
#[test]
fn a_full_signal_queue_falls_back_to_sigio() {
    for limit in [0, 1, 8] {
        let (got, fd) = overflow(limit);
        let realtimes = got.iter().filter(|&&signal| signal == realtime()).count();
        let fallbacks = got.iter().filter(|&&signal| signal == libc::SIGIO).count();
        assert!(realtimes as u64 <= limit, "limit {limit}: {got:?}");
        assert_eq!(fallbacks, 1, "limit {limit}: {got:?}");
        assert_eq!(got.len(), realtimes + fallbacks, "limit {limit}: {got:?}");
        assert_eq!(
            numbers(&drain(&fd)),
            (0..20).collect::<Vec<_>>(),
            "limit {limit}"
        );
    }
}
