// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an event says, in words; the same in every format.

use evq::input::Input;
use evq::{uapi, Event, Source};

use super::hex;
use super::printable::is_unsafe;

/// What the event says, as far as its class is known.
pub(super) fn describe(event: &Event) -> String {
    if let Some(input) = Input::from_event(event) {
        return input.to_string();
    }
    let (type_, code, payload) = (event.type_, event.code, event.payload());
    let tick = payload.try_into().map(u64::from_ne_bytes);
    match tick {
        Ok(tick) if Source::from(event.source).is_class(uapi::CLASS_TIMER) => {
            format!("type {type_} code {code} tick {tick}")
        }
        _ if payload.is_empty() => format!("type {type_} code {code}"),
        _ => format!("type {type_} code {code} data {}", hex::encode(payload)),
    }
}

/// Instead of [`describe`], for what tells which key of a keyboard it is: what
/// is typed may be a password. Buttons are told.
pub(super) fn without_key(input: Input) -> Option<String> {
    const HIDDEN: &str = "(hidden)";
    // One without a name is a key all the same.
    let (type_, code) = (input.type_name()?, input.code_name().unwrap_or_default());
    if (type_.as_str(), code.as_str()) == ("EV_MSC", "MSC_SCAN") {
        return Some(format!("EV_MSC MSC_SCAN {HIDDEN}"));
    }
    let is_key = type_ == "EV_KEY" && !code.starts_with("BTN_");
    let what = match input.value {
        0 => "release",
        1 => "press",
        _ => "repeat",
    };
    is_key.then(|| format!("EV_KEY KEY_{HIDDEN} {what}"))
}

/// The line without its end, or in hex unless a terminal can be given it.
pub(super) fn describe_bytes(bytes: &[u8]) -> String {
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match std::str::from_utf8(line) {
        Ok(text) if !text.contains(|c| is_unsafe(c) && c != '\t') => text.to_owned(),
        _ => format!("data {}", hex::encode(bytes)),
    }
}

/// So many ticks of a timer at once.
pub(super) fn describe_ticks(ticks: u64) -> String {
    match ticks {
        1 => "tick".into(),
        _ => format!("tick, {} missed before it", ticks.saturating_sub(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_hidden_and_all_else_is_told() {
        let input = |type_, code, value| Input { type_, code, value };
        for (hidden, text) in [
            (input(1, 30, 1), Some("EV_KEY KEY_(hidden) press")),
            (input(1, 0x1ff, 0), Some("EV_KEY KEY_(hidden) release")),
            (input(1, 30, 2), Some("EV_KEY KEY_(hidden) repeat")),
            (input(4, 4, 30), Some("EV_MSC MSC_SCAN (hidden)")),
            // BTN_LEFT, SYN_REPORT, REL_X, MSC_TIMESTAMP
            (input(1, 0x110, 1), None),
            (input(0, 0, 0), None),
            (input(2, 0, 30), None),
            (input(4, 5, 30), None),
        ] {
            assert_eq!(without_key(hidden).as_deref(), text, "{hidden}");
        }
    }

    #[test]
    fn bytes_are_text_where_a_terminal_can_take_it() {
        assert_eq!(describe_bytes(b"caf\xc3\xa9\t1\r\n"), "caf\u{e9}\t1");
        assert_eq!(describe_bytes(b"\n"), "");
        for (bad, hex) in [
            (&b"\x1b[31m\n"[..], "data 1b5b33316d0a"),
            (b"\xff\n", "data ff0a"),
            (b"a\nb\n", "data 610a620a"),
            (b"\0", "data 00"),
            ("\u{202e}x\n".as_bytes(), "data e280ae780a"),
        ] {
            assert_eq!(describe_bytes(bad), hex);
        }
    }
}
