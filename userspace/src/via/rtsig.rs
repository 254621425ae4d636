// SPDX-License-Identifier: MIT OR Apache-2.0
//! `rtsig` and `rtsig-thread`: a realtime signal by `F_SETSIG`, which is queued
//! and says which descriptor it is for.
//!
//! The signal is blocked and read from a signalfd in an epoll set, so that no
//! handler is needed. Signals are queued up to a limit that all processes of a
//! user share (`RLIMIT_SIGPENDING`); behind it the kernel sends plain SIGIO,
//! which says nothing but that something was not said. Then the signals are
//! turned off, what is queued of them is forgotten, they are turned on again
//! and all sources polled; and it is counted (C3). `si_fd` is a hint only: the
//! descriptors here are duplicates that nobody else closes, but a signal can
//! outlive the source it is for (U6).
//!
//! With `rtsig` the signals are for the process, so is the SIGIO of a full
//! queue, and that is not queued: of two watchers, in two threads with a
//! realtime signal each, one would take it and the other never learn. So there
//! is one in a process; `rtsig-thread` is for more.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::armed::{duplicate, Armed, Table, Watched};
use super::claim::Claim;
use super::woken::watch_hangup;
use super::{millis, Kind, Via};
use crate::error::{Error, Result};
use crate::sys::{OwnerEx, SignalInfo, SignalQueue};
use crate::watcher::Token;

/// A mechanism; `THREAD`: the signals are for the thread, else for the process.
///
/// Fields are dropped in this order: first the sources, so that no more signals
/// are sent, then what takes the signals.
#[derive(Debug)]
pub(super) struct Realtime<const THREAD: bool> {
    sources: Table<Watched>,
    /// The armed ones by what `si_fd` says.
    by_fd: HashMap<RawFd, Token>,
    epoll: Epoll,
    queue: SignalQueue,
    overflows: u64,
    _claim: Claim,
    // The mask belongs to the thread.
    _not_send: PhantomData<*const ()>,
}

/// In place of a token: the signalfd.
const QUEUE: u64 = u64::MAX;

/// Signals taken before the sources get their turn: a source whose signals
/// come faster than they are taken must not keep the rest waiting.
const SIGNALS_MAX: usize = 4096;

impl<const THREAD: bool> Realtime<THREAD> {
    const NAME: &str = if THREAD { "rtsig-thread" } else { "rtsig" };

    pub(super) fn new() -> Result<Self> {
        let claim = Claim::exclusive(Self::NAME)?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)
            .map_err(Error::system("create", "an epoll set"))?;
        let queue = SignalQueue::block_free_realtime()
            .map_err(Error::system("take", "a free realtime signal"))?
            .ok_or(Error::Unsuitable {
                mechanism: Self::NAME,
                what: "take a realtime signal".into(),
                why: "all of them have handlers or are blocked in this process; use epoll or sigio",
            })?;
        if !THREAD && !queue.is_blocked_in_all_threads() {
            return Err(Error::Unsuitable {
                mechanism: Self::NAME,
                what: "have signals sent to this process".into(),
                why: "another of its threads does not block them, and would be killed or take \
                      them away; make the watcher before other threads start, or use rtsig-thread",
            });
        }
        epoll
            .add(&queue, EpollEvent::new(EpollFlags::EPOLLIN, QUEUE))
            .map_err(Error::system("watch", "the signals"))?;
        Ok(Realtime {
            sources: Table::default(),
            by_fd: HashMap::new(),
            epoll,
            queue,
            overflows: 0,
            _claim: claim,
            _not_send: PhantomData,
        })
    }

    fn armed(&self) -> impl Iterator<Item = (Token, &Armed)> {
        self.sources
            .iter()
            .filter_map(|(token, source)| match source {
                Watched::Armed(armed) => Some((*token, armed)),
                Watched::Plain(_) => None,
            })
    }

    fn next_signal(&self) -> Result<Option<SignalInfo>> {
        self.queue
            .next()
            .map_err(Error::system("read", "the signalfd"))
    }

    /// Takes the signals that are queued; a full queue is recovered from.
    fn take_signals(&mut self, ready: &mut Vec<Token>) -> Result<()> {
        for _ in 0..SIGNALS_MAX {
            match self.next_signal()? {
                None => break,
                // Of signals for one thread or process the kernel gives the one
                // with the lowest number first: this is seen before what is queued.
                Some(info) if info.signal == libc::SIGIO => {
                    self.overflows += 1;
                    return self.recover(ready);
                }
                // None: the signal has outlived its source.
                Some(info) => ready.extend(self.by_fd.get(&info.fd)),
            }
        }
        Ok(())
    }

    /// Finds out which sources the signals that were not queued were for. Doing
    /// it once too often does no harm.
    fn recover(&self, ready: &mut Vec<Token>) -> Result<()> {
        // While nobody sends any, the queue has an end. It has to be reached: what
        // stays in it takes the room of the signals to come.
        for (_, armed) in self.armed() {
            armed.silence(Self::NAME)?;
        }
        while self.next_signal()?.is_some() {}
        let mut fds = Vec::new();
        for (_, armed) in self.armed() {
            // Before the look: what comes after it is told again.
            armed.rearm(Self::NAME)?;
            fds.push(PollFd::new(armed.as_fd(), PollFlags::POLLIN));
        }
        loop {
            match poll(&mut fds, PollTimeout::ZERO) {
                Ok(_) => break,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::system("look at", "all sources")(errno)),
            }
        }
        let hits = self
            .armed()
            .zip(&fds)
            .filter(|(_, fd)| fd.any() != Some(false));
        ready.extend(hits.map(|((token, _), _)| token));
        Ok(())
    }
}

impl<const THREAD: bool> Via for Realtime<THREAD> {
    fn kind(&self) -> Kind {
        if THREAD {
            Kind::RtsigThread
        } else {
            Kind::Rtsig
        }
    }

    fn arm(&mut self, fd: BorrowedFd<'_>, name: &str) -> Result<Token> {
        let owner = if THREAD {
            OwnerEx::this_thread()
        } else {
            OwnerEx::this_process()
        };
        let armed = Armed::with_signal(fd, name, owner, self.queue.realtime())?;
        watch_hangup(&self.epoll, &armed, self.sources.next(), name)?;
        let number = armed.as_fd().as_raw_fd();
        let token = self.sources.insert(Watched::Armed(armed));
        self.by_fd.insert(number, token);
        Ok(token)
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
        match self.sources.remove(token) {
            Some(Watched::Armed(armed)) => {
                self.by_fd.remove(&armed.as_fd().as_raw_fd());
                // Only terminals are there.
                let _ = self.epoll.delete(&armed);
            }
            Some(Watched::Plain(fd)) => {
                let _ = self.epoll.delete(&fd);
            }
            None => {}
        }
    }

    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Token>) -> Result<()> {
        let mut events = [EpollEvent::empty(); 16];
        let timeout = EpollTimeout::try_from(millis(timeout)).unwrap_or(EpollTimeout::MAX);
        let count = match self.epoll.wait(&mut events, timeout) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(errno) => return Err(Error::system("wait with", "epoll")(errno)),
        };
        for event in &events[..count] {
            if event.data() == QUEUE {
                self.take_signals(ready)?;
            } else {
                ready.push(Token(event.data() as usize));
            }
        }
        Ok(())
    }

    fn overflows(&self) -> u64 {
        self.overflows
    }
}
