// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which events a rule is for, and what it does with them.

use std::path::PathBuf;
use std::time::Duration;

use evq::input::{Input, Stamped};
use evq::{Event, Source};

use crate::cli::describe::describe;
use crate::cli::filter::Filter;
use crate::cli::row::Row;
use crate::cli::wallclock::WallClock;
use crate::cli::{hex, json};

/// A rule of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) wanted: Wanted,
    pub(super) action: Action,
}

/// What an event has to be like; what is not said does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) device: Option<PathBuf>,
    pub(super) filter: Filter,
    pub(super) values: Option<Vec<i32>>,
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Starts a program; no shell is involved.
    Run {
        argv: Vec<String>,
        time_limit: Duration,
    },
    /// Appends the event to a file, as a line of JSON.
    Append(PathBuf),
    /// Logs it.
    Log,
}

/// An event of a queue or of an input device.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    Queue(Event),
    Input(Stamped),
}

impl Seen {
    /// Type and code.
    fn numbers(&self) -> (u16, u16) {
        match self {
            Seen::Queue(event) => (event.type_, event.code),
            Seen::Input(stamped) => (stamped.input.type_, stamped.input.code),
        }
    }

    fn input(&self) -> Option<Input> {
        match self {
            Seen::Queue(event) => Input::from_event(event),
            Seen::Input(stamped) => Some(stamped.input),
        }
    }

    /// Who posted it, as `watch` prints it.
    pub(super) fn source(&self, device: &str) -> String {
        match self {
            Seen::Queue(event) => Source::from(event.source).to_string(),
            Seen::Input(_) => device.rsplit('/').next().unwrap_or(device).into(),
        }
    }

    /// What it says, as `watch` prints it.
    pub(super) fn text(&self) -> String {
        match self {
            Seen::Queue(event) => describe(event),
            Seen::Input(stamped) => stamped.input.to_string(),
        }
    }

    /// A line of JSON, as `watch` prints it.
    pub(super) fn line(&self, device: &str, wall: &WallClock) -> String {
        let mut row = match self {
            Seen::Queue(event) => Row::event(device, event),
            Seen::Input(stamped) => Row::input(device, stamped),
        };
        wall.date_row(&mut row);
        json::line(&row) + "\n"
    }

    /// `CLOCK_MONOTONIC` when it was posted, in nanoseconds.
    pub(super) fn time_ns(&self) -> u64 {
        match self {
            Seen::Queue(event) => event.time_ns,
            Seen::Input(stamped) => stamped.time_ns,
        }
    }

    /// For the environment of a program.
    pub(super) fn variables(&self, device: &str, wall: &WallClock) -> Vec<(&'static str, String)> {
        let (type_, code) = self.numbers();
        let mut variables = vec![
            ("EVQ_DEVICE", device.to_owned()),
            ("EVQ_SOURCE", self.source(device)),
            ("EVQ_TYPE", type_.to_string()),
            ("EVQ_CODE", code.to_string()),
            ("EVQ_TEXT", self.text()),
        ];
        if let Seen::Queue(event) = self {
            variables.push(("EVQ_SEQ", event.seq.to_string()));
            variables.push(("EVQ_LOST", event.lost.to_string()));
            variables.push(("EVQ_DATA", hex::encode(event.payload())));
        }
        variables.push(("EVQ_TIME_NS", self.time_ns().to_string()));
        if let Some(time) = wall.utc(self.time_ns()) {
            variables.push(("EVQ_TIME", time));
        }
        if let Some(boot_id) = wall.boot_id() {
            variables.push(("EVQ_BOOT_ID", boot_id.to_owned()));
        }
        if let Some(input) = self.input() {
            variables.push(("EVQ_VALUE", input.value.to_string()));
        }
        variables
    }
}

impl Wanted {
    /// Whether `seen`, which came from `device`, is one of them.
    pub(super) fn is(&self, device: &str, seen: &Seen) -> bool {
        let filtered = match seen {
            Seen::Queue(event) => self.filter.wants_event(event),
            Seen::Input(stamped) => self.filter.wants_input(stamped),
        };
        filtered
            && self
                .device
                .as_ref()
                .is_none_or(|wanted| wanted.as_os_str() == device)
            && self.values.as_ref().is_none_or(|values| {
                seen.input()
                    .is_some_and(|input| values.contains(&input.value))
            })
    }
}
