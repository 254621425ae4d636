// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ring of a queue, read in place: no system call while events flow.

mod ring;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use memmap2::MmapOptions;
use nix::unistd::{sysconf, SysconfVar};

use crate::device::{Filled, Position, Queue};
use crate::error::{Error, Result};
use crate::uapi::{self, Event, EVENT_SIZE};
use ring::Ring;

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
    ring: Ring,
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
        let ring = Ring::new(map, offset, u64::from(info.capacity), info.next);
        let header = [uapi::ABI, info.capacity, offset as u32];
        if !info.capacity.is_power_of_two() || ring.header() != header {
            return Err(Error::WrongAbi {
                name: queue.name().to_owned(),
                found: ring.header()[0],
            });
        }
        Ok(Mapped { queue, ring })
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
        self.queue.seek(Position::Seq(self.ring.next))?;
        let filled = self.queue.read(events)?;
        if let Filled::Records(count) = filled {
            for event in &events[..count] {
                self.ring.enter(event);
            }
        }
        Ok(filled)
    }

    /// Takes events from the ring, as many as there are and fit, without any
    /// system call; 0 if there is none. Never blocks.
    pub fn take(&mut self, events: &mut [Event]) -> usize {
        self.ring.take(events)
    }

    /// Sequence number of the event that the next read starts from.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.ring.next
    }

    /// Events delivered by this reader.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.ring.delivered
    }

    /// Events that were overwritten before this reader came to them; exact.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.ring.lost
    }
}

impl AsFd for Mapped {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}
