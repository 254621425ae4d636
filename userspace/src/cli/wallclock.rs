// SPDX-License-Identifier: MIT OR Apache-2.0
//! Dates of events, which are stamped with `CLOCK_MONOTONIC`.
//!
//! The wall clock is ahead of `CLOCK_MONOTONIC` by an offset that changes only when
//! the wall clock is set or the machine resumes from suspend. Each offset is kept with
//! the time from which on it holds, and an event gets the one that held at its time:
//! equal stamps give equal dates, and the order within one offset is kept.
//!
//! When exactly an offset changed, the kernel does not say. A program that waits is
//! woken by the change (a timerfd that is cancelled) and so knows it to the time of
//! that wake-up; the new offset counts from the last time at which the old one was
//! seen. Events from before the program began get the offset that held then.

use std::os::fd::{AsFd, BorrowedFd};

use evq::clock::{boot_id, Moment};
use evq::recording::Segment;
use jiff::tz::TimeZone;
use jiff::Timestamp;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::row::Row;

/// Changes that are remembered; a clock that is set more often is broken.
const CHANGES: usize = 256;

/// The wall clock of one boot.
#[derive(Debug, Default)]
pub(super) struct WallClock {
    /// Offsets of the wall clock, and from which time on each of them holds.
    offsets: Vec<(u64, i128)>,
    /// When the last of them was seen to hold.
    seen_ns: u64,
    /// Becomes readable when an offset has changed; only for the clock of this boot.
    changed: Option<TimerFd>,
    /// Which boot of which machine, 32 hex digits.
    boot_id: Option<String>,
}

impl WallClock {
    /// That of this boot, from now on.
    pub(super) fn new() -> WallClock {
        let mut clock = WallClock {
            changed: changes(),
            boot_id: boot_id().ok().map(hex),
            ..WallClock::default()
        };
        let now = Moment::now();
        clock.observe(&now);
        clock
    }

    /// That of a recording; dates are not known if it does not know them.
    pub(super) fn recorded(segment: &Segment) -> WallClock {
        let mut clock = WallClock {
            boot_id: (segment.boot_id != 0).then(|| hex(segment.boot_id)),
            ..WallClock::default()
        };
        if segment.realtime_ns != 0 {
            clock.observe(&Moment {
                monotonic_ns: segment.monotonic_ns,
                realtime_ns: segment.realtime_ns.into(),
                error_ns: 0,
            });
        }
        clock
    }

    /// Looks whether the offset has changed. To be called before events are printed,
    /// once for as many as were read together, and when [`WallClock::changes`] is
    /// readable. Says whether it has.
    pub(super) fn check(&mut self) -> bool {
        let Some(timer) = &self.changed else {
            return false;
        };
        // After a change it is cancelled, and readable until it is read; then it waits
        // for the next one by itself. Before that there is nothing to read.
        let _ = timer.wait();
        self.observe(&Moment::now())
    }

    /// Becomes readable when the offset changes; None for a recording, or where the
    /// kernel cannot tell.
    pub(super) fn changes(&self) -> Option<BorrowedFd<'_>> {
        self.changed.as_ref().map(AsFd::as_fd)
    }

    fn observe(&mut self, now: &Moment) -> bool {
        let offset = now.offset_ns();
        let (from, same) = match self.offsets.last() {
            None => (0, false),
            Some((_, last)) => {
                let slack = u128::from(now.error_ns) * 2;
                (
                    self.seen_ns.saturating_add(1),
                    (offset - last).unsigned_abs() <= slack,
                )
            }
        };
        if !same {
            if self.offsets.len() == CHANGES {
                self.offsets.remove(0);
            }
            self.offsets.push((from, offset));
        }
        self.seen_ns = now.monotonic_ns;
        !same
    }

    /// The date of a stamp, if it is known and a date at all.
    pub(super) fn date(&self, time_ns: u64) -> Option<Timestamp> {
        let later = self.offsets.partition_point(|(from, _)| *from <= time_ns);
        let (_, offset) = self.offsets.get(later.saturating_sub(1))?;
        Timestamp::from_nanosecond(i128::from(time_ns) + offset).ok()
    }

    /// The date as programs read it: RFC 3339, UTC, nine decimals.
    pub(super) fn utc(&self, time_ns: u64) -> Option<String> {
        self.date(time_ns).map(utc)
    }

    /// A line of JSON of a value with `time_ns`, and with the date of that.
    #[cfg(feature = "top")]
    pub(super) fn json_line(&self, value: &impl serde::Serialize, time_ns: u64) -> String {
        #[derive(serde::Serialize)]
        struct Dated<'a, T> {
            #[serde(flatten)]
            value: &'a T,
            #[serde(skip_serializing_if = "Option::is_none")]
            time: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            boot_id: Option<&'a str>,
            time_ns_str: String,
        }
        super::json::line(&Dated {
            value,
            time: self.utc(time_ns),
            boot_id: self.boot_id.as_deref(),
            time_ns_str: time_ns.to_string(),
        })
    }

    /// Adds to a row what makes its time one of all machines and boots.
    pub(super) fn date_row(&self, row: &mut Row<'_>) {
        row.time = self.utc(row.time_ns);
        row.boot_id = self.boot_id.clone();
    }
}

pub(super) fn utc(date: Timestamp) -> String {
    let date = date.to_zoned(TimeZone::UTC);
    date.strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string()
}

fn hex(boot_id: u128) -> String {
    format!("{boot_id:032x}")
}

/// A timer that never ends and is cancelled when the wall clock is set, or the machine
/// resumes.
fn changes() -> Option<TimerFd> {
    let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
    let timer = TimerFd::new(ClockId::CLOCK_REALTIME, flags).ok()?;
    // The kernel takes this for the end of all times.
    let never = Expiration::OneShot(TimeSpec::new(i64::MAX, 0));
    let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
    timer.set(never, flags).ok()?;
    Some(timer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const HOUR: i128 = 3_600 * SECOND as i128;

    /// A clock that has seen these: CLOCK_MONOTONIC in seconds, offset.
    fn clock(seen: &[(u64, i128)]) -> WallClock {
        let mut clock = WallClock::default();
        for &(second, offset) in seen {
            clock.observe(&Moment {
                monotonic_ns: second * SECOND,
                realtime_ns: i128::from(second * SECOND) + offset,
                error_ns: 0,
            });
        }
        clock
    }

    fn date_ns(clock: &WallClock, time_ns: u64) -> i128 {
        clock.date(time_ns).unwrap().as_nanosecond()
    }

    #[test]
    fn equal_stamps_have_equal_dates_whatever_happens_meanwhile() {
        let mut clock = clock(&[(10, HOUR)]);
        let before = date_ns(&clock, 5 * SECOND);
        assert_eq!(before, HOUR + 5 * i128::from(SECOND));
        for (second, offset) in [(20, HOUR), (30, 9 * HOUR), (40, 0), (50, 0)] {
            clock.observe(&Moment {
                monotonic_ns: second * SECOND,
                realtime_ns: i128::from(second * SECOND) + offset,
                error_ns: 0,
            });
            assert_eq!(date_ns(&clock, 5 * SECOND), before, "{second}");
        }
        assert_eq!(clock.offsets.len(), 3, "one for each change");
    }

    /// A suspend of 8 hours between second 20, when the clock was looked at last, and
    /// second 21.
    #[test]
    fn each_event_has_the_offset_of_its_time() {
        let clock = clock(&[(10, 0), (20, 0), (21, 8 * HOUR), (30, 8 * HOUR)]);
        for (time_ns, offset) in [
            (0, 0),
            (20 * SECOND, 0),
            (20 * SECOND + 1, 8 * HOUR),
            (21 * SECOND, 8 * HOUR),
            (100 * SECOND, 8 * HOUR),
        ] {
            assert_eq!(date_ns(&clock, time_ns), i128::from(time_ns) + offset);
        }
    }

    #[test]
    fn readings_that_are_not_exact_are_no_change() {
        let mut clock = clock(&[(10, 0)]);
        let near = |error_ns| Moment {
            monotonic_ns: 20 * SECOND,
            realtime_ns: i128::from(20 * SECOND) + 150,
            error_ns,
        };
        assert!(!clock.observe(&near(100)));
        assert!(clock.observe(&near(0)));
    }

    #[test]
    fn the_history_is_bounded() {
        let seen: Vec<_> = (0..1000).map(|n| (n, i128::from(n))).collect();
        let clock = clock(&seen);
        assert_eq!(clock.offsets.len(), CHANGES);
        assert_eq!(
            date_ns(&clock, 999 * SECOND),
            i128::from(999 * SECOND) + 999
        );
    }

    #[test]
    fn this_clock_is_that_of_the_system() {
        let mut clock = WallClock::new();
        let (before, stamp, after) = (Timestamp::now(), Moment::now(), Timestamp::now());
        assert!(!clock.check());
        let date = clock.date(stamp.monotonic_ns).unwrap();
        assert!((before..=after).contains(&date), "{before} {date} {after}");
        assert_eq!(clock.boot_id.as_deref().map(str::len), Some(32));
        // Another process, another reading: the same date.
        assert_eq!(WallClock::new().date(stamp.monotonic_ns), Some(date));
        assert!(clock.utc(0).unwrap().ends_with('Z'));
    }

    #[test]
    fn recordings_have_their_own_clock() {
        let segment = Segment {
            boot_id: 0x0123,
            monotonic_ns: 10,
            realtime_ns: 1_700_000_000_000_000_010,
            ..Segment::unknown("/dev/evq", 1)
        };
        let mut clock = WallClock::recorded(&segment);
        assert!(!clock.check());
        assert_eq!(
            clock.utc(5).as_deref(),
            Some("2023-11-14T22:13:20.000000005Z")
        );
        assert_eq!(
            clock.boot_id.as_deref(),
            Some("00000000000000000000000000000123")
        );
        let unknown = WallClock::recorded(&Segment::unknown("/dev/evq", 1));
        assert_eq!((unknown.utc(5), unknown.boot_id), (None, None));
    }
}
