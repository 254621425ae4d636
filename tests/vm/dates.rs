// SPDX-License-Identifier: MIT OR Apache-2.0
//! C8: dates of events on both sides of a step of the wall clock.

use std::fs;
use std::path::Path;

use evq::recording::{Item, Reader, Segment};
use nix::sys::signal::Signal;
use nix::sys::time::TimeSpec;
use nix::time::{clock_gettime, clock_settime, ClockId};

use crate::support::client::{run, Watch};
use crate::support::device::*;
use crate::support::worker::until;

const DAY: i64 = 86_400;

/// The wall clock, a day ahead until this is dropped.
struct Stepped;

impl Stepped {
    fn new() -> Stepped {
        step(DAY);
        Stepped
    }
}

impl Drop for Stepped {
    fn drop(&mut self) {
        step(-DAY);
    }
}

fn step(seconds: i64) {
    let now = clock_gettime(ClockId::CLOCK_REALTIME).expect("the wall clock");
    let then = TimeSpec::new(now.tv_sec() + seconds, now.tv_nsec());
    clock_settime(ClockId::CLOCK_REALTIME, then).expect("root may set it");
}

fn segments(path: &Path) -> Vec<(Segment, Vec<Event>)> {
    let mut segments: Vec<(Segment, Vec<Event>)> = Vec::new();
    for item in Reader::open(path).expect("a recording") {
        match item.expect("a whole recording") {
            Item::Segment(segment) => segments.push((segment, Vec::new())),
            Item::Event(event) => segments.last_mut().expect("a segment first").1.push(event),
        }
    }
    segments
}

fn ahead(segment: &Segment) -> i128 {
    i128::from(segment.realtime_ns) - i128::from(segment.monotonic_ns)
}

/// The day of the month and the time of the day of a date.
fn parts(date: &str) -> (&str, &str) {
    date.split_once('T').expect("a date with a time")
}

/// An event from before keeps its date, one from after has the new one; a recording
/// begins another segment, and what is converted has the dates that were printed.
#[test]
fn c8_a_step_of_the_wall_clock_is_between_the_dates_of_its_events() {
    const PATH: &str = "/tmp/dates.evq";
    let _ = fs::remove_file(PATH);
    let mut watch = Watch::start(&["--format", "%n %t %u %b", "--time", "utc"]);
    let recorder = Watch::record(&[PATH]);
    let writer = open_rw();
    let first = info(&writer).posted + 1;
    let length = || fs::metadata(PATH).map_or(0, |file| file.len());
    let begun = length();
    post(&writer, &[record(1)]);
    let mut lines = vec![watch.line()];
    until(|| length() > begun, || "the first event in the file".into());
    let stepped = Stepped::new();
    post(&writer, &[record(2), record(3)]);
    lines.extend([watch.line(), watch.line()]);
    watch.signal(Signal::SIGTERM);
    watch.ended();
    recorder.signal(Signal::SIGTERM);
    recorder.ended();

    let fields: Vec<Vec<&str>> = lines.iter().map(|line| line.split(' ').collect()).collect();
    for (fields, seq) in fields.iter().zip(first..) {
        assert_eq!(fields[0], seq.to_string(), "{lines:?}");
        assert_eq!(fields[1], fields[2], "{lines:?}");
    }
    assert_ne!(parts(fields[0][1]).0, parts(fields[1][1]).0, "{lines:?}");
    assert_eq!(parts(fields[1][1]).0, parts(fields[2][1]).0, "{lines:?}");

    let found = segments(Path::new(PATH));
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!((found[0].1.len(), found[1].1.len()), (1, 2), "{found:?}");
    assert_eq!(found[1].0.next, first + 1);
    assert!(found[0].0.same_queue(&found[1].0), "{found:?}");
    let step = ahead(&found[1].0) - ahead(&found[0].0);
    let day = i128::from(DAY) * 1_000_000_000;
    assert!((step - day).abs() < 1_000_000_000, "{found:?}");

    let converted = run(&["convert", PATH]);
    let events: Vec<&String> = converted
        .lines
        .iter()
        .filter(|line| !line.contains("\"segment\""))
        .collect();
    assert_eq!(events.len(), 3, "{converted:?}");
    for (event, fields) in events.iter().zip(&fields) {
        let wanted = format!("\"time\":\"{}\",\"boot_id\":\"{}\"", fields[1], fields[3]);
        assert!(event.contains(&wanted), "{wanted} in {event}");
    }

    // Two programs that look back print the same dates: those of the present offset.
    let from = first.to_string();
    let again = || {
        let arguments = [
            "watch",
            "--from",
            &from,
            "-n",
            "3",
            "--format",
            "%n %t %u %b",
        ];
        run(&[&arguments[..], &["--time", "utc"]].concat()).lines
    };
    let looked_back = again();
    assert_eq!(looked_back, again());
    assert_eq!(looked_back[1..], lines[1..]);
    drop(stepped);
    let _ = fs::remove_file(PATH);
}
