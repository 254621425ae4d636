// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which events a rule is for, and what it does with them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use evq::input::{Input, Stamped};
use evq::Event;

use crate::cli::decode::{Decoded, Decoders};
use crate::cli::filter::Filter;
use crate::cli::row::Row;
use crate::cli::secret::Secret;
use crate::cli::wallclock::WallClock;
use crate::cli::{hex, json};

/// A rule of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) wanted: Wanted,
    pub(super) action: Action,
    /// Whether it gets to know which keys are pressed.
    pub(super) show_keys: bool,
}

/// What an event has to be like; what is not said does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) device: Option<PathBuf>,
    pub(super) filter: Filter,
    pub(super) values: Option<Vec<i32>>,
    /// What a decoder file calls it, and what its fields say.
    pub(super) event: Option<String>,
    pub(super) fields: BTreeMap<String, String>,
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
    /// Makes it an entry of systemd's journal.
    Journal,
}

/// What is known of all events.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) wall: WallClock,
    pub(super) decoders: Decoders,
}

/// An event of a queue or of an input device.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    Queue(Event),
    Input(Stamped),
}

impl Seen {
    fn input(&self) -> Option<Input> {
        match self {
            Seen::Queue(event) => Input::from_event(event),
            Seen::Input(stamped) => Some(stamped.input),
        }
    }

    /// As `watch` prints it.
    pub(super) fn row<'a>(&'a self, device: &'a str, rule: &Rule, known: &Known) -> Row<'a> {
        let mut row = match self {
            Seen::Queue(event) => Row::event(device, event),
            Seen::Input(stamped) => Row::input(device, stamped),
        };
        known.wall.date_row(&mut row);
        known.decoders.apply(&mut row);
        // Who names a code knows which it is.
        if !rule.show_keys && !rule.wanted.filter.names_codes() {
            row.hide_key();
        }
        row
    }

    /// A line of JSON.
    pub(super) fn line(&self, device: &str, rule: &Rule, known: &Known) -> String {
        json::line(&self.row(device, rule, known)) + "\n"
    }

    /// For the environment of a program. What is hidden is not there.
    pub(super) fn variables(
        &self,
        device: &str,
        rule: &Rule,
        known: &Known,
    ) -> Vec<(String, String)> {
        let row = self.row(device, rule, known);
        let fields = row.decoded.iter().flat_map(Decoded::fields);
        let fields: Vec<_> = fields
            .map(|(name, value)| {
                let name = name.to_ascii_uppercase().replace(['-', '.'], "_");
                // As C strings, variables end with a NUL.
                (format!("EVQ_FIELD_{name}"), value.replace('\0', ""))
            })
            .collect();
        let (key, scan) = (
            row.hidden == Some(Secret::Key),
            row.hidden == Some(Secret::Scan),
        );
        let number = |number: Option<u16>| number.map(|number| number.to_string());
        let queue = row.seq.is_some();
        [
            ("EVQ_DEVICE", Some(device.to_owned())),
            ("EVQ_SEQ", row.seq.map(|seq| seq.to_string())),
            ("EVQ_TIME_NS", Some(row.time_ns.to_string())),
            ("EVQ_TIME", row.time),
            ("EVQ_BOOT_ID", row.boot_id),
            ("EVQ_SOURCE", Some(row.source)),
            ("EVQ_TYPE", number(row.type_)),
            ("EVQ_CODE", number(row.code).filter(|_| !key)),
            ("EVQ_LOST", queue.then(|| row.lost.to_string())),
            ("EVQ_DATA", row.data.filter(|_| !scan).map(hex::encode)),
            ("EVQ_TEXT", Some(row.text)),
            (
                "EVQ_VALUE",
                row.value.filter(|_| !scan).map(|value| value.to_string()),
            ),
            ("EVQ_HIDDEN", row.hidden.map(|_| "1".to_owned())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .chain(fields)
        .collect()
    }
}

impl Wanted {
    /// Whether `seen`, which came from `device`, is one of them.
    pub(super) fn is(&self, device: &str, seen: &Seen, decoders: &Decoders) -> bool {
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
            && self.is_decoded(device, seen, decoders)
    }

    fn is_decoded(&self, device: &str, seen: &Seen, decoders: &Decoders) -> bool {
        if self.event.is_none() && self.fields.is_empty() {
            return true;
        }
        let Seen::Queue(event) = seen else {
            return false;
        };
        let mut row = Row::event(device, event);
        decoders.apply(&mut row);
        row.decoded.is_some_and(|decoded| {
            let says = |(name, value): (&String, &String)| {
                decoded
                    .fields()
                    .any(|field| (field.0, &field.1) == (name, value))
            };
            self.event
                .as_ref()
                .is_none_or(|name| decoded.is_called(name))
                && self.fields.iter().all(says)
        })
    }
}
