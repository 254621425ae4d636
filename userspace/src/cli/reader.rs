// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reader of standard output: a command that has nothing to print for long
//! learns here that it has gone, and not from a write that may never come.

use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::Context as _;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::signal::Signal;

use super::exit::Exit;
use super::tell::PRINTING;

/// Becomes readable when nobody can read standard output any more. To be watched
/// beside other sources ([`evq::Watcher::also`]): standard output itself would be
/// reported for input as well, where it is a terminal or a socket.
#[derive(Debug)]
pub(super) struct Reader {
    set: Epoll,
    is_terminal: bool,
}

impl Reader {
    /// None where no reader can go away: a regular file.
    pub(super) fn of_stdout() -> anyhow::Result<Option<Reader>> {
        const WATCHING: &str = "cannot watch standard output for the end of its reader";
        let stdout = io::stdout();
        let set = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context(WATCHING)?;
        // EPOLLERR and EPOLLHUP need not be asked for.
        let event = EpollEvent::new(EpollFlags::empty(), 0);
        match set.add(&stdout, event) {
            Ok(()) => Ok(Some(Reader {
                set,
                is_terminal: stdout.is_terminal(),
            })),
            Err(Errno::EPERM) => Ok(None),
            Err(errno) => Err(errno).context(WATCHING),
        }
    }

    /// How a command ends because of it: as by a write to a pipe that is closed;
    /// where a terminal has hung up, as by its SIGHUP, which need not have come.
    pub(super) fn gone(&self) -> anyhow::Result<Exit> {
        if self.is_terminal {
            return Ok(Exit::Signal(Signal::SIGHUP));
        }
        Err(io::Error::from(io::ErrorKind::BrokenPipe)).context(PRINTING)
    }
}

impl AsFd for Reader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.set.0.as_fd()
    }
}
