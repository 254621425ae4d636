// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lines that `convert` reads: what is understood is written again, and
//! understood as the same.
#![no_main]

#[path = "../../src/cli/describe.rs"]
mod describe;
#[path = "../../src/cli/hex.rs"]
#[expect(dead_code, reason = "only what JSON has of it")]
mod hex;
#[path = "../../src/cli/json.rs"]
#[expect(dead_code, reason = "only what convert has of it")]
mod json;
#[path = "../../src/cli/printable.rs"]
#[expect(dead_code, reason = "only what JSON has of it")]
mod printable;
#[path = "../../src/cli/row.rs"]
#[expect(dead_code, reason = "only what JSON has of it")]
mod row;

use json::Line;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(line) = json::parse(text) else {
        return;
    };
    let again = match &line {
        Line::Event(device, event) => json::event(device, event),
        Line::Segment(segment) => json::segment(segment),
        Line::Banner => return,
    };
    assert_eq!(json::parse(&again), Ok(line), "{again}");
});
