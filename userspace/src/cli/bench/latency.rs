// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long after it was due an event is in the hands of a sleeping reader.
//!
//! Open loop: the producer has a timetable and keeps to it, whatever the reader
//! does. A delay counts from the timetable, not from when the producer came to
//! post: if one event holds up the next, that next one's wait is in the figures
//! (what a closed loop leaves out: coordinated omission). Beside that, the
//! delay from the post itself is told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use evq::via::Kind;
use evq::Watcher;
use hdrhistogram::Histogram;

use super::clock::{self, Cpus};
use super::peer::{Peer, Poster, Taker};
use super::Placement;

/// How the reader sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// In a read on a blocking descriptor.
    Read,
    /// In one of the library's mechanisms.
    Via(Kind),
}

impl Wait {
    pub(super) fn name(self) -> &'static str {
        match self {
            Wait::Read => "read",
            Wait::Via(kind) => kind.name(),
        }
    }
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) peer: Peer,
    pub(super) wait: Wait,
    pub(super) placement: Placement,
}

/// Nanoseconds, of one round.
pub(super) struct Sample {
    /// From when the event was due.
    pub(super) due: Histogram<u64>,
    /// From when its post began.
    pub(super) post: Histogram<u64>,
    /// Processor time of the reader for each event.
    pub(super) consumer_ns: f64,
}

/// For delays up to a minute, to three digits.
pub(super) fn histogram() -> anyhow::Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).context("making a histogram")
}

/// When each event is due, and when its post began.
struct Timetable {
    start: u64,
    interval: u64,
    posts: Vec<AtomicU64>,
}

impl Timetable {
    fn due(&self, number: usize) -> u64 {
        self.start + self.interval * number as u64
    }

    /// The producer: posts each event when it is due.
    fn keep(&self, poster: &mut dyn Poster, cpu: usize) -> anyhow::Result<()> {
        clock::bind(cpu)?;
        nix::sys::prctl::set_timerslack(1).context("asking for exact timers")?;
        for (number, post) in self.posts.iter().enumerate() {
            clock::wait_until(self.due(number));
            post.store(clock::now(), Ordering::Release);
            poster.post(1)?;
        }
        Ok(())
    }
}

impl Case {
    /// Posts `warm_up` and then `count` events, one every `interval`.
    pub(super) fn run(
        self,
        cpus: Cpus,
        interval: Duration,
        (warm_up, count): (usize, usize),
    ) -> anyhow::Result<Sample> {
        let link = self.peer.open(1)?;
        let mut poster = link.poster;
        let mut taker = link.takers.into_iter().next().context("no reader")?;
        let reader_cpu = match self.placement {
            Placement::SameCpu => cpus.first,
            Placement::CrossCpu => cpus.second.context("there is only one processor")?,
        };
        let all = warm_up + count;
        let timetable = Timetable {
            // Time for the reader to arm and to fall asleep.
            start: clock::now() + 20_000_000,
            interval: interval.as_nanos() as u64,
            posts: (0..all).map(|_| AtomicU64::new(0)).collect(),
        };
        clock::bind(reader_cpu)?;
        let mut record = Recorder::new(&timetable, warm_up)?;
        // Armed before there is another thread: it inherits the mask of signals.
        let mut watcher = match self.wait {
            Wait::Read => None,
            Wait::Via(kind) => {
                let mut watcher = Watcher::new(kind)?;
                watcher.arm(taker.fd(), "what is measured")?;
                Some(watcher)
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                if let Err(error) = timetable.keep(poster.as_mut(), cpus.first) {
                    super::give_up(&error);
                }
            });
            match &mut watcher {
                None => record.read(taker.as_mut()),
                Some(watcher) => record.watch(taker.as_mut(), watcher),
            }
        })?;
        Ok(record.done(count))
    }
}

/// The reader's side.
struct Recorder<'t> {
    timetable: &'t Timetable,
    due: Histogram<u64>,
    post: Histogram<u64>,
    /// Events that have come.
    number: usize,
    warm_up: usize,
    cpu_time: u64,
}

impl Recorder<'_> {
    fn new(timetable: &Timetable, warm_up: usize) -> anyhow::Result<Recorder<'_>> {
        Ok(Recorder {
            timetable,
            due: histogram()?,
            post: histogram()?,
            number: 0,
            warm_up,
            cpu_time: clock::cpu_time(),
        })
    }

    fn complete(&self) -> bool {
        self.number == self.timetable.posts.len()
    }

    /// `count` events are in hand now.
    fn came(&mut self, count: usize) -> anyhow::Result<()> {
        let now = clock::now();
        for _ in 0..count {
            let post = self.timetable.posts.get(self.number);
            let post = post.context("more events came than were posted")?;
            if self.number >= self.warm_up {
                let due = self.timetable.due(self.number);
                self.due.saturating_record(now.saturating_sub(due).max(1));
                let post = post.load(Ordering::Acquire);
                self.post.saturating_record(now.saturating_sub(post).max(1));
            }
            self.number += 1;
            if self.number == self.warm_up {
                self.cpu_time = clock::cpu_time();
            }
        }
        Ok(())
    }

    fn read(&mut self, taker: &mut dyn Taker) -> anyhow::Result<()> {
        while !self.complete() {
            let count = taker.take()?;
            self.came(count)?;
        }
        Ok(())
    }

    /// As a program does: waits, reads until there is nothing, waits.
    fn watch(&mut self, taker: &mut dyn Taker, watcher: &mut Watcher) -> anyhow::Result<()> {
        while !self.complete() {
            if watcher.wait(None)?.is_empty() {
                continue;
            }
            loop {
                let count = taker.take()?;
                if count == 0 {
                    break;
                }
                self.came(count)?;
            }
        }
        Ok(())
    }

    fn done(self, count: usize) -> Sample {
        Sample {
            due: self.due,
            post: self.post,
            consumer_ns: (clock::cpu_time() - self.cpu_time) as f64 / count as f64,
        }
    }
}
