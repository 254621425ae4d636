// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ring of a queue, read in place: no system call while events flow.
//!
//! The protocol is that of `struct evq_map` in `include/uapi/evq.h`: a slot
//! that carries the number of the wanted event before and after the copy held
//! that event in between. Nothing the kernel writes is trusted to stay as it
//! was; nothing in the mapping can be written from here.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{fence, AtomicU32, AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};
use nix::unistd::{sysconf, SysconfVar};

use crate::device::{Filled, Position, Queue};
use crate::error::{Error, Result};
use crate::uapi::{self, Event, EVENT_SIZE};

/// Words of 64 bits in one slot.
const WORDS: usize = EVENT_SIZE / 8;

/// A slot of the ring, which the kernel may be writing to at any time.
type Slot = [AtomicU64; WORDS];

/// A subscriber that reads from the mapped ring.
///
/// It reads exactly what [`Queue::read`] would, with the same account, but
/// takes events from the ring itself as long as there are any. Once there are
/// none it tells the queue how far it has come and reads from it in the
/// ordinary way, so that every mechanism of [`crate::via`] waits for it: arm
/// the reader itself, it is [`AsFd`].
#[derive(Debug)]
pub struct Mapped {
    queue: Queue,
    map: MmapRaw,
    offset: usize,
    capacity: u64,
    next: u64,
    delivered: u64,
    lost: u64,
}

impl Mapped {
    /// Maps the ring of `queue`, which must be open for reading, and goes on
    /// where its cursor stands. The ring has all events: a filter of the queue
    /// (see [`Queue::set_filter`]) decides what wakes, not what is taken.
    ///
    /// # Errors
    ///
    /// [`Error::NotAQueue`]; [`Error::System`] if there is no memory to map it,
    /// or the file is not open for reading (EACCES).
    pub fn new(queue: Queue) -> Result<Mapped> {
        let info = queue.info()?;
        let system = |errno| Error::System {
            action: "map the ring of",
            name: queue.name().to_owned(),
            errno,
        };
        let offset = sysconf(SysconfVar::PAGE_SIZE)
            .map_err(system)?
            .and_then(|bytes| usize::try_from(bytes).ok())
            .unwrap_or(4096);
        let bytes = offset + info.capacity as usize * EVENT_SIZE;
        let map = MmapOptions::new()
            .len(bytes)
            .map_raw_read_only(queue.as_fd().as_raw_fd())
            .map_err(|error| {
                system(nix::errno::Errno::from_raw(
                    error.raw_os_error().unwrap_or(libc::EIO),
                ))
            })?;
        let mapped = Mapped {
            offset,
            capacity: u64::from(info.capacity),
            next: info.next,
            delivered: 0,
            lost: 0,
            map,
            queue,
        };
        let header = [uapi::ABI, info.capacity, offset as u32];
        if !info.capacity.is_power_of_two() || mapped.header() != header {
            return Err(Error::WrongAbi {
                name: mapped.queue.name().to_owned(),
                found: mapped.header()[0],
            });
        }
        Ok(mapped)
    }

    /// The queue behind it. Do not read from it or seek in it: this reader's
    /// place would not follow.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Reads as many events as there are and fit, like [`Queue::read`]: blocks
    /// if there is none and the descriptor is not non-blocking.
    ///
    /// # Errors
    ///
    /// As [`Queue::read`].
    pub fn read(&mut self, events: &mut [Event]) -> Result<Filled> {
        let count = self.take(events);
        if count > 0 || events.is_empty() {
            return Ok(Filled::Records(count));
        }
        // From here on the queue says what is news, and whether it has ended.
        self.queue.seek(Position::Seq(self.next))?;
        let filled = self.queue.read(events)?;
        if let Filled::Records(count) = filled {
            for event in &events[..count] {
                self.enter(event);
            }
        }
        Ok(filled)
    }

    /// Takes events from the ring, as many as there are and fit, without any
    /// system call; 0 if there is none. Never blocks.
    pub fn take(&mut self, events: &mut [Event]) -> usize {
        let mut newest = self.newest();
        let mut count = 0;
        while count < events.len() {
            // Everything older is gone for sure.
            let oldest = newest.saturating_sub(self.capacity - 1).max(1);
            let mut want = self.next.max(oldest);
            let event = loop {
                if want > newest {
                    break None;
                }
                if let Some(event) = self.load(want) {
                    break Some(event);
                }
                // Overwritten after all.
                want += 1;
            };
            let Some(mut event) = event else {
                // What was overwritten is in the account once there is an event to tell it with.
                let again = self.newest();
                if again == newest || self.next > again {
                    break;
                }
                newest = again;
                continue;
            };
            event.lost = u32::try_from(want - self.next).unwrap_or(u32::MAX);
            self.enter(&event);
            events[count] = event;
            count += 1;
        }
        count
    }

    /// Sequence number of the event that the next read starts from.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.next
    }

    /// Events delivered by this reader.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Events that were overwritten before this reader came to them; exact.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    fn enter(&mut self, event: &Event) {
        self.delivered += 1;
        self.lost += event.seq.saturating_sub(self.next);
        self.next = event.seq.saturating_add(1);
    }

    /// Version, capacity and offset, which never change.
    fn header(&self) -> [u32; 3] {
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

    /// Copies event `seq`, unless it is gone (`lost` is 0).
    fn load(&self, seq: u64) -> Option<Event> {
        // Less than the capacity, which is a `u32`.
        let index = (seq & (self.capacity - 1)) as usize;
        let slot = self
            .map
            .as_ptr()
            .wrapping_add(self.offset + index * EVENT_SIZE);
        // SAFETY: The mapping has `capacity` slots from `offset` on, which is a multiple of their
        // alignment; else as in `header`.
        let slot = unsafe { &*slot.cast::<Slot>() };
        if load_acquire(&slot[0]) != seq {
            return None;
        }
        let words = slot.each_ref().map(|word| word.load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        (slot[0].load(Ordering::Relaxed) == seq).then(|| Event::from_words(words))
    }
}

/// An acquire load from memory that is mapped for reading only, where Rust
/// allows relaxed loads alone.
fn load_acquire(word: &AtomicU64) -> u64 {
    let value = word.load(Ordering::Relaxed);
    fence(Ordering::Acquire);
    value
}

impl AsFd for Mapped {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}
