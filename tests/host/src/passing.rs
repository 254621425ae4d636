// SPDX-License-Identifier: GPL-2.0
//! Q11: a cursor that passes unwanted events looks at those up to an end, and at
//! no more of them than it was told.

use std::ops::RangeInclusive;

use crate::account::{event, ring_after, TestRing};
use crate::event::Event;
use crate::filter::{Filter, Rule};
use crate::ring::{Cursor, Writer};
use crate::walk::{pass_unwanted, Stop};

/// Lets through what [`event`] makes of the numbers that are a multiple of 100.
fn filter() -> Filter {
    let mut filter = Filter::default();
    let rule = Rule::new(0, 0, 1, 1).expect("there are such events");
    filter.add(rule).expect("the first rule");
    filter
}

fn typed(n: u64) -> Event {
    Event {
        kind: u16::from(n.is_multiple_of(100)),
        ..event(n)
    }
}

fn post(ring: &TestRing, writer: &mut Writer, numbers: RangeInclusive<u64>) {
    let events: Vec<Event> = numbers.map(typed).collect();
    ring.post(writer, events.into_iter())
        .expect("there is room");
}

#[test]
fn walk_stops_at_its_end() {
    let (ring, mut writer) = ring_after(64, 0);
    post(&ring, &mut writer, 1..=50);
    for end in [0, 1, 15, 16, 17, 33, 49] {
        let mut cursor = Cursor::at(1);
        let stop = pass_unwanted(&mut cursor, &ring, &filter(), end, 256);
        assert_eq!(stop, Stop::End, "end {end}");
        assert_eq!((cursor.next(), cursor.skipped()), (end + 1, end));
    }
}

#[test]
fn walk_stops_after_its_budget() {
    let (ring, mut writer) = ring_after(256, 0);
    post(&ring, &mut writer, 1..=99);
    for budget in [0, 1, 15, 16, 17, 98] {
        let mut cursor = Cursor::at(1);
        let stop = pass_unwanted(&mut cursor, &ring, &filter(), 99, budget);
        assert_eq!(stop, Stop::Budget);
        assert_eq!(cursor.skipped(), budget as u64);
    }
}

#[test]
fn walk_stops_before_a_wanted_event() {
    let (ring, mut writer) = ring_after(256, 0);
    post(&ring, &mut writer, 1..=210);
    let mut cursor = Cursor::at(1);
    for (wanted, skipped) in [(100, 99), (200, 198)] {
        for _ in 0..2 {
            let stop = pass_unwanted(&mut cursor, &ring, &filter(), 210, 256);
            assert_eq!(stop, Stop::Wanted);
            assert_eq!((cursor.next(), cursor.skipped()), (wanted, skipped));
        }
        cursor.deliver(wanted);
    }
    let stop = pass_unwanted(&mut cursor, &ring, &filter(), 210, 256);
    assert_eq!((stop, cursor.next()), (Stop::End, 211));
}

/// A lapped cursor counts what is gone as lost, and looks at as many events as
/// there were before its end, not at all that have come since.
#[test]
fn walk_of_a_lapped_cursor_is_bounded() {
    let (ring, mut writer) = ring_after(64, 0);
    post(&ring, &mut writer, 1..=1000);
    let mut cursor = Cursor::at(1);
    let stop = pass_unwanted(&mut cursor, &ring, &filter(), 10, 256);
    assert_eq!(stop, Stop::End);
    assert_eq!((cursor.skipped(), cursor.lost()), (10, 936));
    assert_eq!(cursor.next(), 947);
}
