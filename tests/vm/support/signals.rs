// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signals of an armed fd, taken one by one through a signalfd.
//!
//! All of them are blocked before `main`, and so in every thread: a signal for
//! the process can be taken by any of them, and none may hit a default action
//! (the harness has a thread of its own beside that of the test).

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use libc::{c_int, signalfd_siginfo};
use nix::errno::Errno;
use nix::fcntl::{fcntl, FcntlArg, OFlag};
use nix::unistd::{getpid, Pid};

use super::until_readable;

// What <fcntl.h> has and the libc crate lacks.
pub(crate) const F_SETSIG: c_int = 10;
pub(crate) const F_GETSIG: c_int = 11;
pub(crate) const F_SETOWN_EX: c_int = 15;
pub(crate) const F_GETOWN_EX: c_int = 16;

/// `struct f_owner_ex`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnerEx {
    pub(crate) kind: c_int,
    pub(crate) pid: c_int,
}

pub(crate) const F_OWNER_TID: c_int = 0;

/// `si_code` of a signal from an fd: `POLL_*` of <signal.h>.
pub(crate) const POLL_IN: i32 = 1;
pub(crate) const POLL_HUP: i32 = 6;
/// `si_code` of a signal that the kernel has sent without details.
pub(crate) const SI_KERNEL: i32 = 0x80;

/// The realtime signal that the tests use.
pub(crate) fn realtime() -> c_int {
    libc::SIGRTMIN() + 3
}

/// SIGIO and the realtime signals, blocked and readable.
pub(crate) struct Signals {
    fd: OwnedFd,
}

/// SIGIO and the realtime signals.
pub(crate) fn io_signals() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: Initialises the set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: Initialised just now.
    let mut set = unsafe { set.assume_init() };
    for signal in std::iter::once(libc::SIGIO).chain(libc::SIGRTMIN()..=libc::SIGRTMAX()) {
        // SAFETY: A valid set and a valid signal.
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    set
}

/// Runs before `main`, while there is only one thread.
extern "C" fn block_all() {
    let set = io_signals();
    // SAFETY: A valid set; the old one is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
}

#[used]
// SAFETY: The C library calls what is in this section, with this signature, before `main`.
#[unsafe(link_section = ".init_array")]
static BLOCK_ALL: extern "C" fn() = block_all;

/// A program that is started finds them as a login shell would have left them.
pub(crate) fn unblock_all() {
    let set = io_signals();
    // SAFETY: A valid set; the old one is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut()) };
}

impl Signals {
    /// Makes them readable here, and forgets those that are pending.
    pub(crate) fn block() -> Self {
        let set = io_signals();
        // SAFETY: A valid set.
        let fd =
            unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        let fd = Errno::result(fd).expect("signalfd");
        // SAFETY: Just made.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let signals = Self { fd };
        signals.pending();
        signals
    }

    /// Takes all that are pending, in the order in which the kernel gives them.
    pub(crate) fn pending(&self) -> Vec<signalfd_siginfo> {
        let mut all = Vec::new();
        loop {
            let mut buffer = [0; size_of::<signalfd_siginfo>()];
            match nix::unistd::read(&self.fd, &mut buffer) {
                Ok(count) => assert_eq!(count, buffer.len(), "a signalfd gives whole records"),
                Err(Errno::EAGAIN) => return all,
                Err(errno) => panic!("reading a signalfd: {errno}"),
            }
            // SAFETY: Integers only, any bits will do; the sizes are equal.
            all.push(unsafe { std::mem::transmute::<[u8; 128], signalfd_siginfo>(buffer) });
        }
    }

    /// The numbers of what the calling thread could take now, without taking it.
    pub(crate) fn peek() -> Vec<c_int> {
        let mut set = MaybeUninit::uninit();
        // SAFETY: Initialises the set.
        let error = unsafe { libc::sigpending(set.as_mut_ptr()) };
        assert_eq!(error, 0, "sigpending");
        // SAFETY: Initialised just now.
        let set: libc::sigset_t = unsafe { set.assume_init() };
        // SAFETY: A valid set and valid signals.
        let is_pending =
            |signal: &c_int| unsafe { libc::sigismember(&raw const set, *signal) } == 1;
        (1..=libc::SIGRTMAX()).filter(is_pending).collect()
    }

    /// The numbers of all that are pending.
    pub(crate) fn pending_numbers(&self) -> Vec<c_int> {
        self.pending()
            .iter()
            .map(|info| info.ssi_signo as c_int)
            .collect()
    }

    /// Waits until there is at least one, and takes all.
    pub(crate) fn wait(&self, what: &str) -> Vec<signalfd_siginfo> {
        until_readable(self.fd.as_fd(), what);
        self.pending()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.pending();
    }
}

fn set(fd: impl AsFd, command: c_int, value: c_int) {
    // SAFETY: A command with a number.
    let result = unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), command, value) };
    Errno::result(result).unwrap_or_else(|errno| panic!("fcntl({command}, {value}): {errno}"));
}

/// `F_SETOWN`: a process, or a process group if negative.
pub(crate) fn set_owner(fd: impl AsFd, pid: c_int) {
    set(fd, libc::F_SETOWN, pid);
}

/// `F_SETSIG`; 0 goes back to SIGIO without details.
pub(crate) fn set_signal(fd: impl AsFd, signal: c_int) {
    set(fd, F_SETSIG, signal);
}

/// `F_SETOWN_EX` to one thread.
pub(crate) fn set_owner_thread(fd: impl AsFd, tid: Pid) {
    let owner = OwnerEx {
        kind: F_OWNER_TID,
        pid: tid.as_raw(),
    };
    // SAFETY: What the command reads.
    let result = unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), F_SETOWN_EX, &raw const owner) };
    Errno::result(result).expect("F_SETOWN_EX");
}

/// `F_GETOWN_EX`.
pub(crate) fn owner(fd: impl AsFd) -> OwnerEx {
    let mut owner = OwnerEx::default();
    // SAFETY: What the command fills.
    let result = unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), F_GETOWN_EX, &raw mut owner) };
    Errno::result(result).expect("F_GETOWN_EX");
    owner
}

pub(crate) fn status_flags(fd: impl AsFd) -> OFlag {
    OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL).expect("F_GETFL"))
}

/// Turns O_ASYNC on or off, by F_SETFL.
pub(crate) fn set_async(fd: impl AsFd, on: bool) {
    let mut flags = status_flags(fd.as_fd());
    flags.set(OFlag::O_ASYNC, on);
    fcntl(fd, FcntlArg::F_SETFL(flags)).expect("F_SETFL");
}

/// Turns O_ASYNC on or off, by FIOASYNC.
pub(crate) fn set_fioasync(fd: impl AsFd, on: bool) {
    let on = c_int::from(on);
    // SAFETY: What the request reads.
    let result = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::FIOASYNC, &raw const on) };
    Errno::result(result).expect("FIOASYNC");
}

/// This process gets the realtime signal for each notification of the fd.
pub(crate) fn arm(fd: impl AsFd) {
    set_owner(fd.as_fd(), getpid().as_raw());
    set_signal(fd.as_fd(), realtime());
    set_async(fd, true);
}
