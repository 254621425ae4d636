// SPDX-License-Identifier: MIT OR Apache-2.0
//! F1, F2: a signal for every post, and how it is turned on and off.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use nix::fcntl::OFlag;
use nix::unistd::getpid;

use crate::support::device::*;
use crate::support::signals::*;
use crate::support::worker::Worker;

/// F1: SIGIO when something is posted.
#[test]
fn a_post_sends_sigio() {
    let signals = Signals::block();
    let fd = open_nonblock();
    set_owner(&fd, getpid().as_raw());
    set_async(&fd, true);
    assert_eq!(signals.pending_numbers(), [], "arming alone sends nothing");
    post(&fd, &[record(1)]);
    let [info] = signals.pending()[..] else {
        panic!("one SIGIO")
    };
    assert_eq!(
        (info.ssi_signo as i32, info.ssi_code),
        (libc::SIGIO, SI_KERNEL)
    );
}

/// F1: also when the queue was not empty, and when it overflows.
#[test]
fn every_post_signals_also_on_a_queue_that_is_not_empty() {
    let signals = Signals::block();
    let fd = open_nonblock();
    post_numbers(&fd, 0..3);
    arm(&fd);
    for number in 0..3 {
        post(&fd, &[record(number)]);
        assert_eq!(signals.pending_numbers(), [realtime()], "post {number}");
    }
    set_async(&fd, false);
    post_numbers(&fd, 0..2 * u64::from(info(&fd).capacity));
    set_async(&fd, true);
    for number in 0..3 {
        post(&fd, &[record(number)]);
        assert_eq!(
            signals.pending_numbers(),
            [realtime()],
            "post {number} to a full queue"
        );
    }
}

/// F1: a post by somebody else signals each file that is armed, once; the last of
/// them soon after it, for they are more than a post signals itself (Q4).
#[test]
fn a_post_signals_each_armed_file_once() {
    let signals = Signals::block();
    let writer = open_rw();
    let files: Vec<_> = (0..20).map(|_| open_nonblock()).collect();
    files.iter().for_each(arm);
    post(&writer, &[record(1)]);
    let mut all = Vec::new();
    while all.len() < 20 {
        all.extend(
            signals
                .wait("the signals of 20 files")
                .iter()
                .map(|one| one.ssi_fd),
        );
    }
    all.sort_unstable();
    let mut expected: Vec<_> = files.iter().map(AsRawFd::as_raw_fd).collect();
    expected.sort_unstable();
    assert_eq!(all, expected);
}

/// F1: armed off and closed files are not on the list any more.
#[test]
fn off_and_close_end_the_signals() {
    let signals = Signals::block();
    let writer = open_rw();
    let fd = open_nonblock();
    for _ in 0..3 {
        arm(&fd);
        post(&writer, &[record(1)]);
        assert_eq!(signals.pending_numbers(), [realtime()]);
        set_async(&fd, false);
        post(&writer, &[record(2)]);
        assert_eq!(
            signals.pending_numbers(),
            [],
            "after O_ASYNC was turned off"
        );
    }
    arm(&fd);
    drop(fd);
    post(&writer, &[record(3)]);
    assert_eq!(signals.pending_numbers(), [], "after close");
}

/// F2: FIOASYNC does what F_SETFL does, and each sees what the other has done.
#[test]
fn fioasync_and_f_setfl_are_the_same_switch() {
    let signals = Signals::block();
    let fd = open_nonblock();
    set_owner(&fd, getpid().as_raw());
    set_signal(&fd, realtime());
    let sent = || {
        post(&fd, &[record(1)]);
        signals.pending_numbers().len()
    };
    set_fioasync(&fd, true);
    assert!(status_flags(&fd).contains(OFlag::O_ASYNC));
    assert_eq!(sent(), 1, "on by FIOASYNC");
    set_fioasync(&fd, true);
    set_async(&fd, true);
    assert_eq!(sent(), 1, "on is on, however often");
    set_async(&fd, false);
    assert_eq!(sent(), 0, "off by F_SETFL");
    set_async(&fd, true);
    assert_eq!(sent(), 1, "on by F_SETFL");
    set_fioasync(&fd, false);
    assert!(!status_flags(&fd).contains(OFlag::O_ASYNC));
    assert_eq!(sent(), 0, "off by FIOASYNC");
}

/// F2: `open(O_ASYNC)` arms nothing on Linux; F_SETFL after it still has to.
#[test]
fn f_setfl_arms_a_file_that_was_opened_with_o_async() {
    let signals = Signals::block();
    let fd = open(OFlag::O_RDWR | OFlag::O_NONBLOCK | OFlag::O_ASYNC);
    set_owner(&fd, getpid().as_raw());
    set_signal(&fd, realtime());
    assert!(
        !status_flags(&fd).contains(OFlag::O_ASYNC),
        "what is not armed does not say so"
    );
    post(&fd, &[record(1)]);
    assert_eq!(signals.pending_numbers(), []);
    set_async(&fd, true);
    post(&fd, &[record(2)]);
    assert_eq!(signals.pending_numbers(), [realtime()]);
    drop(fd);
    // The same through FIOASYNC.
    let fd = open(OFlag::O_RDWR | OFlag::O_NONBLOCK | OFlag::O_ASYNC);
    set_owner(&fd, getpid().as_raw());
    set_signal(&fd, realtime());
    set_fioasync(&fd, true);
    post(&fd, &[record(3)]);
    assert_eq!(signals.pending_numbers(), [realtime()]);
}

/// F1: files that come and go while others post at full rate: nothing breaks
/// (the kernel log and, in a debug kernel, KASAN tell), each armed file is
/// signalled, and a closed one never is.
#[test]
fn arming_and_closing_under_a_storm_of_posts() {
    const CYCLES: usize = 3000;
    let signals = Signals::block();
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..2)
        .map(|_| {
            let stop = stop.clone();
            Worker::start(move || {
                let fd = open_rw();
                let mut posted = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    post(&fd, &[record(posted), record(posted)]);
                    posted += 2;
                }
                posted
            })
        })
        .collect();
    for cycle in 0..CYCLES {
        let fd = open_nonblock();
        set_owner(&fd, getpid().as_raw());
        if cycle % 2 == 0 {
            // Without a realtime signal, so that the queue of signals stays short.
            set_fioasync(&fd, true);
        } else {
            set_async(&fd, true);
        }
        if cycle % 100 == 0 {
            let got = signals.wait("SIGIO while others post");
            assert!(got.iter().all(|info| info.ssi_signo as i32 == libc::SIGIO));
        }
        if cycle % 3 == 0 {
            set_async(&fd, false);
        }
        drop(fd);
    }
    signals.pending();
    let last = open_rw();
    post(&last, &[record(0)]);
    assert_eq!(signals.pending_numbers(), [], "nobody is armed any more");
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        assert!(writer.join() > 0);
    }
}

/// F1: a file can be armed for posting only as well: it is told like the others.
#[test]
fn the_armed_file_need_not_be_the_one_that_is_read() {
    let signals = Signals::block();
    let reader = open(OFlag::O_RDONLY | OFlag::O_NONBLOCK);
    let writer = open(OFlag::O_WRONLY);
    arm(&reader);
    post(writer.as_fd(), &[record(8)]);
    assert_eq!(signals.pending_numbers(), [realtime()]);
    assert_eq!(numbers(&drain(&reader)), [8]);
}
