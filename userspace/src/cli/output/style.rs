// SPDX-License-Identifier: MIT OR Apache-2.0
//! The formats: text, JSON, CSV, and what users make up.

use std::str::FromStr;

use crate::cli::printable::printable;
use crate::cli::row::Row;
use crate::cli::secret::Secret;
use crate::cli::{hex, json};

/// How to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Style {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
    /// Comma-separated values, RFC 4180 but for the ends of lines.
    Csv,
    /// A line with fields of the user's choice.
    Custom(Vec<Part>),
}

/// A part of a custom line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Part {
    Literal(String),
    Field(Field),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Field {
    Device,
    Seq,
    Time,
    Source,
    Type,
    Code,
    Lost,
    Value,
    Data,
    Text,
    Utc,
    BootId,
    Ascii,
}

/// Only in lines of the user's: what CSV has in another form.
const ASCII: (char, &str, Field) = ('a', "ascii", Field::Ascii);

/// The fields in the order of CSV: letter, title.
const FIELDS: [(char, &str, Field); 12] = [
    ('D', "device", Field::Device),
    ('n', "seq", Field::Seq),
    ('t', "time", Field::Time),
    ('s', "source", Field::Source),
    ('T', "type", Field::Type),
    ('c', "code", Field::Code),
    ('l', "lost", Field::Lost),
    ('v', "value", Field::Value),
    ('d', "data", Field::Data),
    ('x', "text", Field::Text),
    ('u', "utc", Field::Utc),
    ('b', "boot_id", Field::BootId),
];

impl FromStr for Style {
    type Err = String;

    fn from_str(text: &str) -> Result<Style, String> {
        match text {
            "text" => Ok(Style::Text),
            "json" => Ok(Style::Json),
            "csv" => Ok(Style::Csv),
            _ if text.contains('%') => template(text).map(Style::Custom),
            _ => Err("give text, json, csv, or a line with fields, such as '%n %t %s %x'".into()),
        }
    }
}

fn template(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            literal.push(letter);
            continue;
        }
        let name = letters.next();
        if name == Some('%') {
            literal.push('%');
            continue;
        }
        let mut fields = FIELDS.iter().chain([&ASCII]);
        let Some((.., field)) = fields.find(|(letter, ..)| Some(*letter) == name) else {
            let known: Vec<_> = FIELDS
                .iter()
                .chain([&ASCII])
                .map(|(letter, title, _)| format!("%{letter} {title}"))
                .collect();
            return Err(format!(
                "no field is called %{}; there are {}, and %% for a %",
                name.map_or(String::new(), String::from),
                known.join(", ")
            ));
        };
        if !literal.is_empty() {
            parts.push(Part::Literal(std::mem::take(&mut literal)));
        }
        parts.push(Part::Field(*field));
    }
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    Ok(parts)
}

/// The first line of CSV.
pub(super) fn csv_titles() -> String {
    FIELDS.map(|(_, title, _)| title).join(",")
}

/// One event as a line, without its line feed; or as several, for a loss has one
/// of its own in text.
pub(super) fn lines(style: &Style, row: &Row<'_>, time: &str, prefix: &str) -> String {
    match style {
        Style::Text => text(row, time, prefix),
        Style::Json => json::line(row),
        Style::Csv => FIELDS
            .map(|(.., field)| quoted(value(field, row, time).unwrap_or_default()))
            .join(","),
        Style::Custom(parts) => parts
            .iter()
            .map(|part| match part {
                Part::Literal(text) => text.clone(),
                Part::Field(field) => value(*field, row, time).unwrap_or_else(|| "-".into()),
            })
            .collect(),
    }
}

fn text(row: &Row<'_>, time: &str, prefix: &str) -> String {
    let (source, text) = (printable(&row.source), &row.text);
    let Some(seq) = row.seq else {
        return format!("{prefix}{:>7} {time} {source:<9} {text}", "-");
    };
    let line = format!("{prefix}{seq:>7} {time} {source:<9} {text}");
    match row.lost {
        0 => line,
        lost => {
            let saturated = lost >= u64::from(u32::MAX);
            let at_least = if saturated { "at least " } else { "" };
            format!("{prefix}lost {at_least}{lost} just before {seq}\n{line}")
        }
    }
}

/// Adds the payload in ASCII to a line that has it in hex.
pub(super) fn add_ascii(line: &mut String, row: &Row<'_>) {
    let data = row.data.unwrap_or_default();
    if !data.is_empty() && row.text.ends_with(&hex::encode(data)) {
        // Aligned for up to 16 bytes of types and codes with few digits.
        let width = 20 + 2 * 16;
        let pad = width.max(row.text.len()) - row.text.len();
        line.push_str(&format!("{:pad$}  |{}|", "", hex::ascii(data)));
    }
}

fn value(field: Field, row: &Row<'_>, time: &str) -> Option<String> {
    Some(match field {
        Field::Device => printable(row.device).into(),
        Field::Seq => row.seq?.to_string(),
        Field::Time => time.trim_start().into(),
        Field::Source => printable(&row.source).into(),
        Field::Type => row.type_?.to_string(),
        Field::Code if row.hidden == Some(Secret::Key) => return None,
        Field::Value | Field::Data if row.hidden == Some(Secret::Scan) => return None,
        Field::Code => row.code?.to_string(),
        Field::Lost => row.lost.to_string(),
        Field::Value => row.value?.to_string(),
        Field::Data => hex::encode(row.data?),
        Field::Text => row.text.clone(),
        Field::Ascii if row.hidden == Some(Secret::Scan) => return None,
        Field::Ascii => hex::ascii(row.data?),
        Field::Utc => row.time.clone()?,
        Field::BootId => row.boot_id.clone()?,
    })
}

/// As CSV wants it.
fn quoted(value: String) -> String {
    if value.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", value.replace('"', "\"\""))
    } else {
        value
    }
}

#[cfg(test)]
mod tests {
    use evq::Event;

    use super::*;

    fn event() -> Event {
        let mut event = Event::new(1, 30, &1_i32.to_ne_bytes()).unwrap();
        (event.seq, event.time_ns, event.source) = (18, 2_000_000_003, 0x8001_0000);
        event.lost = 4;
        event
    }

    fn print(style: &str, row: &Row<'_>) -> String {
        lines(&style.parse().unwrap(), row, "    2.5", "")
    }

    #[test]
    fn a_custom_line_has_what_was_asked_for() {
        let event = event();
        let row = Row::event("/dev/evq", &event);
        assert_eq!(
            print("%D|%n|%t|%s|%T|%c|%l|%v|%d|%x|100%%", &row),
            "/dev/evq|18|2.5|input:0|1|30|4|1|01000000|EV_KEY KEY_A press|100%"
        );
        let row = Row::bytes("/run/fifo", 1, b"hi\n");
        assert_eq!(print("%n %T %d [%x]", &row), "- - 68690a [hi]");
    }

    #[test]
    fn ascii_is_beside_the_hex() {
        let event = Event::new(7, 3, b"ding dong").unwrap();
        let row = Row::event("/dev/evq", &event);
        assert_eq!(print("%a", &row), "ding dong");
        let with_ascii = |row: &Row<'_>| {
            let mut line = print("text", row);
            add_ascii(&mut line, row);
            line
        };
        let line = with_ascii(&row);
        let text = "type 7 code 3 data 64696e6720646f6e67";
        assert!(line.ends_with(&format!("{text:52}  |ding dong|")), "{line}");
        // What is in words already, and what has no payload.
        assert!(with_ascii(&Row::event("/dev/evq", &self::event())).ends_with(" press"));
        let empty = Event::new(7, 3, &[]).unwrap();
        assert!(with_ascii(&Row::event("/dev/evq", &empty)).ends_with(" code 3"));
        let bytes = Row::bytes("x", 1, b"\0hi");
        assert!(with_ascii(&bytes).ends_with("|.hi|"));
    }

    #[test]
    fn csv_quotes_what_has_commas() {
        assert_eq!(
            csv_titles(),
            "device,seq,time,source,type,code,lost,value,data,text,utc,boot_id"
        );
        let event = event();
        assert_eq!(
            print("csv", &Row::event("/dev/evq", &event)),
            "/dev/evq,18,2.5,input:0,1,30,4,1,01000000,EV_KEY KEY_A press,,"
        );
        assert_eq!(
            print("csv", &Row::bytes("a,b", 1, b"say \"hi\"")),
            "\"a,b\",,2.5,\"a,b\",,,0,,7361792022686922,\"say \"\"hi\"\"\",,"
        );
    }

    #[test]
    fn unknown_formats_and_fields_say_what_there_is() {
        for (bad, wanted) in [
            ("xml", "give text, json, csv"),
            ("", "give text, json, csv"),
            (
                "%n %q",
                "no field is called %q; there are %D device, %n seq",
            ),
            ("100%", "no field is called %;"),
        ] {
            let error = bad.parse::<Style>().unwrap_err();
            assert!(error.contains(wanted), "{bad:?}: {error}");
        }
    }
}
