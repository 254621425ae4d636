// SPDX-License-Identifier: MIT OR Apache-2.0
//! Q2, Q3 under load: many writers, watchers of different speed.

use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::OFlag;

use crate::support::device::*;
use crate::support::process::Gate;
use crate::support::until_readable;
use crate::support::worker::Worker;

const WRITERS: u64 = 4;
const POSTED: u64 = 100_000;

/// The account of one watcher.
struct Account {
    delivered: u64,
    lost: u64,
}

/// Reads until `last` has been accounted for, `room` events at a time; checks
/// the order, and that each loss is told where it is.
fn watch(fd: OwnedFd, first: u64, last: u64, room: usize, mut after_each: impl FnMut()) -> Account {
    let mut next = first;
    let mut account = Account {
        delivered: 0,
        lost: 0,
    };
    while next <= last {
        until_readable(fd.as_fd(), "events of the writers");
        let events = read(&fd, room).expect("it is readable, and nobody else reads it");
        account.delivered += events.len() as u64;
        account.lost += events
            .iter()
            .map(|event| u64::from(event.lost))
            .sum::<u64>();
        next = check_account(next, &events);
        after_each();
    }
    let told = info(&fd);
    assert_eq!(
        (told.delivered, told.lost),
        (account.delivered, account.lost)
    );
    account
}

/// 100,000 events in bursts by 4 writers; a watcher that keeps up as well as it
/// can, one that reads a single event at a time, and one that is held up until
/// it has been lapped for certain: for each `delivered + lost == posted`, in
/// order (Q2, Q3).
#[test]
fn four_writers_and_three_watchers_of_different_speed() {
    let probe = open(OFlag::O_RDONLY);
    let first = info(&probe).next;
    let capacity = u64::from(info(&probe).capacity);
    let last = first + POSTED - 1;
    let opened = || open(OFlag::O_RDONLY | OFlag::O_NONBLOCK);
    let (fast_fd, slow_fd, late_fd) = (opened(), opened(), opened());
    let gate = std::sync::Arc::new(Gate::new());

    let fast = Worker::start(move || watch(fast_fd, first, last, 256, || ()));
    let slow = Worker::start(move || watch(slow_fd, first, last, 1, std::thread::yield_now));
    let late = Worker::start({
        let gate = gate.clone();
        move || {
            gate.wait();
            watch(late_fd, first, last, 64, || ())
        }
    });
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            Worker::start(move || {
                let fd = open(OFlag::O_WRONLY);
                let mut left = POSTED / WRITERS;
                // Bursts of every length up to more than two batches.
                for length in (1..=150).cycle() {
                    let burst = left.min(length);
                    if burst == 0 {
                        break;
                    }
                    post_numbers(&fd, (0..burst).map(|n| writer << 32 | n));
                    left -= burst;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join();
    }
    assert_eq!(info(&probe).posted, last, "nothing else posts meanwhile");
    gate.open();

    for (name, watcher) in [("fast", fast), ("slow", slow), ("late", late)] {
        let account = watcher.join();
        assert_eq!(
            account.delivered + account.lost,
            POSTED,
            "{name}: delivered + lost == posted"
        );
        if name == "late" {
            assert_eq!(account.delivered, capacity, "what the ring holds");
            assert_eq!(account.lost, POSTED - capacity);
        }
    }
}
