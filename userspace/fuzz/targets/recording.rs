// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recordings: files of any bytes, and files whose checksums are all right and
//! the rest is any bytes. What is read is written again, and read as the same.
#![no_main]

use evq::recording::{Item, Reader, Writer, MAGIC, VERSION};
use libfuzzer_sys::fuzz_target;

#[path = "../../src/recording/frame.rs"]
#[expect(dead_code, reason = "only what makes a frame")]
mod frame;

/// All that can be read; at most one error, and that the last.
fn items(file: &[u8]) -> Vec<Item> {
    let mut items = Vec::new();
    let Ok(mut reader) = Reader::new(file, "fuzz") else {
        return items;
    };
    while let Some(Ok(item)) = reader.next() {
        items.push(item);
    }
    assert!(
        reader.next().is_none(),
        "nothing follows an error or the end"
    );
    assert!(reader.whole() <= file.len() as u64);
    items
}

/// The frames that `data` describes: kind, length, body, and so on.
fn sealed(mut data: &[u8]) -> Vec<u8> {
    let mut file = frame::beginning().to_vec();
    while let [kind, length, rest @ ..] = data {
        let (body, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        file.extend(frame::frame(u32::from(*kind), body));
        data = rest;
    }
    file
}

fuzz_target!(|data: &[u8]| {
    items(data);
    let found = items(&sealed(data));
    let mut again = Vec::new();
    let mut writer = Writer::new(&mut again, "fuzz").expect("memory takes it");
    for item in &found {
        match item {
            Item::Segment(segment) => writer.begin(segment),
            Item::Event(event) => writer.append(&[*event]),
        }
        .expect("memory takes it, and the numbers ascend");
    }
    assert_eq!(items(&again), found);
});
