// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sigio`, the default: `O_ASYNC` → SIGIO → handler → eventfd → epoll (C1).

use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};

use super::bridge::{Handler, Slot};
use super::claim::Claim;
use super::woken::{Wake, Woken};
use super::Kind;
use crate::error::{Error, Result};

/// The handler's eventfd. Fields are dropped in this order.
#[derive(Debug)]
pub(super) struct HandlerWake<const PIPE: bool> {
    _unblocked: Unblocked,
    _handler: Handler,
    slot: Slot,
    _claim: Claim,
}

pub(super) fn new() -> Result<Woken<HandlerWake<false>>> {
    Woken::new(HandlerWake::new(Slot::eventfd()?)?)
}

impl<const PIPE: bool> HandlerWake<PIPE> {
    pub(super) fn new(slot: Slot) -> Result<HandlerWake<PIPE>> {
        let claim = Claim::shared(Self::KIND.name())?;
        let handler = Handler::install()?;
        Ok(HandlerWake {
            _unblocked: Unblocked::new()?,
            _handler: handler,
            slot,
            _claim: claim,
        })
    }
}

impl<const PIPE: bool> Wake for HandlerWake<PIPE> {
    const KIND: Kind = if PIPE { Kind::SelfPipe } else { Kind::Sigio };

    fn ready(&self) -> Result<()> {
        unblock()
    }

    fn clear(&self) -> Result<()> {
        self.slot.clear()
    }
}

impl<const PIPE: bool> AsFd for HandlerWake<PIPE> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.slot.as_fd()
    }
}

fn unblock() -> Result<()> {
    SigSet::from(Signal::SIGIO)
        .thread_unblock()
        .map_err(Error::system("unblock", "SIGIO"))
}

/// SIGIO unblocked in this thread: were it blocked in all of them, as a parent
/// may have left it, the handler would never run.
#[derive(Debug)]
pub(super) struct Unblocked {
    was_blocked: bool,
    // The mask belongs to the thread.
    _not_send: PhantomData<*const ()>,
}

impl Unblocked {
    pub(super) fn new() -> Result<Unblocked> {
        let mask = SigSet::thread_get_mask().map_err(Error::system("read", "the signal mask"))?;
        let was_blocked = mask.contains(Signal::SIGIO);
        unblock()?;
        Ok(Unblocked {
            was_blocked,
            _not_send: PhantomData,
        })
    }
}

impl Drop for Unblocked {
    fn drop(&mut self) {
        // The handler takes what is still pending, and blocks it once more; after
        // that nothing comes, for the sources are disarmed. Cannot fail with a
        // valid set.
        let _ = unblock();
        let _ = unblock();
        if self.was_blocked {
            let _ = SigSet::from(Signal::SIGIO).thread_block();
        }
    }
}
