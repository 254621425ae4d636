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

/// C3: a thousand sources with room for no signal, for eight, and for as many
/// as the kernel gives by default.
#[test]
fn a_thousand_sources_survive_a_full_signal_queue() {
    for text in explain("overflow") {
        let full = text.matches("SIGIO is pending").count();
        let polled = text.matches("all polled: 1000 are readable").count();
        assert!(full >= 2 && polled == full, "{text}");
        let complete = text.matches("3000 of 3000 events; overflows counted: 1");
        assert!(complete.count() >= 2, "{text}");
    }
}
