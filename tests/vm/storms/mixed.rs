// SPDX-License-Identifier: MIT OR Apache-2.0
//! Q2, Q3, Q4 under load: hard interrupts, softirqs and a program post at the
//! same time, to 1, 10, 100 and 1,000 subscribers that wait in different ways,
//! or never read at all.
//!
//! What counts is the number of events, not the time. `EVQ_STORM_SECONDS` has
//! all of it done again until so much time has passed.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{getrlimit, setrlimit, Resource};
use nix::unistd::gettid;

use crate::support::device::*;
use crate::support::figure;
use crate::support::modules::Timer;
use crate::support::signals::*;
use crate::support::worker::Worker;

/// More than a round takes on a kernel with all checkers, emulated.
const ROUND: Duration = Duration::from_secs(400);

/// Threads that block in a read; each is a context switch for each post.
const BLOCKED_MAX: usize = 8;

/// One subscriber and its account.
struct Reader {
    fd: OwnedFd,
    next: u64,
    delivered: u64,
    lost: u64,
}

impl Reader {
    fn new(flags: OFlag) -> Self {
        let fd = open(OFlag::O_RDONLY | flags);
        Self {
            next: info(&fd).next,
            fd,
            delivered: 0,
            lost: 0,
        }
    }

    /// One read; checks the order, and that each loss is told where it is.
    fn take(&mut self) -> Result<(), Errno> {
        let events = read(&self.fd, 64)?;
        self.delivered += events.len() as u64;
        self.lost += events
            .iter()
            .map(|event| u64::from(event.lost))
            .sum::<u64>();
        self.next = check_account(self.next, &events);
        Ok(())
    }

    fn has_all(&self, last: u64) -> bool {
        self.next > last
    }

    /// `delivered + lost == posted`, by its own count and by that of the kernel.
    fn check(&self, posted: u64) {
        assert_eq!(self.delivered + self.lost, posted);
        let told = info(&self.fd);
        assert_eq!((told.delivered, told.lost), (self.delivered, self.lost));
    }
}

fn readers(count: usize, flags: OFlag) -> Vec<Reader> {
    (0..count).map(|_| Reader::new(flags)).collect()
}

/// Blocks in read.
fn by_read(mut reader: Reader, last: u64) -> Vec<Reader> {
    while !reader.has_all(last) {
        reader.take().expect("a blocking read");
    }
    vec![reader]
}

/// Waits in one poll for all of them.
fn by_poll(mut readers: Vec<Reader>, last: u64) -> Vec<Reader> {
    while !readers.iter().all(|reader| reader.has_all(last)) {
        let mut fds: Vec<_> = readers
            .iter()
            .map(|reader| PollFd::new(reader.fd.as_fd(), PollFlags::POLLIN))
            .collect();
        poll(&mut fds, PollTimeout::NONE).expect("poll");
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any() == Some(true)).collect();
        for (reader, _) in readers.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            reader.take().expect("poll says that it is readable");
        }
    }
    readers
}

/// Waits in one edge-triggered epoll for all of them.
fn by_epoll(mut readers: Vec<Reader>, last: u64) -> Vec<Reader> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("epoll_create1");
    let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
    for (index, reader) in readers.iter().enumerate() {
        epoll
            .add(&reader.fd, EpollEvent::new(flags, index as u64))
            .expect("EPOLL_CTL_ADD");
    }
    let mut events = [EpollEvent::empty(); 64];
    while !readers.iter().all(|reader| reader.has_all(last)) {
        let count = epoll
            .wait(&mut events, EpollTimeout::NONE)
            .expect("epoll_wait");
        for event in &events[..count] {
            drain_into(&mut readers[event.data() as usize]);
        }
    }
    readers
}

fn drain_into(reader: &mut Reader) {
    loop {
        match reader.take() {
            Ok(()) => {}
            Err(Errno::EAGAIN) => return,
            Err(errno) => panic!("draining: {errno}"),
        }
    }
}

/// All of them send SIGIO to this thread.
fn by_signal(mut readers: Vec<Reader>, last: u64) -> Vec<Reader> {
    let signals = Signals::block();
    for reader in &readers {
        set_owner_thread(&reader.fd, gettid());
        set_async(&reader.fd, true);
    }
    loop {
        readers.iter_mut().for_each(drain_into);
        if readers.iter().all(|reader| reader.has_all(last)) {
            return readers;
        }
        signals.wait("SIGIO for one of many files");
    }
}

/// Three kinds of producers post `each` events, to `subscribers` files.
fn round(subscribers: usize, each: u64) {
    let probe = open(OFlag::O_RDONLY);
    let posted = 3 * each;
    let last = info(&probe).posted + posted;
    let capacity = u64::from(info(&probe).capacity);
    // The first waits in a read, the second in poll …
    let share = |kind: usize| (subscribers + 4 - kind) / 5;
    let blocked = share(0).min(BLOCKED_MAX);
    let idle = readers(share(4) + share(0) - blocked, OFlag::O_NONBLOCK);
    let mut workers: Vec<_> = readers(blocked, OFlag::empty())
        .into_iter()
        .map(|reader| Worker::start(move || by_read(reader, last)))
        .collect();
    type Wait = fn(Vec<Reader>, u64) -> Vec<Reader>;
    for (kind, wait) in [(1, by_poll as Wait), (2, by_epoll), (3, by_signal)] {
        let readers = readers(share(kind), OFlag::O_NONBLOCK);
        workers.push(Worker::start(move || wait(readers, last)));
    }
    // Half of those that never read are armed all the same, and sent signals that nobody takes.
    for reader in idle.iter().step_by(2) {
        set_owner_thread(&reader.fd, gettid());
        set_async(&reader.fd, true);
    }
    assert_eq!(info(&probe).subscribers as usize, subscribers + 1);

    let timer = Timer::load(&format!("softirq=2 rate=1000 burst=10 count={each}"));
    let writer = open(OFlag::O_WRONLY);
    let mut written = 0;
    // Batches of every length.
    for length in (1..=64).cycle() {
        let burst = length.min(each - written);
        if burst == 0 {
            break;
        }
        post_numbers(&writer, 0..burst);
        written += burst;
    }
    for worker in workers {
        for reader in worker.join_within(ROUND) {
            reader.check(posted);
        }
    }
    drop(timer);
    let state = info(&probe);
    assert_eq!(
        state.posted, last,
        "none was refused, and nobody else has posted"
    );
    for mut reader in idle {
        reader.take().expect("what the ring holds");
        assert_eq!(reader.lost, posted.saturating_sub(capacity));
        drain_into(&mut reader);
        reader.check(posted);
    }
}

/// Q2, Q3, Q4: each subscriber that reads has an exact account, those that do
/// not read harm nobody.
#[test]
fn every_kind_of_producer_and_subscriber_at_once() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("getrlimit");
    setrlimit(Resource::RLIMIT_NOFILE, 2000, most.max(2000)).expect("setrlimit");
    let time = std::env::var("EVQ_STORM_SECONDS").map_or(Duration::ZERO, |seconds| {
        Duration::from_secs(seconds.parse().expect("EVQ_STORM_SECONDS is a number"))
    });
    let start = Instant::now();
    let (mut rounds, mut events) = (0, 0);
    while rounds == 0 || start.elapsed() < time {
        for (subscribers, each) in [(1, 20_000), (10, 10_000), (100, 5_000), (1_000, 2_000)] {
            round(subscribers, each);
            events += 3 * each;
        }
        rounds += 1;
    }
    figure(&format!(
        "storm: {rounds} rounds of 1, 10, 100 and 1,000 subscribers, {events} events, {} s",
        start.elapsed().as_secs()
    ));
}
