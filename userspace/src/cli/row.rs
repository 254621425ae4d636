// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is printed of one event, whatever the source and the format.

use evq::input::{Input, Stamped};
use evq::{Event, Source};
use serde::{Serialize, Serializer};

use super::describe::{describe, describe_bytes, describe_ticks, without_key};
use super::{hex, json};

/// One event. Absent fields do not apply: an input device has no sequence
/// numbers, and bytes have no type. As JSON this is `docs/event.schema.json`.
#[derive(Debug, Default, Serialize)]
pub(super) struct Row<'a> {
    pub(super) v: u32,
    pub(super) device: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seq: Option<u64>,
    pub(super) time_ns: u64,
    pub(super) source: String,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(super) type_: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<u16>,
    pub(super) lost: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<i32>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "serialize_hex"
    )]
    pub(super) data: Option<&'a [u8]>,
    pub(super) text: String,
}

fn serialize_hex<S: Serializer>(data: &Option<&[u8]>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&hex::encode(data.unwrap_or_default()))
}

impl<'a> Row<'a> {
    /// An event of a queue.
    pub(super) fn event(device: &'a str, event: &'a Event) -> Row<'a> {
        Row {
            v: json::VERSION,
            device,
            seq: Some(event.seq),
            time_ns: event.time_ns,
            source: Source::from(event.source).to_string(),
            type_: Some(event.type_),
            code: Some(event.code),
            lost: event.lost.into(),
            value: Input::from_event(event).map(|input| input.value),
            data: Some(event.payload()),
            text: describe(event),
        }
    }

    /// An event of an input device, which is its own source.
    pub(super) fn input(device: &'a str, stamped: &Stamped) -> Row<'a> {
        Row {
            v: json::VERSION,
            device,
            time_ns: stamped.time_ns,
            source: short(device).into(),
            type_: Some(stamped.input.type_),
            code: Some(stamped.input.code),
            value: Some(stamped.input.value),
            text: stamped.input.to_string(),
            ..Row::default()
        }
    }

    /// A line of a source of bytes, or a piece of one; or a message.
    pub(super) fn bytes(device: &'a str, time_ns: u64, bytes: &'a [u8]) -> Row<'a> {
        Row {
            v: json::VERSION,
            device,
            time_ns,
            source: short(device).into(),
            data: Some(bytes),
            text: describe_bytes(bytes),
            ..Row::default()
        }
    }

    /// What a timer says: so many ticks since the last time, of which all but
    /// the last were not told apart.
    pub(super) fn ticks(device: &'a str, time_ns: u64, ticks: u64) -> Row<'a> {
        Row {
            v: json::VERSION,
            device,
            time_ns,
            source: "timer".into(),
            lost: ticks.saturating_sub(1),
            text: describe_ticks(ticks),
            ..Row::default()
        }
    }
}

impl Row<'_> {
    /// Has the text tell that a key was pressed, but not which.
    pub(super) fn hide_key(&mut self) {
        // Only input events have a value.
        if let (Some(type_), Some(code), Some(value)) = (self.type_, self.code, self.value) {
            if let Some(text) = without_key(Input { type_, code, value }) {
                self.text = text;
            }
        }
    }
}

/// The last part of a path.
pub(super) fn short(device: &str) -> &str {
    device.rsplit('/').next().unwrap_or(device)
}
