// SPDX-License-Identifier: MIT OR Apache-2.0
//! P1, P2: poll, select and epoll.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::channel;

use nix::fcntl::OFlag;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::support::calls;
use crate::support::device::*;
use crate::support::worker::Worker;
use crate::support::{readiness, LIMIT};

const IN: PollFlags = PollFlags::POLLIN.union(PollFlags::POLLRDNORM);
const OUT: PollFlags = PollFlags::POLLOUT.union(PollFlags::POLLWRNORM);

fn epoll(fd: &OwnedFd, flags: EpollFlags) -> Epoll {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("epoll_create1");
    epoll
        .add(fd, EpollEvent::new(flags, 7))
        .expect("EPOLL_CTL_ADD");
    epoll
}

/// What epoll has to say right now.
fn ready(epoll: &Epoll) -> Option<EpollFlags> {
    wait(epoll, EpollTimeout::ZERO)
}

/// Waits for what epoll has to say; `None` when it took too long.
fn wait_ready(epoll: &Epoll) -> Option<EpollFlags> {
    wait(epoll, EpollTimeout::try_from(LIMIT).expect("a minute fits"))
}

fn wait(epoll: &Epoll, limit: EpollTimeout) -> Option<EpollFlags> {
    let mut events = [EpollEvent::empty(); 4];
    let count = epoll.wait(&mut events, limit).expect("epoll_wait");
    assert!(count <= 1, "one fd is one event");
    (count == 1).then(|| events[0].events())
}

/// P1: readable exactly while this subscriber has something to read.
#[test]
fn readable_exactly_while_there_is_something_to_read() {
    let (fd, other) = (open_nonblock(), open_nonblock());
    assert_eq!(readiness(&fd, IN | OUT), OUT);
    post_numbers(&other, 1..=2);
    assert_eq!(readiness(&fd, IN | OUT), IN | OUT);
    drain(&other);
    assert_eq!(
        readiness(&other, IN | OUT),
        OUT,
        "the other one has read everything"
    );
    assert_eq!(readiness(&fd, IN | OUT), IN | OUT, "this one has not");
    read(&fd, 1).expect("the first");
    assert_eq!(readiness(&fd, IN | OUT), IN | OUT);
    read(&fd, 1).expect("the second");
    assert_eq!(readiness(&fd, IN | OUT), OUT);
    seek_oldest(&fd);
    assert_eq!(readiness(&fd, IN), IN);
    seek_newest(&fd);
    assert_eq!(readiness(&fd, IN), PollFlags::empty());
}

/// P1: poll consumes nothing.
#[test]
fn poll_consumes_nothing() {
    let fd = open_nonblock();
    post(&fd, &[record(1)]);
    let before = info(&fd);
    for _ in 0..100 {
        assert_eq!(readiness(&fd, IN), IN);
    }
    assert_eq!(info(&fd), before);
    assert_eq!(numbers(&drain(&fd)), [1]);
}

/// P1: each direction only for those who have opened it; a full queue takes
/// more all the same.
#[test]
fn readiness_follows_the_access_mode() {
    let reader = open(OFlag::O_RDONLY);
    let writer = open(OFlag::O_WRONLY);
    let capacity = u64::from(info(&reader).capacity);
    post_numbers(&writer, 0..2 * capacity);
    assert_eq!(readiness(&reader, IN | OUT), IN);
    assert_eq!(readiness(&writer, IN | OUT), OUT);
}

/// P1: a blocked poll ends when something is posted.
#[test]
fn a_blocked_poll_is_woken_by_a_post() {
    let writer = open_rw();
    let reader = open_rw();
    let worker = Worker::start(move || {
        let mut fds = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
        let count = poll(&mut fds, PollTimeout::NONE);
        (count, fds[0].revents())
    });
    worker.until_blocked_in(calls::POLL);
    post(&writer, &[record(1)]);
    assert_eq!(worker.join(), (Ok(1), Some(PollFlags::POLLIN)));
}

/// P1: select says the same.
#[test]
fn select_says_the_same() {
    use nix::sys::select::{select, FdSet};
    use nix::sys::time::{TimeVal, TimeValLike};
    let fd = open_nonblock();
    for expected in [false, true] {
        let (mut read, mut write) = (FdSet::new(), FdSet::new());
        read.insert(fd.as_fd());
        write.insert(fd.as_fd());
        let mut now = TimeVal::zero();
        select(None, &mut read, &mut write, None, &mut now).expect("select");
        assert_eq!(read.contains(fd.as_fd()), expected);
        assert!(write.contains(fd.as_fd()));
        post(&fd, &[record(1)]);
    }
}

/// P2: level-triggered epoll reports until everything is read.
#[test]
fn level_triggered_reports_until_drained() {
    let fd = open_nonblock();
    let epoll = epoll(&fd, EpollFlags::EPOLLIN);
    assert_eq!(ready(&epoll), None);
    post_numbers(&fd, 1..=2);
    for _ in 0..2 {
        assert_eq!(ready(&epoll), Some(EpollFlags::EPOLLIN));
        assert_eq!(ready(&epoll), Some(EpollFlags::EPOLLIN));
        read(&fd, 1).expect("one of the two");
    }
    assert_eq!(ready(&epoll), None);
}

/// P2: edge-triggered: every post wakes, also one to a queue that was not empty.
#[test]
fn edge_triggered_reports_every_post_after_a_partial_drain() {
    let fd = open_nonblock();
    let epoll = epoll(&fd, EpollFlags::EPOLLIN | EpollFlags::EPOLLET);
    post_numbers(&fd, 1..=3);
    assert_eq!(ready(&epoll), Some(EpollFlags::EPOLLIN));
    assert_eq!(ready(&epoll), None, "an edge is reported once");
    read(&fd, 1).expect("one of three");
    assert_eq!(ready(&epoll), None, "a read is no edge");
    post(&fd, &[record(4)]);
    assert_eq!(ready(&epoll), Some(EpollFlags::EPOLLIN));
    post(&fd, &[record(5)]);
    assert_eq!(
        ready(&epoll),
        Some(EpollFlags::EPOLLIN),
        "without any read in between"
    );
    assert_eq!(numbers(&drain(&fd)), [2, 3, 4, 5]);
}

/// P2: the same on a queue that overflows with each post.
#[test]
fn edge_triggered_reports_every_post_to_a_full_queue() {
    let fd = open_nonblock();
    let epoll = epoll(&fd, EpollFlags::EPOLLIN | EpollFlags::EPOLLET);
    post_numbers(&fd, 0..2 * u64::from(info(&fd).capacity));
    assert_eq!(ready(&epoll), Some(EpollFlags::EPOLLIN));
    for number in 0..5 {
        assert_eq!(ready(&epoll), None);
        post(&fd, &[record(number)]);
        assert_eq!(
            ready(&epoll),
            Some(EpollFlags::EPOLLIN),
            "post {number} to a full queue"
        );
        read(&fd, 1).expect("one of many");
    }
}

/// P2: a blocked edge-triggered waiter with a partial drain does not hang.
#[test]
fn edge_triggered_with_partial_drains_does_not_hang() {
    const ROUNDS: u64 = 200;
    let writer = open_rw();
    let fd = open_nonblock();
    let (send_seen, seen) = channel();
    let worker = Worker::start(move || {
        let epoll = epoll(&fd, EpollFlags::EPOLLIN | EpollFlags::EPOLLET);
        for round in 0..ROUNDS {
            assert_eq!(
                wait_ready(&epoll),
                Some(EpollFlags::EPOLLIN),
                "round {round}"
            );
            // Leaves one of the two behind.
            read(&fd, 1).expect("one of two");
            send_seen.send(round).expect("the test listens");
        }
        drain(&fd).len()
    });
    for round in 0..ROUNDS {
        worker.until_blocked_in(calls::EPOLL_WAIT);
        post_numbers(&writer, [1, 2]);
        assert_eq!(seen.recv_timeout(LIMIT), Ok(round));
    }
    assert_eq!(worker.join(), ROUNDS as usize);
}

/// P2: wake-ups carry their key: who waits for writing is not woken by input.
#[test]
fn a_waiter_for_output_is_not_woken_by_input() {
    let fd = open_nonblock();
    let out = epoll(&fd, EpollFlags::EPOLLOUT | EpollFlags::EPOLLET);
    let input = epoll(&fd, EpollFlags::EPOLLIN | EpollFlags::EPOLLET);
    assert_eq!(
        ready(&out),
        Some(EpollFlags::EPOLLOUT),
        "the state when it was added"
    );
    for number in 0..5 {
        post(&fd, &[record(number)]);
        // Both are on the same wait queue: this one has been woken, so the wake-up is over.
        assert_eq!(wait_ready(&input), Some(EpollFlags::EPOLLIN));
        assert_eq!(ready(&out), None, "post {number}");
    }
}

/// P2: exclusive waiters of different fds wait on behalf of different
/// subscribers: each is woken.
#[test]
fn exclusive_waiters_of_two_fds_are_both_woken() {
    let writer = open_rw();
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let fd = open_nonblock();
            Worker::start(move || {
                let epoll = epoll(&fd, EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE);
                wait_ready(&epoll).map(|flags| (flags, numbers(&drain(&fd))))
            })
        })
        .collect();
    for worker in &workers {
        worker.until_blocked_in(calls::EPOLL_WAIT);
    }
    post(&writer, &[record(3)]);
    for worker in workers {
        assert_eq!(worker.join(), Some((EpollFlags::EPOLLIN, vec![3])));
    }
}

/// P2: one-shot registrations can be used again, and see what came meanwhile.
#[test]
fn a_one_shot_that_is_armed_again_sees_what_came_meanwhile() {
    let fd = open_nonblock();
    let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT;
    let epoll = epoll(&fd, flags);
    post(&fd, &[record(1)]);
    assert_eq!(ready(&epoll), Some(EpollFlags::EPOLLIN));
    post(&fd, &[record(2)]);
    assert_eq!(ready(&epoll), None);
    epoll
        .modify(&fd, &mut EpollEvent::new(flags, 7))
        .expect("EPOLL_CTL_MOD");
    assert_eq!(ready(&epoll), Some(EpollFlags::EPOLLIN));
}

/// P2: no wake-up is lost between two threads that answer each other, each
/// waiting by another mechanism.
#[test]
fn ping_pong_loses_no_wake_up() {
    const ROUNDS: u64 = 3000;
    let (ping, pong) = (open_rw(), open_nonblock());
    let worker = Worker::start(move || {
        let epoll = epoll(&pong, EpollFlags::EPOLLIN | EpollFlags::EPOLLET);
        let mut expected = 1;
        while expected < 2 * ROUNDS {
            for event in drain(&pong) {
                if number(&event) == expected {
                    post(&pong, &[record(expected + 1)]);
                    expected += 2;
                }
            }
            if expected < 2 * ROUNDS {
                assert!(wait_ready(&epoll).is_some(), "ping {expected} has not come");
            }
        }
    });
    let player = Worker::start(move || {
        for round in 0..ROUNDS {
            post(&ping, &[record(2 * round + 1)]);
            loop {
                let events = read(&ping, 4).expect("a blocking read");
                if events.iter().any(|event| number(event) == 2 * round + 2) {
                    break;
                }
            }
        }
    });
    player.join();
    worker.join();
}

/// P1, P2: a seek that makes something readable is news to whoever waits.
#[test]
fn a_seek_wakes_those_who_wait() {
    let fd = open_rw();
    post(&fd, &[record(1)]);
    read(&fd, 1).expect("the event");
    let edge = epoll(&fd, EpollFlags::EPOLLIN | EpollFlags::EPOLLET);
    assert_eq!(ready(&edge), None);
    let reader = fd.try_clone().expect("dup");
    let worker = Worker::start(move || read(&reader, 1).map(|events| numbers(&events)));
    worker.until_blocked_in(libc::SYS_read);
    let newest = info(&fd).posted;
    seek_seq(&fd, newest);
    assert_eq!(worker.join(), Ok(vec![1]));
    seek_seq(&fd, newest);
    assert_eq!(wait_ready(&edge), Some(EpollFlags::EPOLLIN));
}
