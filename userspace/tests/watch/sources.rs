// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sources of different kinds together, by each mechanism that takes more than
//! one.

use std::os::unix::net::UnixListener;
use std::process::Stdio;

use evq::via::Kind;

use crate::program::{command, fifo, say, terminal, text, writer, Watch};

/// C4: a FIFO, a socket, a terminal, standard input and a timer.
#[test]
fn c4_all_kinds_in_one_watch() {
    for kind in Kind::ALL.iter().filter(|kind| kind.drains()) {
        eprintln!("{kind}");
        let dir = tempfile::tempdir().unwrap();
        let fifo = fifo(dir.path());
        let socket = dir.path().join("socket");
        let listener = UnixListener::bind(&socket).unwrap();
        let (pty, tty) = terminal();
        let devices = [text(&fifo), text(&socket), text(&tty), "-"];
        let mut arguments = vec!["--via", kind.name(), "--every", "10ms"];
        for device in devices {
            arguments.extend(["--device", device]);
        }
        let mut watch = Watch::start_with(&arguments, |command| {
            command.stdin(Stdio::piped());
        });
        for device in devices.iter().filter(|device| **device != "-") {
            assert!(watch.banner.contains(device), "{:?}", watch.banner);
        }
        let (peer, _) = listener.accept().unwrap();
        let writer = writer(&fifo);
        for round in 1..=3 {
            let word = format!("round {round}");
            say(&writer, &word);
            assert!(watch.until(&word).starts_with(&format!("{}: ", devices[0])));
            say(&peer, &word);
            assert!(watch.until(&word).starts_with(&format!("{}: ", devices[1])));
            say(&pty, &word);
            assert!(watch.until(&word).starts_with(&format!("{}: ", devices[2])));
            say(watch.child.stdin.as_ref().unwrap(), &word);
            assert!(watch.until(&word).starts_with("stdin: "));
            assert!(watch.until("tick").starts_with("every 10ms: "));
        }
        let ended = watch.stop();
        for device in [devices[0], devices[1], devices[2], "stdin"] {
            let wanted = format!("{device}: delivered 3, lost 0 (stopped by SIGTERM)");
            assert!(
                ended.errors.contains(&wanted),
                "{kind}: {wanted} in {}",
                ended.errors
            );
        }
    }
}

/// The end of one source is no end of the others; that of the last one is.
#[test]
fn c4_each_end_is_told() {
    for kind in [Kind::Sigio, Kind::Rtsig, Kind::Epoll, Kind::EpollEt] {
        eprintln!("{kind}");
        let dir = tempfile::tempdir().unwrap();
        let fifo = fifo(dir.path());
        let (pty, tty) = terminal();
        let devices = [
            "--device",
            text(&fifo),
            "--device",
            text(&tty),
            "--device",
            "-",
        ];
        let mut watch = Watch::start_with(&[&["--via", kind.name()], &devices[..]].concat(), |c| {
            c.stdin(Stdio::piped());
        });
        let other = writer(&fifo);
        say(&other, "one");
        watch.until("one");
        drop(other);
        watch.told(&format!("{} has ended", text(&fifo)));
        say(&pty, "two");
        watch.until("two");
        drop(pty);
        watch.told(&format!("{} has ended", text(&tty)));
        say(watch.child.stdin.as_ref().unwrap(), "three");
        watch.until("three");
        let ended = watch.end();
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
        assert!(
            ended
                .errors
                .contains("stdin: delivered 1, lost 0 (all sources have ended)"),
            "{ended:?}"
        );
    }
}

/// What has come of a line is printed when nothing follows, and exactly as many
/// lines are taken as were asked for.
#[test]
fn lines_are_what_is_counted() {
    let mut watch = Watch::start_with(&["--device", "-", "--num-events", "3"], |command| {
        command.stdin(Stdio::piped());
    });
    use std::io::Write as _;
    let mut stdin = watch.child.stdin.take().unwrap();
    stdin.write_all(b"no end").unwrap();
    assert!(watch.line().ends_with(" stdin     no end"));
    stdin.write_all(b"\x1b[2J\nlast\nnot this one\n").unwrap();
    let ended = watch.end();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert_eq!(ended.lines.len(), 2, "{ended:?}");
    assert!(ended.lines[0].ends_with("data 1b5b324a0a"), "{ended:?}");
    assert!(ended.lines[1].ends_with("last"), "{ended:?}");
}

/// A timer does not keep an idle watch alive.
#[test]
fn ticks_are_no_news() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = fifo(dir.path());
    let arguments = [
        "--device",
        text(&fifo),
        "--every",
        "1ms",
        "--idle-timeout",
        "50ms",
    ];
    let ended = Watch::start(&arguments).end();
    assert_eq!(ended.status.code(), Some(3), "{}", ended.errors);
    assert!(!ended.lines.is_empty());
}

/// C7: what cannot be watched, or not by this mechanism, is an error.
#[test]
fn c7_refusals_name_source_and_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = fifo(dir.path());
    let (_pty, tty) = terminal();
    let zero = || std::fs::File::open("/dev/zero").unwrap();
    let cases: [(&[&str], bool, &str); 4] = [
        (
            &[
                "--device",
                text(&tty),
                "--device",
                text(&fifo),
                "--via",
                "blocking",
            ],
            false,
            "as a second source: a read blocks on one source only",
        ),
        (&["--device", "-"], true, "send it through a pipe"),
        (
            &["--device", text(dir.path())],
            false,
            "nor an input device, a terminal, a pipe",
        ),
        (
            &["--device", text(&fifo), "--from", "oldest"],
            false,
            "--from works on queues only",
        ),
    ];
    for (arguments, from_zero, message) in cases {
        let mut command = command(arguments);
        if from_zero {
            command.stdin(zero());
        }
        let output = command.output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {errors}");
        assert!(errors.contains(message), "{arguments:?}: {errors}");
    }
}
