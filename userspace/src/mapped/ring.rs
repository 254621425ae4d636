// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reader's side of a ring that the kernel writes.
//!
//! The protocol is that of `struct evq_map` in `include/uapi/evq.h`: a slot
//! that carries the number of the wanted event after the copy held that event
//! all along. Nothing the kernel writes is trusted to stay as it was; nothing
//! in the mapping can be written from here.

use std::sync::atomic::{fence, AtomicU32, AtomicU64, Ordering};

use memmap2::MmapRaw;

use crate::uapi::{self, Event, EVENT_SIZE};

/// Words of 64 bits in one slot.
const WORDS: usize = EVENT_SIZE / 8;

/// A slot of the ring, which the kernel may be writing to at any time.
type Slot = [AtomicU64; WORDS];

/// The ring, and a place in it with its account.
#[derive(Debug)]
pub(super) struct Ring {
    map: MmapRaw,
    /// Where the slots begin, in bytes; a multiple of the page size.
    offset: usize,
    /// Slots.
    capacity: u64,
    /// The event that comes next.
    pub(super) next: u64,
    pub(super) delivered: u64,
    pub(super) lost: u64,
}

impl Ring {
    /// `map` is `offset` bytes, at least a header, and then `capacity` slots.
    pub(super) fn new(map: MmapRaw, offset: usize, capacity: u64, next: u64) -> Ring {
        Ring {
            map,
            offset,
            capacity,
            next,
            delivered: 0,
            lost: 0,
        }
    }

    /// As [`super::Mapped::take`].
    pub(super) fn take(&mut self, events: &mut [Event]) -> usize {
        let mut newest = self.newest();
        let mut want = self.next;
        let mut count = 0;
        let mut clear = 0;
        while count < events.len() {
            // Everything older is gone for sure.
            want = want.max(self.oldest(newest));
            let there = newest.saturating_add(1).saturating_sub(want);
            let free = &mut events[count..];
            let slots = self.slots_from(want);
            let most = free
                .len()
                .min(slots.len())
                .min(usize::try_from(there).unwrap_or(usize::MAX));
            if most == 0 {
                break;
            }
            let (lapped, copied) = copy(&slots[..most], want, &mut free[..most]);
            want += lapped as u64;
            if copied > 0 {
                let lost = want - self.next;
                free[0].lost = u32::try_from(lost).unwrap_or(u32::MAX);
                self.lost += lost;
                self.delivered += copied as u64;
                self.next = want + copied as u64;
                want = self.next;
                count += copied;
            }
            if lapped > 0 {
                // It is in the account once there is an event to tell it with.
                newest = self.newest();
            }
            if copied == 0 {
                // Keep clear of a writer that is faster than the copy, further each time.
                clear = (most as u64).max(clear).saturating_mul(2);
                want = want.max(self.oldest(newest).saturating_add(clear).min(newest));
            }
        }
        count
    }

    /// Enters into the account that `event` was delivered.
    pub(super) fn enter(&mut self, event: &Event) {
        self.delivered += 1;
        self.lost += event.seq.saturating_sub(self.next);
        self.next = event.seq.saturating_add(1);
    }

    /// Version, capacity and offset, which never change.
    pub(super) fn header(&self) -> [u32; 3] {
        // SAFETY: The mapping is longer than this, aligned to a page, and lives as long as `self`;
        // whoever writes to it does so by words.
        let header = unsafe { &*self.map.as_ptr().cast::<[AtomicU32; 3]>() };
        header.each_ref().map(|field| field.load(Ordering::Relaxed))
    }

    /// The newest event; it and all before it have been stored.
    fn newest(&self) -> u64 {
        let newest = self.map.as_ptr().wrapping_add(uapi::MAP_NEWEST);
        // SAFETY: As in `header`.
        load_acquire(unsafe { &*newest.cast::<AtomicU64>() })
    }

    /// The oldest event that can still be there when `newest` is the newest.
    fn oldest(&self, newest: u64) -> u64 {
        newest.saturating_sub(self.capacity - 1)
    }

    /// The slot of event `seq` and those of the events after it, up to the last slot.
    fn slots_from(&self, seq: u64) -> &[Slot] {
        let slots = self.map.as_ptr().wrapping_add(self.offset).cast::<Slot>();
        // A `u32`, as the kernel has it.
        let capacity = self.capacity as usize;
        // SAFETY: The mapping has `capacity` slots from `offset` on, which is a multiple of their
        // alignment; else as in `header`.
        let slots = unsafe { std::slice::from_raw_parts(slots, capacity) };
        &slots[seq as usize & (capacity - 1)..]
    }
}

/// Copies the events from `first` on (with `lost` 0), of which all were there a
/// moment ago. Returns how many of the first have been overwritten since, and
/// how many there are in `events` of the others: the kernel overwrites the
/// oldest, so that a reader which it laps in its copy still gets on.
fn copy(slots: &[Slot], first: u64, events: &mut [Event]) -> (usize, usize) {
    for ((event, slot), seq) in events.iter_mut().zip(slots).zip(first..) {
        let mut words = slot.each_ref().map(|word| word.load(Ordering::Relaxed));
        // Whatever it is: it counts only if the next look finds it.
        words[0] = seq;
        *event = Event::from_words(words);
    }
    fence(Ordering::Acquire);
    #[cfg(test)]
    tests::meanwhile();
    // The newest first: what is before one that is gone is gone, or will be in a moment.
    let gone = |(at, slot): &(usize, &Slot)| slot[0].load(Ordering::Relaxed) != first + *at as u64;
    let lapped = slots.iter().enumerate().rev().find(gone);
    let lapped = lapped.map_or(0, |(at, _)| at + 1);
    if lapped > 0 {
        events.copy_within(lapped.., 0);
    }
    (lapped, events.len() - lapped)
}

/// An acquire load from memory that is mapped for reading only, where Rust
/// allows relaxed loads alone.
fn load_acquire(word: &AtomicU64) -> u64 {
    let value = word.load(Ordering::Relaxed);
    fence(Ordering::Acquire);
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use memmap2::MmapMut;
    use std::cell::Cell;

    const CAPACITY: u64 = 8;
    const OFFSET: usize = 4096;

    thread_local! {
        static WRITER: Cell<Option<Writer>> = const { Cell::new(None) };
    }

    /// Posts to the ring while it is read: `each` events in each copy.
    struct Writer {
        map: *mut u64,
        newest: u64,
        each: u64,
        copies: u32,
    }

    impl Writer {
        fn post(&mut self, count: u64) {
            for seq in self.newest + 1..=self.newest + count {
                let slot = OFFSET / 8 + (seq % CAPACITY) as usize * WORDS;
                for (word, value) in (slot..).zip([seq, !seq]) {
                    // SAFETY: The mapping has this slot; only this thread uses it.
                    unsafe { self.map.wrapping_add(word).write(value) };
                }
                self.newest = seq;
            }
            let newest = self.map.wrapping_add(uapi::MAP_NEWEST / 8);
            // SAFETY: As above.
            unsafe { newest.write(self.newest) };
        }
    }

    /// What comes between a copy and the look at the numbers.
    pub(super) fn meanwhile() {
        if let Some(mut writer) = WRITER.take() {
            writer.copies += 1;
            assert!(writer.copies < 64, "no progress beside a writer");
            writer.post(writer.each);
            WRITER.set(Some(writer));
        }
    }

    /// The ring after `posted` events, read with a writer that posts `each` more
    /// during each copy; numbers, and losses before each.
    fn read(posted: u64, each: u64, most: usize) -> (Ring, Vec<(u64, u32)>) {
        let map = MmapMut::map_anon(OFFSET + CAPACITY as usize * EVENT_SIZE).unwrap();
        let map = MmapRaw::from(map);
        let mut writer = Writer {
            map: map.as_mut_ptr().cast(),
            newest: 0,
            each,
            copies: 0,
        };
        writer.post(posted);
        WRITER.set(Some(writer));
        let mut ring = Ring::new(map, OFFSET, CAPACITY, 1);
        let mut events = vec![Event::from_words([0; WORDS]); most];
        let count = ring.take(&mut events);
        let got = events[..count].iter().inspect(|event| {
            assert_eq!(event.time_ns, !event.seq, "the record is whole");
        });
        let got = got.map(|event| (event.seq, event.lost)).collect();
        (ring, got)
    }

    /// Q3: what was overwritten is told, once.
    #[test]
    fn the_oldest_is_overwritten() {
        let (ring, got) = read(12, 0, 4);
        assert_eq!(got, [(5, 4), (6, 0), (7, 0), (8, 0)]);
        assert_eq!((ring.delivered, ring.lost, ring.next), (4, 4, 9));
    }

    /// Q3: of a copy in which the oldest was overwritten, the others are kept.
    #[test]
    fn a_reader_that_is_lapped_in_its_copy_keeps_the_rest() {
        let (ring, got) = read(7, 2, 4);
        assert_eq!(got[..3], [(2, 1), (3, 0), (4, 0)]);
        assert_eq!(ring.delivered + ring.lost, ring.next - 1);
    }

    /// Q3: a writer that overwrites more than is copied does not keep a reader
    /// from its events.
    #[test]
    fn a_reader_gets_clear_of_a_faster_writer() {
        for each in [5, 6, 7] {
            let (ring, got) = read(8, each, 4);
            assert!(!got.is_empty());
            assert_eq!(ring.delivered + ring.lost, ring.next - 1);
        }
    }
}
