// SPDX-License-Identifier: MIT OR Apache-2.0
//! The service manager: what it is told, and what it keeps for the next start.
//!
//! It keeps the open queues (a cursor belongs to the open file), and for each a
//! small file in memory with the number of the first event that has not been
//! dealt with: what was read and not dealt with, because the daemon was killed,
//! is read again. Without a service manager all of this does nothing.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use nix::sys::memfd::{memfd_create, MFdFlags};
use sd_notify::NotifyState;
use tracing::warn;

/// What the name of a file with a number begins with; a device's begins with `/`.
const NEXT: &str = "next=";
/// Longest name that a kept descriptor can have.
const NAME_MAX: usize = 255;

/// Variables that are for the daemon alone, and not for the programs it starts.
pub(super) const VARIABLES: [&str; 6] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PID",
];

/// What was kept from before.
#[derive(Debug, Default)]
pub(super) struct Kept {
    by_name: HashMap<String, OwnedFd>,
}

impl Kept {
    /// Takes over the descriptors; to be called once, and first.
    pub(super) fn take() -> Kept {
        let mut by_name = HashMap::new();
        match sd_notify::listen_fds_with_names() {
            Ok(fds) => {
                for (fd, name) in fds {
                    // SAFETY: The service manager has opened it for this process, which has
                    // looked at nothing else yet; this is called once.
                    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
                    by_name.insert(name, fd);
                }
            }
            Err(error) => warn!(%error, "what was kept for this start cannot be used"),
        }
        Kept { by_name }
    }

    /// The open queue of a device.
    pub(super) fn device(&mut self, path: &str) -> Option<OwnedFd> {
        self.by_name.remove(path)
    }

    /// Where it is to go on.
    pub(super) fn next(&mut self, path: &str) -> Option<Next> {
        let file = File::from(self.by_name.remove(&format!("{NEXT}{path}"))?);
        Some(Next { file })
    }

    /// Closes what belongs to no device any more, and has it forgotten.
    pub(super) fn forget_rest(self) {
        for name in self.by_name.keys() {
            tell(&[NotifyState::FdStoreRemove, NotifyState::FdName(name)]);
        }
    }
}

/// The number of the first event that has not been dealt with, in memory that
/// outlives the daemon.
#[derive(Debug)]
pub(super) struct Next {
    file: File,
}

impl Next {
    pub(super) fn get(&self) -> Option<u64> {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, 0).ok()?;
        Some(u64::from_ne_bytes(bytes)).filter(|next| *next > 0)
    }

    /// One system call; memory that is there already cannot run out.
    pub(super) fn set(&self, next: u64) {
        if let Err(error) = self.file.write_all_at(&next.to_ne_bytes(), 0) {
            warn!(%error, "a restart may do again what has been done");
        }
    }
}

/// Whether there is a service manager that listens.
fn is_there() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "the service manager could not be told");
    }
}

/// Everything is armed: no event from now on is missed.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => warn!(%error, "the service manager could not be told of the reload"),
    }
}

pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often [`alive`] is expected.
pub(super) fn watchdog() -> Option<Duration> {
    // In time also if one wake-up comes late.
    Some(sd_notify::watchdog_enabled()? / 2)
}

/// Has the open queue of a device kept for the next start.
pub(super) fn keep(path: &str, fd: impl AsFd) -> Option<Next> {
    if !is_there() {
        return None;
    }
    let may_name = |c: char| c.is_ascii() && !c.is_ascii_control() && c != ':';
    if !path.chars().all(may_name) || NEXT.len() + path.len() > NAME_MAX {
        warn!(
            device = path,
            "its name cannot be given to the service manager, so a restart starts anew"
        );
        return None;
    }
    let name = format!("{NEXT}{path}");
    let file = match memfd_create(name.as_str(), MFdFlags::MFD_CLOEXEC) {
        Ok(fd) => File::from(fd),
        Err(error) => {
            warn!(%error, device = path, "no memory for its state, so a restart starts anew");
            return None;
        }
    };
    for (name, fd) in [(path, fd.as_fd()), (name.as_str(), file.as_fd())] {
        let states = [NotifyState::FdStore, NotifyState::FdName(name)];
        if let Err(error) = sd_notify::notify_with_fds(&states, &[fd]) {
            warn!(%error, device = path, "the service manager could not be given its queue");
        }
    }
    Some(Next { file })
}

/// Has it no longer kept.
pub(super) fn forget(path: &str) {
    for name in [path, &format!("{NEXT}{path}")] {
        tell(&[NotifyState::FdStoreRemove, NotifyState::FdName(name)]);
    }
}
