// SPDX-License-Identifier: MIT OR Apache-2.0
//! Q2: where a watch starts in what the queue still holds: `--last` and `--since`.

use crate::support::client::run;
use crate::support::device::*;

/// The numbers of the events that a watch prints which starts like this.
fn printed(arguments: &[&str]) -> Vec<u64> {
    let ended = run(&[
        &["watch", "--format", "%n", "--idle-timeout", "500ms"],
        arguments,
    ]
    .concat());
    assert_eq!(ended.code(), 3, "{arguments:?}: {ended:?}");
    assert!(ended.errors.contains("lost 0"), "{arguments:?}: {ended:?}");
    let numbers = ended.lines.iter().map(|line| line.parse());
    numbers.collect::<Result<_, _>>().expect("numbers")
}

/// A watch that starts in the past prints the last events, as many as it is told to and
/// the queue holds; with a filter, the last of those that are wanted.
#[test]
fn watch_last_starts_with_the_last_events() {
    let writer = open_rw();
    let capacity = u64::from(info(&writer).capacity);
    post_numbers(&writer, 0..10);
    let newest = info(&writer).posted;
    assert_eq!(printed(&["--last", "3"]), [newest - 2, newest - 1, newest]);
    // Every second one is of another type.
    for number in 0..10 {
        let type_ = if number % 2 == 0 { 0x200 } else { 0x201 };
        let event = Event {
            type_,
            ..record(number)
        };
        post(&writer, &[event]);
    }
    let newest = info(&writer).posted;
    for filter in [["--type", "0x200"], ["--code", "7"]] {
        let last = printed(&[&["--last", "2"], &filter[..]].concat());
        let step = if filter[0] == "--type" { 2 } else { 1 };
        let end = newest + 1 - step;
        assert_eq!(last, [end - step, end], "{filter:?}");
    }
    // More than there are: all that are kept, and no loss of the others.
    post_numbers(&writer, 0..capacity + 5);
    let oldest = info(&writer).oldest;
    let all = printed(&["--last", &(capacity * 2).to_string()]);
    assert_eq!((all[0], all.len() as u64), (oldest, capacity));
    let none = printed(&["--last", "5", "--type", "0x202"]);
    assert!(none.is_empty(), "{none:?}");
}

/// A watch since a time prints the events from then on: by a duration or by a date.
#[test]
fn watch_since_starts_with_the_first_event_of_the_time() {
    let writer = open_rw();
    let capacity = u64::from(info(&writer).capacity);
    post_numbers(&writer, 0..100);
    let newest = info(&writer).posted;
    let dated = |seq: u64| {
        let from = seq.to_string();
        let ended = run(&["watch", "--from", &from, "-n", "1", "--format", "%u"]);
        ended.lines[0].clone()
    };
    for back in [0, 1, 57, 99] {
        let seq = newest - back;
        let since = printed(&["--since", &dated(seq)]);
        // Those before it may have the same stamp.
        assert!(
            since[0] <= seq && since[0] + 64 > seq,
            "{since:?} for {seq}"
        );
        assert_eq!(since.last(), Some(&newest), "{since:?} for {seq}");
    }
    let ahead = printed(&["--since", "9999-01-01T00:00:00Z"]);
    assert!(ahead.is_empty(), "{ahead:?}");
    // Before all that is kept: what is kept, and no loss.
    post_numbers(&writer, 0..capacity + 5);
    let oldest = info(&writer).oldest;
    let all = printed(&["--since", "1h"]);
    assert_eq!((all[0], all.len() as u64), (oldest, capacity));
}
