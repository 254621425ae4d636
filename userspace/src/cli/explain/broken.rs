// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program that everybody writes first: a handler that sets a flag, and
//! select. Not by the library, which has nothing like it.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use evq::Queue;
use nix::errno::Errno;
use nix::fcntl::{fcntl, FcntlArg, OFlag};
use nix::sys::select::{select, FdSet};
use nix::sys::signal::{sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal};

use super::drain;
use super::program::Parent;

static FLAG: AtomicBool = AtomicBool::new(false);

extern "C" fn set_flag(_signal: libc::c_int) {
    FLAG.store(true, Ordering::Relaxed);
}

/// Has SIGIO sent to this process for each event.
fn arm(queue: &Queue) -> Result<(), Errno> {
    let action = SigAction::new(
        SigHandler::Handler(set_flag),
        SaFlags::empty(),
        SigSet::empty(),
    );
    // SAFETY: the handler only stores to an atomic.
    unsafe { sigaction(Signal::SIGIO, &action) }?;
    let (fd, pid) = (queue.as_fd(), nix::unistd::getpid().as_raw());
    // SAFETY: F_SETOWN takes an integer.
    Errno::result(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETOWN, pid) })?;
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(
        fd,
        FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK | OFlag::O_ASYNC),
    )?;
    Ok(())
}

/// Reads events when SIGIO has come and requests when there are some, until it
/// has read an event.
pub(super) fn run(queue: &Queue, parent: &Parent) -> anyhow::Result<()> {
    arm(queue)?;
    drain(queue)?;
    let mut gap = Some(());
    loop {
        if FLAG.swap(false, Ordering::Relaxed) {
            return parent.told(drain(queue)?);
        }
        if gap.take().is_some() {
            parent.gap()?;
            parent.waits(FLAG.load(Ordering::Relaxed))?;
        }
        // A signal that comes now ends it. One that came before does not.
        let mut requests = FdSet::new();
        requests.insert(parent.as_fd());
        match select(None, Some(&mut requests), None, None, None) {
            Ok(_) => parent.request()?,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
