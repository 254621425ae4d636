// SPDX-License-Identifier: MIT OR Apache-2.0
//! How `CLOCK_MONOTONIC`, which stamps all events, relates to the wall clock and to
//! other boots.
//!
//! The kernel keeps `CLOCK_REALTIME` as `CLOCK_MONOTONIC` plus an offset. The offset
//! changes when the wall clock is set (by a person, by a time service that steps it,
//! by a leap second) and when the machine resumes from suspend, during which
//! `CLOCK_MONOTONIC` stands still. A time service that slews the clock changes both
//! alike, and not the offset.

use std::fs;
use std::io;

use nix::time::{clock_gettime, ClockId};

/// Both clocks at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// `CLOCK_MONOTONIC` in nanoseconds.
    pub monotonic_ns: u64,
    /// `CLOCK_REALTIME` then, in nanoseconds since 1970; negative before it.
    pub realtime_ns: i128,
    /// How far the two may be from the same moment, in nanoseconds; 0: exact.
    pub error_ns: u64,
}

/// Ticks of the kernel last a millisecond and more: few attempts meet one.
const ATTEMPTS: usize = 8;

impl Moment {
    /// Reads both clocks. Two readings between two changes of the offset have the
    /// same [`Moment::offset_ns`], to the nanosecond, in all processes.
    #[must_use]
    pub fn now() -> Moment {
        // The coarse clocks stand still between two ticks of the kernel: between
        // equal readings of one of them there was no tick, so that the other was
        // read at the same moment.
        use ClockId as Id;
        let coarse = || read(Id::CLOCK_MONOTONIC_COARSE, Id::CLOCK_REALTIME_COARSE);
        let found = (0..ATTEMPTS).map(|_| coarse()).find(|m| m.error_ns == 0);
        let Some(exact) = found else {
            // A kernel whose coarse clocks are fine ones.
            let fine = (0..ATTEMPTS).map(|_| read(Id::CLOCK_MONOTONIC, Id::CLOCK_REALTIME));
            return fine.min_by_key(|m| m.error_ns).unwrap_or_else(coarse);
        };
        let monotonic_ns = ns(Id::CLOCK_MONOTONIC);
        Moment {
            monotonic_ns: unsigned(monotonic_ns),
            realtime_ns: monotonic_ns + exact.offset_ns(),
            error_ns: 0,
        }
    }

    /// What `CLOCK_REALTIME` is ahead of `CLOCK_MONOTONIC`, in nanoseconds.
    #[must_use]
    pub fn offset_ns(&self) -> i128 {
        self.realtime_ns - i128::from(self.monotonic_ns)
    }
}

fn ns(clock: ClockId) -> i128 {
    // It cannot fail for these clocks.
    clock_gettime(clock).map_or(0, |now| {
        i128::from(now.tv_sec()) * 1_000_000_000 + i128::from(now.tv_nsec())
    })
}

fn unsigned(ns: i128) -> u64 {
    u64::try_from(ns).unwrap_or(0)
}

fn read(monotonic: ClockId, realtime: ClockId) -> Moment {
    let (before, realtime_ns, after) = (ns(monotonic), ns(realtime), ns(monotonic));
    Moment {
        monotonic_ns: unsigned(before),
        realtime_ns,
        error_ns: unsigned(after - before),
    }
}

/// Which boot of which machine this is: `/proc/sys/kernel/random/boot_id`.
///
/// # Errors
///
/// Those of reading the file, which a container may lack.
pub fn boot_id() -> io::Result<u128> {
    let text = fs::read_to_string(BOOT_ID)?;
    let digits: String = text.trim().split('-').collect();
    u128::from_str_radix(&digits, 16).map_err(io::Error::other)
}

pub(crate) const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_is_the_same_until_a_clock_is_set() {
        let first = Moment::now();
        for _ in 0..10_000 {
            let next = Moment::now();
            assert!(next.monotonic_ns >= first.monotonic_ns);
            let slack = i128::from(first.error_ns + next.error_ns);
            assert!((next.offset_ns() - first.offset_ns()).abs() <= slack);
        }
        // The readings are exact on Linux itself.
        assert_eq!(first.error_ns, 0);
        let fine = read(ClockId::CLOCK_MONOTONIC, ClockId::CLOCK_REALTIME);
        let off = (fine.offset_ns() - first.offset_ns()).unsigned_abs();
        assert!(off <= u128::from(fine.error_ns), "{first:?} {fine:?}");
    }

    #[test]
    fn this_boot_has_an_id() {
        assert_ne!(boot_id().unwrap(), 0);
    }
}
