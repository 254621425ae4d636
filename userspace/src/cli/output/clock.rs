// SPDX-License-Identifier: MIT OR Apache-2.0
//! Times as people want to see them. All sources stamp with `CLOCK_MONOTONIC`.

use clap::ValueEnum;
use jiff::tz::TimeZone;
use jiff::Timestamp;

use crate::cli::wallclock::{self, WallClock};

/// How to print times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Clock {
    /// Seconds of CLOCK_MONOTONIC, as the queue stamps its events.
    #[default]
    Monotonic,
    /// Seconds since the first event that is printed.
    Relative,
    /// Seconds since the event that was printed before.
    Delta,
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
    last_ns: Option<u64>,
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
            last_ns: None,
            zone,
        }
    }

    /// The time of an event. Dates are those of `wall`.
    pub(super) fn print(&mut self, time_ns: u64, wall: &WallClock) -> String {
        let first_ns = *self.first_ns.get_or_insert(time_ns);
        let last_ns = self.last_ns.replace(time_ns).unwrap_or(time_ns);
        match self.clock {
            Clock::Monotonic => seconds(i128::from(time_ns)),
            // Sources are not read in the order of their times.
            Clock::Relative => seconds(i128::from(time_ns) - i128::from(first_ns)),
            Clock::Delta => seconds(i128::from(time_ns) - i128::from(last_ns)),
            Clock::Utc => date(wall.date(time_ns), time_ns, wallclock::utc),
            Clock::Local => date(wall.date(time_ns), time_ns, |date| {
                let date = date.to_zoned(self.zone.clone());
                date.strftime("%Y-%m-%dT%H:%M:%S.%9f%:z").to_string()
            }),
        }
    }
}

/// As other times are, where there is no date: of a source that stamps nonsense, or of a
/// recording that does not know.
fn date(date: Option<Timestamp>, time_ns: u64, print: impl FnOnce(Timestamp) -> String) -> String {
    date.map_or_else(|| seconds(i128::from(time_ns)), print)
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
        let wall = WallClock::default();
        let mut times = Times::new(Clock::Relative);
        let mut print = |time_ns| times.print(time_ns, &wall);
        assert_eq!(print(5_000_000_001), "    0.000000000");
        assert_eq!(print(6_500_000_001), "    1.500000000");
        assert_eq!(print(5_000_000_000), "   -0.000000001");
    }

    #[test]
    fn deltas_are_to_the_event_before() {
        let wall = WallClock::default();
        let mut times = Times::new(Clock::Delta);
        let mut print = |time_ns| times.print(time_ns, &wall);
        assert_eq!(print(5_000_000_001), "    0.000000000");
        assert_eq!(print(6_500_000_001), "    1.500000000");
        assert_eq!(print(6_500_000_003), "    0.000000002");
        // Sources are not read in the order of their times.
        assert_eq!(print(6_500_000_001), "   -0.000000002");
    }

    #[test]
    fn dates_are_those_of_the_wall_clock() {
        let wall = WallClock::new();
        let stamp = evq::clock::Moment::now();
        for clock in [Clock::Utc, Clock::Local] {
            let printed = Times::new(clock).print(stamp.monotonic_ns, &wall);
            let time: Timestamp = printed.parse().unwrap();
            assert_eq!(time.as_nanosecond(), stamp.realtime_ns, "{printed}");
        }
        let mut utc = Times::new(Clock::Utc);
        assert!(utc.print(0, &wall).ends_with('Z'));
        // Where none is known.
        assert_eq!(utc.print(5, &WallClock::default()), "    0.000000005");
    }
}
