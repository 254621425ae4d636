// SPDX-License-Identifier: MIT OR Apache-2.0
//! The mechanisms: ways to be told when to read. One file each, one trait.
//!
//! A notification is only a hint; the data stays in the queue until it is
//! read. [`crate::Watcher`] adds what all of them need.

mod armed;
mod blocking;
mod bridge;
mod claim;
mod epoll;
#[cfg(feature = "io-uring")]
mod io_uring;
mod poll;
mod pselect;
mod rtsig;
mod select;
mod self_pipe;
mod sigio;
mod signalfd;
#[cfg(feature = "tokio")]
pub(crate) mod stream;
#[cfg(feature = "tokio")]
mod tokio;
mod woken;

use std::fmt;
use std::os::fd::BorrowedFd;
use std::str::FromStr;
use std::time::Duration;

use crate::error::Result;
use crate::watcher::Token;

/// What a mechanism does. Dropping it disarms all sources.
pub(crate) trait Via: fmt::Debug {
    /// Which one it is.
    fn kind(&self) -> Kind;

    /// Watches `fd`. Nothing that comes after the return is missed; what came
    /// before need not be told.
    fn arm(&mut self, fd: BorrowedFd<'_>, name: &str) -> Result<Token>;

    /// Watches `fd` by plain, level-triggered readability.
    fn also(&mut self, fd: BorrowedFd<'_>, name: &str) -> Result<Token>;

    /// Ends the watch and restores the descriptor.
    fn disarm(&mut self, token: Token);

    /// Appends what to read now. May return early with nothing.
    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Token>) -> Result<()>;

    /// How often signals were lost and made up for.
    fn overflows(&self) -> u64 {
        0
    }
}

/// A mechanism's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// SIGIO, whose handler writes to an eventfd, in an epoll set: the default.
    #[default]
    Sigio,
    /// SIGIO, whose handler writes to a pipe, in an epoll set.
    SelfPipe,
    /// SIGIO, blocked and read from a signalfd, in an epoll set.
    Signalfd,
    /// A realtime signal to the process, blocked and read from a signalfd;
    /// SIGIO when the signal queue is full.
    Rtsig,
    /// The same, to the calling thread.
    RtsigThread,
    /// Level-triggered epoll.
    Epoll,
    /// Edge-triggered epoll.
    EpollEt,
    /// poll.
    Poll,
    /// select; file descriptors from 1024 on are refused.
    Select,
    /// SIGIO, unblocked inside pselect only, which it interrupts.
    Pselect,
    /// No waiting at all: the read blocks. One source, no timeouts.
    Blocking,
    /// tokio's `AsyncFd` on a current-thread runtime.
    #[cfg(feature = "tokio")]
    Tokio,
    /// Multishot polls of an io_uring.
    #[cfg(feature = "io-uring")]
    IoUring,
}

impl Kind {
    /// All of them, the default first.
    pub const ALL: &[Kind] = &[
        Kind::Sigio,
        Kind::SelfPipe,
        Kind::Signalfd,
        Kind::Rtsig,
        Kind::RtsigThread,
        Kind::Epoll,
        Kind::EpollEt,
        Kind::Poll,
        Kind::Select,
        Kind::Pselect,
        Kind::Blocking,
        #[cfg(feature = "tokio")]
        Kind::Tokio,
        #[cfg(feature = "io-uring")]
        Kind::IoUring,
    ];

    /// Whether a reported source is to be read until it is empty. If not, one
    /// read follows each report, and blocks.
    #[must_use]
    pub fn drains(self) -> bool {
        self != Kind::Blocking
    }

    /// What it cannot do that most others can, if there is such a thing.
    #[must_use]
    pub fn limits(self) -> Option<&'static str> {
        match self {
            // SIGIO is not queued: where no handler shares it out, one watcher
            // has it for itself.
            Kind::Signalfd | Kind::RtsigThread | Kind::Pselect => {
                Some("one watcher in a thread, and no other on SIGIO beside it")
            }
            // Nor is the SIGIO that tells the whole process that its signal
            // queue was full; and any thread could take its signals.
            Kind::Rtsig => Some("one watcher in a process, made before other threads start"),
            Kind::Select => Some("descriptors below 1024"),
            Kind::Blocking => Some("one source, no time limit"),
            _ => None,
        }
    }

    /// The name that `--via` takes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Sigio => "sigio",
            Kind::SelfPipe => "self-pipe",
            Kind::Signalfd => "signalfd",
            Kind::Rtsig => "rtsig",
            Kind::RtsigThread => "rtsig-thread",
            Kind::Epoll => "epoll",
            Kind::EpollEt => "epoll-et",
            Kind::Poll => "poll",
            Kind::Select => "select",
            Kind::Pselect => "pselect",
            Kind::Blocking => "blocking",
            #[cfg(feature = "tokio")]
            Kind::Tokio => "tokio",
            #[cfg(feature = "io-uring")]
            Kind::IoUring => "io-uring",
        }
    }

    pub(crate) fn build(self) -> Result<Box<dyn Via>> {
        Ok(match self {
            Kind::Sigio => Box::new(sigio::new()?),
            Kind::SelfPipe => Box::new(self_pipe::new()?),
            Kind::Signalfd => Box::new(signalfd::new()?),
            Kind::Rtsig => Box::new(rtsig::Realtime::<false>::new()?),
            Kind::RtsigThread => Box::new(rtsig::Realtime::<true>::new()?),
            Kind::Epoll => Box::new(epoll::Epoll::new(epoll::Trigger::Level)?),
            Kind::EpollEt => Box::new(epoll::Epoll::new(epoll::Trigger::Edge)?),
            Kind::Poll => Box::new(poll::Poll::default()),
            Kind::Select => Box::new(select::Select::default()),
            Kind::Pselect => Box::new(pselect::Pselect::new()?),
            Kind::Blocking => Box::new(blocking::Blocking::new()?),
            #[cfg(feature = "tokio")]
            Kind::Tokio => Box::new(tokio::Tokio::new()?),
            #[cfg(feature = "io-uring")]
            Kind::IoUring => Box::new(io_uring::Uring::new()?),
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Kind, String> {
        Kind::ALL
            .iter()
            .copied()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| {
                let names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
                format!(
                    "no mechanism is called {name:?}; there are {}",
                    names.join(", ")
                )
            })
    }
}

/// Milliseconds for poll and epoll: rounded up, so that a wait does not spin
/// through the last fraction of one.
fn millis(timeout: Option<Duration>) -> i32 {
    timeout.map_or(-1, |timeout| {
        i32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
    })
}
