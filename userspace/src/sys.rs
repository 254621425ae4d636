// SPDX-License-Identifier: MIT OR Apache-2.0
//! The system calls that nix and libc lack: who gets the signal of an
//! `O_ASYNC` descriptor, and which one; and the ioctls.
//!
//! Nothing here decides anything: descriptors in, `Errno` out.

use std::os::fd::{AsRawFd, BorrowedFd};

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
