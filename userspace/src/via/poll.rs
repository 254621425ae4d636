// SPDX-License-Identifier: MIT OR Apache-2.0
//! `poll`: the sources are given with each call.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};

use super::armed::{duplicate, Armed, Table, Watched};
use super::{millis, Kind, Via};
use crate::error::{Error, Result};
use crate::watcher::Token;

#[derive(Debug, Default)]
pub(super) struct Poll {
    sources: Table<Watched>,
}

impl Via for Poll {
    fn kind(&self) -> Kind {
        Kind::Poll
    }

    fn arm(&mut self, fd: BorrowedFd<'_>, name: &str) -> Result<Token> {
        Ok(self
            .sources
            .insert(Watched::Armed(Armed::new(fd, name, true)?)))
    }

    fn also(&mut self, fd: BorrowedFd<'_>, name: &str) -> Result<Token> {
        Ok(self.sources.insert(Watched::Plain(duplicate(fd, name)?)))
    }

    fn disarm(&mut self, token: Token) {
        self.sources.remove(token);
    }

    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Token>) -> Result<()> {
        let fds = self
            .sources
            .iter()
            .map(|(token, source)| (*token, source.as_fd()));
        poll_readable(fds, timeout, ready)
    }
}

/// Appends those of `fds` that are readable, hung up or in error: reading tells
/// which.
pub(super) fn poll_readable<'a>(
    fds: impl Iterator<Item = (Token, BorrowedFd<'a>)>,
    timeout: Option<Duration>,
    ready: &mut Vec<Token>,
) -> Result<()> {
    let (tokens, mut fds): (Vec<_>, Vec<_>) = fds
        .map(|(token, fd)| (token, PollFd::new(fd, PollFlags::POLLIN)))
        .unzip();
    let timeout = PollTimeout::try_from(millis(timeout)).unwrap_or(PollTimeout::MAX);
    match poll(&mut fds, timeout) {
        Ok(_) => {
            let hits = tokens
                .iter()
                .zip(&fds)
                .filter(|(_, fd)| fd.any().unwrap_or(true));
            ready.extend(hits.map(|(token, _)| *token));
            Ok(())
        }
        Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(Error::System {
            action: "wait with",
            name: "poll".into(),
            errno,
        }),
    }
}
