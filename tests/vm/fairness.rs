// SPDX-License-Identifier: MIT OR Apache-2.0
//! Q10: no subscriber waits for what another one does, or fails to do.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use evq::Match;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{getrlimit, setrlimit, Resource};

use crate::support::device::*;
use crate::support::figure;
use crate::support::memory::is_checked;
use crate::support::worker::Worker;

/// The type that everybody here wants.
const WANTED: u16 = 0x100;

/// Subscribers that never read, beside the one that does. The last is what a
/// queue has room for, less the few that the tests themselves need.
const IDLE: [usize; 5] = [15, 16, 40, 200, 4080];

/// How long the writer posts for each of them: twice as long until the reader is
/// woken this often when it is alone, or for the longest time.
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(4);
const ENOUGH: u64 = 200;

/// How often each of them is tried until the reader has had its share: others
/// have this machine too.
const TRIES: usize = 10;

fn wants() -> OwnedFd {
    let fd = open(OFlag::O_RDONLY | OFlag::O_NONBLOCK);
    try_filter(&fd, &[Match::types(WANTED..=WANTED)]).expect("EVQ_IOC_FILTER");
    fd
}

fn edge_triggered<'a>(files: impl IntoIterator<Item = &'a OwnedFd>) -> Epoll {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("epoll_create1");
    for (fd, at) in files.into_iter().zip(0..) {
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
        epoll
            .add(fd, EpollEvent::new(flags, at))
            .expect("EPOLL_CTL_ADD");
    }
    epoll
}

fn room_for_files() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("getrlimit");
    let room = 4096 + 100;
    setrlimit(Resource::RLIMIT_NOFILE, room, most.max(room)).expect("setrlimit");
}

/// How often a subscriber that waits by an edge-triggered epoll and then reads is
/// woken while a writer posts one record after the other; and the longest time
/// between two of these wake-ups.
fn wakeups(time: Duration) -> (u64, Duration) {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let woken = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&woken);
    let reader = Worker::start(move || {
        let fd = wants();
        let epoll = edge_triggered([&fd]);
        let mut longest = Duration::ZERO;
        let mut last = Instant::now();
        let limit = EpollTimeout::try_from(Duration::from_secs(30)).expect("it fits");
        while !stopped.load(Ordering::Relaxed) {
            let mut events = [EpollEvent::empty()];
            let count = epoll.wait(&mut events, limit).expect("epoll_wait");
            assert_eq!(count, 1, "the writer has not stopped");
            // Once: the rest is for the next edge, which comes with the next post.
            let mut buffer = [0; 64 * EVENT_SIZE];
            match nix::unistd::read(&fd, &mut buffer) {
                Ok(_) | Err(Errno::EAGAIN) => {}
                Err(errno) => panic!("read: {errno}"),
            }
            counter.fetch_add(1, Ordering::Relaxed);
            longest = longest.max(last.elapsed());
            last = Instant::now();
        }
        longest
    });
    let writer = open(OFlag::O_WRONLY);
    let one = bytes(&[record(1)]);
    let start = Instant::now();
    while start.elapsed() < time {
        for _ in 0..16 {
            assert_eq!(nix::unistd::write(&writer, &one), Ok(EVENT_SIZE));
        }
    }
    let count = woken.load(Ordering::Relaxed);
    stop.store(true, Ordering::Relaxed);
    // The last one that it waits for, whatever it was about to do.
    let longest = loop {
        post(&writer, &[record(2)]);
        if reader.is_done() {
            break reader.join();
        }
        std::thread::yield_now();
    };
    (count, longest)
}

/// Q10: whatever the number of those that never read, the one that does is woken
/// at least half as often as alone.
#[test]
fn reader_beside_idle_subscribers_is_woken_half_as_often_as_alone() {
    room_for_files();
    let mut time = SHORTEST;
    let mut alone = wakeups(time);
    while alone.0 < ENOUGH && time < LONGEST {
        time *= 2;
        alone = wakeups(time);
    }
    let mut said = format!("{} alone (longest gap {} ms)", alone.0, alone.1.as_millis());
    for idle in IDLE {
        let idle = if is_checked() { idle.min(500) } else { idle };
        let files: Vec<_> = (0..idle).map(|_| wants()).collect();
        let epoll = edge_triggered(&files);
        let mut best = (0, Duration::MAX);
        for _ in 0..TRIES {
            best = best.max(wakeups(time));
            if best.0 * 2 >= alone.0 {
                break;
            }
        }
        said += &format!(", {} beside {idle} ({} ms)", best.0, best.1.as_millis());
        assert!(best.0 * 2 >= alone.0, "wake-ups of the reader: {said}");
        drop((epoll, files));
    }
    figure(&format!(
        "wake-ups of a reader in {} ms: {said}",
        time.as_millis()
    ));
}

/// Q10: none of those that never read is passed over: each has its wake-up for the
/// last event, although they have not asked for anything since the one before.
#[test]
fn idle_subscribers_are_all_notified_of_the_last_event() {
    const IDLE: usize = 300;
    let files: Vec<_> = (0..IDLE).map(|_| wants()).collect();
    let epoll = edge_triggered(&files);
    let writer = open(OFlag::O_WRONLY);
    for _ in 0..3 {
        for number in 0..50 {
            post(&writer, &[record(number)]);
        }
        // Nobody calls anything of theirs until each has been reported.
        let mut reported = HashSet::new();
        while reported.len() < IDLE {
            let mut events = [EpollEvent::empty(); IDLE];
            let count = epoll
                .wait(&mut events, EpollTimeout::from(30_000u16))
                .expect("epoll_wait");
            assert!(count > 0, "only {} of {IDLE} are notified", reported.len());
            reported.extend(events[..count].iter().map(EpollEvent::data));
        }
    }
}
