// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pselect`: SIGIO is blocked but for the time spent in pselect, which swaps
//! the mask and goes to sleep in one step. So a signal cannot come between the
//! last look and the sleep: it ends the sleep, which is all that its handler is
//! there for.

use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::select::{pselect, FdSet, FD_SETSIZE};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::time::TimeSpec;

use super::armed::{duplicate, Armed, Table, Watched};
use super::bridge::Handler;
use super::claim::Claim;
use super::{Kind, Via};
use crate::bytes::is_terminal;
use crate::error::{Error, Result};
use crate::watcher::Token;

/// SIGIO with a handler, and blocked. Dropped in this order: unblocking lets
/// the handler have what is pending.
#[derive(Debug)]
struct Blocked {
    before: SigSet,
    _handler: Handler,
    _claim: Claim,
    // The mask belongs to the thread.
    _not_send: PhantomData<*const ()>,
}

impl Drop for Blocked {
    fn drop(&mut self) {
        if !self.before.contains(Signal::SIGIO) {
            let _ = SigSet::from(Signal::SIGIO).thread_unblock();
        }
    }
}

#[derive(Debug)]
struct Source {
    watched: Watched,
    /// Whether its own readability ends the wait: what is watched beside, and
    /// terminals, which send no signal for their end.
    in_set: bool,
}

/// Fields are dropped in this order: first the sources, so that no more
/// signals are sent.
#[derive(Debug)]
pub(super) struct Pselect {
    sources: Table<Source>,
    blocked: Blocked,
}

impl Pselect {
    pub(super) fn new() -> Result<Pselect> {
        let claim = Claim::exclusive("pselect")?;
        let handler = Handler::install()?;
        let before = SigSet::from(Signal::SIGIO)
            .thread_swap_mask(SigmaskHow::SIG_BLOCK)
            .map_err(Error::system("block", "SIGIO"))?;
        Ok(Pselect {
            sources: Table::default(),
            blocked: Blocked {
                before,
                _handler: handler,
                _claim: claim,
                _not_send: PhantomData,
            },
        })
    }

    fn add(&mut self, watched: Watched, in_set: bool, name: &str) -> Result<Token> {
        // Beyond it, FD_SET would write past the set.
        let fits = usize::try_from(watched.as_fd().as_raw_fd()).is_ok_and(|fd| fd < FD_SETSIZE);
        if in_set && !fits {
            return Err(Error::Unsuitable {
                mechanism: "pselect",
                what: format!("watch {name}"),
                why: "its descriptor's number is 1024 or more; use poll or epoll",
            });
        }
        Ok(self.sources.insert(Source { watched, in_set }))
    }
}

impl Via for Pselect {
    fn kind(&self) -> Kind {
        Kind::Pselect
    }

    fn arm(&mut self, fd: BorrowedFd<'_>, name: &str) -> Result<Token> {
        let in_set = is_terminal(fd);
        let armed = Armed::with_sigio(fd, name)?;
        self.add(Watched::Armed(armed), in_set, name)
    }

    fn also(&mut self, fd: BorrowedFd<'_>, name: &str) -> Result<Token> {
        self.add(Watched::Plain(duplicate(fd, name)?), true, name)
    }

    fn disarm(&mut self, token: Token) {
        self.sources.remove(token);
    }

    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Token>) -> Result<()> {
        let mut set = FdSet::new();
        for (_, source) in self.sources.iter().filter(|(_, source)| source.in_set) {
            set.insert(source.watched.as_fd());
        }
        let timeout = timeout.map(TimeSpec::from_duration);
        let mut inside = self.blocked.before;
        inside.remove(Signal::SIGIO);
        let armed = |(_, source): &&(Token, Source)| matches!(source.watched, Watched::Armed(_));
        match pselect(
            None,
            Some(&mut set),
            None,
            None,
            timeout.as_ref(),
            Some(&inside),
        ) {
            Ok(_) => {
                let hits = self
                    .sources
                    .iter()
                    .filter(|(_, source)| source.in_set && set.contains(source.watched.as_fd()));
                ready.extend(hits.map(|(token, _)| *token));
            }
            // The signal has been here, or another one: any source may be readable (U7, U10).
            Err(Errno::EINTR) => {
                ready.extend(self.sources.iter().filter(armed).map(|(token, _)| *token));
            }
            Err(errno) => return Err(Error::system("wait with", "pselect")(errno)),
        }
        Ok(())
    }
}
