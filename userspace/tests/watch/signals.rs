// SPDX-License-Identifier: MIT OR Apache-2.0
//! What signals do to a watch, by way of its loop (C5).

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::program::{fifo, limit, say, text, writer, Watch};
use evq::via::Kind;

/// SIGUSR1: what came of each source so far; it goes on.
#[test]
fn c5_sigusr1_prints_statistics() {
    for kind in Kind::ALL {
        eprintln!("{kind}");
        let mut watch = Watch::start_with(&["--device", "-", "--via", kind.name()], |command| {
            command.stdin(Stdio::piped());
        });
        for round in 1..=3 {
            say(watch.child.stdin.as_ref().unwrap(), "a line");
            watch.until("a line");
            watch.signal(Signal::SIGUSR1);
            let lines = watch.told("watching 1 sources via");
            let wanted = format!("stdin: delivered {round}, lost 0, wake-ups ");
            assert!(lines.iter().any(|line| line.contains(&wanted)), "{lines:?}");
        }
        let ended = watch.stop();
        assert!(ended
            .errors
            .contains("stdin: delivered 3, lost 0 (stopped by"));
    }
}

/// SIGHUP: what is open stays so and is armed once more; what has ended is
/// opened again.
#[test]
fn c5_sighup_arms_again_and_opens_again() {
    for kind in Kind::ALL.iter().filter(|kind| kind.drains()) {
        eprintln!("{kind}");
        let dir = tempfile::tempdir().unwrap();
        let fifo = fifo(dir.path());
        let arguments = [
            "--device",
            "-",
            "--device",
            text(&fifo),
            "--via",
            kind.name(),
        ];
        let mut watch = Watch::start_with(&arguments, |command| {
            command.stdin(Stdio::piped());
        });
        let first = writer(&fifo);
        say(&first, "first");
        watch.until("first");
        watch.signal(Signal::SIGHUP);
        watch.told("armed 2 again, opened 0 again");
        say(&first, "second");
        watch.until("second");
        drop(first);
        watch.told("has ended");
        watch.signal(Signal::SIGHUP);
        watch.told("armed 1 again, opened 1 again");
        say(writer(&fifo), "third");
        watch.until("third");
        // Nobody can open it again.
        watch.told("has ended");
        std::fs::remove_file(&fifo).unwrap();
        watch.signal(Signal::SIGHUP);
        let lines = watch.told("armed 1 again, opened 0 again").concat();
        assert!(lines.contains("there is no such device"), "{lines}");
        say(watch.child.stdin.as_ref().unwrap(), "fourth");
        watch.until("fourth");
        watch.stop();
    }
}

/// SIGHUP because the terminal was closed: nobody is left to print for.
#[test]
fn c5_sighup_ends_it_when_its_output_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    // Else that would be its end before there is a signal.
    let mut watch = Watch::start(&["--quiet", "--device", text(&fifo(dir.path()))]);
    watch.close_output();
    watch.signal(Signal::SIGHUP);
    assert_eq!(watch.child.wait().unwrap().code(), Some(129));
}

/// SIGCHLD: children that it was started with are not left as zombies.
#[test]
fn c5_sigchld_reaps() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = fifo(dir.path());
    let mut command = Command::new("sh");
    // The child ends when its input does, which is ours.
    command
        .args([
            "-c",
            r#"exec 3<&0; (exec cat <&3 >/dev/null) & echo $! >"$0"; exec "$@""#,
        ])
        .arg(dir.path().join("pid"))
        .args([env!("CARGO_BIN_EXE_evdev-client"), "watch", "--banner"])
        .args(["--device", text(&fifo)])
        .stdin(Stdio::piped());
    limit(&mut command);
    let mut watch = Watch::spawn(command);
    let pid = std::fs::read_to_string(dir.path().join("pid")).unwrap();
    let entry = format!("/proc/{}", pid.trim());
    assert!(Path::new(&entry).exists());
    drop(watch.child.stdin.take());
    // The program has a limit, and its zombies go with it.
    while Path::new(&entry).exists() && watch.child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    watch.stop();
}

/// A reader that takes nothing does not keep signals waiting, and only those
/// end it that should.
#[test]
fn c5_signals_are_taken_while_the_output_is_stuck() {
    let mut watch = Watch::start_with(&["--device", "-"], |command| {
        command.stdin(Stdio::piped());
    });
    let mut stdin = watch.child.stdin.take().unwrap();
    // More than the pipe of its output holds.
    let line = [b'x'; 1000];
    let feeder = std::thread::spawn(move || {
        // It ends when the program does.
        while stdin
            .write_all(&line)
            .and_then(|()| stdin.write_all(b"\n"))
            .is_ok()
        {}
    });
    watch.until_output_is_full();
    for _ in 0..3 {
        watch.signal(Signal::SIGUSR1);
        watch.told("watching 1 sources via");
    }
    watch.signal(Signal::SIGTERM);
    let ended = watch.end();
    assert_eq!(ended.status.code(), Some(143), "{:?}", ended.errors);
    feeder.join().unwrap();
}
