// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lines of several lengths, and their times: every mechanism prints the same.

use std::io::Write as _;
use std::process::{Command, Stdio};

use evq::via::Kind;
use nix::time::{clock_gettime, ClockId};

use crate::program::Watch;

fn piped(command: &mut Command) {
    command.stdin(Stdio::piped());
}

/// Lines as they are written. The longest that is printed in one piece has 4096
/// bytes with its end.
fn lines() -> Vec<String> {
    let mut lines = vec!["\n".to_owned(), "hello\n".into(), "world\n".into()];
    lines.extend([1, 2, 63, 64, 65, 1000, 4095].map(|length| "x".repeat(length) + "\n"));
    lines
}

fn hex(line: &str) -> String {
    line.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// C1: `--num-events` counts lines, however long they are.
#[test]
fn num_events_any_mechanism_counts_lines() {
    let lines = lines();
    let all = lines.concat();
    for kind in Kind::ALL {
        for count in [1, 2, lines.len()] {
            eprintln!("{kind}, {count}");
            let number = count.to_string();
            let arguments = ["--device", "-", "--via", kind.name(), "--format", "%d"];
            let limit = ["--num-events", &number];
            let mut watch = Watch::start_with(&[&arguments[..], &limit].concat(), piped);
            let mut stdin = watch.child.stdin.take().unwrap();
            stdin.write_all(all.as_bytes()).unwrap();
            let ended = watch.end();
            assert_eq!(ended.status.code(), Some(0), "{kind}: {ended:?}");
            let wanted: Vec<_> = lines[..count].iter().map(|line| hex(line)).collect();
            assert_eq!(ended.lines, wanted, "{kind}, {count}");
        }
    }
}

/// C1: a line is printed when it has come, and whole, whether or not there is a
/// limit.
#[test]
fn line_any_mechanism_is_printed_whole_at_once() {
    for kind in Kind::ALL {
        for limit in [&[][..], &["-n", "1000"]] {
            eprintln!("{kind} {limit:?}");
            let arguments = ["--device", "-", "--via", kind.name(), "--format", "%d"];
            let mut watch = Watch::start_with(&[&arguments[..], limit].concat(), piped);
            for line in lines() {
                let stdin = watch.child.stdin.as_mut().unwrap();
                stdin.write_all(line.as_bytes()).unwrap();
                assert_eq!(watch.line(), hex(&line), "{kind}");
            }
            watch.stop();
        }
    }
}

/// A line that is too long for one piece is printed in the same pieces by all.
#[test]
fn long_line_any_mechanism_gives_the_same_pieces() {
    let line = "x".repeat(10_000) + "\n";
    for kind in Kind::ALL {
        let arguments = ["--device", "-", "--via", kind.name(), "--format", "%d"];
        let mut watch = Watch::start_with(&arguments, piped);
        let stdin = watch.child.stdin.as_mut().unwrap();
        stdin.write_all(line.as_bytes()).unwrap();
        for piece in [&line[..4096], &line[4096..8192], &line[8192..]] {
            assert_eq!(watch.line(), hex(piece), "{kind}");
        }
        watch.stop();
    }
}

fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap();
    u64::try_from(now.tv_sec() * 1_000_000_000 + now.tv_nsec()).unwrap()
}

/// C1: the time of a line is that at which it was read.
#[test]
fn line_any_mechanism_has_the_time_of_its_read() {
    for kind in Kind::ALL {
        let arguments = ["--device", "-", "--via", kind.name(), "--format", "json"];
        let mut watch = Watch::start_with(&arguments, piped);
        for word in ["one", "two", "three"] {
            // A stamp from before it slept would be one from before the line.
            watch.until_asleep();
            let before = monotonic_ns();
            let stdin = watch.child.stdin.as_mut().unwrap();
            stdin.write_all(format!("{word}\n").as_bytes()).unwrap();
            let line = watch.line();
            let after = monotonic_ns();
            let (_, rest) = line.split_once("\"time_ns\":").unwrap();
            let (time, _) = rest.split_once(',').unwrap();
            let time: u64 = time.parse().unwrap();
            assert!(
                (before..=after).contains(&time),
                "{kind}: {before} <= {time} <= {after}: {line}"
            );
        }
        watch.stop();
    }
}
