// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signals as one more source of the loop, by signalfd: never a handler (C5).

use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::error::{Error, Result};
use crate::sys;

/// Signals that end (or otherwise steer) a loop: blocked in the calling thread
/// and readable from a descriptor instead. The mask is put back on drop; what
/// came and was not taken by [`StopSignals::next`] is delivered then.
///
/// A signal that the process ignores stays ignored, as `nohup` and shells that
/// start background jobs rely on: it is neither blocked nor read. (A signal that
/// is ignored and blocked would be queued, and the loop would see it.)
///
/// Create it before any other thread starts, so that those inherit the mask;
/// give it to [`crate::Watcher::also`]. Children inherit the mask too: reset it
/// in them before exec (U13).
#[derive(Debug)]
pub struct StopSignals {
    fd: SignalFd,
    /// Those that were not blocked before.
    newly: SigSet,
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
        let taken = |signal: &Signal| !sys::is_ignored(*signal as i32);
        let mask: SigSet = signals.iter().copied().filter(taken).collect();
        // Before it blocks anything: what fails here leaves the mask as it was.
        let fd = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .map_err(Error::system("create", "a signalfd"))?;
        let before = mask
            .thread_swap_mask(SigmaskHow::SIG_BLOCK)
            .map_err(Error::system("block", "signals"))?;
        Ok(StopSignals {
            fd,
            newly: mask
                .iter()
                .filter(|signal| !before.contains(*signal))
                .collect(),
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
        // Only these: what else has been blocked meanwhile is somebody else's,
        // and may be pending (U9). There is no failure for a valid set.
        let _ = self.newly.thread_unblock();
    }
}

/// Has a program that is started begin with no signal blocked.
///
/// Children inherit the mask of the thread that starts them, and neither
/// [`std`] nor tokio resets it (U13): one that is started beside a
/// [`StopSignals`], or a watcher that blocks SIGIO, could not be ended by the
/// signals that it does not know to be blocked.
pub fn unblock_in_child(command: &mut Command) -> &mut Command {
    // SAFETY: Between fork and exec only one system call is made, on a set that
    // lives on the stack.
    unsafe {
        command.pre_exec(|| {
            SigSet::empty()
                .thread_set_mask()
                .map_err(std::io::Error::from)
        })
    }
}

/// A set of signals that a process ignores.
///
/// A program is started with the ignored signals of its parent. It may change
/// them for itself, as Rust's start-up code does with SIGPIPE; the programs that
/// it starts should get what it was itself started with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignored {
    /// Signal `n` is bit `n - 1`.
    mask: u64,
}

/// The highest number of a signal.
const SIGNAL_MAX: i32 = 64;

impl Ignored {
    /// The signals that this process ignores now. Async-signal-safe.
    #[must_use]
    pub fn now() -> Ignored {
        let ignored = (1..=SIGNAL_MAX).filter(|&signal| sys::is_ignored(signal));
        Ignored {
            mask: ignored.fold(0, |mask, signal| mask | 1 << (signal - 1)),
        }
    }

    /// The set as the kernel writes it in `/proc/PID/status`: signal `n` is bit
    /// `n - 1`.
    #[must_use]
    pub const fn from_mask(mask: u64) -> Ignored {
        Ignored { mask }
    }

    /// See [`Ignored::from_mask`].
    #[must_use]
    pub const fn mask(self) -> u64 {
        self.mask
    }

    /// Whether the signal with this number is one of them.
    #[must_use]
    pub fn contains(self, signal: i32) -> bool {
        (1..=SIGNAL_MAX).contains(&signal) && self.mask & 1 << (signal - 1) != 0
    }

    /// Has a program that is started ignore these signals.
    pub fn in_child(self, command: &mut Command) -> &mut Command {
        // SAFETY: Between fork and exec only system calls are made, on numbers.
        unsafe {
            command.pre_exec(move || {
                for signal in (1..=SIGNAL_MAX).filter(|&signal| self.contains(signal)) {
                    // Those that the C library keeps for itself are refused.
                    let _ = sys::set_ignored(signal, true);
                }
                Ok(())
            })
        }
    }
}
