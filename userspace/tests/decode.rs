// SPDX-License-Identifier: MIT OR Apache-2.0
//! Decoder files: the same words in each format; the doorbell of the tutorial.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use evq::recording::{Segment, Writer};
use evq::Event;
use tempfile::TempDir;

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evdev-client"));
    let output = command.args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn doorbell() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tutorial/doorbell-decoder.toml");
    path.to_str().unwrap().to_owned()
}

/// A recording of what the tutorial's module posts, and of what it does not.
fn rung(folder: &TempDir) -> PathBuf {
    let mut writer = Writer::new(Vec::new(), "a test").unwrap();
    writer.begin(&Segment::unknown("/dev/evq", 1)).unwrap();
    let event = |seq, source, code, words: &[u8]| Event {
        seq,
        source,
        ..Event::new(1, code, words).unwrap()
    };
    let events = [
        event(1, 0x8100_0000, 3, b"ding dong"),
        event(2, 0x8100_0001, 3, b"ding dong"),
        event(3, 0x8100_0000, 7, b"a\x1b[2J, \"b\"\0c"),
    ];
    writer.append(&events).unwrap();
    let path = folder.path().join("rung.evq");
    fs::write(&path, writer.get_mut()).unwrap();
    path
}

#[test]
fn each_format_has_what_the_decoder_says() {
    let folder = TempDir::new().unwrap();
    let path = rung(&folder);
    let path = path.to_str().unwrap();
    let doorbell = doorbell();
    let decode = ["--decode", &doorbell];
    let (status, text, said) = run(&[&["replay", path, "--speed", "max"], &decode[..]].concat());
    assert_eq!(status, Some(0), "{said}");
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].ends_with(" doorbell front words=\"ding dong\""),
        "{text}"
    );
    assert!(
        lines[1].ends_with(" type 1 code 3 data 64696e6720646f6e67"),
        "{text}"
    );
    let wanted = r#" doorbell back words="a\u{1b}[2J, \"b\"""#;
    assert!(lines[2].ends_with(wanted), "{text}");

    let (status, json, said) = run(&[&["convert", path], &decode[..]].concat());
    assert_eq!(status, Some(0), "{said}");
    let events: Vec<serde_json::Value> = json
        .lines()
        .skip(1)
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let wanted = serde_json::json!(
        {"name": "doorbell", "code": "front", "fields": {"words": "ding dong"}}
    );
    assert_eq!(events[0]["decoded"], wanted);
    assert_eq!(events[0]["data"], "64696e6720646f6e67");
    assert!(events[1]["decoded"].is_null());
    assert_eq!(events[2]["decoded"]["fields"]["words"], "a\u{1b}[2J, \"b\"");
    // What is decoded is the same event again.
    let lines = folder.path().join("lines.jsonl");
    fs::write(&lines, json).unwrap();
    let back = folder.path().join("back.evq");
    let arguments = ["convert", lines.to_str().unwrap(), back.to_str().unwrap()];
    assert_eq!(run(&arguments), (Some(0), String::new(), String::new()));
    assert_eq!(fs::read(&back).unwrap(), fs::read(path).unwrap());
}

/// C7: a file that was named and cannot be used is an error, with the place.
#[test]
fn c7_a_bad_file_is_named_with_its_place() {
    let folder = TempDir::new().unwrap();
    let path = rung(&folder);
    let path = path.to_str().unwrap();
    let bad = folder.path().join("bad.toml");
    fs::write(&bad, "[[decoder]]\nname = \"x\"\nsource = \"me\"\n").unwrap();
    let bad = bad.to_str().unwrap();
    let config = folder.path().join("daemon.toml");
    let text = format!("decode = [{bad:?}]\n[[device]]\npath = \"/dev/evq\"\n");
    fs::write(&config, text).unwrap();
    for arguments in [
        &["watch", "--decode", bad][..],
        &["replay", path, "--decode", bad],
        &["convert", path, "--decode", bad],
        &["daemon", "--check", "--config", config.to_str().unwrap()],
    ] {
        let (status, _, said) = run(arguments);
        assert_eq!(status, Some(2), "{arguments:?}: {said}");
        let wanted = format!("{bad}:3:10: give pid:N");
        assert!(said.contains(&wanted), "{arguments:?}: {said}");
    }
    let missing = ["watch", "--decode", "/nonexistent/x.toml"];
    let (status, _, said) = run(&missing);
    assert_eq!(status, Some(2), "{said}");
    assert!(
        said.contains("/nonexistent/x.toml: cannot read it"),
        "{said}"
    );
}
