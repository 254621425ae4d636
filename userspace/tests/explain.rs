// SPDX-License-Identifier: MIT OR Apache-2.0
//! `explain`: each topic shows what it says it does, and finds it so itself.

use assert_cmd::Command;

fn explain(args: &[&str]) -> String {
    let output = Command::cargo_bin("evdev-client")
        .unwrap()
        .arg("explain")
        .args(args)
        .timeout(std::time::Duration::from_secs(300))
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(0), "{args:?}: {stdout}{stderr}");
    assert_eq!(stderr, "", "{args:?}: {stdout}");
    stdout
}

/// The lines that are the outcome of a program.
fn outcomes(text: &str) -> Vec<(&str, &str)> {
    let paragraphs = text.split("\n\n").skip(1);
    paragraphs
        .map(|paragraph| {
            let (head, rest) = paragraph.split_once('\n').unwrap();
            (
                head.split(' ').next().unwrap(),
                rest.lines().next().unwrap().trim(),
            )
        })
        .collect()
}

/// U1, U17: what has to hang does, what must not does not.
#[test]
fn race_hangs_the_broken_program_only() {
    let text = explain(&["race"]);
    let told = "did not sleep, read the event";
    assert_eq!(
        outcomes(&text),
        [
            ("broken", "HUNG: asleep, and the event is not read"),
            ("pselect", told),
            ("signalfd", told),
            ("sigio", told),
            ("self-pipe", told),
        ],
        "{text}"
    );
}

/// U10: neither signals nor the eventfd count events.
#[test]
fn eventfd_reads_a_thousand_notifications_as_one() {
    let text = explain(&["eventfd"]);
    for wanted in ["the eventfd stands at 1000", "the eventfd stands at 1\n"] {
        assert_eq!(text.matches(wanted).count(), 1, "{wanted}: {text}");
    }
    for wanted in ["told once", "read until EAGAIN: 1000 events"] {
        assert_eq!(text.matches(wanted).count(), 2, "{wanted}: {text}");
    }
}

/// C3, U8: with room for no signal, for a few, and for as many as there is.
#[test]
fn overflow_loses_no_event() {
    let text = explain(&["overflow"]);
    for wanted in [
        "SIGIO is pending",
        "all polled: 1000 are readable",
        "3000 of 3000 events; overflows counted: 1\n",
    ] {
        assert!(text.matches(wanted).count() >= 2, "{wanted}: {text}");
    }
    assert_eq!(text.matches("1 readable, 1 read\n").count(), 3, "{text}");
}

const MISSING: &str = "evdev-client: cannot open /nonexistent/queue: there is no such device; \
                       check the path with `ls -l /dev/evq* /dev/input`\n";

/// C7: what is not there is named, as everywhere.
#[test]
fn a_missing_queue_is_named() {
    for topic in ["race", "eventfd", "overflow"] {
        Command::cargo_bin("evdev-client")
            .unwrap()
            .args(["explain", topic, "--device", "/nonexistent/queue"])
            .assert()
            .code(1)
            .stderr(MISSING);
    }
}
