// SPDX-License-Identifier: GPL-2.0
//! Real threads: writers that lap readers in mid-copy, on a ring so small that it happens.

use crate::account::{post_all, ring_after, Subscriber};
use std::sync::Mutex;
use std::thread;

/// Q3: also under concurrent producers and while lapped in mid-read.
#[test]
fn accounts_are_exact_under_fire() {
    // Miri runs a thousand times slower, and switches threads at any instruction.
    const POSTED: u64 = if cfg!(miri) { 200 } else { 400_000 };
    const CAPACITIES: &[usize] = if cfg!(miri) { &[1, 2] } else { &[1, 2, 8, 64] };
    const WRITERS: u64 = 2;
    const BATCH: usize = 4;
    for &capacity in CAPACITIES {
        let (ring, writer) = ring_after(capacity, 0);
        // The driver has a lock with interrupts off in this place.
        let writer = Mutex::new((writer, 0_u64));
        let overtaken: u64 = thread::scope(|scope| {
            let readers: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        let mut subscriber = Subscriber::at(1);
                        while subscriber.cursor.next() <= POSTED {
                            if subscriber.take_all(&ring, BATCH) == 0 {
                                thread::yield_now();
                            }
                        }
                        subscriber.assert_settled(POSTED);
                        subscriber.cursor.lost()
                    })
                })
                .collect();
            for _ in 0..WRITERS {
                scope.spawn(|| {
                    for round in 0..POSTED / WRITERS / 2 {
                        let mut guard = writer.lock().unwrap();
                        let (writer, newest) = &mut *guard;
                        // One, then three: two on the average.
                        let numbers = *newest + 1..*newest + 2 + round % 2 * 2;
                        *newest = numbers.end - 1;
                        assert_eq!(post_all(&ring, writer, numbers), Some(*newest));
                    }
                });
            }
            readers
                .into_iter()
                .map(|reader| reader.join().unwrap())
                .sum()
        });
        assert!(
            overtaken > 0,
            "capacity {capacity}: no reader was lapped, so this showed nothing"
        );
    }
}
