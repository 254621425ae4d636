// SPDX-License-Identifier: MIT OR Apache-2.0
//! One loop over several sources: which of them to read now.
//!
//! Signals and edges only tell of changes. What was there before arming, and
//! what a reader left behind when it stopped before EAGAIN, is nobody's news
//! (U2): the watcher remembers both and does not wait on them in vain (C2).

use std::os::fd::AsFd;
use std::time::Duration;

use crate::bytes::is_always_readable;
use crate::error::{Error, Result};
use crate::via::{Kind, Via};

/// The longest that a mechanism is asked to sleep at a time: each has a limit of
/// its own, some far below that of a [`Duration`].
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Names a source of one [`Watcher`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub(crate) usize);

/// Watches any number of descriptors by one mechanism.
///
/// Armed descriptors are duplicated, so they may be closed meanwhile; the file
/// description lives on until the watcher is dropped or the source disarmed.
#[derive(Debug)]
pub struct Watcher {
    via: Box<dyn Via>,
    pending: Vec<Token>,
    ready: Vec<Token>,
    /// Those that are watched beside the armed ones.
    beside: Vec<Token>,
    /// Regular files: always readable, the mechanism does not know them.
    files: Vec<Token>,
    next_file: usize,
}

/// The number of the first regular file: mechanisms count from 0.
const FIRST_FILE: usize = usize::MAX / 2;

impl Watcher {
    /// A watcher without sources.
    ///
    /// # Errors
    ///
    /// Those of the mechanism: [`crate::Error::HandlerTaken`],
    /// [`crate::Error::TooManyLoops`], [`crate::Error::System`].
    pub fn new(kind: Kind) -> Result<Watcher> {
        Ok(Watcher {
            via: kind.build()?,
            pending: Vec::new(),
            ready: Vec::new(),
            beside: Vec::new(),
            files: Vec::new(),
            next_file: FIRST_FILE,
        })
    }

    /// The mechanism.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.via.kind()
    }

    /// Arms a source, which the next [`Watcher::wait`] reports at once: an
    /// event may have come before. Makes the file description non-blocking
    /// (blocking, for [`Kind::Blocking`]) until disarmed. `name` is for
    /// messages.
    ///
    /// # Errors
    ///
    /// [`crate::Error::NoAsync`] where a signal is needed and the descriptor
    /// has none to give, [`crate::Error::Unsuitable`],
    /// [`crate::Error::System`].
    pub fn arm(&mut self, fd: impl AsFd, name: &str) -> Result<Token> {
        let token = self.via.arm(fd.as_fd(), name)?;
        if self.kind().drains() {
            self.pending.push(token);
        }
        Ok(token)
    }

    /// Watches a descriptor beside the armed ones, by plain readability
    /// whatever the mechanism: a signalfd, a timerfd. Leaves its flags alone.
    ///
    /// # Errors
    ///
    /// [`crate::Error::System`].
    pub fn also(&mut self, fd: impl AsFd, name: &str) -> Result<Token> {
        let token = self.via.also(fd.as_fd(), name)?;
        self.beside.push(token);
        Ok(token)
    }

    /// Arms a source; where the mechanism needs signals and the descriptor has
    /// none to give (a timerfd, an eventfd: setting `O_ASYNC` succeeds and does
    /// nothing, U3), watches it beside the armed ones instead. A regular file that
    /// is always readable needs no mechanism: the next [`Watcher::wait`] reports it, to be read to its end.
    ///
    /// # Errors
    ///
    /// Those of [`Watcher::arm`] but [`crate::Error::NoAsync`], and of
    /// [`Watcher::also`].
    pub fn arm_or_also(&mut self, fd: impl AsFd, name: &str) -> Result<Token> {
        if is_always_readable(fd.as_fd()) {
            let token = Token(self.next_file);
            self.next_file += 1;
            self.files.push(token);
            self.pending.push(token);
            return Ok(token);
        }
        match self.arm(fd.as_fd(), name) {
            Err(Error::NoAsync { .. }) => self.also(fd, name),
            armed => armed,
        }
    }

    /// Whether this source is to be read until it is empty when it is reported.
    /// If not (it is watched beside the armed ones, or by [`Kind::Blocking`]),
    /// one read follows each report.
    #[must_use]
    pub fn drains(&self, token: Token) -> bool {
        self.files.contains(&token) || self.kind().drains() && !self.beside.contains(&token)
    }

    /// Ends the watch of one source and puts its file description back as it
    /// was.
    pub fn disarm(&mut self, token: Token) {
        self.pending.retain(|&other| other != token);
        self.beside.retain(|&other| other != token);
        self.files.retain(|&other| other != token);
        self.via.disarm(token);
    }

    /// The sources to read now: each of them until [`crate::Filled::Empty`], or
    /// [`Watcher::more`] must be called. (With [`Kind::Blocking`]: one read,
    /// which may block.) Waits up to `timeout`, for ever without one; may
    /// return early and empty-handed, so look at the clock. A source may be
    /// reported that has nothing to read.
    ///
    /// # Errors
    ///
    /// [`crate::Error::System`]; [`crate::Error::Unsuitable`] if the mechanism
    /// has no timeouts.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<Vec<Token>> {
        self.ready.clear();
        self.ready.append(&mut self.pending);
        // The others still get their turn while one source is never empty.
        let timeout = if self.ready.is_empty() {
            timeout.map(|timeout| timeout.min(LONGEST))
        } else {
            Some(Duration::ZERO)
        };
        if let Err(error) = self.via.wait(timeout, &mut self.ready) {
            self.pending.append(&mut self.ready);
            return Err(error);
        }
        self.ready.sort_unstable();
        self.ready.dedup();
        Ok(self.ready.clone())
    }

    /// How often signals were lost because the signal queue was full. Each time
    /// all sources were looked at, so that no event was; only
    /// [`Kind::Rtsig`] and [`Kind::RtsigThread`] count.
    #[must_use]
    pub fn overflows(&self) -> u64 {
        self.via.overflows()
    }

    /// Tells that reading of this source stopped before it was empty.
    pub fn more(&mut self, token: Token) {
        if self.drains(token) {
            self.pending.push(token);
        }
    }
}
