// SPDX-License-Identifier: GPL-2.0

//! The ring: one copy of each event, however many subscribers read it.
//!
//! Writers are serialised by whoever owns the [`Writer`]; readers take no lock at all. Each slot
//! is a sequence lock of its own: its first word is the sequence number of the event in it, or
//! [`BUSY`] while a writer changes it. A reader that wants event `n` copies the slot only if it
//! carries `n` before and after the copy; anything else means that a writer has lapped the reader
//! and that event `n` is gone.
//!
//! ```text
//! writer of n                         reader of n
//!   slot.seq = BUSY                     newest >= n       (acquire)
//!   -- publish_busy --                  slot.seq == n     (acquire)
//!   slot.payload = ...                  copy payload
//!   slot.seq = n       (release)        -- payload_read --
//!   newest = n         (release)        slot.seq == n
//! ```
//!
//! If the second look still finds `n`, no later writer had begun when the payload was copied: had
//! the copy seen one word of a later event, `payload_read` and `publish_busy` would make the
//! [`BUSY`] that precedes it visible too.
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
    WORDS, //
};

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

    /// Stores `event`, whose sequence number is in its first word.
    fn store(&self, event: Event) {
        let [seq, payload @ ..] = event.to_words();
        self.seq.store(BUSY);
        publish_busy();
        for (slot, word) in self.payload.iter().zip(payload) {
            slot.store(word);
        }
        self.seq.store_release(seq);
    }

    /// Copies the event `seq`, or [`None`] if the slot does not hold it (any more).
    fn load(&self, seq: u64) -> Option<Event> {
        if self.seq.load_acquire() != seq {
            return None;
        }
        let mut words = [0; WORDS];
        let (first, payload) = words.split_first_mut()?;
        *first = seq;
        for (word, slot) in payload.iter_mut().zip(&self.payload) {
            *word = slot.load();
        }
        payload_read();
        if self.seq.load() != seq {
            return None;
        }
        Some(Event::from_words(&words))
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
    /// Sequence number of the last event that was stored.
    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }

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

    /// Stamps `event` with the next sequence number and stores it, over the oldest if need be.
    ///
    /// Returns the sequence number, or [`None`] if they are used up: they are never reused.
    ///
    /// `writer` must be the one that was made with this ring. Wait-free.
    pub(crate) fn post(&self, writer: &mut Writer, event: Event) -> Option<u64> {
        if writer.room() == 0 {
            return None;
        }
        let seq = writer.newest.saturating_add(1);
        let slot = self.slot(seq)?;
        slot.store(Event {
            seq,
            lost: 0,
            reserved: 0,
            ..event
        });
        // INVARIANT: The event has been stored.
        writer.newest = seq;
        self.memory.newest().store_release(seq);
        Some(seq)
    }

    /// Copies the first event from `next` on that is still there.
    ///
    /// Its `lost` is what is missing between `next` and it (exactly, up to `u32::MAX`). Returns
    /// [`None`] if nothing has been posted from `next` on. Takes no lock; starts again each time a
    /// writer laps it, and every such round is a step that a writer has made.
    pub(crate) fn read(&self, next: u64) -> Option<Event> {
        let mut want = next;
        loop {
            let newest = self.newest();
            want = want.max(self.oldest(newest));
            if want > newest {
                return None;
            }
            if let Some(event) = self.slot(want)?.load(want) {
                let lost = u32::try_from(want.saturating_sub(next)).unwrap_or(u32::MAX);
                return Some(Event { lost, ..event });
            }
            // Event `want` was published, for `newest` reached it, and its slot says otherwise
            // now: it has been overwritten or is about to be.
            want = want.saturating_add(1);
        }
    }

    fn slot(&self, seq: u64) -> Option<&Slot> {
        // Always there, by the invariant on `mask`; `get` keeps the panic out all the same.
        self.memory.slots().get((seq & self.mask) as usize)
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
    /// say: what was lost since the one that was delivered before it, up to `u32::MAX`.
    ///
    /// Since the queue never skips a number, what lies between the cursor and the event was lost.
    pub(crate) fn deliver(&mut self, seq: u64) -> u32 {
        self.advance(seq);
        // INVARIANT: Both sides have grown by `seq + 1 - next`.
        self.delivered = self.delivered.wrapping_add(1);
        let lost = u32::try_from(self.untold).unwrap_or(u32::MAX);
        self.untold = 0;
        lost
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
