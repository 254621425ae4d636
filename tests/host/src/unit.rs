// SPDX-License-Identifier: GPL-2.0
//! One property each, on one thread.

use crate::account::{event, first, post, post_all, ring_after, Subscriber, TestMemory};
use crate::atomic::meanwhile;
use crate::event::{Event, DATA_MAX, EVENT_SIZE};
use crate::glue::borrowed_buf::BorrowedBuf;
use crate::ring::Ring;
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::rc::Rc;

/// The record as a program has it.
fn bytes_of(event: &Event) -> [u8; EVENT_SIZE] {
    let words = event.to_words().map(u64::to_ne_bytes);
    words.as_flattened().try_into().expect("eight words")
}

#[test]
fn an_empty_ring_has_nothing() {
    let (ring, _writer) = ring_after(4, 0);
    assert_eq!(ring.capacity(), 4);
    assert_eq!(ring.newest(), 0);
    assert_eq!(ring.oldest(0), 1);
    assert!(!ring.has(1));
    assert!(first(&ring, 1).is_none());
}

#[test]
fn capacities_that_are_no_power_of_two_are_refused() {
    for capacity in [0, 3, 5, 6, 7, 12, 100] {
        let memory = TestMemory::new(capacity);
        assert!(Ring::new(memory).is_none(), "{capacity}");
    }
}

/// Q2: numbers are 1, 2, 3 …, and reads are in that order.
#[test]
fn numbers_follow_one_another_from_one() {
    let (ring, mut writer) = ring_after(8, 0);
    for n in 1..=8 {
        assert_eq!(post(&ring, &mut writer, event(n)), Some(n));
    }
    let mut subscriber = Subscriber::at(1);
    for n in 1..=8 {
        assert_eq!(subscriber.cursor.next(), n);
        assert!(subscriber.take(&ring));
    }
    assert!(!subscriber.take(&ring));
    subscriber.assert_settled(8);
    assert_eq!(subscriber.cursor.lost(), 0);
}

/// Q3: a batch that is longer than the ring leaves its end, in order.
#[test]
fn a_batch_may_be_longer_than_the_ring() {
    for capacity in [1, 2, 8] {
        let (ring, mut writer) = ring_after(capacity, 0);
        assert_eq!(post_all(&ring, &mut writer, 1..21), Some(20));
        let mut subscriber = Subscriber::at(1);
        assert_eq!(subscriber.take_all(&ring, 30), capacity);
        subscriber.assert_settled(20);
    }
}

/// Q3: the oldest is overwritten, and the next record says how many are missing.
#[test]
fn overflow_is_told_in_the_next_record() {
    let (ring, mut writer) = ring_after(4, 0);
    for n in 1..=10 {
        post(&ring, &mut writer, event(n));
    }
    let first = first(&ring, 1).expect("there are four");
    assert_eq!((first.seq, first.lost), (7, 6));
    let mut subscriber = Subscriber::at(1);
    while subscriber.take(&ring) {}
    assert_eq!(subscriber.cursor.delivered(), 4);
    assert_eq!(subscriber.cursor.lost(), 6);
    subscriber.assert_settled(10);
}

/// Up to four of the eight events that a ring holds, read while a writer posts
/// `each` more during each copy, at most 64 times: the numbers, with what is lost
/// before each, and the copies.
fn read_while_posting(each: u64) -> (Vec<(u64, u32)>, u64) {
    let (ring, mut writer) = ring_after(8, 0);
    post_all(&ring, &mut writer, 1..9);
    let ring = Rc::new(ring);
    let copies = Rc::new(Cell::new(0));
    meanwhile({
        let (ring, copies) = (ring.clone(), copies.clone());
        move || {
            copies.set(copies.get() + 1);
            if copies.get() <= 64 {
                let next = ring.newest() + 1;
                post_all(&ring, &mut writer, next..next + each);
            }
        }
    });
    let mut room = [const { MaybeUninit::uninit() }; 4];
    let mut records = BorrowedBuf::new(&mut room);
    ring.read(1, 0, &mut records, 4);
    let got = records.filled().iter().map(Event::from_words);
    (
        got.map(|event| (event.seq, event.lost)).collect(),
        copies.get(),
    )
}

/// Q3: one event is overwritten in each copy, and the reader keeps the others of it.
#[test]
fn a_reader_that_is_lapped_in_its_copy_keeps_the_rest() {
    let got = vec![(2, 1), (3, 0), (4, 0), (5, 0)];
    assert_eq!(read_while_posting(1), (got, 2));
}

/// Q3: a writer that overwrites more than is copied does not keep a reader from its events.
#[test]
fn a_reader_gets_clear_of_a_faster_writer() {
    for each in [5, 6, 7] {
        let (got, copies) = read_while_posting(each);
        assert!(!got.is_empty(), "nothing in {copies} copies");
        assert!(copies < 16, "{copies} copies for {each} events each");
    }
}

/// Q3: what was lost before an event that nobody wanted is told by the next one.
#[test]
fn what_is_untold_is_told_by_the_first() {
    let (ring, mut writer) = ring_after(4, 0);
    post_all(&ring, &mut writer, 1..7);
    for (untold, lost) in [(0, 2), (7, 9), (u64::from(u32::MAX), u32::MAX)] {
        let mut room = [const { MaybeUninit::uninit() }; 4];
        let mut records = BorrowedBuf::new(&mut room);
        ring.read(1, untold, &mut records, 2);
        let told: Vec<_> = records.filled().iter().map(Event::from_words).collect();
        let told: Vec<_> = told.iter().map(|event| (event.seq, event.lost)).collect();
        assert_eq!(told, [(3, lost), (4, 0)]);
    }
}

/// The record's field stops at its greatest value, the account of the cursor does not.
#[test]
fn lost_saturates_in_the_record_only() {
    let missing = u64::from(u32::MAX) + 10;
    let (ring, mut writer) = ring_after(4, missing);
    let seq = post(&ring, &mut writer, event(missing + 1)).unwrap();
    // As a cursor that has slept through all of it: nothing before `seq` is in the ring.
    for _ in 0..3 {
        post(&ring, &mut writer, event(0));
    }
    let got = first(&ring, 1).unwrap();
    assert_eq!((got.seq, got.lost), (seq, u32::MAX));
    let mut cursor = crate::ring::Cursor::at(1);
    cursor.deliver(got.seq);
    assert_eq!(cursor.lost(), missing);
}

/// Sequence numbers are never reused: the last one is followed by a refusal, not by 0.
#[test]
fn numbers_run_out_rather_than_start_again() {
    let (ring, mut writer) = ring_after(4, u64::MAX - 3);
    let mut subscriber = Subscriber::at(u64::MAX - 2);
    for n in [u64::MAX - 2, u64::MAX - 1] {
        assert_eq!(post(&ring, &mut writer, event(n)), Some(n));
    }
    assert_eq!(post(&ring, &mut writer, event(0)), None);
    assert_eq!(post(&ring, &mut writer, event(0)), None);
    assert_eq!(ring.newest(), u64::MAX - 1);
    assert!(subscriber.take(&ring));
    assert!(subscriber.take(&ring));
    assert!(!subscriber.take(&ring));
    assert_eq!(subscriber.cursor.delivered(), 2);
}

/// The queue stamps number and loss, and no more than that (`reserved` stays 0).
#[test]
fn a_post_stamps_its_own_fields() {
    let (ring, mut writer) = ring_after(4, 0);
    let forged = Event {
        seq: 77,
        lost: 88,
        reserved: 99,
        ..event(1)
    };
    post(&ring, &mut writer, forged);
    let got = first(&ring, 1).unwrap();
    assert_eq!((got.seq, got.lost, got.reserved), (1, 0, 0));
    assert_eq!(got.time_ns, forged.time_ns);
}

#[test]
fn a_record_survives_words() {
    let whole = Event {
        seq: 0x0102_0304_0506_0708,
        lost: 0xa1a2_a3a4,
        reserved: 0,
        ..event(0x1112_1314_1516_1718)
    };
    assert_eq!(Event::from_words(&whole.to_words()), whole);
    let kept = Event::from_valid(&bytes_of(&whole), 5);
    assert_eq!(
        (kept.kind, kept.code, kept.len),
        (whole.kind, whole.code, whole.len)
    );
    assert_eq!(kept.data, whole.data);
}

/// W1: what a program may not say is dropped, what is invalid is refused.
#[test]
fn a_program_cannot_forge() {
    let mut record = Event {
        seq: 9,
        time_ns: 9,
        source: 0x8000_0001,
        lost: 9,
        ..Event::new(1, 2, 3, &[0xff; 4]).unwrap()
    };
    record.data[4..].fill(0xee);
    assert!(Event::is_valid(&bytes_of(&record)));
    let taken = Event::from_valid(&bytes_of(&record), 1234);
    assert_eq!(taken, Event::new(1234, 2, 3, &[0xff; 4]).unwrap());
    assert!(taken.data[4..].iter().all(|byte| *byte == 0));

    // Whatever the length, behind it is nothing.
    for len in 0..=DATA_MAX {
        record.data.fill(0xee);
        record.len = len as u16;
        let taken = Event::from_valid(&bytes_of(&record), 1234);
        assert_eq!(
            taken,
            Event::new(1234, 2, 3, &[0xee; DATA_MAX][..len]).unwrap()
        );
    }

    for (len, reserved, valid) in [
        (32, 0, true),
        (33, 0, false),
        (u16::MAX, 0, false),
        (0, 1, false),
    ] {
        let record = Event {
            len,
            reserved,
            ..record
        };
        assert_eq!(
            Event::is_valid(&bytes_of(&record)),
            valid,
            "len {len}, reserved {reserved}"
        );
    }
}

#[test]
fn payloads_fit_up_to_their_size() {
    assert_eq!(EVENT_SIZE, 64);
    assert!(Event::new(0, 0, 0, &[0; DATA_MAX]).is_some());
    assert!(Event::new(0, 0, 0, &[0; DATA_MAX + 1]).is_none());
    assert!(Event::new(0, 0, 0, &[0; 70000]).is_none());
}
