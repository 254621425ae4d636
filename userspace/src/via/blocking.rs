// SPDX-License-Identifier: MIT OR Apache-2.0
//! `blocking`: there is nothing to wait with, the read itself blocks.
//!
//! Yet a signalfd beside it must be able to end that. A helper thread polls
//! what is watched besides; when something comes, it makes the source
//! non-blocking and then interrupts the reader. Whether the reader is about to
//! enter read(2), or inside (the call is restarted and sees the new mode), or
//! past it: it comes back with EAGAIN, and there is no gap.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::pthread::{pthread_kill, pthread_self};
use nix::sys::signal::Signal;

use super::armed::{duplicate, Armed, Table};
use super::bridge::Handler;
use super::poll::poll_readable;
use super::sigio::Unblocked;
use super::{Kind, Via};
use crate::error::{Error, Result};
use crate::watcher::Token;

/// Fields are dropped in this order: the helper thread first, the handler that
/// takes its signal last.
#[derive(Debug)]
pub(super) struct Blocking {
    guard: Option<Guard>,
    armed: Option<(Token, Arc<Armed>)>,
    plain: Table<Arc<OwnedFd>>,
    _unblocked: Unblocked,
    _handler: Handler,
}

impl Blocking {
    pub(super) fn new() -> Result<Blocking> {
        let handler = Handler::install()?;
        Ok(Blocking {
            guard: None,
            armed: None,
            plain: Table::default(),
            _unblocked: Unblocked::new()?,
            _handler: handler,
        })
    }
}

impl Via for Blocking {
    fn kind(&self) -> Kind {
        Kind::Blocking
    }

    fn arm(&mut self, fd: BorrowedFd<'_>, name: &str) -> Result<Token> {
        if self.armed.is_some() {
            return Err(Error::Unsuitable {
                mechanism: "blocking",
                what: format!("watch {name} as a second source"),
                why: "a read blocks on one source only; use sigio, epoll or poll",
            });
        }
        let armed = Arc::new(Armed::new(fd, name, false)?);
        self.guard = None;
        let token = self.plain.reserve();
        self.armed = Some((token, armed));
        Ok(token)
    }

    fn also(&mut self, fd: BorrowedFd<'_>, name: &str) -> Result<Token> {
        let fd = duplicate(fd, name)?;
        // The next wait starts a helper that knows of this one too.
        self.guard = None;
        Ok(self.plain.insert(Arc::new(fd)))
    }

    fn disarm(&mut self, token: Token) {
        self.guard = None;
        self.plain.remove(token);
        self.armed.take_if(|(armed, _)| *armed == token);
    }

    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Token>) -> Result<()> {
        // Another source is to be read already: that does not wait for this one.
        let at_once = !ready.is_empty();
        if timeout.is_some() && self.armed.is_some() && !at_once {
            return Err(Error::Unsuitable {
                mechanism: "blocking",
                what: "keep a time limit".into(),
                why: "a blocking read has none; use sigio, epoll or poll",
            });
        }
        let plain = |timeout, ready: &mut _| {
            let fds = self.plain.iter().map(|(token, fd)| (*token, fd.as_fd()));
            poll_readable(fds, timeout, ready)
        };
        let Some((token, armed)) = &self.armed else {
            return plain(timeout, ready);
        };
        if let Some(guard) = self.guard.take_if(|guard| guard.tripped()) {
            drop(guard);
            armed
                .set_nonblocking(false)
                .map_err(Error::system("set the mode of", "the source"))?;
            return plain(Some(Duration::ZERO), ready);
        }
        if at_once {
            return plain(timeout, ready);
        }
        if self.guard.is_none() && self.plain.iter().next().is_some() {
            let plain = self.plain.iter().map(|(_, fd)| Arc::clone(fd)).collect();
            self.guard = Some(Guard::spawn(plain, Arc::clone(armed))?);
        }
        ready.push(*token);
        Ok(())
    }
}

/// The helper thread; dropping it ends it.
#[derive(Debug)]
struct Guard {
    tripped: Arc<AtomicBool>,
    quit: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Guard {
    fn spawn(plain: Vec<Arc<OwnedFd>>, armed: Arc<Armed>) -> Result<Guard> {
        let quit = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(Error::system("create", "an eventfd"))?;
        let (tripped, quit) = (Arc::new(AtomicBool::new(false)), Arc::new(quit));
        let reader = pthread_self();
        let run = {
            let (tripped, quit) = (Arc::clone(&tripped), Arc::clone(&quit));
            move || {
                let quitting = Token(usize::MAX);
                let mut ready = Vec::new();
                while ready.is_empty() {
                    let fds = plain.iter().map(|fd| (Token(0), fd.as_fd()));
                    let fds = fds.chain([(quitting, quit.as_fd())]);
                    if poll_readable(fds, None, &mut ready).is_err() {
                        // Out of memory, at most. The reader then polls itself
                        // at its next wait.
                        break;
                    }
                }
                if ready.contains(&quitting) {
                    return;
                }
                // The order closes the gap: see the top of this file.
                tripped.store(true, Ordering::Release);
                let _ = armed.set_nonblocking(true);
                let _ = pthread_kill(reader, Signal::SIGIO);
            }
        };
        let thread = thread::Builder::new()
            .name("evq-blocking".into())
            .spawn(run)
            .map_err(|error| Error::System {
                action: "start",
                name: "the helper thread of `blocking`".into(),
                errno: Errno::from_raw(error.raw_os_error().unwrap_or(0)),
            })?;
        Ok(Guard {
            tripped,
            quit,
            thread: Some(thread),
        })
    }

    fn tripped(&self) -> bool {
        self.tripped.load(Ordering::Acquire)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Cannot fail: the count of the eventfd is 0 or 1.
        let _ = self.quit.write(1);
        if let Some(thread) = self.thread.take() {
            // It does not panic: nothing in it can.
            let _ = thread.join();
        }
    }
}
