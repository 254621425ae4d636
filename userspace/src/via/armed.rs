// SPDX-License-Identifier: MIT OR Apache-2.0
//! A descriptor in the state that a mechanism needs, and back again.
//!
//! Non-blocking mode, `O_ASYNC`, owner and signal belong to the open file
//! description, which others may share, and outlive whoever set them (U5).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{fcntl, FcntlArg, OFlag};

use crate::error::{Error, Result};
use crate::sys::{self, OwnerEx};
use crate::watcher::Token;

/// The flags that arming may change.
const OURS: OFlag = OFlag::O_NONBLOCK.union(OFlag::O_ASYNC);

/// A descriptor of our own (a duplicate: its number is not reused behind our
/// back while it is armed, U6) whose description is put back on drop.
#[derive(Debug)]
pub(super) struct Armed {
    fd: OwnedFd,
    flags_before: OFlag,
    signal_before: Option<(OwnerEx, i32)>,
}

impl Armed {
    /// Without signals: only non-blocking mode on or off.
    pub(super) fn new(fd: BorrowedFd<'_>, name: &str, nonblocking: bool) -> Result<Armed> {
        let fd = duplicate(fd, name)?;
        let flags_before = flags(fd.as_fd()).map_err(Error::system("read the flags of", name))?;
        let armed = Armed {
            fd,
            flags_before,
            signal_before: None,
        };
        armed
            .set_nonblocking(nonblocking)
            .map_err(Error::system("set the mode of", name))?;
        Ok(armed)
    }

    /// With SIGIO to the calling thread, which must be able to take it by now:
    /// the default action kills (U1).
    ///
    /// Not to the process: any thread may be picked for that, one that blocks
    /// SIGIO for a signalfd included, which would take the signal away from
    /// the handler; and after disarming there would be no telling whether one
    /// is still on its way.
    pub(super) fn with_sigio(fd: BorrowedFd<'_>, name: &str) -> Result<Armed> {
        Armed::with_signal(fd, name, OwnerEx::this_thread(), 0)
    }

    /// With `signal` (0: plain SIGIO) to `owner`, which must be able to take it
    /// by now.
    pub(super) fn with_signal(
        fd: BorrowedFd<'_>,
        name: &str,
        owner: OwnerEx,
        signal: i32,
    ) -> Result<Armed> {
        let mut armed = Armed::new(fd, name, true)?;
        let fd = armed.fd.as_fd();
        let before = sys::owner(fd)
            .and_then(|owner| Ok((owner, sys::signal(fd)?)))
            .map_err(Error::system("ask for the signal owner of", name))?;
        armed.signal_before = Some(before);
        let fd = armed.fd.as_fd();
        sys::set_owner(fd, owner).map_err(Error::system("direct the signals of", name))?;
        // Whoever had the description before may have left another signal.
        sys::set_signal(fd, signal).map_err(Error::system("set the signal of", name))?;
        armed.set_async(name)?;
        Ok(armed)
    }

    /// Stops its signals until it is armed once more.
    pub(super) fn silence(&self, name: &str) -> Result<()> {
        let fd = self.fd.as_fd();
        flags(fd)
            .and_then(|now| set_flags(fd, now - OFlag::O_ASYNC))
            .map_err(Error::system("clear O_ASYNC of", name))
    }

    /// Arms it once more.
    pub(super) fn rearm(&self, name: &str) -> Result<()> {
        self.set_async(name)
    }

    fn set_async(&self, name: &str) -> Result<()> {
        let fd = self.fd.as_fd();
        let failed = Error::system("set O_ASYNC on", name);
        let arm = || {
            let before = flags(fd)? - OFlag::O_ASYNC;
            // Whoever had it armed may have armed another thread. And after
            // open(O_ASYNC) the flag is there and nothing registered; then it
            // cannot even be cleared, and setting it is no change (K3).
            set_flags(fd, before)?;
            let cleared = flags(fd)?;
            set_flags(fd, before | OFlag::O_ASYNC)?;
            Ok((cleared, flags(fd)?))
        };
        let (cleared, armed) = arm().map_err(failed)?;
        let name = || name.to_owned();
        if cleared.contains(OFlag::O_ASYNC) {
            Err(Error::OpenedAsync { name: name() })
        } else if !armed.contains(OFlag::O_ASYNC) {
            // Without fasync the call succeeds and does nothing (U3).
            Err(Error::NoAsync { name: name() })
        } else {
            Ok(())
        }
    }

    pub(super) fn set_nonblocking(&self, on: bool) -> Result<(), Errno> {
        let mut now = flags(self.fd.as_fd())?;
        now.set(OFlag::O_NONBLOCK, on);
        set_flags(self.fd.as_fd(), now)
    }
}

impl AsFd for Armed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        // Best effort: the calls worked when arming, and there is nobody to
        // tell. Signals off first, so that none is sent half-way.
        let fd = self.fd.as_fd();
        let Ok(now) = flags(fd) else { return };
        if self.signal_before.is_some() {
            let _ = set_flags(fd, now - OFlag::O_ASYNC);
        }
        if let Some((owner, signal)) = self.signal_before {
            let _ = sys::set_signal(fd, signal);
            // Setting nobody (pid 0) is what a description starts with. An
            // owner that has exited meanwhile is nobody too.
            let _ = sys::set_owner(fd, owner);
        }
        let _ = set_flags(fd, (now - OURS) | (self.flags_before & OURS));
    }
}

fn flags(fd: BorrowedFd<'_>) -> Result<OFlag, Errno> {
    fcntl(fd, FcntlArg::F_GETFL).map(OFlag::from_bits_retain)
}

fn set_flags(fd: BorrowedFd<'_>, flags: OFlag) -> Result<(), Errno> {
    fcntl(fd, FcntlArg::F_SETFL(flags)).map(drop)
}

/// A close-on-exec duplicate (U14).
pub(super) fn duplicate(fd: BorrowedFd<'_>, name: &str) -> Result<OwnedFd> {
    fd.try_clone_to_owned().map_err(|error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
        Error::System {
            action: "duplicate the descriptor of",
            name: name.into(),
            errno,
        }
    })
}

/// What a mechanism watches, by token. A number is not given out twice.
#[derive(Debug)]
pub(super) struct Table<T> {
    entries: Vec<(Token, T)>,
    next: usize,
}

impl<T> Default for Table<T> {
    fn default() -> Table<T> {
        Table {
            entries: Vec::new(),
            next: 0,
        }
    }
}

impl<T> Table<T> {
    /// The token that the next [`Table::insert`] gives.
    pub(super) fn next(&self) -> Token {
        Token(self.next)
    }

    /// A token for what is kept elsewhere.
    pub(super) fn reserve(&mut self) -> Token {
        let token = self.next();
        self.next += 1;
        token
    }

    pub(super) fn insert(&mut self, entry: T) -> Token {
        let token = self.reserve();
        self.entries.push((token, entry));
        token
    }

    pub(super) fn remove(&mut self, token: Token) -> Option<T> {
        // Tokens are given out in rising order.
        let at = self
            .entries
            .binary_search_by_key(&token, |(other, _)| *other)
            .ok()?;
        Some(self.entries.remove(at).1)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(Token, T)> {
        self.entries.iter()
    }
}

/// An armed source, or one that is watched beside those.
#[derive(Debug)]
pub(super) enum Watched {
    /// To be restored.
    Armed(Armed),
    /// Left alone.
    Plain(OwnedFd),
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Watched::Armed(armed) => armed.as_fd(),
            Watched::Plain(fd) => fd.as_fd(),
        }
    }
}

#[cfg(feature = "tokio")]
impl std::os::fd::AsRawFd for Armed {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.fd.as_raw_fd()
    }
}

#[cfg(feature = "tokio")]
impl std::os::fd::AsRawFd for Watched {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.as_fd().as_raw_fd()
    }
}
