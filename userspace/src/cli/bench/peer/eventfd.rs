// SPDX-License-Identifier: MIT OR Apache-2.0
//! An eventfd: wakes, and carries a count only.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;

use anyhow::Context as _;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::unistd::{read, write};

use super::{bytes, Link, Poster, Taker};

/// The producer's end and the consumer's are the same descriptor.
struct End(Arc<EventFd>);

impl Poster for End {
    fn post(&mut self, count: usize) -> anyhow::Result<()> {
        let count = count as u64;
        write(&*self.0, &count.to_ne_bytes()).context("writing to an eventfd")?;
        Ok(())
    }
}

impl Taker for End {
    fn take(&mut self) -> anyhow::Result<usize> {
        let mut count = [0; 8];
        let size = bytes(read(&*self.0, &mut count)).context("reading an eventfd")?;
        Ok(if size == 0 {
            0
        } else {
            u64::from_ne_bytes(count) as usize
        })
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

pub(super) fn open() -> anyhow::Result<Link> {
    let fd = EventFd::from_flags(EfdFlags::EFD_CLOEXEC).context("making an eventfd")?;
    let fd = Arc::new(fd);
    Ok(Link {
        poster: Box::new(End(fd.clone())),
        takers: vec![Box::new(End(fd))],
        window: None,
    })
}
