// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lines that `send` reads, in pieces that end anywhere.
#![no_main]

#[path = "../../src/cli/hex.rs"]
#[expect(dead_code, reason = "only what lines have of it")]
mod hex;
#[path = "../../src/cli/kind.rs"]
#[expect(dead_code, reason = "only what lines have of it")]
mod kind;
#[path = "../../src/cli/script.rs"]
mod script;

use evq::Event;
use libfuzzer_sys::fuzz_target;
use script::{BadLine, Script};

fn events(pieces: &[&[u8]]) -> (Vec<Event>, Result<(), BadLine>) {
    let (mut script, mut events) = (Script::default(), Vec::new());
    let mut result = Ok(());
    for piece in pieces {
        result = result.and_then(|()| script.feed(piece, &mut events));
    }
    let result = result.and_then(|()| script.finish(&mut events));
    (events, result)
}

fuzz_target!(|data: &[u8]| {
    let (whole, result) = events(&[data]);
    if let Err(bad) = &result {
        assert!(!bad.to_string().is_empty());
    }
    // Where a piece ends makes no difference, but for how much of a line that is too long was seen.
    let cut = data
        .first()
        .map_or(0, |first| usize::from(*first))
        .min(data.len());
    let (begin, end) = data.split_at(cut);
    assert_eq!(events(&[begin, end]), (whole.clone(), result));
    // What was understood is understood the same when it is written plainly.
    let plain: String = whole
        .iter()
        .map(|event| {
            format!(
                "{} {} {}\n",
                event.type_,
                event.code,
                hex::encode(event.payload())
            )
        })
        .collect();
    assert_eq!(events(&[plain.as_bytes()]), (whole, Ok(())));
});
