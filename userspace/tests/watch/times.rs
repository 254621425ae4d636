// SPDX-License-Identifier: MIT OR Apache-2.0
//! C8: dates of events.

use std::io::Write as _;
use std::process::Stdio;

use crate::program::{fifo, text, writer, Watch};

/// Lines that were read together have one stamp, and so one date, whatever is printed
/// in between.
#[test]
fn c8_equal_stamps_have_equal_dates() {
    const LINES: usize = 200;
    for clock in ["utc", "local"] {
        let dir = tempfile::tempdir().unwrap();
        let fifo = fifo(dir.path());
        let arguments = ["--device", text(&fifo), "--format", "%t", "--time", clock];
        let mut watch = Watch::start(&arguments);
        // One write to a pipe is read as a whole.
        let mut writer = writer(&fifo);
        writer.write_all("x\n".repeat(LINES).as_bytes()).unwrap();
        let lines: Vec<_> = (0..LINES).map(|_| watch.line()).collect();
        assert_ne!(lines[0], "");
        let other = lines.iter().find(|line| **line != lines[0]);
        assert_eq!(other, None, "{:?} is the first", lines[0]);
        watch.stop();
    }
}

/// Each record that may outlive the program says when it was by the wall clock, and
/// in which boot; CLOCK_MONOTONIC stays.
#[test]
fn c8_records_have_the_wall_clock_and_the_boot() {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let boot = boot.trim().replace('-', "");
    let read = |format: &str| {
        let arguments = ["--device", "-", "--format", format, "-n", "1"];
        let before = jiff::Timestamp::now();
        let mut watch = Watch::start_with(&arguments, |command| {
            command.stdin(Stdio::piped());
        });
        writeln!(watch.child.stdin.as_ref().unwrap(), "word").unwrap();
        let line = watch.until("word");
        watch.end();
        (line, before..=jiff::Timestamp::now())
    };
    let is_in = |time: &str, range: &std::ops::RangeInclusive<jiff::Timestamp>| {
        assert!(time.ends_with('Z') && time.len() == 30, "{time}");
        assert!(
            range.contains(&time.parse().unwrap()),
            "{time} in {range:?}"
        );
    };
    let (line, range) = read("json");
    let json: serde_json::Value = serde_json::from_str(&line).unwrap();
    is_in(json["time"].as_str().unwrap(), &range);
    assert_eq!(json["boot_id"], boot);
    assert_eq!(
        json["time_ns_str"],
        json["time_ns"].as_u64().unwrap().to_string()
    );
    let (line, range) = read("%x %u %b");
    let fields: Vec<&str> = line.split(' ').collect();
    is_in(fields[1], &range);
    assert_eq!(fields[2], boot);
    let (line, range) = read("csv");
    let fields: Vec<&str> = line.split(',').collect();
    is_in(fields[10], &range);
    assert_eq!(fields[11], boot);
}
