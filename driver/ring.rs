// SPDX-License-Identifier: GPL-2.0

//! The ring: one copy of each event, however many subscribers read it.
//!
//! Writers are serialised by whoever owns the [`Writer`]; readers take no lock at all. Each slot
//! is a sequence lock of its own: its first word is the sequence number of the event in it, or
//! [`BUSY`] while a writer changes it. A reader that wants event `n` copies the slot, and keeps the
//! copy only if the slot carries `n` afterwards; anything else means that a writer has lapped the
//! reader and that event `n` is gone.
//!
//! ```text
//! writer of n                         reader of n
//!   slot.seq = BUSY                     newest >= n       (acquire)
//!   -- publish_busy --                  copy payload
//!   slot.payload = ...                  -- payload_read --
//!   slot.seq = n                        slot.seq == n
//!   newest = n         (release)
//! ```
//!
//! The look at `newest` has the copy see event `n` or a later one. If `slot.seq` is still `n` after
//! it, no later writer had begun when the payload was copied: had the copy seen one word of a later
//! event, `payload_read` and `publish_busy` would make the [`BUSY`] that precedes it visible too.
//!
//! Several events are written and read at once, each step for all of them, so that they share the
//! barriers. What a writer overwrites meanwhile are the oldest of those that a reader copies; it
//! keeps the rest.
//!
//! This file knows nothing of the kernel: the words and barriers come from the sibling module
//! `atomic`, which is LKMM's in the kernel, `core`'s or a model checker's on the host.

use super::atomic::{
    payload_read,
    publish_busy,
    Word, //
};
use super::event::{
    Event,
    Record,
    WORDS, //
};
use super::glue::borrowed_buf::BorrowedBuf;

/// In place of a sequence number: the slot is empty or being written.
///
/// Sequence numbers start at 1, so that no event carries it.
const BUSY: u64 = 0;

/// One event in the ring, a cache line.
#[repr(C, align(64))]
pub(crate) struct Slot {
    seq: Word,
    payload: [Word; WORDS - 1],
}

impl Slot {
    /// An empty slot.
    pub(crate) fn new() -> Self {
        Self {
            seq: Word::new(BUSY),
            payload: core::array::from_fn(|_| Word::new(0)),
        }
    }

    /// Stores `event`, whose readers do not look before it has been published.
    fn store(&self, event: Event) {
        let [seq, payload @ ..] = event.to_words();
        for (slot, word) in self.payload.iter().zip(payload) {
            slot.store(word);
        }
        self.seq.store(seq);
    }

    /// Copies what is there as event `seq`, whatever it is.
    fn load(&self, seq: u64) -> Record {
        let [a, b, c, d, e, f, g] = &self.payload;
        [
            seq,
            a.load(),
            b.load(),
            c.load(),
            d.load(),
            e.load(),
            f.load(),
            g.load(),
        ]
    }
}

impl Default for Slot {
    fn default() -> Self {
        Self::new()
    }
}

/// The right to post to one ring: whoever has it exclusively is the only writer.
///
/// # Invariants
///
/// `newest` is the sequence number of the last event that was stored, and the value of
/// [`Ring::newest`] whenever no [`Ring::post`] is under way.
pub(crate) struct Writer {
    newest: u64,
}

/// What a ring is kept in: readers that share no code with this file may look at it as well.
pub(crate) trait Memory {
    /// Where the ring says which event is the newest.
    fn newest(&self) -> &Word;

    /// Where it keeps its events; always the same ones.
    fn slots(&self) -> &[Slot];
}

/// A ring of `slots().len()` events, which overwrites the oldest (Q3).
///
/// # Invariants
///
/// - `slots().len()` is a power of two, and `mask` is one less.
/// - Event `n` lives in slot `n & mask` and nowhere else.
/// - `newest()` never decreases, and every event up to it has been stored.
pub(crate) struct Ring<M> {
    memory: M,
    mask: u64,
}

impl Writer {
    /// How many events can still be posted before the sequence numbers run out.
    pub(crate) fn room(&self) -> u64 {
        // A cursor must be able to stand behind the last one.
        (u64::MAX - 1).saturating_sub(self.newest)
    }
}

impl<M: Memory> Ring<M> {
    /// Makes a ring of empty slots and the right to post to it.
    ///
    /// Returns [`None`] if their number is not a power of two.
    pub(crate) fn new(memory: M) -> Option<(Self, Writer)> {
        Self::starting_after(memory, 0)
    }

    /// As [`Ring::new`], but as if `newest` events had been posted and forgotten already.
    pub(crate) fn starting_after(memory: M, newest: u64) -> Option<(Self, Writer)> {
        let capacity = memory.slots().len();
        if !capacity.is_power_of_two() {
            return None;
        }
        memory.newest().store(newest);
        // INVARIANT: Just checked; nothing is stored yet, and nothing up to `newest` will be found.
        let ring = Self {
            memory,
            mask: (capacity as u64).saturating_sub(1),
        };
        // INVARIANT: The same number.
        Some((ring, Writer { newest }))
    }

    /// What the ring is kept in.
    pub(crate) fn memory(&self) -> &M {
        &self.memory
    }

    /// Events that the ring holds.
    pub(crate) fn capacity(&self) -> u64 {
        self.mask.saturating_add(1)
    }

    /// Sequence number of the newest event, 0 if there was none; also the number of events posted.
    pub(crate) fn newest(&self) -> u64 {
        self.memory.newest().load_acquire()
    }

    /// Sequence number of the oldest event that can still be there when `newest` is the newest.
    ///
    /// One more than `newest` if there is none.
    pub(crate) fn oldest(&self, newest: u64) -> u64 {
        newest
            .saturating_sub(self.mask)
            .max(1)
            .min(newest.saturating_add(1))
    }

    /// Whether an event with the sequence number `next` has been posted.
    pub(crate) fn has(&self, next: u64) -> bool {
        next <= self.newest()
    }

    /// Stamps `events` with the next sequence numbers and stores them, over the oldest if need be.
    ///
    /// Returns the last sequence number, or [`None`], with nothing stored, if there are not as many
    /// left: they are never reused.
    ///
    /// `writer` must be the one that was made with this ring. Wait-free.
    pub(crate) fn post(
        &self,
        writer: &mut Writer,
        mut events: impl ExactSizeIterator<Item = Event>,
    ) -> Option<u64> {
        if writer.room() < events.len() as u64 {
            return None;
        }
        // Never more than half of the ring at once, or one: readers go on in the other half.
        let most = (self.capacity() / 2).max(1);
        while let count @ 1.. = most.min(events.len() as u64) {
            let first = writer.newest.wrapping_add(1);
            for slot in self.slots(first, count) {
                slot.seq.store(BUSY);
            }
            publish_busy();
            for (slot, event) in self.slots(first, count).zip(&mut events) {
                // INVARIANT: This event is being stored, and published after those beside it.
                writer.newest = writer.newest.wrapping_add(1);
                slot.store(Event {
                    seq: writer.newest,
                    lost: 0,
                    reserved: 0,
                    ..event
                });
            }
            self.memory.newest().store_release(writer.newest);
        }
        Some(writer.newest)
    }

    /// Appends events from `next` on to `records`, which must have the room, until there are `most`:
    /// the first ones that are still there, if there are any.
    ///
    /// The `lost` of each is what is missing between the one before it (for the first: from `next`
    /// on, and `untold` more) and it, exactly, up to `u32::MAX`. Takes no lock. Looks again each
    /// time a writer has overwritten some of what was copied; every such round is a step that a
    /// writer has made, and only one in which the writer was the faster one yields nothing.
    pub(crate) fn read(
        &self,
        next: u64,
        untold: u64,
        records: &mut BorrowedBuf<'_, Record>,
        most: usize,
    ) {
        let mut newest = self.newest();
        // Whatever the number: it only serves as the other end of a difference.
        let mut told = next.wrapping_sub(untold);
        let mut want = next;
        let mut clear = 0;
        while records.len() < most {
            want = want.max(self.oldest(newest));
            let there = newest.wrapping_add(1).saturating_sub(want);
            let count = there.min(most.wrapping_sub(records.len()) as u64);
            let before = records.len();
            let lapped = self.copy(want, records, count);
            if let Some(first) = records.filled_mut().get_mut(before) {
                Event::tell_lost(first, want.wrapping_add(lapped).wrapping_sub(told));
                told = want.wrapping_add(count);
            }
            if lapped == 0 {
                break;
            }
            want = want.wrapping_add(count);
            newest = self.newest();
            if lapped == count {
                // Keep clear of a writer that is faster than the copy, further each time.
                clear = count.max(clear).saturating_mul(2);
                want = want.max(self.oldest(newest).saturating_add(clear).min(newest));
            }
        }
    }

    /// Appends those of the `count` events from `first` on that are still there after the copy; all
    /// were a moment ago, and there must be room for them. Returns how many are not: the first ones,
    /// since a writer overwrites the oldest.
    fn copy(&self, first: u64, records: &mut BorrowedBuf<'_, Record>, count: u64) -> u64 {
        let before = records.len();
        let mut seq = first.wrapping_sub(1);
        records.extend(self.slots(first, count).map(|slot| {
            seq = seq.wrapping_add(1);
            slot.load(seq)
        }));
        payload_read();
        let mut lapped = 0;
        let mut seq = first;
        for slot in self.slots(first, count) {
            let here = seq;
            seq = seq.wrapping_add(1);
            if slot.seq.load() != here {
                lapped = seq.wrapping_sub(first);
            }
        }
        if lapped > 0 {
            records.remove(before, lapped as usize);
        }
        lapped
    }

    /// The slots of `count` events from `first` on.
    fn slots(&self, first: u64, count: u64) -> impl Iterator<Item = &Slot> {
        let slots = self.memory.slots();
        // Always there, by the invariant on `mask`; `get` keeps the panic out all the same.
        (0..count).map_while(move |i| slots.get((first.wrapping_add(i) & self.mask) as usize))
    }
}

/// A subscriber's place in the ring, and its account since its open or last seek.
///
/// # Invariants
///
/// - `delivered + lost + skipped` is `next` less the number that the cursor was last set to.
/// - `untold` is how much of `lost` is not yet in the `lost` field of a delivered event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    next: u64,
    delivered: u64,
    lost: u64,
    skipped: u64,
    untold: u64,
}

impl Cursor {
    /// A cursor whose next read starts from event `next`, with a new account.
    pub(crate) fn at(next: u64) -> Self {
        // INVARIANT: 0 + 0 + 0 is `next - next`; nothing was lost.
        Self {
            next,
            delivered: 0,
            lost: 0,
            skipped: 0,
            untold: 0,
        }
    }

    /// Sequence number that the next read starts from.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Events delivered.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Events that were overwritten before they could be delivered; exact.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// Events that were there and not wanted.
    pub(crate) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Enters into the account that event `seq` is delivered, and returns what its `lost` is to
    /// say: what was lost since the one that was delivered before it.
    ///
    /// Since the queue never skips a number, what lies between the cursor and the event was lost.
    pub(crate) fn deliver(&mut self, seq: u64) -> u64 {
        self.advance(seq);
        // INVARIANT: Both sides have grown by `seq + 1 - next`.
        self.delivered = self.delivered.wrapping_add(1);
        core::mem::take(&mut self.untold)
    }

    /// As [`Cursor::deliver`] for each of `count` events that [`Ring::read`] has found from
    /// [`Cursor::next`] on, told of [`Cursor::untold`]; the last one is `seq`.
    pub(crate) fn deliver_all(&mut self, count: u64, seq: u64) {
        // INVARIANT: Both sides grow by `seq + 1 - next`; all that was lost has been told.
        let passed = seq.wrapping_add(1).wrapping_sub(self.next);
        self.delivered = self.delivered.wrapping_add(count);
        self.lost = self.lost.wrapping_add(passed.wrapping_sub(count));
        self.untold = 0;
        self.next = seq.saturating_add(1);
    }

    /// How many events were lost that no delivered event has told of.
    pub(crate) fn untold(&self) -> u64 {
        self.untold
    }

    /// Enters into the account that event `seq` is there, but is not wanted.
    pub(crate) fn skip(&mut self, seq: u64) {
        self.advance(seq);
        // INVARIANT: As in `deliver`.
        self.skipped = self.skipped.wrapping_add(1);
    }

    fn advance(&mut self, seq: u64) {
        let lost = seq.saturating_sub(self.next);
        self.lost = self.lost.wrapping_add(lost);
        self.untold = self.untold.wrapping_add(lost);
        self.next = seq.saturating_add(1);
    }
}
