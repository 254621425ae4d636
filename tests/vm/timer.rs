// SPDX-License-Identifier: MIT OR Apache-2.0
//! Q4: posting from interrupts, by the producer `evq_timer`.

use std::os::fd::AsFd;

use crate::support::device::*;
use crate::support::modules::Timer;
use crate::support::until_readable;

/// `EVQ_SOURCE(EVQ_CLASS_TIMER, 0)`, and 1 for the softirq.
const HARD: u32 = 0x8002_0000;
const SOFT: u32 = 0x8002_0001;

/// Loads the timer, reads all that it posts by blocking in poll, and checks
/// that the account is exact and the payloads are the numbers that belong to
/// the sequence numbers.
fn posts_from(softirq: u8, source: u32, count: u64, burst: u64) {
    let fd = open_nonblock();
    let first = info(&fd).next;
    let _timer = Timer::load(&format!(
        "rate=2000 burst={burst} count={count} softirq={softirq}"
    ));
    let mut next = first;
    let mut delivered = 0;
    while next < first + count {
        until_readable(fd.as_fd(), "events from an interrupt");
        let events = drain(&fd);
        for event in &events {
            assert_eq!(event.source, source);
            assert_eq!(
                number(event),
                event.seq - first + 1,
                "tick and number agree"
            );
        }
        delivered += events.len() as u64;
        next = check_account(next, &events);
    }
    let lost = info(&fd).lost;
    assert_eq!(delivered + lost, count, "delivered + lost == posted (Q3)");
}

/// Q4, P2: from hard interrupt context; each post wakes the poller.
#[test]
fn hard_interrupts_can_post() {
    posts_from(0, HARD, 2000, 1);
}

/// Q4, P2: from softirq context.
#[test]
fn soft_interrupts_can_post() {
    posts_from(1, SOFT, 2000, 1);
}

/// Q3, Q4: more per interrupt than the ring holds: the account is exact.
#[test]
fn bursts_from_an_interrupt_that_overflow_are_accounted() {
    posts_from(0, HARD, 100_000, 10_000);
}
