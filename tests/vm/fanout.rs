// SPDX-License-Identifier: MIT OR Apache-2.0
//! Q4, P2, F1: whoever waits is notified, by the post itself or by a thread of the
//! kernel when many wait; also while files come and go.

use std::os::fd::OwnedFd;

use nix::fcntl::OFlag;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::support::device::*;
use crate::support::modules::{load, Timer, Unloaded};
use crate::support::signals::{arm, realtime, Signals};
use crate::support::worker::Worker;

/// More files than a post itself notifies.
const MANY: usize = 24;

fn edge_triggered(fd: &OwnedFd) -> Epoll {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("epoll_create1");
    let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
    epoll
        .add(fd, EpollEvent::new(flags, 0))
        .expect("EPOLL_CTL_ADD");
    epoll
}

fn has_edge(epoll: &Epoll) -> bool {
    let mut events = [EpollEvent::empty()];
    let count = epoll.wait(&mut events, EpollTimeout::from(30_000u16));
    count.expect("epoll_wait") == 1
}

/// Each of the ways to wait, on many files at once: each post reaches each.
fn everybody_is_notified() {
    let signals = Signals::block();
    let writer = open(OFlag::O_WRONLY);
    // One file that many wait for: it has one of the places of those that a
    // post notifies itself.
    let crowded = open(OFlag::O_RDONLY | OFlag::O_NONBLOCK);
    let crowd: Vec<_> = (0..MANY).map(|_| edge_triggered(&crowded)).collect();
    let watched: Vec<_> = (0..MANY)
        .map(|_| {
            let fd = open(OFlag::O_RDONLY | OFlag::O_NONBLOCK);
            let epoll = edge_triggered(&fd);
            (fd, epoll)
        })
        .collect();
    let armed: Vec<_> = (0..MANY).map(|_| open_nonblock()).collect();
    armed.iter().for_each(arm);
    let sleepers: Vec<_> = (0..MANY)
        .map(|_| {
            let fd = open(OFlag::O_RDONLY);
            Worker::start(move || read(&fd, 1).map(|events| numbers(&events)))
        })
        .collect();
    for sleeper in &sleepers {
        sleeper.until_blocked_in(libc::SYS_read);
    }
    for round in 0..5 {
        post(&writer, &[record(round)]);
        for epoll in watched.iter().map(|(_, epoll)| epoll).chain(&crowd) {
            // Nobody reads: an edge comes with each post all the same.
            assert!(has_edge(epoll), "round {round}");
        }
        let mut left = MANY;
        while left > 0 {
            let got = signals.wait("the signals of all armed files");
            assert!(got.iter().all(|one| one.ssi_signo as i32 == realtime()));
            left = left.checked_sub(got.len()).expect("one for each file");
        }
    }
    for sleeper in sleepers {
        assert_eq!(sleeper.join(), Ok(vec![0]));
    }
}

/// Q4: the first of them in place, the others by the thread.
#[test]
fn many_files_are_all_notified() {
    everybody_is_notified();
}

/// Q4: all of them by the thread.
#[test]
fn thread_notifies_everybody_when_told_to() {
    let _guard = Unloaded::new();
    load("evq", "in_place_max=0").expect("loading evq");
    everybody_is_notified();
}

/// Q7: which of them it is makes no difference to what a file may ask for: one that
/// has waited cannot choose events any more.
#[test]
fn file_that_waits_apart_cannot_set_a_filter() {
    use nix::errno::Errno;
    let files: Vec<_> = (0..MANY).map(|_| open_nonblock()).collect();
    let _epolls: Vec<_> = files.iter().map(edge_triggered).collect();
    for fd in &files {
        let rules = [evq::Match::types(0..=1)];
        assert_eq!(try_filter(fd, &rules), Err(Errno::EBUSY));
        assert_eq!(try_wakeup(fd, 1, 0), Err(Errno::EBUSY));
    }
}

/// Q3, Q4: readers that sleep, close and open again beside a writer, so that places
/// change hands all the time, miss nothing that they wait for.
#[test]
fn no_wake_up_is_lost_when_files_come_and_go() {
    const ROUNDS: usize = 30;
    let readers: Vec<_> = (0..MANY)
        .map(|_| {
            Worker::start(|| {
                for _ in 0..ROUNDS {
                    let fd = open(OFlag::O_RDONLY);
                    let mut next = info(&fd).next;
                    for _ in 0..3 {
                        next = check_account(next, &read(&fd, 4).expect("a blocking read"));
                    }
                }
            })
        })
        .collect();
    let writer = open(OFlag::O_WRONLY);
    let mut number = 0;
    while !readers.iter().all(Worker::is_done) {
        post(&writer, &[record(number)]);
        number += 1;
        std::thread::yield_now();
    }
    for reader in readers {
        reader.join();
    }
}

/// The kernel's threads of this name.
fn threads(name: &str) -> Vec<i32> {
    let processes = std::fs::read_dir("/proc").expect("/proc");
    let numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers
        .filter(|pid: &i32| {
            let comm = std::fs::read_to_string(format!("/proc/{pid}/comm"));
            comm.is_ok_and(|comm| comm.trim_end() == name)
        })
        .filter(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).is_err())
        .collect()
}

/// Q4: the thread is named after its queue, can be pinned and given a real-time
/// priority, and ends with its queue.
#[test]
fn thread_is_named_after_its_queue_and_can_be_tuned() {
    use nix::sched::{sched_setaffinity, CpuSet};
    use nix::unistd::Pid;
    let timer = Timer::load("own=64 count=1");
    assert_eq!(threads("evq").len(), 1, "of /dev/evq");
    let of_timer = threads("evq-timer");
    assert_eq!(of_timer.len(), 1, "of /dev/evq-timer");
    let mut first = CpuSet::new();
    first.set(0).expect("there is a processor");
    sched_setaffinity(Pid::from_raw(of_timer[0]), &first).expect("sched_setaffinity");
    let priority = libc::sched_param { sched_priority: 10 };
    // SAFETY: Reads the priority.
    let result =
        unsafe { libc::sched_setscheduler(of_timer[0], libc::SCHED_FIFO, &raw const priority) };
    assert_eq!(result, 0, "sched_setscheduler");
    drop(timer);
    assert_eq!(threads("evq-timer"), [], "the queue is gone");
}
