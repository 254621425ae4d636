// SPDX-License-Identifier: MIT OR Apache-2.0
//! `replay` takes the filters, formats and clocks of `watch`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

fn client() -> Command {
    Command::new(env!("CARGO_BIN_EXE_evdev-client"))
}

/// Five events, a second apart; a key, and losses before some.
fn recording(folder: &Path) -> PathBuf {
    const START: u64 = 1_000_000_000;
    let events = [
        (1, "pid:7", 7, 1, 0, "6869"),
        (2, "input:0", 1, 30, 0, "01000000"),
        (5, "pid:8", 7, 2, 2, ""),
        (6, "kernel:256:3", 9, 2, 0, "00ff"),
        (9, "pid:7", 8, 1, 2, ""),
    ];
    let mut text = String::new();
    for (seq, source, type_, code, lost, data) in events {
        let time_ns = START * seq;
        let time = format!("2026-11-21T12:34:{seq:02}Z");
        let boot_id = "0123456789abcdef0123456789abcdef";
        text += &format!(
            "{{\"v\":1,\"device\":\"/dev/evq\",\"seq\":{seq},\"time_ns\":{time_ns},\
             \"time\":\"{time}\",\"boot_id\":\"{boot_id}\",\"source\":\"{source}\",\
             \"type\":{type_},\"code\":{code},\"lost\":{lost},\"data\":\"{data}\",\"text\":\"\"}}\n"
        );
    }
    let [json, recording] = ["events.jsonl", "events.evq"].map(|name| folder.join(name));
    fs::write(&json, text).unwrap();
    let made = client()
        .arg("convert")
        .args([&json, &recording])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    recording
}

fn replay(recording: &Path, arguments: &[&str]) -> Output {
    let mut command = client();
    command.arg("replay").arg(recording).args(arguments);
    command.output().unwrap()
}

fn lines(recording: &Path, arguments: &[&str]) -> Vec<String> {
    let output = replay(recording, &[&["--speed", "max"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn replay_prints_the_events_that_the_filters_want() {
    let folder = TempDir::new().unwrap();
    let recording = recording(folder.path());
    for (filter, seqs) in [
        (&[][..], &["1", "2", "5", "6", "9"][..]),
        (&["--type", "7"], &["1", "5"]),
        (&["--type", "EV_KEY", "--type", "0x9"], &["2", "6"]),
        (&["--code", "2"], &["5", "6"]),
        (&["--code", "KEY_A"], &["2"]),
        (&["--source", "pid"], &["1", "5", "9"]),
        (
            &["--source", "kernel:256:3", "--source", "input"],
            &["2", "6"],
        ),
        (&["--type", "99"], &[]),
    ] {
        let lines = lines(&recording, &[filter, &["--format", "%n"]].concat());
        assert_eq!(lines, seqs, "{filter:?}");
    }
}

/// Whatever is left out, what was lost before it is told with the next event.
#[test]
fn replay_keeps_the_account_of_losses_beside_filters() {
    let folder = TempDir::new().unwrap();
    let recording = recording(folder.path());
    let pid_7 = ["--source", "pid:7", "--format", "%n %l"];
    assert_eq!(lines(&recording, &pid_7), ["1 0", "9 4"]);
    let output = replay(&recording, &["--type", "EV_KEY", "--speed", "max"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("replayed 1 event of "), "{said}");
    assert!(said.contains("4 were lost"), "{said}");
}

#[test]
fn replay_prints_in_the_formats_and_clocks_of_watch() {
    let folder = TempDir::new().unwrap();
    let recording = recording(folder.path());
    let csv = lines(&recording, &["--format", "csv", "--type", "8"]);
    assert_eq!(csv.len(), 2, "{csv:?}");
    assert!(
        csv[0].starts_with("device,seq,time,") && csv[1].contains(",9,"),
        "{csv:?}"
    );
    for (clock, wanted) in [
        ("monotonic", ["1.000000000", "5.000000000"]),
        ("relative", ["0.000000000", "4.000000000"]),
        ("delta", ["0.000000000", "4.000000000"]),
        (
            "utc",
            [
                "2026-11-21T12:34:01.000000000Z",
                "2026-11-21T12:34:05.000000000Z",
            ],
        ),
    ] {
        let arguments = ["--type", "7", "--format", "%t", "--time", clock];
        assert_eq!(lines(&recording, &arguments), wanted, "{clock}");
    }
    let ascii = lines(&recording, &["--ascii", "--type", "7", "--source", "pid:7"]);
    assert!(ascii[0].contains("hi"), "{ascii:?}");
}

/// A key may be of a password: it is named only if it is asked for.
#[test]
fn replay_hides_keys_as_watch_does() {
    let folder = TempDir::new().unwrap();
    let recording = recording(folder.path());
    for (arguments, shown) in [
        (&["--type", "EV_KEY"][..], false),
        (&["--type", "EV_KEY", "--format", "csv"], false),
        (&["--type", "EV_KEY", "--show-keys"], true),
        (&["--code", "KEY_A"], true),
    ] {
        let text = lines(&recording, arguments).join("\n");
        assert_eq!(text.contains("KEY_A"), shown, "{arguments:?}: {text}");
    }
}

/// What says how to print is refused where nothing is printed.
#[test]
fn replay_into_a_queue_takes_no_format() {
    let folder = TempDir::new().unwrap();
    let recording = recording(folder.path());
    for option in [&["--format", "csv"][..], &["--time", "utc"], &["--ascii"]] {
        let output = replay(&recording, &[&["--into", "/dev/evq"], option].concat());
        assert_eq!(output.status.code(), Some(2), "{option:?}: {output:?}");
    }
}
