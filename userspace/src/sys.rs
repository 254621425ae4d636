// SPDX-License-Identifier: MIT OR Apache-2.0
//! The system calls that nix and libc lack: who gets the signal of an
//! `O_ASYNC` descriptor, and which one; and the ioctls.
//!
//! Nothing here decides anything: descriptors in, `Errno` out.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::{c_int, c_ulong};
use nix::errno::Errno;

use crate::uapi;

// libc has these on no gnu target. `tests/uapi.rs` compares them with
// <fcntl.h>.
#[doc(hidden)]
pub const F_SETSIG: c_int = 10;
#[doc(hidden)]
pub const F_GETSIG: c_int = 11;
#[doc(hidden)]
pub const F_SETOWN_EX: c_int = 15;
#[doc(hidden)]
pub const F_GETOWN_EX: c_int = 16;
#[doc(hidden)]
pub const F_OWNER_TID: c_int = 0;
#[doc(hidden)]
pub const F_OWNER_PID: c_int = 1;
#[doc(hidden)]
pub const F_OWNER_PGRP: c_int = 2;

/// `struct f_owner_ex`.
#[doc(hidden)]
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnerEx {
    /// `F_OWNER_TID`, `F_OWNER_PID` or `F_OWNER_PGRP`.
    pub type_: c_int,
    /// The thread, process or group; 0 is nobody.
    pub pid: libc::pid_t,
}

impl OwnerEx {
    /// The process: any of its threads that does not block the signal.
    pub(crate) fn this_process() -> OwnerEx {
        OwnerEx {
            type_: F_OWNER_PID,
            pid: nix::unistd::getpid().as_raw(),
        }
    }

    /// The calling thread. Once it has exited, signals vanish (U11).
    pub(crate) fn this_thread() -> OwnerEx {
        OwnerEx {
            type_: F_OWNER_TID,
            pid: nix::unistd::gettid().as_raw(),
        }
    }
}

/// `F_SETOWN_EX`: who gets the signal.
pub(crate) fn set_owner(fd: BorrowedFd<'_>, owner: OwnerEx) -> Result<(), Errno> {
    // SAFETY: F_SETOWN_EX reads one `f_owner_ex`, which `owner` is.
    let ret = unsafe { libc::fcntl(fd.as_raw_fd(), F_SETOWN_EX, &raw const owner) };
    Errno::result(ret).map(drop)
}

/// `F_GETOWN_EX`.
pub(crate) fn owner(fd: BorrowedFd<'_>) -> Result<OwnerEx, Errno> {
    let mut owner = OwnerEx::default();
    // SAFETY: F_GETOWN_EX writes one `f_owner_ex`, which `owner` is.
    let ret = unsafe { libc::fcntl(fd.as_raw_fd(), F_GETOWN_EX, &raw mut owner) };
    Errno::result(ret).map(|_| owner)
}

/// `F_SETSIG`: which signal is sent; 0 is plain SIGIO.
pub(crate) fn set_signal(fd: BorrowedFd<'_>, signal: c_int) -> Result<(), Errno> {
    // SAFETY: F_SETSIG takes an integer.
    let ret = unsafe { libc::fcntl(fd.as_raw_fd(), F_SETSIG, signal) };
    Errno::result(ret).map(drop)
}

/// `F_GETSIG`.
pub(crate) fn signal(fd: BorrowedFd<'_>) -> Result<c_int, Errno> {
    // SAFETY: F_GETSIG takes no argument.
    let ret = unsafe { libc::fcntl(fd.as_raw_fd(), F_GETSIG) };
    Errno::result(ret)
}

/// `EVQ_IOC_INFO`.
pub(crate) fn evq_info(fd: BorrowedFd<'_>) -> Result<uapi::Info, Errno> {
    let mut info = uapi::Info::default();
    // SAFETY: a queue writes one `struct evq_info`, whose mirror this is. The
    // request number carries that size, so that another driver that knows the
    // number by accident would have to take the same size.
    let ret = unsafe { libc::ioctl(fd.as_raw_fd(), uapi::IOC_INFO, &raw mut info) };
    Errno::result(ret).map(|_| info)
}

/// `EVQ_IOC_SEEK`; gives where the next read starts.
pub(crate) fn evq_seek(fd: BorrowedFd<'_>, mut arg: uapi::SeekArg) -> Result<u64, Errno> {
    // SAFETY: a queue reads and writes one `struct evq_seek`, whose mirror
    // this is.
    let ret = unsafe { libc::ioctl(fd.as_raw_fd(), uapi::IOC_SEEK, &raw mut arg) };
    Errno::result(ret).map(|_| arg.seq)
}

/// `EVQ_IOC_FILTER`.
pub(crate) fn evq_filter(fd: BorrowedFd<'_>, arg: &uapi::FilterArg) -> Result<(), Errno> {
    // SAFETY: a queue reads one `struct evq_filter`, whose mirror this is.
    let ret = unsafe { libc::ioctl(fd.as_raw_fd(), uapi::IOC_FILTER, &raw const *arg) };
    Errno::result(ret).map(drop)
}

/// `EVQ_IOC_WAKEUP`.
pub(crate) fn evq_wakeup(fd: BorrowedFd<'_>, arg: &uapi::WakeupArg) -> Result<(), Errno> {
    // SAFETY: a queue reads one `struct evq_wakeup`, whose mirror this is.
    let ret = unsafe { libc::ioctl(fd.as_raw_fd(), uapi::IOC_WAKEUP, &raw const *arg) };
    Errno::result(ret).map(drop)
}

const EVIOCSCLOCKID: c_ulong = nix::request_code_write!(b'E', 0xa0, size_of::<c_int>());
const INPUT_NAME_MAX: usize = 256;
const EVIOCGNAME: c_ulong = nix::request_code_read!(b'E', 0x06, INPUT_NAME_MAX);

/// `EVIOCSCLOCKID`: makes an input device stamp its events with
/// `CLOCK_MONOTONIC`. Whatever is no input device fails with ENOTTY or EINVAL.
pub(crate) fn input_clock_monotonic(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let clock: c_int = libc::CLOCK_MONOTONIC;
    // SAFETY: EVIOCSCLOCKID reads one int.
    let ret = unsafe { libc::ioctl(fd.as_raw_fd(), EVIOCSCLOCKID, &raw const clock) };
    Errno::result(ret).map(drop)
}

/// `EVIOCGNAME`: what the input device calls itself.
pub(crate) fn input_name(fd: BorrowedFd<'_>) -> Result<String, Errno> {
    let mut name = [0_u8; INPUT_NAME_MAX];
    // SAFETY: EVIOCGNAME writes at most the number of bytes that the request
    // number carries, and that is the size of `name`.
    let ret = unsafe { libc::ioctl(fd.as_raw_fd(), EVIOCGNAME, name.as_mut_ptr()) };
    Errno::result(ret)?;
    let end = name
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(name.len());
    Ok(String::from_utf8_lossy(&name[..end]).into_owned())
}

/// What is read of a queued signal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignalInfo {
    /// Its number.
    pub(crate) signal: c_int,
    /// `si_fd`: the descriptor that it is for; means nothing for plain SIGIO.
    pub(crate) fd: c_int,
}

/// A realtime signal and SIGIO, blocked in the calling thread and readable from
/// a signalfd. (nix knows no realtime signals.)
///
/// Dropping it forgets what is queued and unblocks them again.
#[derive(Debug)]
pub(crate) struct SignalQueue {
    fd: OwnedFd,
    realtime: c_int,
    sigio_was_blocked: bool,
}

/// The set of these signals.
fn signal_set(signals: &[c_int]) -> libc::sigset_t {
    // SAFETY: all zeroes is a valid `sigset_t`; the call below initialises it.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: a valid set.
    unsafe { libc::sigemptyset(&raw mut set) };
    for &signal in signals {
        // SAFETY: a valid set; a number that is no signal is refused.
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    set
}

/// Changes the mask of the calling thread; gives what it was.
fn change_mask(how: c_int, signals: &[c_int]) -> Result<libc::sigset_t, Errno> {
    let set = signal_set(signals);
    let mut before = signal_set(&[]);
    // SAFETY: two valid sets.
    match unsafe { libc::pthread_sigmask(how, &raw const set, &raw mut before) } {
        0 => Ok(before),
        error => Err(Errno::from_raw(error)),
    }
}

fn contains(set: &libc::sigset_t, signal: c_int) -> bool {
    // SAFETY: a valid set.
    unsafe { libc::sigismember(&raw const *set, signal) == 1 }
}

/// What a signal does: `SIG_DFL`, `SIG_IGN` or a handler. `None` if there is no
/// such signal. Async-signal-safe.
fn action_of(signal: c_int) -> Option<libc::sighandler_t> {
    // SAFETY: all zeroes is a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: asks only, and writes one `sigaction`.
    let ret = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    (ret == 0).then_some(action.sa_sigaction)
}

/// Whether the signal's action is the default one.
fn is_default(signal: c_int) -> bool {
    action_of(signal) == Some(libc::SIG_DFL)
}

/// Whether the process ignores the signal. Async-signal-safe.
pub fn is_ignored(signal: c_int) -> bool {
    action_of(signal) == Some(libc::SIG_IGN)
}

/// Sets the default action of a signal, or ignores it. Async-signal-safe.
///
/// # Errors
///
/// `EINVAL` for what is no signal, or one whose action is fixed.
pub fn set_ignored(signal: c_int, ignored: bool) -> Result<(), Errno> {
    // SAFETY: all zeroes is a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = if ignored {
        libc::SIG_IGN
    } else {
        libc::SIG_DFL
    };
    // SAFETY: neither action is code of this process.
    Errno::result(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) })
        .map(drop)
}

impl SignalQueue {
    /// Blocks SIGIO and the first realtime signal that nobody has a handler for
    /// or has blocked. `None`: there is none.
    pub(crate) fn block_free_realtime() -> Result<Option<SignalQueue>, Errno> {
        let mask = change_mask(libc::SIG_BLOCK, &[])?;
        // SIGRTMIN is what the C library leaves of them (U4).
        let free = (libc::SIGRTMIN()..=libc::SIGRTMAX())
            .find(|&signal| is_default(signal) && !contains(&mask, signal));
        let Some(realtime) = free else {
            return Ok(None);
        };
        let set = signal_set(&[realtime, libc::SIGIO]);
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        // SAFETY: a valid set.
        let fd = Errno::result(unsafe { libc::signalfd(-1, &raw const set, flags) })?;
        // SAFETY: just made, and nobody else has it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let before = change_mask(libc::SIG_BLOCK, &[realtime, libc::SIGIO])?;
        Ok(Some(SignalQueue {
            fd,
            realtime,
            sigio_was_blocked: contains(&before, libc::SIGIO),
        }))
    }

    /// The number of the realtime signal.
    pub(crate) fn realtime(&self) -> c_int {
        self.realtime
    }

    /// The next signal; does not block.
    pub(crate) fn next(&self) -> Result<Option<SignalInfo>, Errno> {
        // SAFETY: all zeroes is a valid `signalfd_siginfo`.
        let mut info: libc::signalfd_siginfo = unsafe { std::mem::zeroed() };
        let size = size_of::<libc::signalfd_siginfo>();
        loop {
            // SAFETY: writes at most `size` bytes to `info`, whose bits may be any.
            let ret = unsafe { libc::read(self.fd.as_raw_fd(), (&raw mut info).cast(), size) };
            match Errno::result(ret) {
                Ok(_) => {
                    return Ok(Some(SignalInfo {
                        signal: c_int::try_from(info.ssi_signo).unwrap_or(0),
                        fd: info.ssi_fd,
                    }));
                }
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Whether no thread of this process could take the signals away.
    pub(crate) fn is_blocked_in_all_threads(&self) -> bool {
        let bits = 1_u64 << (self.realtime - 1) | 1_u64 << (libc::SIGIO - 1);
        let Ok(threads) = std::fs::read_dir("/proc/self/task") else {
            return false;
        };
        threads.flatten().all(|thread| {
            // One that has ended meanwhile takes nothing.
            let Ok(status) = std::fs::read_to_string(thread.path().join("status")) else {
                return true;
            };
            let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
            mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
                .is_some_and(|mask| mask & bits == bits)
        })
    }
}

impl AsFd for SignalQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for SignalQueue {
    fn drop(&mut self) {
        // What is still queued would kill as soon as it is unblocked (U9).
        while matches!(self.next(), Ok(Some(_))) {}
        let sigio: &[c_int] = if self.sigio_was_blocked {
            &[]
        } else {
            &[libc::SIGIO]
        };
        let _ = change_mask(libc::SIG_UNBLOCK, &[&[self.realtime], sigio].concat());
    }
}
