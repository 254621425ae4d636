// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signals as one more source of the loop, by signalfd: never a handler (C5).

use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::error::{Error, Result};

/// Signals that end (or otherwise steer) a loop: blocked in the calling thread
/// and readable from a descriptor instead. The mask is put back on drop.
///
/// Create it before any other thread starts, so that those inherit the mask;
/// give it to [`crate::Watcher::also`]. Children inherit the mask too: reset it
/// in them before exec (U13).
#[derive(Debug)]
pub struct StopSignals {
    fd: SignalFd,
    before: SigSet,
    // The mask belongs to the thread.
    _not_send: PhantomData<*const ()>,
}

impl StopSignals {
    /// Blocks `signals` in the calling thread.
    ///
    /// # Errors
    ///
    /// [`Error::System`] (out of descriptors, say).
    pub fn new(signals: &[Signal]) -> Result<StopSignals> {
        let mask: SigSet = signals.iter().copied().collect();
        // Before it blocks anything: what fails here leaves the mask as it was.
        let fd = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .map_err(Error::system("create", "a signalfd"))?;
        let before = mask
            .thread_swap_mask(SigmaskHow::SIG_BLOCK)
            .map_err(Error::system("block", "signals"))?;
        Ok(StopSignals {
            fd,
            before,
            _not_send: PhantomData,
        })
    }

    /// The next signal that came; does not block.
    ///
    /// # Errors
    ///
    /// [`Error::System`].
    pub fn next(&self) -> Result<Option<Signal>> {
        let info = self
            .fd
            .read_signal()
            .map_err(Error::system("read", "the signalfd"))?;
        Ok(info.and_then(|info| Signal::try_from(i32::try_from(info.ssi_signo).ok()?).ok()))
    }
}

impl AsFd for StopSignals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for StopSignals {
    fn drop(&mut self) {
        // Nothing can be done about a failure, and there is none for a mask
        // that came from the system.
        let _ = self.before.thread_set_mask();
    }
}
