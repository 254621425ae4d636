// SPDX-License-Identifier: MIT OR Apache-2.0
//! `select`: a bit per descriptor, and only `FD_SETSIZE` (1024) bits.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::select::{select, FdSet, FD_SETSIZE};
use nix::sys::time::{TimeVal, TimeValLike};

use super::armed::{duplicate, Armed, Table, Watched};
use super::{Kind, Via};
use crate::error::{Error, Result};
use crate::watcher::Token;

#[derive(Debug, Default)]
pub(super) struct Select {
    sources: Table<Watched>,
}

impl Select {
    fn add(&mut self, source: Watched, name: &str) -> Result<Token> {
        // Beyond it, FD_SET would write past the set.
        if usize::try_from(source.as_fd().as_raw_fd()).is_ok_and(|fd| fd < FD_SETSIZE) {
            return Ok(self.sources.insert(source));
        }
        Err(Error::Unsuitable {
            mechanism: "select",
            what: format!("watch {name}"),
            why: "its descriptor's number is 1024 or more; use poll or epoll",
        })
    }
}

impl Via for Select {
    fn kind(&self) -> Kind {
        Kind::Select
    }

    fn arm(&mut self, fd: BorrowedFd<'_>, name: &str) -> Result<Token> {
        self.add(Watched::Armed(Armed::new(fd, name, true)?), name)
    }

    fn also(&mut self, fd: BorrowedFd<'_>, name: &str) -> Result<Token> {
        self.add(Watched::Plain(duplicate(fd, name)?), name)
    }

    fn disarm(&mut self, token: Token) {
        self.sources.remove(token);
    }

    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Token>) -> Result<()> {
        let mut set = FdSet::new();
        for (_, source) in self.sources.iter() {
            set.insert(source.as_fd());
        }
        let mut timeout = timeout.map(|timeout| {
            TimeVal::microseconds(i64::try_from(timeout.as_micros()).unwrap_or(i64::MAX))
        });
        match select(None, Some(&mut set), None, None, timeout.as_mut()) {
            Ok(_) => {
                let hits = self
                    .sources
                    .iter()
                    .filter(|(_, source)| set.contains(source.as_fd()));
                ready.extend(hits.map(|(token, _)| *token));
                Ok(())
            }
            Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(Error::System {
                action: "wait with",
                name: "select".into(),
                errno,
            }),
        }
    }
}
