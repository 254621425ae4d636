// SPDX-License-Identifier: MIT OR Apache-2.0
//! `evdev-client explain`, on pipes and on the queue: the races, and what the
//! library does about them, with each kernel that the tests run on.

use crate::support::client::run;
use crate::support::device::DEVICE;

/// Runs a topic on pipes and on the queue; gives what it printed.
fn explain(topic: &str) -> [String; 2] {
    [&[][..], &["--device", DEVICE]].map(|place| {
        let arguments = [&["explain", topic], place].concat();
        let ended = run(&arguments);
        assert_eq!(ended.code(), 0, "{arguments:?}: {ended:#?}");
        assert_eq!(ended.errors, "", "{arguments:?}");
        ended.lines.join("\n")
    })
}

/// C2: a signal in the gap hangs a handler with select, and nothing of ours.
#[test]
fn the_race_hangs_only_what_is_broken() {
    for text in explain("race") {
        assert_eq!(text.matches("HUNG: asleep").count(), 1, "{text}");
        let told = text.matches("did not sleep, read the event").count();
        assert_eq!(told, 4, "{text}");
    }
}

/// U10: neither signals nor the eventfd count events.
#[test]
fn a_thousand_notifications_are_one_count() {
    for text in explain("eventfd") {
        for wanted in ["stands at 1000\n", "stands at 1\n"] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        assert_eq!(text.matches("1000 events\n").count(), 2, "{text}");
    }
}

/// C3: a thousand pipes, and as many files of a queue as a post signals itself, with
/// room for no signal, for eight, and for as many as the kernel gives by default.
#[test]
fn a_full_signal_queue_loses_no_event() {
    for (text, sources) in explain("overflow").iter().zip([1000, 16]) {
        let full = text.matches("SIGIO is pending").count();
        let readable = format!("all polled: {sources} are readable");
        assert!(
            full >= 2 && text.matches(&readable).count() == full,
            "{text}"
        );
        let events = 3 * sources;
        let complete = format!("{events} of {events} events; overflows counted: 1");
        assert!(text.matches(&complete).count() >= 2, "{text}");
    }
}

/// Q4: of more files of a queue the signals come later, and fewer of them.
#[test]
fn more_files_of_a_queue_than_a_post_signals_are_refused() {
    let ended = run(&["explain", "overflow", "--device", DEVICE, "--sources", "17"]);
    assert_eq!(ended.code(), 1, "{ended:#?}");
    assert!(ended.errors.contains("--sources 16 or fewer"), "{ended:#?}");
}
