// SPDX-License-Identifier: MIT OR Apache-2.0
//! P3, M1, K2, K15: a queue ends, or the module goes away, while everything that
//! can be done to it is being done. Each call ends, with what the contract says
//! and nothing else.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::unistd::gettid;

use crate::support::device::*;
use crate::support::figure;
use crate::support::modules::{load, unload, Timer, Unloaded};
use crate::support::signals::*;
use crate::support::worker::{until, Worker};
use evq::uapi::INFO_RETIRED;

const QUEUE: &str = "/dev/evq-timer";
const ROUNDS: usize = 10;

/// What is done to a file again and again; `Err` ends it.
type Deed = fn(&OwnedFd) -> Result<(), Errno>;

/// A queue that has gone away, as `poll` and the ioctls say it.
fn gone_if(gone: bool) -> Result<(), Errno> {
    if gone {
        Err(Errno::ENODEV)
    } else {
        Ok(())
    }
}

fn by_read(fd: &OwnedFd) -> Result<(), Errno> {
    match read(fd, 16) {
        Err(Errno::EAGAIN) | Ok(_) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn by_write(fd: &OwnedFd) -> Result<(), Errno> {
    nix::unistd::write(fd, &bytes(&[record(1)])).map(drop)
}

fn by_poll(fd: &OwnedFd) -> Result<(), Errno> {
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::NONE).expect("poll");
    let told = fds[0].revents().expect("poll knows all of these flags");
    let gone = PollFlags::POLLHUP | PollFlags::POLLERR;
    assert!(
        told.intersection(gone).is_empty() || told.contains(gone),
        "{told:?}"
    );
    gone_if(told.contains(gone))
}

fn by_epoll(fd: &OwnedFd) -> Result<(), Errno> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("epoll_create1");
    let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
    epoll
        .add(fd, EpollEvent::new(flags, 0))
        .expect("EPOLL_CTL_ADD");
    let mut events = [EpollEvent::empty(); 2];
    let count = epoll
        .wait(&mut events, EpollTimeout::NONE)
        .expect("epoll_wait");
    assert_eq!(count, 1);
    gone_if(events[0].events().contains(EpollFlags::EPOLLHUP))
}

fn by_arming(fd: &OwnedFd) -> Result<(), Errno> {
    set_owner_thread(fd, gettid());
    set_async(fd, true);
    set_async(fd, false);
    gone_if(info(fd).flags & INFO_RETIRED != 0)
}

fn by_seeking(fd: &OwnedFd) -> Result<(), Errno> {
    seek_oldest(fd);
    seek_newest(fd);
    gone_if(info(fd).flags & INFO_RETIRED != 0)
}

/// Opens the queue and does it until it is told that the queue is gone, then
/// again from the beginning, until there is no such queue. Returns how often it
/// was done.
fn again_and_again(deed: Deed, flags: OFlag, done: &AtomicU32) -> u32 {
    let mut times = 0;
    loop {
        let fd = match try_open(QUEUE, OFlag::O_RDWR | flags) {
            Ok(fd) => fd,
            // The node is gone, or its device is and the node is on its way.
            Err(Errno::ENOENT | Errno::ENXIO | Errno::ENODEV) => return times,
            Err(errno) => panic!("open: {errno}"),
        };
        // Files come and go as well, but for the last one.
        for _ in 0..50 {
            match deed(&fd) {
                Ok(()) => times += 1,
                Err(Errno::ENODEV) => {
                    assert_eq!(by_write(&fd), Err(Errno::ENODEV), "it stays gone");
                    return times;
                }
                Err(errno) => panic!("{errno}"),
            }
        }
        done.fetch_add(1, Ordering::SeqCst);
    }
}

/// P3: retired under reads, writes, polls, epolls, arming and seeking. How long it
/// takes until each of them has been told is said, and not judged.
#[test]
fn a_queue_that_ends_during_everything() {
    let deeds: [(&str, Deed, OFlag); 7] = [
        ("read", by_read, OFlag::O_NONBLOCK),
        ("blocking read", by_read, OFlag::empty()),
        ("write", by_write, OFlag::O_NONBLOCK),
        ("poll", by_poll, OFlag::O_NONBLOCK),
        ("epoll", by_epoll, OFlag::O_NONBLOCK),
        ("arm", by_arming, OFlag::O_NONBLOCK),
        ("seek", by_seeking, OFlag::O_NONBLOCK),
    ];
    let mut longest = Duration::ZERO;
    for _ in 0..ROUNDS {
        // The events that nobody reads make every poll return at once, so that all of them turn.
        let timer = Timer::load("own=64 rate=2000 softirq=2");
        let workers = deeds.map(|(name, deed, flags)| {
            let done = Arc::new(AtomicU32::new(0));
            let worker = Worker::start({
                let done = done.clone();
                move || again_and_again(deed, flags, &done)
            });
            (name, worker, done)
        });
        until(
            || {
                workers
                    .iter()
                    .all(|(_, _, done)| done.load(Ordering::SeqCst) > 0)
            },
            || "each of them to have gone round once".into(),
        );
        let begin = Instant::now();
        drop(timer);
        for (name, worker, _) in workers {
            assert!(worker.join() >= 50, "{name}");
        }
        longest = longest.max(begin.elapsed());
    }
    figure(&format!(
        "a queue that ends during everything: all callers have ended {} ms after that was asked for, \
         at the most",
        longest.as_millis()
    ));
}

/// M1: the module is unloaded and loaded again while others open its node, use it
/// and close it. It goes only when nobody has it open, and then without a trace:
/// whoever opens it next has a queue that works, or is told that there is none.
#[test]
fn a_module_that_goes_away_during_everything() {
    const TIMES: u32 = 20;
    let deeds: [Deed; 4] = [by_read, by_write, by_arming, by_seeking];
    let _guard = Unloaded::new();
    let stop = Arc::new(AtomicBool::new(false));
    let workers = [0, 1].map(|_| {
        let stop = stop.clone();
        Worker::start(move || {
            let (mut used, mut absent) = (0, 0);
            while !stop.load(Ordering::SeqCst) {
                match try_open(DEVICE, OFlag::O_RDWR | OFlag::O_NONBLOCK) {
                    Ok(fd) => {
                        for deed in deeds {
                            deed(&fd).expect("it cannot end while it is open");
                        }
                        used += 1;
                    }
                    Err(Errno::ENOENT | Errno::ENXIO | Errno::ENODEV) => absent += 1,
                    Err(errno) => panic!("open: {errno}"),
                }
                // Room for an unload between two files.
                std::thread::yield_now();
            }
            (used, absent)
        })
    });
    let mut refused = 0;
    for time in 0..TIMES {
        load("evq", "").unwrap_or_else(|errno| panic!("loading evq, time {time}: {errno}"));
        until(
            || match unload("evq") {
                Ok(()) => true,
                Err(Errno::EWOULDBLOCK) => {
                    refused += 1;
                    false
                }
                Err(errno) => panic!("unloading evq, time {time}: {errno}"),
            },
            || "a moment in which nobody has it open".into(),
        );
    }
    stop.store(true, Ordering::SeqCst);
    let (used, absent) = workers
        .map(Worker::join)
        .iter()
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert!(
        used > 0 && absent > 0 && refused > 0,
        "opened {used} times, not there {absent} times, in use {refused} times"
    );
}
