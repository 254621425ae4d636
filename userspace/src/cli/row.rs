// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is printed of one event, whatever the source and the format.

use evq::input::{Input, Stamped};
use evq::{Event, Source};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::decode::Decoded;
use super::describe::{describe, describe_bytes, describe_ticks};
use super::secret::Secret;
use super::{hex, json};

/// One event. Absent fields do not apply: an input device has no sequence
/// numbers, and bytes have no type. As JSON this is `docs/event.schema.json`.
#[derive(Debug, Default)]
pub(super) struct Row<'a> {
    pub(super) device: &'a str,
    pub(super) seq: Option<u64>,
    pub(super) time_ns: u64,
    pub(super) source: String,
    pub(super) type_: Option<u16>,
    pub(super) code: Option<u16>,
    pub(super) lost: u64,
    pub(super) value: Option<i32>,
    pub(super) data: Option<&'a [u8]>,
    pub(super) text: String,
    /// The date, UTC, if it is known.
    pub(super) time: Option<String>,
    /// Which boot `time_ns` is of, if it is known.
    pub(super) boot_id: Option<String>,
    /// What is not told.
    pub(super) hidden: Option<Secret>,
    /// Who posted it, of a queue's event.
    pub(super) origin: Option<Source>,
    /// What a decoder file makes of it.
    pub(super) decoded: Option<Decoded>,
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("v", &json::VERSION)?;
        map.serialize_entry("device", self.device)?;
        self.seq
            .map_or(Ok(()), |seq| map.serialize_entry("seq", &seq))?;
        map.serialize_entry("time_ns", &self.time_ns)?;
        map.serialize_entry("source", &self.source)?;
        self.type_
            .map_or(Ok(()), |type_| map.serialize_entry("type", &type_))?;
        self.code
            .map_or(Ok(()), |code| map.serialize_entry("code", &code))?;
        map.serialize_entry("lost", &self.lost)?;
        self.value
            .map_or(Ok(()), |value| map.serialize_entry("value", &value))?;
        self.data.map_or(Ok(()), |data| {
            map.serialize_entry("data", &hex::encode(data))
        })?;
        map.serialize_entry("text", &self.text)?;
        self.time
            .as_ref()
            .map_or(Ok(()), |time| map.serialize_entry("time", time))?;
        self.boot_id
            .as_ref()
            .map_or(Ok(()), |id| map.serialize_entry("boot_id", id))?;
        if let Some(decoded) = &self.decoded {
            map.serialize_entry("decoded", decoded)?;
        }
        if self.hidden.is_some() {
            map.serialize_entry("hidden", &true)?;
        }
        // What may exceed 2^53, which many readers of JSON round, once more as text.
        if let Some(seq) = self.seq {
            map.serialize_entry("seq_str", &seq.to_string())?;
        }
        map.serialize_entry("time_ns_str", &self.time_ns.to_string())?;
        // Losses of a queue have 32 bits, ticks of a timer more.
        if self.lost > u64::from(u32::MAX) {
            map.serialize_entry("lost_str", &self.lost.to_string())?;
        }
        map.end()
    }
}

impl<'a> Row<'a> {
    /// An event of a queue.
    pub(super) fn event(device: &'a str, event: &'a Event) -> Row<'a> {
        Row {
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
            origin: Some(Source::from(event.source)),
            ..Row::default()
        }
    }

    /// An event of an input device, which is its own source.
    pub(super) fn input(device: &'a str, stamped: &Stamped) -> Row<'a> {
        Row {
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
    /// Has it tell that a key was pressed, but not which.
    pub(super) fn hide_key(&mut self) {
        // Only input events have a value.
        let (Some(type_), Some(code), Some(value)) = (self.type_, self.code, self.value) else {
            return;
        };
        let input = Input { type_, code, value };
        self.hidden = Secret::of(input);
        let Some(secret) = self.hidden else {
            return;
        };
        self.text = secret.text(input);
        match secret {
            Secret::Key => self.code = Some(0),
            Secret::Scan => {
                self.value = Some(0);
                self.data = self.data.map(|_| &[0; size_of::<i32>()][..]);
            }
        }
    }
}

/// The last part of a path.
fn short(device: &str) -> &str {
    device.rsplit('/').next().unwrap_or(device)
}
