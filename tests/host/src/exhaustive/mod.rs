// SPDX-License-Identifier: GPL-2.0
//! Every interleaving and every order of memory that the model allows, for a
//! writer and a reader that meet on a ring of one or two slots (Q2, Q3).
//!
//! The checker is checked: with any of the orderings that the ring relies on
//! taken away, the same tests must fail.

mod atomic;
#[path = "../../../../driver/event.rs"]
#[expect(dead_code, reason = "only what two threads meet in")]
mod event;
#[path = "../../../../driver/ring.rs"]
#[expect(dead_code, reason = "only what two threads meet in")]
mod ring;

use crate::glue;

use atomic::{Mutant, Word};
use event::Event;
use glue::borrowed_buf::BorrowedBuf;
use loom::sync::Arc;
use ring::{Cursor, Memory, Ring, Slot};
use std::mem::MaybeUninit;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Mutex;

type TestRing = Ring<TestMemory>;

struct TestMemory {
    newest: Word,
    slots: Box<[Slot]>,
}

impl Memory for TestMemory {
    fn newest(&self) -> &Word {
        &self.newest
    }

    fn slots(&self) -> &[Slot] {
        &self.slots
    }
}

/// Context switches that are forced on the threads, at most. Most faults of
/// such protocols need two.
const PREEMPTIONS: usize = 3;

/// The mutant is the same for the whole process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// An event whose words all follow from its number; two of them, for the cost
/// of a model grows with each access.
fn event(number: u64) -> Event {
    let mut event = Event::new(number as u32, 0, 0, &number.to_ne_bytes()).expect("fits");
    event.time_ns = !number;
    event
}

/// Takes up to `most` events in one go, and checks that they are whole; returns
/// how many there were.
fn take(ring: &TestRing, cursor: &mut Cursor, most: usize) -> usize {
    let mut room = [const { MaybeUninit::uninit() }; 2];
    let mut records = BorrowedBuf::new(&mut room);
    ring.read(cursor.next(), cursor.untold(), &mut records, most);
    for record in records.filled() {
        let got = Event::from_words(record);
        let expected = Event {
            seq: got.seq,
            lost: (got.seq - cursor.next()) as u32,
            ..event(got.seq)
        };
        assert_eq!(got, expected, "the record is whole");
        cursor.deliver(got.seq);
    }
    records.len()
}

/// A writer posts `posts` events, `batch` of them at once, while a reader takes
/// up to `most` of what it finds, `takes` times, and the rest when the writer is
/// done.
fn meet(capacity: usize, posts: u64, batch: usize, most: usize, takes: usize) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(PREEMPTIONS);
    model.check(move || {
        let memory = TestMemory {
            newest: Word::new(0),
            slots: (0..capacity).map(|_| Slot::new()).collect(),
        };
        let (ring, mut writer) = Ring::new(memory).expect("a power of two");
        let ring: Arc<TestRing> = Arc::new(ring);
        let thread = loom::thread::spawn({
            let ring = ring.clone();
            move || {
                let numbers: Vec<u64> = (1..=posts).collect();
                for numbers in numbers.chunks(batch) {
                    let events = numbers.iter().copied().map(event);
                    assert_eq!(ring.post(&mut writer, events), numbers.last().copied());
                }
            }
        });
        let mut cursor = Cursor::at(1);
        for _ in 0..takes {
            take(&ring, &mut cursor, most);
        }
        thread.join().expect("the writer does not panic");
        while take(&ring, &mut cursor, most) > 0 {}
        assert_eq!(cursor.delivered() + cursor.lost(), posts);
        if posts <= capacity as u64 {
            assert_eq!(cursor.lost(), 0, "what the ring still holds is not lost");
        }
    });
}

/// Nothing is overwritten: everything is delivered.
fn without_overflow() {
    meet(2, 2, 1, 1, 2);
    meet(2, 2, 1, 2, 1);
    // Two at once.
    meet(4, 2, 2, 2, 1);
}

/// The reader is lapped in the middle of its copy.
fn with_overflow() {
    meet(1, 2, 1, 1, 1);
    // Of two that are copied, one is kept.
    meet(2, 3, 2, 2, 1);
}

fn with(mutant: Mutant, run: impl Fn()) -> bool {
    let _guard = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|guard| guard.into_inner());
    mutant.set();
    let passed = catch_unwind(AssertUnwindSafe(run)).is_ok();
    Mutant::None.set();
    passed
}

#[test]
fn everything_is_delivered_in_every_order() {
    assert!(with(Mutant::None, without_overflow));
}

#[test]
fn a_lapped_reader_never_sees_a_mixture() {
    assert!(with(Mutant::None, with_overflow));
}

/// Each mutant is killed by at least one of the two.
#[test]
fn without_any_of_its_orderings_the_ring_fails() {
    for mutant in Mutant::ALL {
        let survived = with(mutant, with_overflow) && with(mutant, without_overflow);
        assert!(!survived, "{mutant:?} went unnoticed");
    }
}
