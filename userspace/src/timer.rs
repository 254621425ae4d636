// SPDX-License-Identifier: MIT OR Apache-2.0
//! Time as one more source of the loop.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{self, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::time::{clock_gettime, ClockId};

use crate::error::{Error, Result};

/// Nanoseconds of `CLOCK_MONOTONIC`, as queues and input devices stamp their
/// events. What was read is stamped after the read.
#[must_use]
pub fn monotonic_ns() -> u64 {
    // It cannot fail for this clock.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |now| {
        u64::try_from(now.tv_sec()).unwrap_or(0) * 1_000_000_000
            + u64::try_from(now.tv_nsec()).unwrap_or(0)
    })
}

/// Ticks at equal distances of `CLOCK_MONOTONIC`.
///
/// A timerfd gives no signals (U3): mechanisms that need them watch it beside
/// their sources, see [`crate::Watcher::arm_or_also`].
#[derive(Debug)]
pub struct Timer {
    fd: TimerFd,
    name: String,
}

impl Timer {
    /// Begins to tick, for the first time after `period`, which is not zero.
    /// Reads do not block.
    ///
    /// # Errors
    ///
    /// [`Error::System`], with EINVAL for a period of zero.
    pub fn every(period: Duration) -> Result<Timer> {
        let name = format!("every {period:?}");
        let failed = |errno| Error::system("set the timer", &name)(errno);
        if period.is_zero() {
            return Err(failed(Errno::EINVAL));
        }
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let fd = TimerFd::new(timerfd::ClockId::CLOCK_MONOTONIC, flags).map_err(failed)?;
        let period = Expiration::Interval(TimeSpec::from_duration(period));
        fd.set(period, TimerSetTimeFlags::empty()).map_err(failed)?;
        Ok(Timer { fd, name })
    }

    /// What messages call it: `every 1s`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many ticks there were since the last read; `None`: not one.
    ///
    /// # Errors
    ///
    /// [`Error::System`].
    pub fn read(&self) -> Result<Option<u64>> {
        let mut count = [0; size_of::<u64>()];
        loop {
            return match nix::unistd::read(&self.fd, &mut count) {
                Ok(_) => Ok(Some(u64::from_ne_bytes(count))),
                Err(Errno::EAGAIN) => Ok(None),
                Err(Errno::EINTR) => continue,
                Err(errno) => Err(Error::system("read the timer", &self.name)(errno)),
            };
        }
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
