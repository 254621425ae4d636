// SPDX-License-Identifier: MIT OR Apache-2.0
//! What tells which key of a keyboard it is: what is typed may be a password. No format
//! and no file has it unless it is asked for (`--show-keys`, `show_keys` of a rule).
//!
//! A key that is hidden has code 0 (KEY_RESERVED, which no key has), and a scan code is
//! 0: so lines and recordings stay what they are, and all else of the event is told.

use evq::input::Input;
use evq::Event;

/// What has to be hidden of an input event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secret {
    /// The code of a key.
    Key,
    /// The value: a scan code.
    Scan,
}

/// Says it, of anything but a button.
pub(super) const SHOW_KEYS: &str = "Tell which keys of a keyboard are pressed: what is typed may \
    be a password, and without this every key is KEY_(hidden) with code 0, in every format and \
    file. Buttons are always told";

impl Secret {
    /// Of an input event; None if all of it may be told.
    pub(super) fn of(input: Input) -> Option<Secret> {
        // One without a name is a key all the same.
        let (type_, code) = (input.type_name()?, input.code_name().unwrap_or_default());
        match (type_.as_str(), code.as_str()) {
            ("EV_KEY", code) if !code.starts_with("BTN_") => Some(Secret::Key),
            ("EV_MSC", "MSC_SCAN" | "MSC_RAW") => Some(Secret::Scan),
            _ => None,
        }
    }

    /// What is said instead.
    pub(super) fn text(self, input: Input) -> String {
        match (self, input.value) {
            (Secret::Key, 0) => "EV_KEY KEY_(hidden) release".into(),
            (Secret::Key, 1) => "EV_KEY KEY_(hidden) press".into(),
            (Secret::Key, _) => "EV_KEY KEY_(hidden) repeat".into(),
            (Secret::Scan, _) => {
                let name = input.code_name().unwrap_or_default();
                format!("EV_MSC {name} (hidden)")
            }
        }
    }
}

/// Hides in an event of a queue what tells which key it is; says whether there was any.
pub(super) fn hide(event: &mut Event) -> bool {
    match Input::from_event(event).and_then(Secret::of) {
        Some(Secret::Key) => event.code = 0,
        Some(Secret::Scan) => event.data = [0; evq::uapi::DATA_MAX],
        None => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_hidden_and_all_else_is_told() {
        let input = |type_, code, value| Input { type_, code, value };
        for (hidden, text) in [
            (input(1, 30, 1), Some("EV_KEY KEY_(hidden) press")),
            (input(1, 0, 1), Some("EV_KEY KEY_(hidden) press")),
            (input(1, 0x1ff, 0), Some("EV_KEY KEY_(hidden) release")),
            (input(1, 0x290, 0), Some("EV_KEY KEY_(hidden) release")),
            (input(1, 30, 2), Some("EV_KEY KEY_(hidden) repeat")),
            (input(4, 4, 30), Some("EV_MSC MSC_SCAN (hidden)")),
            (input(4, 3, 30), Some("EV_MSC MSC_RAW (hidden)")),
            // BTN_LEFT, SYN_REPORT, REL_X, MSC_TIMESTAMP
            (input(1, 0x110, 1), None),
            (input(0, 0, 0), None),
            (input(2, 0, 30), None),
            (input(4, 5, 30), None),
        ] {
            let said = Secret::of(hidden).map(|secret| secret.text(hidden));
            assert_eq!(said.as_deref(), text, "{hidden}");
        }
    }

    #[test]
    fn only_what_tells_the_key_is_taken_from_an_event() {
        let event = |type_, code, value: i32| Event {
            seq: 7,
            source: 0x8001_0000,
            ..Event::new(type_, code, &value.to_ne_bytes()).unwrap()
        };
        for (mut shown, hidden) in [
            (event(1, 30, 1), event(1, 0, 1)),
            (event(4, 4, 30), event(4, 4, 0)),
        ] {
            assert!(hide(&mut shown));
            assert_eq!(shown, hidden);
        }
        let button = event(1, 0x110, 1);
        // No key: a program has posted it.
        let other = Event {
            source: 42,
            ..event(1, 30, 1)
        };
        for event in [button, other] {
            let mut same = event;
            assert!(!hide(&mut same));
            assert_eq!(same, event);
        }
    }
}
