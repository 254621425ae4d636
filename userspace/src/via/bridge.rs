// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a signal handler to a descriptor that a loop can wait on.
//!
//! The handler runs between any two instructions. So it does nothing but load
//! integers and call gettid(2) and write(2), and keeps errno (U15). It runs on
//! the thread of the watcher that the signal is for, and wakes the watchers of
//! that thread only. What it writes to stays open for the life of the process:
//! were a handler on another thread to load a number just before its watcher
//! is dropped, it would put eight bytes into whatever file gets that number
//! next.
//!
//! When it has woken somebody it leaves SIGIO blocked in the thread, until the
//! next wait: one wake-up says all, and signals that come faster than the handler
//! runs would leave the thread no time for anything else.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use libc::{c_int, c_void, pid_t};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal};

use crate::error::{Error, Result};

/// Watchers on SIGIO at a time, of each kind of descriptor.
pub(super) const SLOTS: usize = 16;

/// Where the handler writes to, and on which thread: eventfds first, then
/// pipes. Both in one word, so that they always belong together.
static TARGETS: [AtomicU64; 2 * SLOTS] = [const { AtomicU64::new(NOBODY) }; 2 * SLOTS];
const NOBODY: u64 = u64::MAX;

fn packed(thread: pid_t, fd: c_int) -> u64 {
    // Neither is negative.
    (u64::from(thread as u32) << 32) | u64::from(fd as u32)
}

extern "C" fn on_signal(signal: c_int, _info: *mut libc::siginfo_t, context: *mut c_void) {
    let errno = Errno::last_raw();
    let mut woken = false;
    // SAFETY: gettid(2) has no preconditions.
    let thread = unsafe { libc::gettid() };
    for slot in &TARGETS {
        let target = slot.load(Ordering::Acquire);
        if target != NOBODY && target >> 32 == u64::from(thread as u32) {
            let fd = target as u32 as c_int;
            let one = 1_u64;
            // SAFETY: write(2) is async-signal-safe, and reads the eight bytes
            // of `one`. The descriptor is never closed. It is non-blocking:
            // EAGAIN means that a wake-up is waiting already.
            unsafe { libc::write(fd, (&raw const one).cast(), size_of::<u64>()) };
            woken = true;
        }
    }
    if woken {
        let context = context.cast::<libc::ucontext_t>();
        // SAFETY: the kernel passes the context that it will go back to.
        let mask = unsafe { &raw mut (*context).uc_sigmask };
        // SAFETY: a valid mask; sigaddset(3) is async-signal-safe.
        unsafe { libc::sigaddset(mask, signal) };
    }
    Errno::set_raw(errno);
}

const OURS: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_signal;

/// Keeps the handler installed.
#[derive(Debug)]
pub(super) struct Handler(());

struct Installed {
    users: usize,
    before: Option<SigAction>,
}

static INSTALLED: Mutex<Installed> = Mutex::new(Installed {
    users: 0,
    before: None,
});

fn installed() -> MutexGuard<'static, Installed> {
    INSTALLED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Handler {
    /// Installs the handler for SIGIO unless it is there already. A handler
    /// of somebody else is left alone.
    pub(super) fn install() -> Result<Handler> {
        let mut installed = installed();
        if installed.users == 0 {
            // SA_RESTART: system calls of the rest of the program go on.
            let ours = SigAction::new(
                SigHandler::SigAction(OURS),
                SaFlags::SA_RESTART,
                SigSet::empty(),
            );
            let before = set_action(&ours)?;
            if !matches!(before.handler(), SigHandler::SigDfl | SigHandler::SigIgn) {
                set_action(&before)?;
                return Err(Error::HandlerTaken { signal: "SIGIO" });
            }
            installed.before = Some(before);
        }
        installed.users += 1;
        Ok(Handler(()))
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        let mut installed = installed();
        installed.users -= 1;
        if installed.users > 0 {
            return;
        }
        let Some(before) = installed.before.take() else {
            return;
        };
        // Nothing is pending that the default action could kill for: signals
        // were for the watcher's own thread, which has taken the last of them
        // on its way back from disarming (U9).
        if let Ok(now) = set_action(&before) {
            let ours =
                matches!(now.handler(), SigHandler::SigAction(f) if ptr::fn_addr_eq(f, OURS));
            if !ours {
                // Somebody has installed a handler since: theirs stays.
                let _ = set_action(&now);
            }
        }
    }
}

fn set_action(action: &SigAction) -> Result<SigAction> {
    // SAFETY: the handler is async-signal-safe, see `on_signal`; any other
    // action is what the system gave us.
    unsafe { sigaction(Signal::SIGIO, action) }
        .map_err(Error::system("install a handler for", "SIGIO"))
}

/// An eventfd or a pipe that the handler writes to, ours until dropped.
#[derive(Debug)]
pub(super) struct Slot {
    index: usize,
}

/// The descriptors of a slot, opened at its first use and never closed. For an
/// eventfd both ends are the same.
struct Ends {
    read: OwnedFd,
    write: Option<OwnedFd>,
}

static ENDS: [OnceLock<Ends>; 2 * SLOTS] = [const { OnceLock::new() }; 2 * SLOTS];
static IN_USE: Mutex<[bool; 2 * SLOTS]> = Mutex::new([false; 2 * SLOTS]);

impl Slot {
    /// An eventfd: any number of signals is one readable count.
    pub(super) fn eventfd() -> Result<Slot> {
        Slot::take(0, || {
            let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
            let fd = EventFd::from_flags(flags).map_err(Error::system("create", "an eventfd"))?;
            Ok(Ends {
                read: fd.into(),
                write: None,
            })
        })
    }

    /// A pipe.
    pub(super) fn pipe() -> Result<Slot> {
        Slot::take(SLOTS, || {
            let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
                .map_err(Error::system("create", "a pipe"))?;
            Ok(Ends {
                read,
                write: Some(write),
            })
        })
    }

    fn take(first: usize, make: impl FnOnce() -> Result<Ends>) -> Result<Slot> {
        let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
        let index = (first..first + SLOTS)
            .find(|&index| !in_use[index])
            .ok_or(Error::TooManyLoops { limit: SLOTS })?;
        let ends = match ENDS[index].get() {
            Some(ends) => ends,
            None => {
                let made = make()?;
                ENDS[index].get_or_init(|| made)
            }
        };
        in_use[index] = true;
        drop(in_use);
        let slot = Slot { index };
        // What the owner before has not cleared is no news for this one.
        slot.clear()?;
        let fd = ends.write.as_ref().unwrap_or(&ends.read).as_raw_fd();
        let target = packed(nix::unistd::gettid().as_raw(), fd);
        TARGETS[index].store(target, Ordering::Release);
        Ok(slot)
    }

    /// Takes all wake-ups back. To be done before the sources are read (U16).
    pub(super) fn clear(&self) -> Result<()> {
        // A wake-up is 8 bytes, and there are hardly more than one: a larger buffer
        // would cost more to zero than all the rest of this.
        let mut buffer = [0_u8; 64];
        loop {
            match nix::unistd::read(self.as_fd(), &mut buffer) {
                Ok(count) if count == buffer.len() => {}
                Ok(_) | Err(Errno::EAGAIN) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => {
                    let (action, name) = ("clear", "the wake-up of the SIGIO handler".into());
                    return Err(Error::System {
                        action,
                        name,
                        errno,
                    });
                }
            }
        }
    }
}

impl AsFd for Slot {
    fn as_fd(&self) -> BorrowedFd<'_> {
        ENDS[self.index]
            .get()
            .expect("a slot has its descriptors")
            .read
            .as_fd()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        TARGETS[self.index].store(NOBODY, Ordering::Release);
        IN_USE.lock().unwrap_or_else(PoisonError::into_inner)[self.index] = false;
    }
}
