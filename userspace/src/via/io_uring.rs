// SPDX-License-Identifier: MIT OR Apache-2.0
//! `io-uring`: multishot polls, one for each source; a completion says that a
//! source has become readable.
//!
//! A multishot poll tells of changes, as edge-triggered epoll does, and of what
//! is readable when it is set up. The kernel may end it at any time, which the
//! completion says: then it is set up again.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{cqueue, opcode, IoUring};
use nix::errno::Errno;

use super::armed::{duplicate, Armed, Table, Watched};
use super::{Kind, Via};
use crate::error::{Error, Result};
use crate::watcher::Token;

/// Requests that can wait for their submission.
const ENTRIES: u32 = 64;

/// In place of a token: the end of a poll that was taken back.
const REMOVED: u64 = u64::MAX;

/// Fields are dropped in this order: the ring ends its polls.
pub(super) struct Uring {
    ring: IoUring,
    sources: Table<Watched>,
    /// Sources without a poll: it is set up when the next wait begins, for until
    /// then the source may be read, and would be told of in vain.
    idle: Vec<Token>,
}

impl std::fmt::Debug for Uring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Uring")
            .field("sources", &self.sources)
            .finish_non_exhaustive()
    }
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

impl Uring {
    pub(super) fn new() -> Result<Uring> {
        let ring = IoUring::new(ENTRIES).map_err(|error| match errno(&error) {
            Errno::ENOSYS | Errno::EPERM | Errno::EACCES => Error::Unsuitable {
                mechanism: "io-uring",
                what: "set up a ring".into(),
                why: "this kernel has no io_uring or forbids it (kernel.io_uring_disabled); \
                      use epoll or the default",
            },
            errno => Error::system("set up", "an io_uring")(errno),
        })?;
        Ok(Uring {
            ring,
            sources: Table::default(),
            idle: Vec::new(),
        })
    }

    /// Sets up the poll of a source, which reports as `token`. For plain sources
    /// each poll is for one report only: the next one tells at once if there is
    /// still something to read.
    fn watch(&mut self, token: Token, fd: Fd, plain: bool) -> Result<()> {
        let entry = opcode::PollAdd::new(fd, libc::POLLIN as u32)
            .multi(!plain)
            .build()
            .user_data(token.0 as u64);
        self.submit(&entry)
    }

    fn submit(&mut self, entry: &io_uring::squeue::Entry) -> Result<()> {
        let failed = |error| Error::system("submit to", "io_uring")(errno(&error));
        // SAFETY: Polls have no buffers; the descriptor is ours, and the kernel
        // holds its description from the submission on.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            self.ring.submit().map_err(failed)?;
        }
        self.ring.submit().map(drop).map_err(failed)
    }

    fn insert(&mut self, source: Watched) -> Result<Token> {
        let (fd, plain) = target(&source);
        self.watch(self.sources.next(), fd, plain)?;
        Ok(self.sources.insert(source))
    }
}

fn target(source: &Watched) -> (Fd, bool) {
    let plain = matches!(source, Watched::Plain(_));
    (Fd(source.as_fd().as_raw_fd()), plain)
}

impl Via for Uring {
    fn kind(&self) -> Kind {
        Kind::IoUring
    }

    fn arm(&mut self, fd: BorrowedFd<'_>, name: &str) -> Result<Token> {
        self.insert(Watched::Armed(Armed::new(fd, name, true)?))
    }

    fn also(&mut self, fd: BorrowedFd<'_>, name: &str) -> Result<Token> {
        self.insert(Watched::Plain(duplicate(fd, name)?))
    }

    fn disarm(&mut self, token: Token) {
        if self.sources.remove(token).is_some() {
            let entry = opcode::PollRemove::new(token.0 as u64)
                .build()
                .user_data(REMOVED);
            // If it fails, completions for the token are ignored.
            let _ = self.submit(&entry);
        }
    }

    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Token>) -> Result<()> {
        for token in std::mem::take(&mut self.idle) {
            let found = self.sources.iter().find(|(other, _)| *other == token);
            if let Some((fd, plain)) = found.map(|(_, source)| target(source)) {
                self.watch(token, fd, plain)?;
            }
        }
        let waited = match timeout {
            None => self.ring.submit_and_wait(1),
            Some(timeout) => {
                let timeout = Timespec::from(timeout);
                let arguments = SubmitArgs::new().timespec(&timeout);
                self.ring.submitter().submit_with_args(1, &arguments)
            }
        };
        match waited.map_err(|error| errno(&error)) {
            Ok(_) | Err(Errno::ETIME | Errno::EINTR | Errno::EBUSY | Errno::EAGAIN) => {}
            Err(errno) => return Err(Error::system("wait with", "io_uring")(errno)),
        }
        let completions: Vec<_> = self
            .ring
            .completion()
            .map(|entry| (entry.user_data(), cqueue::more(entry.flags())))
            .collect();
        for (data, goes_on) in completions {
            let token = Token(data as usize);
            let found = self.sources.iter().find(|(other, _)| *other == token);
            if found.is_none() {
                continue;
            }
            ready.push(token);
            if !goes_on {
                self.idle.push(token);
            }
        }
        Ok(())
    }
}
