// SPDX-License-Identifier: MIT OR Apache-2.0
//! Q1, Q2, Q3: what each subscriber gets, and what it is told of the rest;
//! the ioctls.

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::support::device::*;
use crate::support::memory::{page, Pages};
use evq::uapi::{IOC_INFO, IOC_SEEK, SEEK_NEWEST, SEEK_OLDEST, SEEK_SEQ};

/// Posts `count` numbered events and returns the seq of the first.
fn post_many(fd: &std::os::fd::OwnedFd, count: u64) -> u64 {
    let first = info(fd).posted + 1;
    post_numbers(fd, 0..count);
    first
}

/// Q2: a new subscriber starts behind the newest event.
#[test]
fn a_new_subscriber_starts_at_the_newest() {
    let writer = open_rw();
    post_numbers(&writer, 1..=3);
    let fd = open_nonblock();
    assert_eq!(read(&fd, 4), Err(Errno::EAGAIN));
    post_numbers(&writer, 4..=5);
    assert_eq!(numbers(&drain(&fd)), [4, 5]);
}

/// Q1, Q2: every subscriber sees every event, in order, whatever the others do.
#[test]
fn every_subscriber_sees_every_event_in_order() {
    let writer = open_rw();
    let subscribers: Vec<_> = (0..50).map(|_| open_nonblock()).collect();
    let first = post_many(&writer, 200);
    for fd in &subscribers {
        let events = drain(fd);
        assert_eq!(numbers(&events), (0..200).collect::<Vec<_>>());
        assert_eq!(check_account(first, &events), first + 200);
        assert!(events.iter().all(|event| event.lost == 0));
        assert!(events.is_sorted_by_key(|event| event.time_ns));
    }
}

/// The kernel's memory in slabs and vmalloc, in bytes.
fn kernel_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").expect("/proc/meminfo");
    ["Slab:", "VmallocUsed:"]
        .iter()
        .map(|name| {
            let line = text
                .lines()
                .find(|line| line.starts_with(name))
                .expect("the line");
            let kib = line.split_whitespace().nth(1).expect("a number");
            kib.parse::<u64>().expect("a number") * 1024
        })
        .sum()
}

/// Q1: a subscriber costs a small constant, not a ring of its own: 900 of them
/// together cost less than sixteen rings would (four, but for what the kernel's
/// checkers put around each object).
#[test]
fn a_subscriber_costs_little_memory() {
    const COUNT: u64 = 900;
    let writer = open_rw();
    let ring = u64::from(info(&writer).capacity) * EVENT_SIZE as u64;
    let before = kernel_memory();
    let subscribers: Vec<_> = (0..COUNT).map(|_| open_nonblock()).collect();
    post_many(&writer, 4096);
    let cost = kernel_memory().saturating_sub(before);
    assert!(
        cost < 16 * ring,
        "{COUNT} subscribers cost {cost} bytes, a ring is {ring}"
    );
    for fd in &subscribers {
        assert_eq!(info(fd).subscribers as u64, COUNT + 1);
    }
}

/// Q3: what is overwritten is told exactly, in the next record.
#[test]
fn overflow_is_told_exactly_in_the_next_record() {
    let writer = open_rw();
    let capacity = u64::from(info(&writer).capacity);
    for beyond in [0, 1, 63, 64, 65, capacity, 3 * capacity + 17] {
        let fd = open_nonblock();
        let first = post_many(&writer, capacity + beyond);
        let events = drain(&fd);
        assert_eq!(events.len() as u64, capacity, "{beyond} beyond");
        assert_eq!(u64::from(events[0].lost), beyond);
        assert!(
            events[1..].iter().all(|event| event.lost == 0),
            "{beyond} beyond"
        );
        assert_eq!(number(&events[0]), beyond, "the oldest are overwritten");
        assert_eq!(check_account(first, &events), first + capacity + beyond);
        let info = info(&fd);
        assert_eq!((info.delivered, info.lost), (capacity, beyond));
        assert_eq!(info.delivered + info.lost, capacity + beyond);
    }
}

/// Q3: a subscriber that is lapped between two reads is told then.
#[test]
fn being_lapped_between_reads_is_told() {
    let writer = open_rw();
    let capacity = u64::from(info(&writer).capacity);
    let fd = open_nonblock();
    let first = post_many(&writer, 10);
    let mut events = read(&fd, 3).expect("three");
    post_many(&writer, capacity + 100);
    events.extend(drain(&fd));
    assert_eq!(events[3].lost, 7 + 100);
    assert_eq!(check_account(first, &events), first + 10 + capacity + 100);
    assert_eq!(events.len() as u64, 3 + capacity);
}

/// Q2: seek to the oldest that is kept, and to a number.
#[test]
fn seek_goes_to_the_oldest_and_to_a_number() {
    let writer = open_rw();
    let capacity = u64::from(info(&writer).capacity);
    let first = post_many(&writer, capacity + 10);
    let fd = open_nonblock();

    let oldest = first + 10;
    assert_eq!(info(&fd).oldest, oldest);
    assert_eq!(seek_oldest(&fd), oldest);
    assert_eq!(info(&fd).next, oldest);
    let events = drain(&fd);
    assert_eq!(events.len() as u64, capacity);
    assert_eq!(check_account(oldest, &events), first + capacity + 10);

    let middle = oldest + capacity / 2;
    assert_eq!(seek_seq(&fd, middle), middle);
    assert_eq!(read(&fd, 1).expect("it is kept")[0].seq, middle);

    assert_eq!(seek_newest(&fd), first + capacity + 10);
    assert_eq!(read(&fd, 1), Err(Errno::EAGAIN));
    // One behind the newest is the same place.
    assert_eq!(seek_seq(&fd, first + capacity + 10), first + capacity + 10);
    assert_eq!(read(&fd, 1), Err(Errno::EAGAIN));
}

/// Q3: a number that is no longer kept is no error, but a loss.
#[test]
fn seek_to_an_overwritten_number_tells_the_loss() {
    let writer = open_rw();
    let capacity = u64::from(info(&writer).capacity);
    let first = post_many(&writer, capacity + 100);
    let fd = open_nonblock();
    assert_eq!(seek_seq(&fd, first + 60), first + 60);
    let events = drain(&fd);
    assert_eq!((events[0].seq, events[0].lost), (first + 100, 40));
    assert_eq!(seek_seq(&fd, 1), 1);
    let events = drain(&fd);
    assert_eq!(u64::from(events[0].lost), first + 100 - 1);
    assert_eq!(check_account(1, &events), first + capacity + 100);
}

/// Q3: a seek starts a new account.
#[test]
fn seek_starts_a_new_account() {
    let writer = open_rw();
    let capacity = u64::from(info(&writer).capacity);
    let fd = open_nonblock();
    post_many(&writer, capacity + 5);
    drain(&fd);
    let old = info(&fd);
    assert_eq!((old.delivered, old.lost), (capacity, 5));
    seek_seq(&fd, old.posted - 2);
    let new = info(&fd);
    assert_eq!((new.delivered, new.lost, new.next), (0, 0, old.posted - 2));
    assert_eq!(drain(&fd).len(), 3);
    assert_eq!((info(&fd).delivered, info(&fd).lost), (3, 0));
    // What was lost, but not yet told, does not get into the new account either.
    post_many(&writer, capacity + 5);
    seek_newest(&fd);
    post(&writer, &[record(1)]);
    assert_eq!(drain(&fd)[0].lost, 0);
}

/// Q2: a seek of one subscriber is nobody else's business, but a dup's.
#[test]
fn a_cursor_belongs_to_the_file_description() {
    let writer = open_rw();
    let (fd, other) = (open_nonblock(), open_nonblock());
    let same = fd.try_clone().expect("dup");
    let first = post_many(&writer, 4);
    seek_seq(&fd, first + 3);
    assert_eq!(numbers(&read(&same, 1).expect("the last")), [3]);
    assert_eq!(read(&fd, 1), Err(Errno::EAGAIN));
    assert_eq!(numbers(&drain(&other)), [0, 1, 2, 3]);
}

/// Seeks that mean nothing are EINVAL, and do nothing.
#[test]
fn bad_seeks_are_einval() {
    let fd = open_nonblock();
    let first = post_many(&fd, 3);
    let before = info(&fd);
    let arg = |whence, reserved, seq| SeekArg {
        whence,
        reserved,
        seq,
    };
    for bad in [
        arg(3, 0, 0),
        arg(u32::MAX, 0, 0),
        arg(SEEK_NEWEST, 1, 0),
        arg(SEEK_OLDEST, 1, 0),
        arg(SEEK_SEQ, 1, first),
        arg(SEEK_NEWEST, 0, 1),
        arg(SEEK_OLDEST, 0, first),
        arg(SEEK_SEQ, 0, 0),
        arg(SEEK_SEQ, 0, first + 4),
        arg(SEEK_SEQ, 0, u64::MAX),
    ] {
        assert_eq!(try_seek(&fd, bad), Err(Errno::EINVAL), "{bad:?}");
    }
    assert_eq!(info(&fd), before);
    assert_eq!(numbers(&drain(&fd)), [0, 1, 2]);
}

/// Ioctls that the queue does not have are ENOTTY.
#[test]
fn unknown_ioctls_are_enotty() {
    let fd = open_nonblock();
    // The next number, another size, another magic, another direction; TCGETS, EVIOCGVERSION.
    let unknown = [
        0x8080_e702,
        0x8081_e700,
        0x8080_e800,
        0x4080_e700,
        0x0000_e700,
        0x5401,
        0x8004_4501,
    ];
    for request in unknown {
        assert_eq!(
            raw_ioctl(&fd, request, 0),
            Err(Errno::ENOTTY),
            "{request:#x}"
        );
    }
}

/// R4 for ioctls: a bad pointer is EFAULT, and the cursor has not moved.
#[test]
fn a_bad_ioctl_pointer_is_efault_and_moves_nothing() {
    let fd = open_nonblock();
    let first = post_many(&fd, 3);
    let before = info(&fd);
    let pages = Pages::with_an_edge();
    for address in [
        0,
        8,
        usize::MAX - 4 * page(),
        pages.address(page()),
        pages.address(page() - 8),
    ] {
        for request in [IOC_INFO, IOC_SEEK] {
            assert_eq!(
                raw_ioctl(&fd, request, address),
                Err(Errno::EFAULT),
                "{address:#x}"
            );
        }
    }
    // Readable but not writable: the answer cannot be given, so nothing happens.
    let seek_to = first + 2;
    pages.fill(
        0,
        &[&2_u32.to_ne_bytes()[..], &[0; 4], &seek_to.to_ne_bytes()].concat(),
    );
    pages.make_read_only(0);
    assert_eq!(
        raw_ioctl(&fd, IOC_SEEK, pages.address(0)),
        Err(Errno::EFAULT)
    );
    assert_eq!(info(&fd), before);
    assert_eq!(numbers(&drain(&fd)), [0, 1, 2]);
}

/// The info of a queue adds up.
#[test]
fn info_adds_up() {
    let fd = open_nonblock();
    let before = info(&fd);
    let first = post_many(&fd, 10);
    read(&fd, 4).expect("four");
    let after = info(&fd);
    assert_eq!(after.abi, 1);
    assert!(after.capacity.is_power_of_two());
    assert_eq!(after.posted, before.posted + 10);
    assert_eq!(after.next, first + 4);
    assert_eq!((after.delivered, after.lost, after.flags), (4, 0, 0));
    assert_eq!(after.refused, before.refused);
    assert_eq!(after.overwritten, after.oldest - 1);
    assert_eq!(after.reserved, [0; 3]);
    let another = open(OFlag::O_RDONLY);
    assert_eq!(info(&fd).subscribers, after.subscribers + 1);
    drop(another);
    assert_eq!(info(&fd).subscribers, after.subscribers);
}
