// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any 64 bytes as an event: nothing that a device sends is more than strange.
#![no_main]

use evq::input::Input;
use evq::uapi::{Event, DATA_MAX};
use evq::Source;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: [u8; 64]| {
    let word = |at: usize| u32::from_ne_bytes(data[at..at + 4].try_into().expect("4 bytes"));
    let half = |at: usize| u16::from_ne_bytes(data[at..at + 2].try_into().expect("2 bytes"));
    let event = Event {
        source: word(16),
        type_: half(20),
        code: half(22),
        lost: word(24),
        len: half(28),
        reserved: half(30),
        data: data[32..].try_into().expect("the payload"),
        ..Event::default()
    };
    assert!(event.payload().len() <= DATA_MAX);
    let source = Source::from(event.source);
    assert_eq!(source.to_string().parse(), Ok(source));
    if let Some(input) = Input::from_event(&event) {
        assert_eq!((input.type_, input.code), (event.type_, event.code));
        assert!(!input.to_string().is_empty());
    }
});
