// SPDX-License-Identifier: GPL-2.0
//! A subscriber for tests: reads as the driver does and checks all that can be checked.

use crate::atomic::Word;
use crate::event::{Event, DATA_MAX};
use crate::glue::borrowed_buf::BorrowedBuf;
use crate::ring::{Cursor, Memory, Ring, Slot, Writer};
use std::mem::MaybeUninit;
use std::ops::Range;

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

/// Posts one event.
pub(crate) fn post(ring: &TestRing, writer: &mut Writer, event: Event) -> Option<u64> {
    ring.post(writer, std::iter::once(event))
}

/// Posts the events of these numbers in one go.
pub(crate) fn post_all(ring: &TestRing, writer: &mut Writer, numbers: Range<u64>) -> Option<u64> {
    let events: Vec<Event> = numbers.map(event).collect();
    ring.post(writer, events.into_iter())
}

/// The first event from `next` on that is still there.
pub(crate) fn first(ring: &TestRing, next: u64) -> Option<Event> {
    let mut room = [const { MaybeUninit::uninit() }; 1];
    let mut record = BorrowedBuf::new(&mut room);
    ring.read(next, 0, &mut record, 1);
    record.filled().first().map(Event::from_words)
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
        self.take_all(ring, 1) == 1
    }

    /// Takes up to `most` events in one go and checks them; returns how many there were.
    pub(crate) fn take_all(&mut self, ring: &TestRing, most: usize) -> usize {
        let mut room = [const { MaybeUninit::uninit() }; 32];
        let mut records = BorrowedBuf::new(&mut room);
        ring.read(self.cursor.next(), 0, &mut records, most);
        let (mut next, mut untold, mut newest_told) = (self.cursor.next(), self.untold, 0);
        for record in records.filled() {
            let got = Event::from_words(record);
            let lost = got.seq - next;
            next = got.seq + 1;
            assert_eq!(u64::from(got.lost), lost, "lost is what lies in between");
            let expected = Event {
                seq: got.seq,
                lost: got.lost,
                ..event(got.seq)
            };
            assert_eq!(got, expected, "the record is whole");
            untold += lost;
            if self.divisor == 1 {
                newest_told = got.seq;
            } else if got.seq % self.divisor == 0 {
                let told = self.cursor.deliver(got.seq);
                assert_eq!(told, untold, "the record tells all since the last one");
            } else {
                self.cursor.skip(got.seq);
                self.skipped += 1;
                continue;
            }
            self.lost_in_records += untold;
            untold = 0;
        }
        if newest_told > 0 {
            assert_eq!(self.cursor.untold(), self.untold);
            self.cursor.deliver_all(records.len() as u64, newest_told);
        }
        self.untold = untold;
        records.len()
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
