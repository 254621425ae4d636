// SPDX-License-Identifier: GPL-2.0
//! A subscriber for tests: reads as the driver does and checks all that can be checked.

use crate::atomic::Word;
use crate::event::{Event, DATA_MAX};
use crate::ring::{Cursor, Memory, Ring, Slot, Writer};

/// Memory that nobody else looks at.
pub(crate) struct TestMemory {
    newest: Word,
    slots: Box<[Slot]>,
}

impl TestMemory {
    /// Empty slots for `capacity` events.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            newest: Word::new(0),
            slots: (0..capacity).map(|_| Slot::new()).collect(),
        }
    }
}

impl Memory for TestMemory {
    fn newest(&self) -> &Word {
        &self.newest
    }

    fn slots(&self) -> &[Slot] {
        &self.slots
    }
}

pub(crate) type TestRing = Ring<TestMemory>;

/// A ring of `capacity` events, as if `newest` had been posted before.
pub(crate) fn ring_after(capacity: usize, newest: u64) -> (TestRing, Writer) {
    Ring::starting_after(TestMemory::new(capacity), newest).expect("a power of two")
}

/// An event whose every field follows from `number`, so that a mixture of two is noticed.
pub(crate) fn event(number: u64) -> Event {
    let mut data = [0; DATA_MAX];
    for (chunk, i) in data.chunks_exact_mut(8).zip(1..) {
        chunk.copy_from_slice(&number.wrapping_mul(i).to_ne_bytes());
    }
    let mut event = Event::new(number as u32, number as u16, (number >> 16) as u16, &data)
        .expect("fits exactly");
    event.time_ns = !number;
    event
}

pub(crate) struct Subscriber {
    pub(crate) cursor: Cursor,
    start: u64,
    /// Wants the events whose number this divides.
    divisor: u64,
    skipped: u64,
    /// Sum of what the deliveries tell: what a program can count by itself.
    lost_in_records: u64,
    /// Lost before an event that was not wanted, so that no record has told it.
    untold: u64,
}

impl Subscriber {
    pub(crate) fn at(next: u64) -> Self {
        Self::filtered(next, 1)
    }

    /// One that wants only the events whose number `divisor` divides.
    pub(crate) fn filtered(next: u64, divisor: u64) -> Self {
        Self {
            cursor: Cursor::at(next),
            start: next,
            divisor,
            skipped: 0,
            lost_in_records: 0,
            untold: 0,
        }
    }

    /// Takes one event and checks it; false if there is none.
    pub(crate) fn take(&mut self, ring: &TestRing) -> bool {
        let Some(got) = ring.read(self.cursor.next()) else {
            return false;
        };
        let lost = got.seq - self.cursor.next();
        assert_eq!(u64::from(got.lost), lost, "lost is what lies in between");
        let expected = Event {
            seq: got.seq,
            lost: got.lost,
            ..event(got.seq)
        };
        assert_eq!(got, expected, "the record is whole");
        self.untold += lost;
        if got.seq % self.divisor == 0 {
            let told = u64::from(self.cursor.deliver(got.seq));
            assert_eq!(told, self.untold, "the record tells all since the last one");
            self.lost_in_records += told;
            self.untold = 0;
        } else {
            self.cursor.skip(got.seq);
            self.skipped += 1;
        }
        true
    }

    /// Q3: with everything taken, `delivered + lost == posted`; what was there and
    /// not wanted is counted apart.
    pub(crate) fn assert_settled(&self, newest: u64) {
        assert_eq!(
            self.cursor.delivered() + self.cursor.lost() + self.cursor.skipped(),
            newest + 1 - self.start,
            "delivered + lost + skipped == posted"
        );
        assert_eq!(self.cursor.skipped(), self.skipped);
        assert_eq!(self.cursor.lost(), self.lost_in_records + self.untold);
    }
}
