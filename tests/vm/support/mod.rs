// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the tests share.

pub(crate) mod calls;
pub(crate) mod client;
pub(crate) mod device;
pub(crate) mod inject;
pub(crate) mod keyboard;
pub(crate) mod memory;
pub(crate) mod modules;
pub(crate) mod process;
pub(crate) mod signals;
pub(crate) mod worker;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use io_uring::IoUring;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};

/// Far more than anything in here takes, also on a slow machine that emulates
/// a slow machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Says a number that is worth knowing, past the harness, which would keep it.
/// `tests/all` repeats these lines at its end.
pub(crate) fn figure(text: &str) {
    let line = format!("\nfigure: {text}\n");
    // Whoever reads it may have gone.
    let _ = nix::unistd::write(std::io::stdout(), line.as_bytes());
}

/// What `poll` says about the fd right now.
pub(crate) fn readiness(fd: impl AsFd, asked: PollFlags) -> PollFlags {
    let mut fds = [PollFd::new(fd.as_fd(), asked)];
    poll(&mut fds, PollTimeout::ZERO).expect("poll without waiting");
    fds[0].revents().expect("poll knows all of these flags")
}

/// Waits until the fd is readable (or has failed); panics when it takes too long.
pub(crate) fn until_readable(fd: BorrowedFd<'_>, what: &str) {
    let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
    let limit = PollTimeout::try_from(LIMIT).expect("a minute fits");
    let count = poll(&mut fds, limit).unwrap_or_else(|errno| panic!("polling {what}: {errno}"));
    assert_eq!(count, 1, "{what} was not readable within {LIMIT:?}");
}

/// Waits until a ring has a completion; `submit_and_wait` would do so for ever.
pub(crate) fn until_completed(ring: &IoUring) {
    // SAFETY: The ring keeps it open, and is borrowed for as long as this is used.
    let fd = unsafe { BorrowedFd::borrow_raw(ring.as_raw_fd()) };
    until_readable(fd, "a completion of the io_uring");
}

/// How much of what is random is tried: 1, or `EVQ_EFFORT`.
pub(crate) fn effort() -> u64 {
    std::env::var("EVQ_EFFORT").map_or(1, |text| {
        let effort = text.parse().ok().filter(|effort| *effort > 0);
        effort.unwrap_or_else(|| panic!("EVQ_EFFORT={text}: wanted a number from 1 on"))
    })
}
