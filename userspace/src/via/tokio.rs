// SPDX-License-Identifier: MIT OR Apache-2.0
//! `tokio`: an `AsyncFd` per source on a current-thread runtime.
//!
//! The readiness that tokio keeps is cleared before the source is read, never
//! after: what comes in between sets it again (tokio's own epoll set is edge
//! triggered).

use std::future::poll_fn;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::Poll;
use std::time::Duration;

use nix::errno::Errno;
use tokio::io::unix::AsyncFd;
use tokio::io::Interest;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout as limit;

use super::armed::{duplicate, Armed, Table, Watched};
use super::poll::poll_readable;
use super::{Kind, Via};
use crate::error::{Error, Result};
use crate::watcher::Token;

/// The sources go before the runtime that they are registered with.
#[derive(Debug)]
pub(super) struct Tokio {
    sources: Table<AsyncFd<Watched>>,
    runtime: Runtime,
}

impl Tokio {
    pub(super) fn new() -> Result<Tokio> {
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| failed("start", "the tokio runtime", &error))?;
        Ok(Tokio {
            sources: Table::default(),
            runtime,
        })
    }

    fn add(&mut self, source: Watched, name: &str) -> Result<Token> {
        let _inside = self.runtime.enter();
        // SAFETY: `source` owns its descriptor, always gives that same one, and
        // is never taken out or changed while it is registered.
        let source = unsafe { AsyncFd::register_with_interest(source, Interest::READABLE) }
            .map_err(|error| failed("register with tokio", name, &error.into()))?;
        Ok(self.sources.insert(source))
    }
}

pub(super) fn failed(action: &'static str, name: &str, error: &std::io::Error) -> Error {
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
    Error::System {
        action,
        name: name.into(),
        errno,
    }
}

impl Via for Tokio {
    fn kind(&self) -> Kind {
        Kind::Tokio
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
        // A plain source is level-triggered: its reader may have left some.
        let plain = self
            .sources
            .iter()
            .filter_map(|(token, source)| match source.get_ref() {
                Watched::Plain(fd) => Some((*token, fd.as_fd())),
                Watched::Armed(_) => None,
            });
        poll_readable(plain, Some(Duration::ZERO), ready)?;
        let timeout = if ready.is_empty() {
            timeout
        } else {
            Some(Duration::ZERO)
        };

        let mut outcome = Ok(());
        let any_ready = poll_fn(|cx| {
            let before = ready.len();
            for (token, source) in self.sources.iter() {
                match source.poll_read_ready(cx) {
                    Poll::Ready(Ok(mut guard)) => {
                        guard.clear_ready();
                        ready.push(*token);
                    }
                    Poll::Ready(Err(error)) => {
                        outcome = Err(failed("wait with", "tokio", &error));
                        return Poll::Ready(());
                    }
                    Poll::Pending => {}
                }
            }
            if ready.len() > before {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        self.runtime.block_on(async {
            match timeout {
                // Elapsed is no error: the caller looks at the clock.
                Some(timeout) => drop(limit(timeout, any_ready).await),
                None => any_ready.await,
            }
        });
        outcome
    }
}
