// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the mechanisms on plain SIGIO share: the signal does not say which
//! descriptor it is for (U7) nor how often it was sent (U10), so a wake-up
//! means that any of the armed ones may be readable.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::armed::{duplicate, Armed, Table, Watched};
use super::{millis, Kind, Via};
use crate::bytes::is_terminal;
use crate::error::{Error, Result};
use crate::watcher::Token;

/// Where SIGIO becomes readable.
pub(super) trait Wake: AsFd + fmt::Debug {
    /// Which mechanism this makes.
    const KIND: Kind;

    /// Lets signals come in again, before a wait.
    fn ready(&self) -> Result<()> {
        Ok(())
    }

    /// Takes all wake-ups back.
    fn clear(&self) -> Result<()>;
}

/// A mechanism: `wake` in an epoll set, beside the plain sources.
///
/// Fields are dropped in this order: first the sources, so that no more
/// signals are sent, then what takes the signals.
#[derive(Debug)]
pub(super) struct Woken<W> {
    sources: Table<Watched>,
    epoll: Epoll,
    wake: W,
}

const WAKE: u64 = u64::MAX;

/// Watches a terminal for its end, once: that is the one thing that it sends no
/// signal for.
pub(super) fn watch_hangup(epoll: &Epoll, armed: &Armed, token: Token, name: &str) -> Result<()> {
    if !is_terminal(armed.as_fd()) {
        return Ok(());
    }
    // EPOLLHUP need not be asked for.
    let event = EpollEvent::new(EpollFlags::EPOLLET, token.0 as u64);
    epoll
        .add(armed, event)
        .map_err(Error::system("watch for the end of", name))
}

impl<W: Wake> Woken<W> {
    pub(super) fn new(wake: W) -> Result<Woken<W>> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)
            .map_err(Error::system("create", "an epoll set"))?;
        epoll
            .add(&wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))
            .map_err(Error::system("watch", "the wake-up of SIGIO"))?;
        Ok(Woken {
            sources: Table::default(),
            epoll,
            wake,
        })
    }
}

impl<W: Wake> Via for Woken<W> {
    fn kind(&self) -> Kind {
        W::KIND
    }

    fn arm(&mut self, fd: BorrowedFd<'_>, name: &str) -> Result<Token> {
        let armed = Armed::with_sigio(fd, name)?;
        watch_hangup(&self.epoll, &armed, self.sources.next(), name)?;
        Ok(self.sources.insert(Watched::Armed(armed)))
    }

    fn also(&mut self, fd: BorrowedFd<'_>, name: &str) -> Result<Token> {
        let fd = duplicate(fd, name)?;
        let event = EpollEvent::new(EpollFlags::EPOLLIN, self.sources.next().0 as u64);
        self.epoll
            .add(&fd, event)
            .map_err(Error::system("watch", name))?;
        Ok(self.sources.insert(Watched::Plain(fd)))
    }

    fn disarm(&mut self, token: Token) {
        if let Some(source) = self.sources.remove(token) {
            // Others may hold the description: closing alone would leave it in
            // the set. Of the armed ones only terminals are there.
            let _ = self.epoll.delete(&source);
        }
    }

    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Token>) -> Result<()> {
        self.wake.ready()?;
        let mut events = [EpollEvent::empty(); 16];
        let timeout = EpollTimeout::try_from(millis(timeout)).unwrap_or(EpollTimeout::MAX);
        let count = match self.epoll.wait(&mut events, timeout) {
            // SIGIO itself does this, whatever SA_RESTART says (U17). If it was that,
            // its wake-up is there now, and SIGIO blocked until the next wait.
            Err(Errno::EINTR) => self.epoll.wait(&mut events, EpollTimeout::ZERO),
            result => result,
        }
        .map_err(Error::system("wait with", "epoll"))?;
        for event in &events[..count] {
            if event.data() == WAKE {
                self.wake.clear()?;
                let armed = self
                    .sources
                    .iter()
                    .filter(|(_, s)| matches!(s, Watched::Armed(_)));
                ready.extend(armed.map(|(token, _)| *token));
            } else {
                ready.push(Token(event.data() as usize));
            }
        }
        Ok(())
    }
}
