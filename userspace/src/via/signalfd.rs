// SPDX-License-Identifier: MIT OR Apache-2.0
//! `signalfd`: SIGIO is blocked and read from a descriptor; no handler.
//!
//! A signalfd takes what was sent to the reading thread and what was sent to
//! the process as a whole. So any other user of SIGIO in this process must have
//! its signals sent to its own thread, as all mechanisms here do.

use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::claim::Claim;
use super::woken::{Wake, Woken};
use super::Kind;
use crate::error::{Error, Result};

#[derive(Debug)]
pub(super) struct FdWake {
    fd: SignalFd,
    was_blocked: bool,
    _claim: Claim,
    // The mask, and the signals of this owner, belong to the thread.
    _not_send: PhantomData<*const ()>,
}

pub(super) fn new() -> Result<Woken<FdWake>> {
    let claim = Claim::exclusive("signalfd")?;
    let sigio = SigSet::from(Signal::SIGIO);
    // Before it blocks anything: what fails here leaves the mask as it was.
    let fd = SignalFd::with_flags(&sigio, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(Error::system("create", "a signalfd"))?;
    let before = sigio
        .thread_swap_mask(SigmaskHow::SIG_BLOCK)
        .map_err(Error::system("block", "SIGIO"))?;
    Woken::new(FdWake {
        fd,
        was_blocked: before.contains(Signal::SIGIO),
        _claim: claim,
        _not_send: PhantomData,
    })
}

impl FdWake {
    fn drain(&self) -> Result<(), nix::Error> {
        while self.fd.read_signal()?.is_some() {}
        Ok(())
    }
}

impl Wake for FdWake {
    const KIND: Kind = Kind::Signalfd;

    fn clear(&self) -> Result<()> {
        self.drain().map_err(Error::system("read", "the signalfd"))
    }
}

impl AsFd for FdWake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for FdWake {
    fn drop(&mut self) {
        // The sources are disarmed by now. What is still queued would kill as
        // soon as it is unblocked (U9).
        if self.drain().is_ok() && !self.was_blocked {
            let _ = SigSet::from(Signal::SIGIO).thread_unblock();
        }
    }
}
