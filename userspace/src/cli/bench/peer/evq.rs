// SPDX-License-Identifier: MIT OR Apache-2.0
//! Our device, by `read` and `write`, or read in its mapped ring.

use std::os::fd::{AsFd as _, BorrowedFd};

use anyhow::Context as _;
use evq::uapi::Match;
use evq::{device, Event, Filled, Mapped, Options, Queue};
use nix::unistd::read;

use super::stream::Writer;
use super::{bytes, records, Link, Poster, Taker, BATCH, RECORD};

/// One open file description.
pub(in super::super) struct Subscriber {
    queue: Queue,
    buffer: Vec<u8>,
    /// Number of the last record that came; 0 before the first.
    last: u64,
}

impl Subscriber {
    /// Starts behind the newest event.
    pub(in super::super) fn open() -> anyhow::Result<Subscriber> {
        Ok(Subscriber {
            queue: Queue::open(device::DEFAULT_PATH)?,
            buffer: records(),
            last: 0,
        })
    }
}

impl Subscriber {
    /// Filters out everything that this program posts.
    pub(in super::super) fn filter_out(&self) -> anyhow::Result<()> {
        let other = Match {
            type_first: 1,
            type_last: 1,
            ..Match::default()
        };
        Ok(self.queue.set_filter(&[other])?)
    }
}

impl Taker for Subscriber {
    fn take(&mut self) -> anyhow::Result<usize> {
        let size = bytes(read(&self.queue, &mut self.buffer)).context("reading the queue")?;
        let count = size / RECORD;
        if let Some(number) = size
            .checked_sub(RECORD)
            .and_then(|at| self.buffer[at..].first_chunk())
        {
            let number = u64::from_ne_bytes(*number);
            let expected = self.last + count as u64;
            anyhow::ensure!(
                self.last == 0 || number == expected,
                "lost {} events, or somebody else posts to the queue as well",
                number - expected
            );
            self.last = number;
        }
        Ok(count)
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}

/// What posts to our device.
pub(in super::super) fn poster() -> anyhow::Result<impl Poster> {
    let queue = Options::new()
        .read(false)
        .write(true)
        .open(device::DEFAULT_PATH)?;
    let fd = queue.as_fd().try_clone_to_owned();
    Ok(Writer::new(fd.context("duplicating a descriptor")?))
}

/// A reader of the mapped ring.
struct InPlace {
    ring: Mapped,
    buffer: [Event; BATCH],
}

impl Taker for InPlace {
    fn take(&mut self) -> anyhow::Result<usize> {
        let count = match self.ring.read(&mut self.buffer)? {
            Filled::Records(count) => count,
            Filled::Empty | Filled::End => 0,
        };
        anyhow::ensure!(self.ring.lost() == 0, "lost {} events", self.ring.lost());
        Ok(count)
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

pub(super) fn open(readers: usize) -> anyhow::Result<Link> {
    let mut takers: Vec<Box<dyn Taker>> = Vec::new();
    for _ in 0..readers {
        takers.push(Box::new(Subscriber::open()?));
    }
    link(takers)
}

pub(super) fn open_mapped(readers: usize) -> anyhow::Result<Link> {
    let mut takers: Vec<Box<dyn Taker>> = Vec::new();
    for _ in 0..readers {
        takers.push(Box::new(InPlace {
            ring: Mapped::new(Queue::open(device::DEFAULT_PATH)?)?,
            buffer: [Event::default(); BATCH],
        }));
    }
    link(takers)
}

fn link(takers: Vec<Box<dyn Taker>>) -> anyhow::Result<Link> {
    let capacity = Queue::open(device::DEFAULT_PATH)?.info()?.capacity;
    Ok(Link {
        poster: Box::new(poster()?),
        takers,
        // A batch may still be on its way in.
        window: Some(capacity as usize / 2),
    })
}
