// SPDX-License-Identifier: MIT OR Apache-2.0
//! `epoll` and `epoll-et`: the set tells which sources are readable.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{self, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::armed::{duplicate, Armed, Table, Watched};
use super::{millis, Kind, Via};
use crate::error::{Error, Result};
use crate::watcher::Token;

/// When the set tells of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trigger {
    /// As long as it is readable.
    Level,
    /// Each time something comes in.
    Edge,
}

#[derive(Debug)]
pub(super) struct Epoll {
    sources: Table<Watched>,
    set: epoll::Epoll,
    trigger: Trigger,
}

impl Epoll {
    pub(super) fn new(trigger: Trigger) -> Result<Epoll> {
        let set = epoll::Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)
            .map_err(Error::system("create", "an epoll set"))?;
        Ok(Epoll {
            sources: Table::default(),
            set,
            trigger,
        })
    }

    fn add(&mut self, source: Watched, flags: EpollFlags, name: &str) -> Result<Token> {
        let event = EpollEvent::new(flags, self.sources.next().0 as u64);
        match self.set.add(&source, event) {
            Ok(()) => Ok(self.sources.insert(source)),
            Err(Errno::EPERM) => Err(Error::Unsuitable {
                mechanism: self.kind().name(),
                what: format!("watch {name}"),
                why: "it is a regular file or another thing that is always readable; read it directly",
            }),
            Err(errno) => Err(Error::System {
                action: "watch",
                name: name.into(),
                errno,
            }),
        }
    }
}

impl Via for Epoll {
    fn kind(&self) -> Kind {
        match self.trigger {
            Trigger::Level => Kind::Epoll,
            Trigger::Edge => Kind::EpollEt,
        }
    }

    fn arm(&mut self, fd: BorrowedFd<'_>, name: &str) -> Result<Token> {
        let mut flags = EpollFlags::EPOLLIN;
        flags.set(EpollFlags::EPOLLET, self.trigger == Trigger::Edge);
        self.add(Watched::Armed(Armed::new(fd, name, true)?), flags, name)
    }

    fn also(&mut self, fd: BorrowedFd<'_>, name: &str) -> Result<Token> {
        self.add(
            Watched::Plain(duplicate(fd, name)?),
            EpollFlags::EPOLLIN,
            name,
        )
    }

    fn disarm(&mut self, token: Token) {
        if let Some(source) = self.sources.remove(token) {
            // Others may hold the description: closing alone would leave it in
            // the set.
            let _ = self.set.delete(&source);
        }
    }

    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Token>) -> Result<()> {
        let mut events = [EpollEvent::empty(); 64];
        let timeout = EpollTimeout::try_from(millis(timeout)).unwrap_or(EpollTimeout::MAX);
        match self.set.wait(&mut events, timeout) {
            Ok(count) => {
                ready.extend(
                    events[..count]
                        .iter()
                        .map(|event| Token(event.data() as usize)),
                );
                Ok(())
            }
            Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(Error::System {
                action: "wait with",
                name: "epoll".into(),
                errno,
            }),
        }
    }
}
