// SPDX-License-Identifier: MIT OR Apache-2.0
//! `signalfd`: SIGIO is blocked and read from a descriptor; no handler.

use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::Kind;
use super::woken::{Wake, Woken};
use crate::error::{Error, Result};
use crate::sys::OwnerEx;

#[derive(Debug)]
pub(super) struct FdWake {
    fd: SignalFd,
    was_blocked: bool,
    // The mask, and the signals of this owner, belong to the thread.
    _not_send: PhantomData<*const ()>,
}

pub(super) fn new() -> Result<Woken<FdWake>> {
    let mask = SigSet::thread_get_mask().map_err(Error::system("read", "the signal mask"))?;
    let sigio = SigSet::from(Signal::SIGIO);
    sigio
        .thread_block()
        .map_err(Error::system("block", "SIGIO"))?;
    let fd = SignalFd::with_flags(&sigio, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(Error::system("create", "a signalfd"))?;
    Woken::new(FdWake {
        fd,
        was_blocked: mask.contains(Signal::SIGIO),
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

    fn owner(&self) -> OwnerEx {
        // Another thread that does not block SIGIO would take the signal, and
        // its default action kills. A signal to this thread stays here.
        OwnerEx::this_thread()
    }

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
