// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where to start in a queue: at a number, so many events back, or at a time.

use std::str::FromStr;
use std::time::Duration;

use evq::clock::Moment;
use evq::{Event, Filled, Position, Queue};
use jiff::civil;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::filter::Filter;
use super::watch::duration;

/// Records per read.
const BATCH: usize = 256;

/// Where to start, as far as the queue still holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    At(Position),
    /// With the last so many events that are wanted.
    Last(u64),
    /// With the first event that is not older.
    Since(Since),
}

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// So long ago.
    Ago(Duration),
    /// By the wall clock.
    Date(Timestamp),
}

impl FromStr for Since {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Since, Self::Err> {
        if let Ok(ago) = duration(text) {
            return Ok(Since::Ago(ago));
        }
        if let Ok(date) = text.parse() {
            return Ok(Since::Date(date));
        }
        let zone = TimeZone::system();
        let local = |date: civil::DateTime| date.to_zoned(zone.clone());
        let date = if let Ok(date) = text.parse::<civil::DateTime>() {
            local(date)
        } else if let Ok(time) = text.parse::<civil::Time>() {
            local(
                Zoned::now()
                    .with_time_zone(zone.clone())
                    .date()
                    .to_datetime(time),
            )
        } else {
            return Err(WANTED);
        };
        date.map(|date| Since::Date(date.timestamp()))
            .map_err(|_| WANTED)
    }
}

const WANTED: &str = "give how long ago (90s, 5m, 1.5h), or a date: 2026-11-21T12:34:56Z in UTC, \
                      '2026-11-21 12:34' or 2026-11-21 in local time, or 12:34 of today";

impl Since {
    /// By `CLOCK_MONOTONIC`, which stamps events: by the offset of the clocks that holds
    /// now. What was before this boot has no event.
    fn stamp(self, now: &Moment) -> u64 {
        match self {
            Since::Ago(ago) => {
                let ago = u64::try_from(ago.as_nanos()).unwrap_or(u64::MAX);
                now.monotonic_ns.saturating_sub(ago)
            }
            Since::Date(date) => {
                let stamp = date.as_nanosecond() - now.offset_ns();
                u64::try_from(stamp.max(0)).unwrap_or(u64::MAX)
            }
        }
    }
}

impl Start {
    /// Puts the cursor there. To be called before the queue gets a filter: of the events
    /// that it holds, none must be waited for.
    pub(super) fn seek(self, queue: &Queue, wanted: &Filter) -> evq::Result<()> {
        let position = match self {
            Start::At(position) => position,
            Start::Last(count) => Position::Seq(last(queue, count, wanted)?),
            Start::Since(since) => Position::Seq(first_at(queue, since.stamp(&Moment::now()))?),
        };
        queue.seek(position).map(drop)
    }
}

/// The number that the last `count` wanted events begin with.
fn last(queue: &Queue, count: u64, wanted: &Filter) -> evq::Result<u64> {
    let info = queue.info()?;
    if wanted.is_empty() {
        return Ok((info.posted + 1).saturating_sub(count).max(info.oldest));
    }
    let mut next = queue.seek(Position::Oldest)?;
    let oldest = next;
    let mut found = std::collections::VecDeque::new();
    let mut events = [Event::default(); BATCH];
    // Those up to `posted` are there, so that no read waits.
    while next <= info.posted {
        let Filled::Records(read) = queue.read(&mut events)? else {
            break;
        };
        for event in &events[..read] {
            next = event.seq + 1;
            if wanted.wants_event(event) {
                found.push_back(event.seq);
                if found.len() as u64 > count {
                    found.pop_front();
                }
            }
        }
    }
    // With fewer of them: all that the queue holds.
    let enough = found.len() as u64 == count;
    Ok(found.front().filter(|_| enough).copied().unwrap_or(oldest))
}

/// The number of the first event that is not older than this; of the next one to come if
/// all are. Numbers and times rise together.
fn first_at(queue: &Queue, stamp: u64) -> evq::Result<u64> {
    let info = queue.info()?;
    let (mut low, mut high) = (info.oldest, info.posted + 1);
    let mut event = [Event::default()];
    while low < high {
        let middle = low + (high - low) / 2;
        let _ = queue.seek(Position::Seq(middle))?;
        let Filled::Records(_) = queue.read(&mut event)? else {
            break;
        };
        let [event] = event;
        if event.time_ns < stamp {
            low = event.seq + 1;
        } else if event.seq == middle {
            high = middle;
        } else {
            // Those before it have been overwritten meanwhile.
            return Ok(event.seq);
        }
    }
    Ok(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_durations_or_dates() {
        let second = Duration::from_secs(1);
        assert_eq!("90s".parse(), Ok(Since::Ago(90 * second)));
        assert_eq!("5m".parse(), Ok(Since::Ago(300 * second)));
        let date: Timestamp = "2026-11-21T12:34:56.5Z".parse().unwrap();
        assert_eq!("2026-11-21T12:34:56.5Z".parse(), Ok(Since::Date(date)));
        assert_eq!("2026-11-21T13:34:56.5+01:00".parse(), Ok(Since::Date(date)));
        for local in [
            "2026-11-21 12:34",
            "2026-11-21T12:34:56",
            "2026-11-21",
            "12:34",
        ] {
            assert!(matches!(local.parse(), Ok(Since::Date(_))), "{local}");
        }
        for bad in ["", "yesterday", "2026-13-01", "25:00", "-5m"] {
            let error = bad.parse::<Since>().unwrap_err();
            assert!(error.contains("how long ago"), "{bad}");
        }
    }

    #[test]
    fn stamps_are_of_the_monotonic_clock() {
        let now = Moment {
            monotonic_ns: 100_000_000_000,
            realtime_ns: 1_700_000_000_000_000_000,
            error_ns: 0,
        };
        let date = |ns| Since::Date(Timestamp::from_nanosecond(ns).unwrap());
        for (since, stamp) in [
            (Since::Ago(Duration::from_secs(40)), 60_000_000_000),
            (Since::Ago(Duration::from_secs(400)), 0),
            (date(1_700_000_000_000_000_000), 100_000_000_000),
            (date(1_699_999_999_000_000_001), 99_000_000_001),
            (date(0), 0),
        ] {
            assert_eq!(since.stamp(&now), stamp, "{since:?}");
        }
    }
}
