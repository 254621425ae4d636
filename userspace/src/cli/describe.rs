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
