// SPDX-License-Identifier: MIT OR Apache-2.0
//! Decoder files: what the types, codes and payloads of a producer mean, as its driver
//! says it in `/usr/share/evq/decoders/` or a user with `--decode`.
//!
//! An event is decoded by the first decoder that is for its source, type and code: those
//! of `--decode` come first, then those of the folder by file name. Input events have
//! names of their own and are not decoded.

mod field;
mod file;

use std::fs;
use std::path::{Path, PathBuf};

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::printable::printable;
use super::row::Row;
use super::tell::tell;
use field::Value;
pub(super) use file::BadFile;
use file::Decoder;

/// Where drivers ship their decoders.
const FOLDER: &str = "/usr/share/evq/decoders";

/// Decoders in the order in which they are tried.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Decoders(Vec<Decoder>);

/// What a decoder makes of an event.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Decoded {
    name: String,
    code: Option<String>,
    fields: Vec<Decode>,
}

/// A field of a payload.
#[derive(Clone, Debug, PartialEq)]
struct Decode {
    name: String,
    /// None: the payload ends before it.
    value: Option<Value>,
    unit: Option<String>,
}

impl Decoders {
    /// Those of these files, and then those that drivers have shipped. One of the latter
    /// that is bad is said and left out.
    pub(super) fn load(files: &[PathBuf]) -> Result<Decoders, BadFile> {
        let mut all = Decoders::default();
        for path in files {
            all.0.extend(file::read(path)?);
        }
        all.add_folder(Path::new(FOLDER));
        Ok(all)
    }

    fn add_folder(&mut self, folder: &Path) {
        let Ok(entries) = fs::read_dir(folder) else {
            // Nobody has shipped one.
            return;
        };
        let mut paths: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        paths.retain(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        });
        paths.sort();
        for path in paths {
            match file::read(&path) {
                Ok(decoders) => self.0.extend(decoders),
                Err(bad) => tell!("{bad}; its events are not decoded"),
            }
        }
    }

    /// Whether a decoder, or a code within it, has this name.
    #[cfg(feature = "daemon")]
    pub(super) fn know(&self, name: &str) -> bool {
        let (name, code) = split(name);
        self.0
            .iter()
            .any(|decoder| decoder.name == name && code.is_none_or(|code| decoder.has_code(code)))
    }

    /// Decodes an event of a queue.
    pub(super) fn apply(&self, row: &mut Row<'_>) {
        let (Some(source), Some(type_), Some(code), None) =
            (row.origin, row.type_, row.code, row.value)
        else {
            return;
        };
        let found = self
            .0
            .iter()
            .find(|decoder| decoder.is_for(source, type_, code));
        if let Some(decoder) = found {
            let decoded = decoder.decode(code, row.data.unwrap_or_default());
            row.text = decoded.text(code);
            row.decoded = Some(decoded);
        }
    }
}

impl Decoded {
    /// In words: `doorbell front words="ding dong" level=3.5 V`.
    fn text(&self, code: u16) -> String {
        let mut text = match &self.code {
            Some(code) => format!("{} {code}", self.name),
            None => format!("{} code {code}", self.name),
        };
        for field in &self.fields {
            let value = match &field.value {
                Some(Value::Text(value)) => format!("{value:?}"),
                Some(value) => value.to_string(),
                None => "?".into(),
            };
            text += &format!(" {}={value}", field.name);
            if let (Some(unit), Some(_)) = (&field.unit, &field.value) {
                text += &format!(" {unit}");
            }
        }
        printable(&text).into_owned()
    }

    /// Whether it is called this: `doorbell`, or `doorbell front` with its code.
    #[cfg(feature = "daemon")]
    pub(super) fn is_called(&self, name: &str) -> bool {
        let (name, code) = split(name);
        self.name == name && code.is_none_or(|code| self.code.as_deref() == Some(code))
    }

    /// The fields by name, as programs read them, for the environment.
    #[cfg(feature = "daemon")]
    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, String)> {
        self.fields
            .iter()
            .filter_map(|field| Some((field.name.as_str(), field.value.as_ref()?.to_string())))
    }
}

impl Serialize for Decoded {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("name", &self.name)?;
        if let Some(code) = &self.code {
            map.serialize_entry("code", code)?;
        }
        map.serialize_entry("fields", &Fields(&self.fields))?;
        let units = self.fields.iter().any(|field| field.unit.is_some());
        if units {
            map.serialize_entry("units", &Units(&self.fields))?;
        }
        map.end()
    }
}

/// The name of a decoder, which has no space, and that of a code.
#[cfg(feature = "daemon")]
fn split(name: &str) -> (&str, Option<&str>) {
    match name.split_once(' ') {
        Some((name, code)) => (name, Some(code)),
        None => (name, None),
    }
}

struct Fields<'a>(&'a [Decode]);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        for field in self.0 {
            if let Some(value) = &field.value {
                map.serialize_entry(&field.name, value)?;
                // As of all numbers that may exceed 2^53.
                if value.is_large() {
                    map.serialize_entry(&format!("{}_str", field.name), &value.to_string())?;
                }
            }
        }
        map.end()
    }
}

struct Units<'a>(&'a [Decode]);

impl Serialize for Units<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let units = self
            .0
            .iter()
            .filter_map(|field| Some((&field.name, field.unit.as_ref()?)));
        to.collect_map(units)
    }
}

#[cfg(test)]
mod tests {
    use evq::Event;

    use super::*;
    use crate::cli::json;

    const DOORBELL: &str = r#"
        [[decoder]]
        source = "kernel:0x100"
        type = 1
        name = "doorbell"
        codes = { 3 = "front", 0x4 = "back" }
        [[decoder.field]]
        name = "words"
        kind = "string"
        [[decoder]]
        source = "kernel:0x101:2"
        name = "sensor"
        [[decoder.field]]
        name = "temperature"
        kind = "i16"
        order = "big"
        scale = 0.1
        unit = "°C"
        [[decoder.field]]
        name = "state"
        kind = "u8"
        bits = [4, 4]
        values = { 0 = "off", 1 = "on" }
        [[decoder.field]]
        name = "count"
        kind = "u64"
        order = "little"
        at = 4
        [[decoder.field]]
        name = "level"
        kind = "f32"
        order = "little"
    "#;

    fn decoders() -> Decoders {
        Decoders(file::parse(DOORBELL).unwrap())
    }

    fn decode(source: u32, type_: u16, code: u16, data: &[u8]) -> (String, serde_json::Value) {
        let mut event = Event::new(type_, code, data).unwrap();
        (event.source, event.seq) = (source, 1);
        let mut row = Row::event("/dev/evq", &event);
        decoders().apply(&mut row);
        let line = json::line(&row);
        json::tests::assert_documented(&line);
        let mut json: serde_json::Value = serde_json::from_str(&line).unwrap();
        (row.text, json["decoded"].take())
    }

    #[test]
    fn strings_and_names_of_codes() {
        let (text, json) = decode(0x8100_0000, 1, 3, b"ding dong");
        assert_eq!(text, "doorbell front words=\"ding dong\"");
        let wanted = serde_json::json!(
            {"name": "doorbell", "code": "front", "fields": {"words": "ding dong"}}
        );
        assert_eq!(json, wanted);
        // Another producer of the class; a code without a name; what a string has.
        let (text, _) = decode(0x8100_0007, 1, 9, b"a\x1b[2J\0\0");
        assert_eq!(text, r#"doorbell code 9 words="a\u{1b}[2J""#);
        assert_eq!(decode(0x8100_0000, 1, 4, b"").0, "doorbell back words=\"\"");
    }

    #[test]
    fn numbers_bits_units_and_what_is_not_there() {
        let mut data = vec![0xff, 0x38, 0x1f, 0];
        data.extend(u64::MAX.to_le_bytes());
        data.extend(1.5_f32.to_le_bytes());
        let (text, json) = decode(0x8101_0002, 7, 1, &data);
        assert_eq!(
            text,
            "sensor code 1 temperature=-20 °C state=on count=18446744073709551615 level=1.5"
        );
        let wanted = serde_json::json!({
            "name": "sensor",
            "fields": {
                "temperature": -20.0, "state": "on", "level": 1.5,
                "count": u64::MAX, "count_str": "18446744073709551615",
            },
            "units": {"temperature": "°C"},
        });
        assert_eq!(json, wanted);
        // A payload that ends early, and a value without a name.
        let (text, json) = decode(0x8101_0002, 7, 1, &[0, 5, 0x20]);
        assert_eq!(
            text,
            "sensor code 1 temperature=0.5 °C state=2 count=? level=?"
        );
        let fields = serde_json::json!({"temperature": 0.5, "state": 2});
        assert_eq!(json["fields"], fields);
    }

    #[test]
    fn other_events_are_left_alone() {
        for (source, type_) in [(42, 1), (0x8100_0000, 2), (0x8101_0003, 1)] {
            let (text, json) = decode(source, type_, 3, b"ab");
            assert_eq!(text, format!("type {type_} code 3 data 6162"));
            assert!(json.is_null());
        }
    }

    #[test]
    fn a_folder_has_files_of_several_drivers() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write(
            "b.toml",
            "[[decoder]]\nname = \"b\"\nsource = \"kernel:0x100\"",
        );
        write(
            "a.toml",
            "[[decoder]]\nname = \"a\"\nsource = \"kernel:0x100\"\ntype = 1",
        );
        write("bad.toml", "[[decoder]");
        write("readme.txt", "[[decoder]");
        let mut decoders = Decoders::default();
        decoders.add_folder(folder.path());
        decoders.add_folder(Path::new("/nonexistent"));
        let names: Vec<_> = decoders
            .0
            .iter()
            .map(|decoder| decoder.name.as_str())
            .collect();
        assert_eq!(names, ["a", "b"]);
    }
}
