// SPDX-License-Identifier: MIT OR Apache-2.0
//! W1: what a write takes, stamps and refuses.

use std::io::IoSlice;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::uio::writev;
use nix::time::{clock_gettime, ClockId};
use nix::unistd::write;

use crate::support::device::*;
use crate::support::memory::{page, write_from, Pages};

fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC");
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}

/// W1: the kernel says who, when and which one; a program cannot forge it.
#[test]
fn the_kernel_stamps_seq_time_source_and_lost() {
    let fd = open_nonblock();
    let next = info(&fd).posted + 1;
    let forged = Event {
        seq: 999_999,
        time_ns: 1,
        source: 0x8001_0000,
        lost: 77,
        ..record(1)
    };
    let before = now_ns();
    post(&fd, &[forged, forged]);
    let after = now_ns();
    let events = drain(&fd);
    assert_eq!(events.len(), 2);
    for (event, seq) in events.iter().zip(next..) {
        assert_eq!((event.seq, event.lost), (seq, 0));
        assert_eq!(
            event.source,
            std::process::id(),
            "a program's source is its pid"
        );
        assert!(
            (before..=after).contains(&event.time_ns),
            "{event:?} not in {before}..{after}"
        );
        assert_eq!((event.type_, event.code, number(event)), (0x100, 7, 1));
    }
}

/// W1: bytes of the payload behind `len` do not reach anybody.
#[test]
fn bytes_behind_len_are_zeroed() {
    let fd = open_nonblock();
    for len in [0, 1, 7, 8, 31, 32_u16] {
        let event = Event {
            len,
            data: [0xee; 32],
            ..Event::default()
        };
        post(&fd, &[event]);
        let [got] = drain(&fd)[..] else {
            panic!("one event")
        };
        let (used, unused) = got.data.split_at(len.into());
        assert_eq!(got.len, len);
        assert!(used.iter().all(|&byte| byte == 0xee), "len {len}: {got:?}");
        assert!(unused.iter().all(|&byte| byte == 0), "len {len}: {got:?}");
    }
}

/// W1: less than a record is EINVAL, and so is nothing at all.
#[test]
fn a_short_write_is_einval() {
    let fd = open_nonblock();
    let bytes = bytes(&[record(1)]);
    for size in [0, 1, 63] {
        assert_eq!(
            write(&fd, &bytes[..size]),
            Err(Errno::EINVAL),
            "{size} bytes"
        );
    }
    assert_eq!(drain(&fd), []);
}

/// W1: whole records before a rest are posted and counted.
#[test]
fn a_rest_behind_whole_records_is_not_taken() {
    let fd = open_nonblock();
    let bytes = bytes(&[record(1), record(2), record(3)]);
    assert_eq!(write(&fd, &bytes[..2 * 64 + 10]), Ok(2 * 64));
    assert_eq!(numbers(&drain(&fd)), [1, 2]);
}

/// W1: what is wrong in the first record is EINVAL, and nothing is posted.
#[test]
fn bad_records_are_einval() {
    let fd = open_nonblock();
    let bad = [
        Event {
            len: 33,
            ..record(1)
        },
        Event {
            len: u16::MAX,
            ..record(1)
        },
        Event {
            reserved: 1,
            ..record(1)
        },
        Event {
            reserved: 0x8000,
            ..record(1)
        },
    ];
    for event in bad {
        let result = write(&fd, &bytes(&[event, record(2)]));
        assert_eq!(result, Err(Errno::EINVAL), "{event:?}");
    }
    assert_eq!(drain(&fd), []);
}

/// W1: a bad record in the middle ends the write there; also at every place
/// around the batches of 64 and the 16 that are kept on the stack.
#[test]
fn records_before_a_bad_one_are_posted_and_counted() {
    let fd = open_nonblock();
    for good in [1, 2, 16, 17, 63, 64, 65, 128, 150] {
        let mut records: Vec<Event> = (0..good).map(record).collect();
        records.push(Event {
            len: 33,
            ..record(0)
        });
        records.push(record(1000));
        let count = usize::try_from(good).expect("a small number") * EVENT_SIZE;
        assert_eq!(write(&fd, &bytes(&records)), Ok(count), "{good} good ones");
        assert_eq!(numbers(&drain(&fd)), (0..good).collect::<Vec<_>>());
    }
}

/// W1: a bad pointer is EFAULT, and nothing is posted.
#[test]
fn a_bad_pointer_is_efault() {
    let fd = open_nonblock();
    let pages = Pages::new(1);
    pages.forbid(0);
    for address in [0, 8, pages.address(0), usize::MAX - 4 * page()] {
        let result = write_from(&fd, address, 2 * EVENT_SIZE);
        assert_eq!(result, Err(Errno::EFAULT), "{address:#x}");
    }
    assert_eq!(drain(&fd), []);
}

/// W1: memory that goes bad behind some records: those are posted and counted.
#[test]
fn records_before_a_bad_page_are_posted_and_counted() {
    let fd = open_nonblock();
    let pages = Pages::with_an_edge();
    for (good, rest) in [(1, 0), (1, 63), (3, 1), (5, 32), (0, 63), (0, 1)] {
        let all = bytes(&(0..=good).map(record).collect::<Vec<_>>());
        let there = usize::try_from(good).expect("a small number") * EVENT_SIZE + rest;
        pages.fill(page() - there, &all[..there]);
        let expected = match good {
            0 => Err(Errno::EFAULT),
            _ => Ok(there - rest),
        };
        let result = write_from(&fd, pages.address(page() - there), 10 * EVENT_SIZE);
        assert_eq!(result, expected, "{good} records and {rest} bytes");
        assert_eq!(numbers(&drain(&fd)), (0..good).collect::<Vec<_>>());
    }
}

/// W1: `writev` with any split is one write.
#[test]
fn writev_with_any_split_is_one_write() {
    let fd = open_nonblock();
    let all = bytes(&[record(1), record(2), record(3)]);
    for size in [1, 7, 16, 17, 63, 64, 65, 100, 192] {
        let slices: Vec<_> = all.chunks(size).map(IoSlice::new).collect();
        assert_eq!(writev(&fd, &slices), Ok(all.len()), "pieces of {size}");
        assert_eq!(numbers(&drain(&fd)), [1, 2, 3], "pieces of {size}");
    }
}

/// W2: posting needs the fd to be open for writing, watching for reading.
#[test]
fn each_direction_needs_its_access_mode() {
    let reader = open(OFlag::O_RDONLY | OFlag::O_NONBLOCK);
    let writer = open(OFlag::O_WRONLY | OFlag::O_NONBLOCK);
    assert_eq!(
        write(reader.as_fd(), &bytes(&[record(1)])),
        Err(Errno::EBADF)
    );
    assert_eq!(read(&writer, 1), Err(Errno::EBADF));
    post(&writer, &[record(2)]);
    assert_eq!(numbers(&drain(&reader)), [2]);
}
