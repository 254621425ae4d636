// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lines that `convert` reads: what is understood is written again, and
//! understood as the same.
#![no_main]

/// What decoder files make of events is written, and not read.
mod decode {
    #[derive(Debug, serde::Serialize)]
    pub(super) struct Decoded;
}
#[path = "../../src/cli/describe.rs"]
mod describe;
#[path = "../../src/cli/hex.rs"]
#[expect(dead_code, reason = "only what JSON has of it")]
mod hex;
#[path = "../../src/cli/json.rs"]
mod json;
#[path = "../../src/cli/secret.rs"]
#[expect(dead_code, reason = "only what JSON has of it")]
mod secret;
#[path = "../../src/cli/printable.rs"]
#[expect(dead_code, reason = "only what JSON has of it")]
mod printable;
#[path = "../../src/cli/row.rs"]
#[expect(dead_code, reason = "only what JSON has of it")]
mod row;

use json::{EventLine, Line};
use libfuzzer_sys::fuzz_target;
use row::Row;

fuzz_target!(|text: &str| {
    let Ok(line) = json::parse(text) else {
        return;
    };
    let again = match &line {
        Line::Event(line) => json::line(&Row::event(&line.device, &line.event)),
        Line::Segment(segment) => json::segment(segment),
        Line::Banner => return,
    };
    let line = match line {
        // The clock of the line is none of the event's.
        Line::Event(line) => Line::Event(Box::new(EventLine {
            time: None,
            boot_id: None,
            ..*line
        })),
        other => other,
    };
    assert_eq!(json::parse(&again), Ok(line), "{again}");
});
