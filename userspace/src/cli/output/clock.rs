// SPDX-License-Identifier: MIT OR Apache-2.0
//! Times as people want to see them. All sources stamp with `CLOCK_MONOTONIC`.

use clap::ValueEnum;
use jiff::tz::TimeZone;
use jiff::Timestamp;
use nix::time::{clock_gettime, ClockId};

/// How to print times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Clock {
    /// Seconds of CLOCK_MONOTONIC, as the queue stamps its events.
    #[default]
    Monotonic,
    /// Seconds since the first event that is printed.
    Relative,
    /// Date and time, UTC.
    Utc,
    /// Date and time, local.
    Local,
}

/// Prints times by a [`Clock`].
#[derive(Debug)]
pub(super) struct Times {
    clock: Clock,
    first_ns: Option<u64>,
    zone: TimeZone,
}

impl Times {
    pub(super) fn new(clock: Clock) -> Times {
        let zone = match clock {
            Clock::Local => TimeZone::system(),
            _ => TimeZone::UTC,
        };
        Times {
            clock,
            first_ns: None,
            zone,
        }
    }

    /// The time of an event.
    pub(super) fn print(&mut self, time_ns: u64) -> String {
        let first_ns = *self.first_ns.get_or_insert(time_ns);
        match self.clock {
            Clock::Monotonic => seconds(i128::from(time_ns)),
            // Sources are not read in the order of their times.
            Clock::Relative => seconds(i128::from(time_ns) - i128::from(first_ns)),
            Clock::Utc => self.date(time_ns, "%Y-%m-%dT%H:%M:%S.%9fZ"),
            Clock::Local => self.date(time_ns, "%Y-%m-%dT%H:%M:%S.%9f%:z"),
        }
    }

    /// By the distance of the two clocks as it is now: the wall clock may have
    /// been set meanwhile.
    fn date(&self, time_ns: u64, format: &str) -> String {
        let now = |clock| {
            // It cannot fail for these clocks.
            clock_gettime(clock).map_or(0, |now| {
                i128::from(now.tv_sec()) * 1_000_000_000 + i128::from(now.tv_nsec())
            })
        };
        let ahead = now(ClockId::CLOCK_REALTIME) - now(ClockId::CLOCK_MONOTONIC);
        match Timestamp::from_nanosecond(i128::from(time_ns) + ahead) {
            Ok(time) => time
                .to_zoned(self.zone.clone())
                .strftime(format)
                .to_string(),
            // A source that stamps nonsense.
            Err(_) => seconds(i128::from(time_ns)),
        }
    }
}

/// Seconds with nine decimals.
fn seconds(ns: i128) -> String {
    let (sign, ns) = (if ns < 0 { "-" } else { "" }, ns.unsigned_abs());
    let seconds = format!("{sign}{}", ns / 1_000_000_000);
    format!("{seconds:>5}.{:09}", ns % 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_times_may_be_negative() {
        let mut times = Times::new(Clock::Relative);
        assert_eq!(times.print(5_000_000_001), "    0.000000000");
        assert_eq!(times.print(6_500_000_001), "    1.500000000");
        assert_eq!(times.print(5_000_000_000), "   -0.000000001");
    }

    #[test]
    fn dates_are_those_of_the_wall_clock() {
        let now = |clock| {
            let now = clock_gettime(clock).unwrap();
            u64::try_from(now.tv_sec() * 1_000_000_000 + now.tv_nsec()).unwrap()
        };
        for clock in [Clock::Utc, Clock::Local] {
            let before = now(ClockId::CLOCK_REALTIME);
            let printed = Times::new(clock).print(now(ClockId::CLOCK_MONOTONIC));
            let after = now(ClockId::CLOCK_REALTIME);
            let time: Timestamp = printed.parse().unwrap();
            let time = u64::try_from(time.as_nanosecond()).unwrap();
            // The two clocks are read one after the other.
            let slack = after - before;
            assert!(
                (before - slack..=after + slack).contains(&time),
                "{printed}: {before}..{after}"
            );
        }
        assert!(Times::new(Clock::Utc).print(0).ends_with('Z'));
        // Beyond what a date can be.
        assert!(Times::new(Clock::Utc).print(u64::MAX).contains('.'));
    }
}
