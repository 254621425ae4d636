// SPDX-License-Identifier: MIT OR Apache-2.0
//! A pipe and a Unix socket.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use anyhow::Context as _;
use nix::fcntl::OFlag;
use nix::sys::socket::{socketpair, AddressFamily, SockFlag, SockType};
use nix::unistd::{pipe2, read, write};

use super::{bytes, records, Link, Poster, Taker, RECORD};

pub(super) struct Writer {
    fd: OwnedFd,
    records: Vec<u8>,
}

impl Writer {
    pub(super) fn new(fd: OwnedFd) -> Writer {
        Writer {
            fd,
            records: records(),
        }
    }
}

impl Poster for Writer {
    fn post(&mut self, count: usize) -> anyhow::Result<()> {
        let size = count * RECORD;
        let written = write(&self.fd, &self.records[..size]).context("writing records")?;
        anyhow::ensure!(written == size, "wrote {written} of {size} bytes");
        Ok(())
    }
}

struct Reader {
    fd: OwnedFd,
    buffer: Vec<u8>,
}

impl Taker for Reader {
    fn take(&mut self) -> anyhow::Result<usize> {
        let size = bytes(read(&self.fd, &mut self.buffer)).context("reading records")?;
        anyhow::ensure!(size % RECORD == 0, "a read of {size} bytes tears a record");
        Ok(size / RECORD)
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn link((read, write): (OwnedFd, OwnedFd)) -> Link {
    Link {
        poster: Box::new(Writer::new(write)),
        takers: vec![Box::new(Reader {
            fd: read,
            buffer: records(),
        })],
        window: None,
    }
}

pub(super) fn pipe() -> anyhow::Result<Link> {
    let ends = pipe2(OFlag::O_CLOEXEC).context("making a pipe")?;
    Ok(link(ends))
}

pub(super) fn seqpacket() -> anyhow::Result<Link> {
    let ends = socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    )
    .context("making a pair of seqpacket sockets")?;
    Ok(link(ends))
}
