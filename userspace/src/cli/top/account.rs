// SPDX-License-Identifier: MIT OR Apache-2.0
//! From one look to the next: rates, and counts since a reset.

use std::collections::HashMap;
use std::os::fd::AsFd as _;
use std::path::Path;

use evq::uapi::{Info, INFO_RETIRED};
use evq::{Options, Queue};
use nix::sys::stat::fstat;
use nix::time::{clock_gettime, ClockId};
use serde::Serialize;

use super::super::json;
use super::age::{self, Ages, Percentiles};
use super::sample::{subscribers, FileNumber, Subscriber};

/// One look, in numbers; a line of `--stream json`, which docs/top.schema.json
/// describes. Rates are per second since the look before, and null in the first
/// one.
#[derive(Debug, Serialize)]
pub(super) struct View {
    v: u32,
    pub(super) device: String,
    /// CLOCK_MONOTONIC.
    pub(super) time_ns: u64,
    pub(super) retired: bool,
    pub(super) capacity: u32,
    /// Events that the ring holds.
    pub(super) held: u64,
    pub(super) posted: u64,
    pub(super) posted_per_s: Option<f64>,
    pub(super) overwritten: u64,
    pub(super) refused: u64,
    pub(super) wakeups: u64,
    pub(super) wakeups_per_s: Option<f64>,
    pub(super) signals: u64,
    pub(super) signals_per_s: Option<f64>,
    /// Open files but this one; those that are not in the list belong to others,
    /// or only write.
    pub(super) open: u32,
    /// Of all subscribers in the list.
    #[serde(flatten)]
    pub(super) ages: Percentiles,
    pub(super) subscribers: Vec<Row>,
}

/// A subscriber.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    pub(super) pid: u32,
    pub(super) fd: u32,
    pub(super) command: String,
    /// Events that it has not read yet.
    pub(super) behind: u64,
    pub(super) delivered: u64,
    pub(super) delivered_per_s: Option<f64>,
    pub(super) lost: u64,
    pub(super) lost_per_s: Option<f64>,
    /// Of those behind, events that are overwritten already: its next read tells
    /// of them as lost (but for those that its filter does not want).
    pub(super) pending_lost: u64,
    /// Not wanted by its filter.
    pub(super) skipped: u64,
    /// For how long the oldest event has been waiting that it has not read.
    pub(super) age_ns: u64,
    #[serde(flatten)]
    pub(super) ages: Percentiles,
}

impl Row {
    /// Events that it did not get, and those that it cannot get any more.
    pub(super) fn gone(&self) -> u64 {
        self.lost.saturating_add(self.pending_lost)
    }

    /// Whether it loses events now.
    pub(super) fn loses(&self) -> bool {
        self.pending_lost > 0 || self.lost_per_s.is_some_and(|rate| rate > 0.0)
    }
}

/// What was found in one look.
#[derive(Clone, Debug, Default)]
struct Look {
    time_ns: u64,
    info: Info,
    subscribers: HashMap<FileNumber, Subscriber>,
}

/// A queue, and the looks at it that matter.
pub(super) struct Account {
    queue: Queue,
    rdev: u64,
    last: Option<Look>,
    /// What counts are told from.
    base: Look,
    /// Since then.
    ages: Ages,
}

impl Account {
    pub(super) fn open(path: &Path) -> anyhow::Result<Account> {
        let queue = Options::new().nonblocking(true).open(path)?;
        let rdev = fstat(queue.as_fd())?.st_rdev;
        Ok(Account {
            queue,
            rdev,
            last: None,
            base: Look::default(),
            ages: Ages::default(),
        })
    }

    pub(super) fn look(&mut self) -> anyhow::Result<View> {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
        let time_ns = now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64;
        let mut found = subscribers(self.rdev);
        age::fill_in(&self.queue, time_ns, &mut found);
        let look = Look {
            time_ns,
            info: self.queue.info()?,
            subscribers: found,
        };
        self.ages.add(&look.subscribers);
        let (name, last) = (self.queue.name(), self.last.as_ref());
        let view = view(name, &look, last, &self.base, &self.ages);
        self.last = Some(look);
        Ok(view)
    }

    /// Counts begin anew with the last look.
    pub(super) fn reset(&mut self) {
        self.base = self.last.clone().unwrap_or_default();
        self.ages.clear();
    }
}

fn view(device: &str, look: &Look, last: Option<&Look>, base: &Look, ages: &Ages) -> View {
    let info = &look.info;
    let rate = |field: fn(&Info) -> u64| {
        let last = last?;
        per_second(look.time_ns - last.time_ns, field(&last.info), field(info))
    };
    let count = |field: fn(&Info) -> u64| since(field(&base.info), field(info));
    let mut subscribers: Vec<_> = look
        .subscribers
        .iter()
        .map(|(file, now)| row(*file, now, look, last, base, ages))
        .collect();
    // The most unhappy first.
    subscribers.sort_by_key(|row| std::cmp::Reverse((row.gone(), row.behind, row.pid, row.fd)));
    View {
        v: json::VERSION,
        device: device.into(),
        time_ns: look.time_ns,
        retired: info.flags & INFO_RETIRED != 0,
        capacity: info.capacity,
        held: info.posted.saturating_add(1).saturating_sub(info.oldest),
        posted: count(|info| info.posted),
        posted_per_s: rate(|info| info.posted),
        overwritten: count(|info| info.overwritten),
        refused: count(|info| info.refused),
        wakeups: count(|info| info.wakeups),
        wakeups_per_s: rate(|info| info.wakeups),
        signals: count(|info| info.signals),
        signals_per_s: rate(|info| info.signals),
        open: info.subscribers.saturating_sub(1),
        ages: ages.of_all(),
        subscribers,
    }
}

fn row(
    file: FileNumber,
    now: &Subscriber,
    look: &Look,
    last: Option<&Look>,
    base: &Look,
    ages: &Ages,
) -> Row {
    let before = last.and_then(|last| Some((last, last.subscribers.get(&file)?)));
    let rate = |field: fn(&Subscriber) -> u64| {
        let (last, before) = before?;
        per_second(look.time_ns - last.time_ns, field(before), field(now))
    };
    let base = base.subscribers.get(&file);
    let count = |field: fn(&Subscriber) -> u64| since(base.map_or(0, field), field(now));
    Row {
        pid: now.pid,
        fd: now.fd,
        command: now.command.clone(),
        behind: now.behind,
        delivered: count(|subscriber| subscriber.delivered),
        delivered_per_s: rate(|subscriber| subscriber.delivered),
        lost: count(|subscriber| subscriber.lost),
        lost_per_s: rate(|subscriber| subscriber.lost),
        pending_lost: look.info.oldest.saturating_sub(now.next).min(now.behind),
        skipped: count(|subscriber| subscriber.skipped),
        age_ns: now.age_ns,
        ages: ages.of(file),
    }
}

/// The difference; or all of it where the count has begun anew, by a seek.
fn since(before: u64, now: u64) -> u64 {
    now.checked_sub(before).unwrap_or(now)
}

fn per_second(elapsed_ns: u64, before: u64, now: u64) -> Option<f64> {
    let rate = since(before, now) as f64 * 1e9 / elapsed_ns as f64;
    // Two looks in one nanosecond say nothing.
    rate.is_finite().then_some(rate)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cli::wallclock::WallClock;

    fn subscriber(fd: u32, delivered: u64, lost: u64) -> (FileNumber, Subscriber) {
        let subscriber = Subscriber {
            pid: 42,
            fd,
            command: "reader".into(),
            next: delivered + lost + 1,
            behind: 3,
            age_ns: 2_000_000,
            delivered,
            lost,
            skipped: 0,
        };
        (fd.into(), subscriber)
    }

    fn look(seconds: u64, posted: u64, subscribers: &[(u32, u64, u64)]) -> Look {
        Look {
            time_ns: seconds * 1_000_000_000,
            info: Info {
                capacity: 64,
                posted,
                oldest: (posted + 1).saturating_sub(64).max(1),
                subscribers: 3,
                ..Info::default()
            },
            subscribers: subscribers
                .iter()
                .map(|&(fd, delivered, lost)| subscriber(fd, delivered, lost))
                .collect(),
        }
    }

    /// A lapped reader's loss shows before it reads, and is part of its order.
    #[test]
    fn what_is_overwritten_is_a_pending_loss() {
        let mut now = look(12, 24_700, &[(3, 16, 0), (4, 24_600, 0)]);
        now.info.capacity = 1024;
        now.info.oldest = 24_700 - 1023;
        for (fd, behind) in [(3, 24_684), (4, 100)] {
            now.subscribers.get_mut(&fd).unwrap().behind = behind;
        }
        let view = view("x", &now, None, &Look::default(), &Ages::default());
        let rows = view.subscribers.iter();
        let rows: Vec<_> = rows
            .map(|row| (row.fd, row.lost, row.pending_lost, row.loses()))
            .collect();
        assert_eq!(rows, [(3, 0, 24_684 - 1024, true), (4, 0, 0, false)]);
    }

    /// Two looks, two seconds apart.
    pub(in super::super) fn example() -> View {
        let before = look(10, 100, &[(3, 90, 0), (4, 50, 20)]);
        let now = look(12, 700, &[(3, 690, 0), (4, 60, 520)]);
        let mut ages = Ages::default();
        ages.add(&now.subscribers);
        view("/dev/evq", &now, Some(&before), &Look::default(), &ages)
    }

    #[test]
    fn rates_are_per_second_since_the_look_before() {
        let view = example();
        assert_eq!((view.posted, view.posted_per_s), (700, Some(300.0)));
        assert_eq!((view.held, view.open), (64, 2));
        let rows: Vec<_> = view.subscribers.iter().map(|r| (r.fd, r.lost)).collect();
        assert_eq!(rows, [(4, 520), (3, 0)], "who loses comes first");
        assert_eq!(view.subscribers[0].lost_per_s, Some(250.0));
        assert_eq!(view.subscribers[1].delivered_per_s, Some(300.0));
    }

    #[test]
    fn the_lines_are_documented() {
        let schema = include_str!("../../../../docs/top.schema.json");
        let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let first = view(
            "x",
            &look(1, 5, &[(3, 5, 0)]),
            None,
            &Look::default(),
            &Ages::default(),
        );
        for view in [first, example()] {
            let line: serde_json::Value =
                serde_json::from_str(&WallClock::new().json_line(&view, view.time_ns)).unwrap();
            if let Err(error) = validator.validate(&line) {
                panic!("docs/top.schema.json forbids {line}: {error}");
            }
            // Nothing is there that is not in it.
            let fields = |value: &serde_json::Value| {
                let fields = value.as_object().unwrap().keys();
                fields.cloned().collect::<Vec<_>>()
            };
            let known = &schema["properties"];
            assert_eq!(fields(&line), fields(known));
            let known = &known["subscribers"]["items"]["properties"];
            assert_eq!(fields(&line["subscribers"][0]), fields(known));
        }
    }

    #[test]
    fn the_first_look_has_no_rates() {
        let view = view(
            "x",
            &look(1, 5, &[(3, 5, 0)]),
            None,
            &Look::default(),
            &Ages::default(),
        );
        assert_eq!((view.posted, view.posted_per_s), (5, None));
        assert_eq!(view.subscribers[0].delivered_per_s, None);
    }

    #[test]
    fn a_reset_starts_the_counts_anew_and_a_seek_the_subscribers() {
        let base = look(1, 100, &[(3, 90, 10)]);
        let now = look(2, 130, &[(3, 5, 0), (4, 7, 1)]);
        let view = view("x", &now, Some(&base), &base, &Ages::default());
        assert_eq!(view.posted, 30);
        let rows: Vec<_> = view
            .subscribers
            .iter()
            .map(|r| (r.fd, r.delivered))
            .collect();
        assert_eq!(rows, [(4, 7), (3, 5)]);
        assert_eq!(view.subscribers[1].delivered_per_s, Some(5.0));
        assert_eq!(view.subscribers[0].delivered_per_s, None, "it is new");
    }

    #[test]
    fn the_same_moment_twice_has_no_rate() {
        assert_eq!(per_second(0, 1, 2), None);
        assert_eq!(per_second(0, 1, 1), None);
    }
}
