// SPDX-License-Identifier: MIT OR Apache-2.0
//! Events as JSON, one object per line: `docs/event.schema.json`.

use evq::recording::Segment;
use evq::{Event, Source};
use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::hex;
use super::printable::printable_json;

/// Version of the objects (`v`); fields may be added without a new one.
pub(super) const VERSION: u32 = 1;

/// What makes an event again; the rest of a [`Row`] follows from it.
#[derive(Deserialize)]
struct Parsed {
    device: String,
    seq: Option<Number>,
    seq_str: Option<String>,
    time_ns: Number,
    time_ns_str: Option<String>,
    time: Option<String>,
    boot_id: Option<String>,
    source: String,
    #[serde(rename = "type")]
    type_: u16,
    code: u16,
    lost: u32,
    data: Option<String>,
}

/// One line, without its line feed.
pub(super) fn line(value: &impl Serialize) -> String {
    printable_json(serde_json::to_string(value).expect("strings and numbers always serialise"))
}

/// Which queue the events that follow come from.
#[derive(Deserialize, Serialize)]
struct SegmentLine {
    v: u32,
    segment: SegmentFields,
}

/// Text: JSON numbers are not exact beyond 53 bits everywhere.
#[derive(Deserialize, Serialize)]
struct SegmentFields {
    device: String,
    abi: u32,
    instance: String,
    boot_id: String,
    monotonic_ns: Number,
    realtime_ns: Number,
    next: Number,
    monotonic_ns_str: Option<String>,
    realtime_ns_str: Option<String>,
    next_str: Option<String>,
}

/// The beginning of a segment of a recording.
pub(super) fn segment(segment: &Segment) -> String {
    line(&SegmentLine {
        v: VERSION,
        segment: SegmentFields {
            device: segment.device.clone(),
            abi: segment.abi,
            instance: format!("{:016x}", segment.instance),
            boot_id: format!("{:032x}", segment.boot_id),
            monotonic_ns: segment.monotonic_ns.into(),
            realtime_ns: segment.realtime_ns.into(),
            next: segment.next.into(),
            monotonic_ns_str: Some(segment.monotonic_ns.to_string()),
            realtime_ns_str: Some(segment.realtime_ns.to_string()),
            next_str: Some(segment.next.to_string()),
        },
    })
}

/// A line that was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// An event of a queue.
    Event(Box<EventLine>),
    /// The beginning of a segment.
    Segment(Segment),
    /// That somebody was ready.
    Banner,
}

/// An event of a queue, and which.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EventLine {
    pub(super) device: String,
    pub(super) event: Event,
    /// The date, as it is written.
    pub(super) time: Option<String>,
    pub(super) boot_id: Option<u128>,
}

/// The reverse of [`line`] of the row of an event, and of [`segment`]. Fields that are not known do not
/// matter: they may have been added since. The error says what is wrong.
pub(super) fn parse(text: &str) -> Result<Line, String> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(said)?;
    match value.get("v") {
        Some(v) if *v == VERSION => {}
        Some(v) => return Err(format!("v is {v}: this program knows version {VERSION}")),
        None => return Err("v, the version, is missing".into()),
    }
    if value.get("watching").is_some() {
        Ok(Line::Banner)
    } else if value.get("segment").is_some() {
        parse_segment(serde_json::from_value(value).map_err(said)?).map(Line::Segment)
    } else {
        let parsed = serde_json::from_value(value).map_err(said)?;
        parse_event(parsed).map(|line| Line::Event(Box::new(line)))
    }
}

/// Where in the line, and what.
fn said(error: serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line 1 column ") {
        Some((what, column)) => format!("column {column}: {what}"),
        None => text,
    }
}

/// A number, by the text beside it where there is one: who has read and written the line
/// may have rounded the number to 53 bits. They must not differ by more than that.
fn exact(name: &str, number: &Number, text: Option<&str>) -> Result<u64, String> {
    let Some(text) = text else {
        let wrong = || format!("{name} is {number}: expected a whole number of 64 bits");
        return number.as_u64().ok_or_else(wrong);
    };
    // parse would take a sign.
    let digits = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let exact: u64 = digits
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| format!("{name}_str is {text:?}: expected digits of a number of 64 bits"))?;
    // 16 digits, as writers of rounded numbers have at least.
    let slack = if exact > MAX_SAFE {
        exact as f64 * 1e-15
    } else {
        0.0
    };
    let same = |number: f64| (number - exact as f64).abs() <= slack;
    if number.as_u64() == Some(exact) || number.as_f64().is_some_and(same) {
        Ok(exact)
    } else {
        Err(format!(
            "{name} is {number} and {name}_str is {text:?}: they have to be the same"
        ))
    }
}

/// Up to here all readers of JSON are exact.
const MAX_SAFE: u64 = (1 << 53) - 1;

fn hex_digits(name: &str, text: &str) -> Result<u128, String> {
    // from_str_radix would take a sign.
    let digits = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    digits
        .and_then(|digits| u128::from_str_radix(digits, 16).ok())
        .ok_or_else(|| format!("{name} is {text:?}: expected hex digits"))
}

fn parse_event(parsed: Parsed) -> Result<EventLine, String> {
    let (Some(seq), Some(data)) = (parsed.seq, parsed.data) else {
        let what = "seq or data is missing: this is no event of a queue (an input device has none)";
        return Err(what.into());
    };
    let seq = exact("seq", &seq, parsed.seq_str.as_deref())?;
    if seq == 0 {
        return Err("seq is 0: numbers begin with 1".into());
    }
    let source: Source = parsed.source.parse()?;
    let data = hex::decode(&data).map_err(|wrong| format!("data: {}", wrong.what))?;
    let event = Event {
        seq,
        time_ns: exact("time_ns", &parsed.time_ns, parsed.time_ns_str.as_deref())?,
        source: source.into(),
        lost: parsed.lost,
        ..Event::new(parsed.type_, parsed.code, &data).expect("the length was checked")
    };
    let boot_id = parsed.boot_id.map(|text| hex_digits("boot_id", &text));
    Ok(EventLine {
        device: parsed.device,
        event,
        time: parsed.time,
        boot_id: boot_id.transpose()?,
    })
}

fn parse_segment(line: SegmentLine) -> Result<Segment, String> {
    let fields = line.segment;
    let next = exact("next", &fields.next, fields.next_str.as_deref())?;
    if next == 0 {
        return Err("next is 0: numbers begin with 1".into());
    }
    let instance = u64::try_from(hex_digits("instance", &fields.instance)?);
    let instance = instance.map_err(|_| "instance has more than 16 hex digits")?;
    let number = |name, number, text: &Option<String>| exact(name, number, text.as_deref());
    Ok(Segment {
        device: fields.device,
        abi: fields.abi,
        instance,
        boot_id: hex_digits("boot_id", &fields.boot_id)?,
        monotonic_ns: number(
            "monotonic_ns",
            &fields.monotonic_ns,
            &fields.monotonic_ns_str,
        )?,
        realtime_ns: number("realtime_ns", &fields.realtime_ns, &fields.realtime_ns_str)?,
        next,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::LazyLock;

    use evq::input::{Input, Stamped};
    use proptest::prelude::*;

    use super::*;
    use crate::cli::row::Row;

    fn event(device: &str, event: &Event) -> String {
        line(&Row::event(device, event))
    }

    fn input(device: &str, stamped: &Stamped) -> String {
        line(&Row::input(device, stamped))
    }

    /// `docs/event.schema.json`.
    static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
        let text = include_str!("../../../docs/event.schema.json");
        jsonschema::validator_for(&serde_json::from_str(text).unwrap()).unwrap()
    });

    /// Asserts that the schema allows this line.
    pub(in super::super) fn assert_documented(line: &str) {
        let value = serde_json::from_str(line).unwrap();
        if let Err(error) = SCHEMA.validate(&value) {
            panic!("docs/event.schema.json forbids {line}: {error}");
        }
    }

    fn parsed(event: Event) -> Line {
        Line::Event(Box::new(EventLine {
            device: "/dev/evq".into(),
            event,
            time: None,
            boot_id: None,
        }))
    }

    fn key() -> Event {
        let mut event = Event::new(1, 30, &1_i32.to_ne_bytes()).unwrap();
        (event.seq, event.time_ns, event.source) = (18, 2_000_000_003, 0x8001_0000);
        event
    }

    #[test]
    fn json_has_everything() {
        let json: serde_json::Value =
            serde_json::from_str(&event("/dev/evq", &Event { lost: 2, ..key() })).unwrap();
        let expected = serde_json::json!({
            "v": 1, "device": "/dev/evq", "seq": 18, "time_ns": 2_000_000_003_u64,
            "source": "input:0", "type": 1, "code": 30, "lost": 2, "value": 1,
            "data": "01000000", "text": "EV_KEY KEY_A press",
            "seq_str": "18", "time_ns_str": "2000000003",
        });
        assert_eq!(json, expected);
    }

    proptest! {
        #[test]
        fn events_go_both_ways(
            seq in 1_u64.., time_ns: u64, source: u32, type_: u16, code: u16, lost: u32,
            data in proptest::collection::vec(any::<u8>(), 0..=32),
        ) {
            let there = Event { seq, time_ns, source, lost, ..Event::new(type_, code, &data).unwrap() };
            let line = event("/dev/evq", &there);
            assert_documented(&line);
            prop_assert_eq!(parse(&line), Ok(parsed(there)));
            // As jq before 1.7 and JavaScript pass it on.
            let rounded = ["seq", "time_ns"].into_iter().zip([seq, time_ns]).fold(line, |line, (name, number)| {
                line.replace(&format!("\"{name}\":{number}"), &format!("\"{name}\":{:?}", number as f64))
            });
            prop_assert_eq!(parse(&rounded), Ok(parsed(there)));
        }

        #[test]
        fn segments_go_both_ways(
            device: String, abi: u32, instance: u64, boot_id: u128, monotonic_ns: u64,
            realtime_ns: u64, next in 1_u64..,
        ) {
            let there = Segment { device, abi, instance, boot_id, monotonic_ns, realtime_ns, next };
            let line = segment(&there);
            assert_documented(&line);
            prop_assert_eq!(parse(&line), Ok(Line::Segment(there)));
        }

        #[test]
        fn garbage_is_an_error_not_a_panic(line in ".*") {
            prop_assert!(parse(&line).is_err());
        }
    }

    #[test]
    fn the_schema_knows_input_devices_and_forbids_other_things() {
        let stamped = Stamped {
            time_ns: 5,
            input: Input::from_event(&key()).unwrap(),
        };
        let line = input("/dev/input/event0", &stamped);
        assert_documented(&line);
        for (from, to) in [
            ("\"v\":1", "\"v\":2"),
            ("\"type\":1", "\"type\":65536"),
            ("\"source\":\"event0\"", "\"source\":\"pid:x\""),
            ("\"lost\":0", "\"lots\":0"),
            ("\"lost\":0", "\"lost\":0,\"seq\":1"),
        ] {
            let bad = line.replacen(from, to, 1);
            assert_ne!(bad, line);
            let bad = serde_json::from_str(&bad).unwrap();
            assert!(!SCHEMA.is_valid(&bad), "{bad}");
        }
    }

    #[test]
    fn bytes_and_ticks_are_documented() {
        let text = line(&Row::bytes("stdin", 2, b"hi\n"));
        assert_documented(&text);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expected = serde_json::json!({
            "v": 1, "device": "stdin", "time_ns": 2, "source": "stdin", "lost": 0,
            "data": "68690a", "text": "hi", "time_ns_str": "2",
        });
        assert_eq!(json, expected);
        let text = line(&Row::ticks("every 1s", 3, 1 << 40));
        assert_documented(&text);
        assert!(text.contains(r#""lost":1099511627775"#), "{text}");
        assert!(text.contains(r#""lost_str":"1099511627775""#), "{text}");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let good = event("/dev/evq", &key());
        for (from, to, wanted) in [
            ("\"v\":1", "\"v\":2", "v is 2"),
            (
                "seq_str\":\"18",
                "seq_str\":\"19",
                "seq is 18 and seq_str is \"19\"",
            ),
            ("seq_str\":\"18", "seq_str\":\"+18", "expected digits"),
            (
                "\"time_ns\":2000000003",
                "\"time_ns\":2000000004",
                "have to be the same",
            ),
            ("{\"v\"", "{{\"v\"", "column 2"),
            ("\"v\":1,", "", "v, the version"),
            ("\"seq\":18,", "", "seq or data is missing"),
            ("\"seq\":18,", "\"seq\":0,\"was\":18,", "seq is 0 and"),
            (
                "\"lost\":0",
                "\"lost\":0,\"boot_id\":\"x\"",
                "boot_id is \"x\"",
            ),
            ("01000000", "0100000g", "hex digit"),
            ("01000000", &"00".repeat(33), "at most 32"),
            ("input:0", "input:70000", "input:70000"),
            ("\"type\":1", "\"type\":65536", "65536"),
            ("\"lost\":0,", "", "lost"),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good);
            let error = parse(&bad).unwrap_err();
            assert!(error.contains(wanted), "{bad}: {error}");
        }
    }
}
