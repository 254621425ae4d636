// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an event says, in words; the same in every format.

use evq::input::Input;
use evq::{uapi, Event, Source};

use super::hex;

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
