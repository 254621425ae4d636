// SPDX-License-Identifier: MIT OR Apache-2.0
//! `evdev-client top`: what it tells of the queue and of those who read it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::Stdio;

use nix::pty::{openpty, Winsize};
use nix::sys::signal::{kill, Signal};
use nix::time::{clock_gettime, ClockId};
use nix::unistd::{write, Pid};

use crate::support::client::{client, run, Watch};
use crate::support::device::*;
use crate::support::until_readable;

fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC");
    let [seconds, ns] = [now.tv_sec(), now.tv_nsec()].map(|n| u64::try_from(n).expect("from 0"));
    seconds * 1_000_000_000 + ns
}

/// The value of a field in a part of a JSON line.
fn field<'a>(json: &'a str, name: &str) -> &'a str {
    let (_, rest) = json
        .split_once(&format!("\"{name}\":"))
        .unwrap_or_else(|| panic!("no {name} in {json}"));
    rest.split([',', '}']).next().expect("a value")
}

/// The part of the line about this subscriber.
fn about(line: &str, pid: Pid) -> &str {
    let (_, rest) = line
        .split_once(&format!("{{\"pid\":{pid},"))
        .unwrap_or_else(|| panic!("no process {pid} in {line}"));
    rest.split('}').next().expect("its end")
}

/// C6: the reader of the lines goes away long before the next look.
#[test]
fn reader_gone_ends_a_stream_that_waits() {
    let mut command = client(&["top", "--stream", "json", "--interval", "1h"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("top");
    let mut stdout = BufReader::new(child.stdout.take().expect("it is a pipe"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("its first line");
    assert!(line.contains("\"capacity\""), "{line}");
    drop(stdout);
    let status = child.wait().expect("its end");
    assert_eq!(status.code(), Some(0), "{status:?}");
}

/// A subscriber that has been stopped is behind by what was posted since, and
/// loses what exceeds the capacity once it goes on; another one keeps up.
#[test]
fn who_does_not_keep_up_is_told() {
    let mut slow = Watch::start(&["--format", "json"]);
    let mut quick = Watch::start(&[]);
    slow.stop();
    let writer = open_rw();
    let start = info(&writer).posted;
    let begun = monotonic_ns();
    let capacity = u64::from(info(&writer).capacity);
    post_numbers(&writer, 0..10);
    for _ in 0..10 {
        quick.line();
    }
    let ended = run(&["top", "--stream", "json", "-n", "1"]);
    assert_eq!((ended.code(), ended.lines.len()), (0, 1), "{ended:?}");
    let line = &ended.lines[0];
    assert_eq!(field(line, "posted"), (start + 10).to_string());
    assert_eq!(field(line, "posted_per_s"), "null");
    assert_eq!(field(line, "capacity"), capacity.to_string());
    // The two, and the one that posts.
    assert_eq!(field(line, "open"), "3");
    let told = |line: &str, pid| {
        let part = about(line, pid);
        ["behind", "delivered", "lost"].map(|name| field(part, name).to_owned())
    };
    // The first of the ten has been waiting since it was posted.
    let number = |part: &str, name| field(part, name).parse::<u64>().expect("a number");
    let age = number(about(line, slow.pid()), "age_ns");
    assert!(age > 0 && age < number(line, "time_ns") - begun, "{line}");
    assert_eq!(field(about(line, quick.pid()), "age_ns"), "0");
    assert_eq!(field(about(line, quick.pid()), "age_p99_ns"), "0");
    assert_eq!(told(line, slow.pid()), ["10", "0", "0"]);
    assert_eq!(told(line, quick.pid()), ["0", "10", "0"]);
    assert_eq!(
        field(about(line, slow.pid()), "command"),
        "\"evdev-client\""
    );

    let rest = capacity - 10 + 5;
    post_numbers(&writer, 0..rest);
    slow.signal(Signal::SIGCONT);
    for _ in 0..capacity {
        slow.line();
    }
    let ended = run(&["top", "--stream", "json", "-n", "2", "--interval", "0.001"]);
    assert_eq!((ended.code(), ended.lines.len()), (0, 2), "{ended:?}");
    let line = &ended.lines[1];
    let delivered = capacity.to_string();
    assert_eq!(field(about(line, slow.pid()), "age_ns"), "0");
    assert_eq!(told(line, slow.pid()), ["0", &delivered, "5"]);
    assert_ne!(field(line, "posted_per_s"), "null");
    assert_eq!(field(line, "held"), capacity.to_string());
    for watch in [slow, quick] {
        watch.signal(Signal::SIGTERM);
        watch.end();
    }
}

/// F4: however many descriptors there are of an open file, it is one subscriber,
/// and the same one when the first of them is closed.
#[test]
fn an_open_file_is_shown_once() {
    let fd = open_nonblock();
    post(open_rw(), &[record(1)]);
    assert_eq!(drain(&fd).len(), 1);
    let dup = fd.try_clone().expect("dup");
    let shown = |fd: &OwnedFd| {
        let ended = run(&["top", "--stream", "json", "-n", "1"]);
        let row = format!("{{\"pid\":{},\"fd\":{},", Pid::this(), fd.as_raw_fd());
        let (_, rest) = ended.lines[0].split_once(&row)?;
        Some(field(rest, "delivered").to_owned())
    };
    assert_eq!(shown(&dup), None);
    assert_eq!(shown(&fd).as_deref(), Some("1"));
    drop(fd);
    assert_eq!(shown(&dup).as_deref(), Some("1"));
}

/// Reads what is drawn until it has this text.
fn until_drawn(terminal: &mut File, text: &str) {
    let mut seen = String::new();
    while !seen.contains(text) {
        until_readable(terminal.as_fd(), "the picture");
        let mut piece = [0; 4096];
        let count = terminal.read(&mut piece).expect("reading the terminal");
        seen += &String::from_utf8_lossy(&piece[..count]);
    }
}

/// On a terminal it draws, takes keys and leaves; elsewhere it says what to do.
#[test]
fn the_picture_is_drawn_and_left_by_a_key() {
    let not = run(&["top"]);
    assert_eq!(not.code(), 1, "{not:?}");
    assert!(not.errors.contains("--stream json"), "{not:?}");

    let size = Winsize {
        ws_row: 24,
        ws_col: 100,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    for end in ["q", "a signal"] {
        let pair = openpty(Some(&size), None).expect("a terminal");
        let mut command = client(&["top", "--interval", "3600"]);
        let slave = || pair.slave.try_clone().expect("dup");
        command.stdin(slave()).stdout(slave()).stderr(slave());
        let mut child = command.spawn().expect("starting it");
        drop((command, pair.slave));
        let mut terminal = File::from(pair.master);
        until_drawn(&mut terminal, "q end");
        write(&terminal, b"f").expect("pressing a key");
        until_drawn(&mut terminal, "FROZEN");
        let status = if end == "q" {
            write(&terminal, b"q").expect("pressing a key");
            0
        } else {
            let pid = Pid::from_raw(child.id().try_into().expect("a process id"));
            kill(pid, Signal::SIGTERM).expect("it is our child");
            143
        };
        // What it does at the end: back to the other screen.
        until_drawn(&mut terminal, "\x1b[?1049l");
        assert_eq!(child.wait().expect("its end").code(), Some(status), "{end}");
    }
}
