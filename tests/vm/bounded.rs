// SPDX-License-Identifier: MIT OR Apache-2.0
//! Q11: no call looks at more events than had been posted when it began, however
//! fast the producers are.
//!
//! The writers post events that the subscriber under test does not want, in a
//! ring of a million, and stop only when the calls under test have returned. A
//! call that follows the newest event would never return.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use evq::uapi::FILTER_MAX;
use evq::Match;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::PollFlags;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::support::calls;
use crate::support::device::*;
use crate::support::memory::is_checked;
use crate::support::modules::{self, Unloaded};
use crate::support::signals::{arm, Signals};
use crate::support::worker::Worker;
use crate::support::{figure, readiness};

/// Records of one write: what a program that posts in batches would choose.
const BATCH: u64 = 1024;

/// Together they are faster than a cursor that passes what they post.
const WRITERS: usize = 3;

/// How often each call is made beside the writers.
const CALLS: usize = 5;

/// A type that no writer posts.
const UNWANTED: u16 = 0x4000;

/// The most that a queue can hold, and so the longest way for a cursor; less
/// where the kernel's checkers make each step ten times as long.
fn load() {
    let capacity = if is_checked() { 1 << 17 } else { 1 << 20 };
    modules::load("evq", &format!("capacity={capacity}")).expect("loading evq");
}

/// Wants nothing that is posted, and takes as long as possible to find out.
fn wants_nothing(flags: OFlag) -> OwnedFd {
    let fd = open(OFlag::O_RDONLY | flags);
    let rules: Vec<_> = (0..FILTER_MAX as u16)
        .map(|n| Match::types(UNWANTED + n..=UNWANTED + n))
        .collect();
    try_filter(&fd, &rules).expect("EVQ_IOC_FILTER");
    fd
}

/// Threads that post unwanted events without a pause until this is dropped.
struct Writers {
    stop: Arc<AtomicBool>,
    threads: Vec<Worker<()>>,
}

impl Writers {
    fn start(count: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..count).map(|_| {
            let stop = Arc::clone(&stop);
            Worker::start(move || {
                let fd = open(OFlag::O_WRONLY);
                let records = bytes(&(0..BATCH).map(record).collect::<Vec<_>>());
                while !stop.load(Ordering::Relaxed) {
                    let written = nix::unistd::write(&fd, &records);
                    assert_eq!(written, Ok(records.len()));
                }
            })
        });
        let threads = threads.collect();
        Self { stop, threads }
    }

    fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join();
        }
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Fills the ring, so that the way of a cursor from its beginning is as long as
/// it can be.
fn fill() {
    let writer = open(OFlag::O_WRONLY);
    let capacity = u64::from(info(&writer).capacity);
    let records = bytes(&(0..BATCH).map(record).collect::<Vec<_>>());
    for _ in 0..capacity / BATCH {
        assert_eq!(nix::unistd::write(&writer, &records), Ok(records.len()));
    }
}

/// Makes `call` several times beside writers, each time with all that
/// the ring holds before it; expects each to return while they go on.
fn returns_beside_writers(what: &str, mut call: impl FnMut(&OwnedFd) + Send + 'static) {
    let _guard = Unloaded::new();
    load();
    let fd = wants_nothing(OFlag::O_NONBLOCK);
    fill();
    let writing = Writers::start(WRITERS);
    let caller = Worker::start(move || {
        let mut longest = Duration::ZERO;
        for _ in 0..CALLS {
            seek_oldest(&fd);
            let start = Instant::now();
            call(&fd);
            longest = longest.max(start.elapsed());
        }
        longest
    });
    let longest = caller.join();
    writing.stop();
    figure(&format!(
        "{what} beside {WRITERS} writers in batches of {BATCH}: {} ms at most",
        longest.as_millis()
    ));
}

/// Q11: poll with a filter that nothing matches.
#[test]
fn poll_beside_writers_returns() {
    returns_beside_writers("poll of unwanted events", |fd| {
        assert_eq!(readiness(fd, PollFlags::POLLIN), PollFlags::empty());
    });
}

/// Q11: the same by epoll, which asks again for each event that it reports.
#[test]
fn epoll_beside_writers_returns() {
    returns_beside_writers("epoll of unwanted events", |fd| {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("epoll_create1");
        let level = EpollEvent::new(EpollFlags::EPOLLIN, 0);
        epoll.add(fd, level).expect("EPOLL_CTL_ADD");
        let mut events = [EpollEvent::empty()];
        assert_eq!(epoll.wait(&mut events, EpollTimeout::ZERO), Ok(0));
    });
}

/// Q11: a read that need not wait.
#[test]
fn read_beside_writers_returns() {
    returns_beside_writers("read of unwanted events", |fd| {
        assert_eq!(read(fd, 16), Err(Errno::EAGAIN));
    });
}

/// Q11: a seek looks at no event at all, and neither do the other ioctls: what is
/// not wanted is passed by the next poll or read.
#[test]
fn ioctls_pass_no_events() {
    let _signals = Signals::block();
    let fd = wants_nothing(OFlag::O_NONBLOCK);
    let poster = open_rw();
    post_numbers(&poster, 0..600);
    let newest = info(&fd).posted;
    let stays = |what: &str, next: u64| {
        let info = info(&fd);
        assert_eq!((info.next, info.skipped), (next, 0), "{what}");
    };
    let first = newest - 599;
    assert_eq!(seek_seq(&fd, first), first);
    stays("a seek back", first);
    assert_eq!(seek_seq(&fd, first + 10), first + 10);
    stays("a seek forward", first + 10);
    try_filter(&fd, &[Match::types(UNWANTED..=UNWANTED)]).expect("EVQ_IOC_FILTER");
    stays("a filter", first + 10);
    try_wakeup(&fd, 4, 1_000_000).expect("EVQ_IOC_WAKEUP");
    stays("a threshold", first + 10);
    arm(&fd);
    stays("O_ASYNC", first + 10);
    assert_eq!(readiness(&fd, PollFlags::POLLIN), PollFlags::empty());
    assert_eq!(info(&fd).skipped, 590);
}

/// P1, Q11: a seek that makes something readable wakes a poll that waits, also on
/// a file with a filter.
#[test]
fn seek_back_to_a_wanted_event_wakes_a_poll() {
    use nix::poll::{poll, PollFd, PollTimeout};
    let fd = Arc::new(open_nonblock());
    try_filter(&*fd, &[Match::types(7..=7)]).expect("EVQ_IOC_FILTER");
    post(
        &*fd,
        &[
            Event {
                type_: 7,
                ..record(1)
            },
            Event {
                type_: 8,
                ..record(2)
            },
        ],
    );
    assert_eq!(numbers(&drain(&*fd)), [1]);
    let polled = Arc::clone(&fd);
    let poller = Worker::start(move || {
        let mut fds = [PollFd::new(polled.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::NONE)
    });
    poller.until_blocked_in(calls::POLL);
    let newest = info(&*fd).posted;
    seek_seq(&*fd, newest - 1);
    assert_eq!(poller.join(), Ok(1));
}

/// Q10, Q11: beside a subscriber that wants nothing of all that is posted, another
/// one can be opened, set and closed: the moderator holds its lock for short
/// steps only.
#[test]
fn filter_beside_a_long_walk_returns() {
    const TIMES: usize = 200;
    let _guard = Unloaded::new();
    load();
    let idle = wants_nothing(OFlag::empty());
    fill();
    let sleeper = Worker::start(move || read(&idle, 1));
    sleeper.until_blocked_in(libc::SYS_read);
    let writing = Writers::start(WRITERS);
    let caller = Worker::start(move || {
        let mut longest = Duration::ZERO;
        for _ in 0..TIMES {
            let start = Instant::now();
            drop(wants_nothing(OFlag::empty()));
            longest = longest.max(start.elapsed());
        }
        longest
    });
    let longest = caller.join();
    writing.stop();
    let poster = open_rw();
    post(
        &poster,
        &[Event {
            type_: UNWANTED,
            ..record(1)
        }],
    );
    assert_eq!(sleeper.join().map(|events| numbers(&events)), Ok(vec![1]));
    figure(&format!(
        "open + filter + close beside {WRITERS} writers and a sleeper that wants nothing: {} us at most",
        longest.as_micros()
    ));
}
