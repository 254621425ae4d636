// SPDX-License-Identifier: MIT OR Apache-2.0
//! W3: batches of 64, contiguous, with one notification each.

use std::sync::{Arc, Barrier};

use crate::support::device::*;
use crate::support::signals::{arm, realtime, Signals};
use crate::support::worker::Worker;

/// W3, F1: a write of up to 64 records notifies once, a longer one once per
/// batch of 64. Each realtime signal is queued: they can be counted.
#[test]
fn a_write_notifies_once_per_batch_of_64() {
    let signals = Signals::block();
    let fd = open_nonblock();
    arm(&fd);
    for (count, expected) in [
        (1, 1),
        (2, 1),
        (63, 1),
        (64, 1),
        (65, 2),
        (128, 2),
        (129, 3),
    ] {
        post(&fd, &(0..count).map(record).collect::<Vec<_>>());
        assert_eq!(
            signals.pending_numbers(),
            vec![realtime(); expected],
            "notifications of one write of {count} records"
        );
        assert_eq!(drain(&fd).len() as u64, count);
    }
}

/// W3: what is not posted does not notify; what is posted before an error does.
#[test]
fn only_what_is_posted_notifies() {
    let signals = Signals::block();
    let fd = open_nonblock();
    arm(&fd);
    let bad = Event {
        reserved: 1,
        ..record(0)
    };
    let write = |records: &[Event]| nix::unistd::write(&fd, &bytes(records));
    write(&[bad]).expect_err("a bad record");
    assert_eq!(signals.pending_numbers(), []);
    assert_eq!(write(&[record(1), bad]), Ok(EVENT_SIZE));
    assert_eq!(signals.pending_numbers(), [realtime()]);
}

/// W3: the 64 records of a write stay together, whoever else writes.
#[test]
fn batches_of_concurrent_writers_are_contiguous() {
    const WRITERS: u64 = 4;
    const BATCHES: u64 = 150;
    const SIZE: u64 = 64;
    let reader = open_rw();
    let start = info(&reader).posted;
    let barrier = Arc::new(Barrier::new(WRITERS as usize + 1));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let barrier = barrier.clone();
            Worker::start(move || {
                let fd = open_rw();
                barrier.wait();
                for batch in 0..BATCHES {
                    let base = (writer << 32) + batch * SIZE;
                    post(&fd, &(base..base + SIZE).map(record).collect::<Vec<_>>());
                }
            })
        })
        .collect();
    let collector = Worker::start(move || {
        let mut all = Vec::new();
        let mut next = start + 1;
        while next <= start + WRITERS * BATCHES * SIZE {
            let events = read(&reader, 1024).expect("a blocking read");
            next = check_account(next, &events);
            all.extend(events);
        }
        all
    });
    barrier.wait();
    for writer in writers {
        writer.join();
    }
    let all = collector.join();
    // A batch starts at a multiple of its size behind the start, since all have the same size.
    for event in &all {
        let place = (event.seq - start - 1) % SIZE;
        assert_eq!(
            number(event) % SIZE,
            place,
            "event {} is out of its batch",
            event.seq
        );
    }
    for pair in all.windows(2) {
        let together = (pair[0].seq - start - 1) / SIZE == (pair[1].seq - start - 1) / SIZE;
        if together {
            let step = pair[1].seq - pair[0].seq;
            assert_eq!(
                number(&pair[1]),
                number(&pair[0]) + step,
                "batches are mixed"
            );
            assert_eq!(pair[0].time_ns, pair[1].time_ns, "one batch, one time");
        }
    }
}
