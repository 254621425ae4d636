// SPDX-License-Identifier: MIT OR Apache-2.0
//! R4, R6: buffers that cannot be written to, and readers that share an fd.

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use nix::errno::Errno;

use crate::support::device::*;
use crate::support::memory::{page, read_to, Absent, Pages};
use crate::support::worker::Worker;

/// R4: a buffer that cannot be written to is EFAULT, as often as one tries,
/// and the record is still there for the next read.
#[test]
fn a_bad_buffer_is_efault_and_loses_nothing() {
    let fd = open_nonblock();
    let pages = Pages::new(1);
    pages.forbid(0);
    post_numbers(&fd, 1..=3);
    let before = info(&fd);
    for address in [0, 8, pages.address(0), usize::MAX - 4 * page()] {
        for _ in 0..3 {
            let result = read_to(&fd, address, 2 * EVENT_SIZE);
            assert_eq!(result, Err(Errno::EFAULT), "{address:#x}");
        }
    }
    assert_eq!(info(&fd), before, "the cursor has not moved");
    assert_eq!(numbers(&drain(&fd)), [1, 2, 3]);
}

/// R4: a buffer that goes bad on the way gets the whole events that fit before
/// it; the next read continues with the one that did not.
#[test]
fn a_page_edge_ends_the_read_behind_the_last_whole_event() {
    let fd = open_nonblock();
    let pages = Pages::with_an_edge();
    for room in [64, 65, 100, 127, 128, 640, 40 * 64 + 1] {
        let fitting = room / EVENT_SIZE;
        let total = fitting as u64 + 2;
        post_numbers(&fd, 0..total);
        let result = read_to(&fd, pages.address(page() - room), 2 * page());
        assert_eq!(
            result,
            Ok(fitting * EVENT_SIZE),
            "{room} bytes before the edge"
        );
        let first = events(&pages.copy(page() - room, fitting * EVENT_SIZE));
        let rest = drain(&fd);
        let all: Vec<_> = first.iter().chain(&rest).map(number).collect();
        assert_eq!(
            all,
            (0..total).collect::<Vec<_>>(),
            "{room} bytes before the edge"
        );
    }
}

/// R4: room for less than one event before the edge: EFAULT, nothing lost.
#[test]
fn a_page_edge_within_the_first_event_is_efault() {
    let fd = open_nonblock();
    let pages = Pages::with_an_edge();
    post_numbers(&fd, 1..=2);
    for room in [1, 32, 63] {
        let result = read_to(&fd, pages.address(page() - room), 2 * EVENT_SIZE);
        assert_eq!(result, Err(Errno::EFAULT), "{room} bytes before the edge");
    }
    assert_eq!(numbers(&drain(&fd)), [1, 2]);
}

/// R4: the same with a bad iovec behind a good one.
#[test]
fn a_bad_iovec_ends_the_read_behind_the_last_whole_event() {
    let fd = open_nonblock();
    let pages = Pages::new(1);
    pages.forbid(0);
    let mut good = vec![0; 2 * EVENT_SIZE + 30];
    post_numbers(&fd, 1..=4);
    let iov = [
        libc::iovec {
            iov_base: good.as_mut_ptr().cast(),
            iov_len: good.len(),
        },
        libc::iovec {
            iov_base: pages.pointer(0).as_ptr().cast(),
            iov_len: page(),
        },
    ];
    // SAFETY: The first describes the vector, the second what the kernel must refuse.
    let count = Errno::result(unsafe { libc::readv(fd.as_raw_fd(), iov.as_ptr(), 2) });
    assert_eq!(count, Ok(2 * EVENT_SIZE as isize));
    assert_eq!(numbers(&events(&good[..2 * EVENT_SIZE])), [1, 2]);
    assert_eq!(numbers(&drain(&fd)), [3, 4]);
}

/// R4: a buffer whose pages are only made when they are touched is an ordinary
/// buffer.
#[test]
fn an_untouched_buffer_is_faulted_in() {
    let fd = open_nonblock();
    let pages = Pages::new(20);
    post_numbers(&fd, 0..1000);
    assert_eq!(
        read_to(&fd, pages.address(0), 20 * page()),
        Ok(1000 * EVENT_SIZE)
    );
    let got = events(&pages.copy(0, 1000 * EVENT_SIZE));
    assert_eq!(numbers(&got), (0..1000).collect::<Vec<_>>());
    assert_eq!(drain(&fd), []);
}

/// R6: a reader whose buffer takes for ever to be there does not hold up
/// another reader of the same fd, has not taken the event away from it, and
/// goes on when its memory has come.
#[test]
fn a_reader_in_a_page_fault_blocks_nobody() {
    let fd = Arc::new(open_rw());
    let absent = Arc::new(Absent::new(1));
    post_numbers(&*fd, 1..=2);
    let (slow_fd, slow_absent) = (fd.clone(), absent.clone());
    let slow =
        Worker::start(move || read_to(&*slow_fd, slow_absent.pages().address(0), EVENT_SIZE));
    absent.until_touched();

    let quick_fd = fd.clone();
    let quick = Worker::start(move || read(&*quick_fd, 8)).join();
    assert_eq!(numbers(&quick.expect("both events")), [1, 2]);
    assert_eq!(info(&*fd).delivered, 2);
    post(&*fd, &[record(3)]);
    assert!(!slow.is_done(), "nobody has given it memory yet");

    absent.serve();
    assert_eq!(slow.join(), Ok(EVENT_SIZE));
    assert_eq!(numbers(&events(&absent.pages().copy(0, EVENT_SIZE))), [3]);
}

/// R6, R2: the same, but the other reader leaves nothing behind: the slow one
/// waits for the next event.
#[test]
fn a_reader_that_comes_late_from_a_page_fault_waits_again() {
    let fd = Arc::new(open_rw());
    let absent = Arc::new(Absent::new(1));
    post(&*fd, &[record(1)]);
    let (slow_fd, slow_absent) = (fd.clone(), absent.clone());
    let slow =
        Worker::start(move || read_to(&*slow_fd, slow_absent.pages().address(0), EVENT_SIZE));
    absent.until_touched();
    assert_eq!(numbers(&read(&*fd, 8).expect("the event")), [1]);
    absent.serve();
    slow.until_blocked_in(libc::SYS_read);
    post(&*fd, &[record(2)]);
    assert_eq!(slow.join(), Ok(EVENT_SIZE));
    assert_eq!(numbers(&events(&absent.pages().copy(0, EVENT_SIZE))), [2]);
}

/// R6: whoever reads one fd at the same time, each event goes to one of them.
#[test]
fn readers_of_one_fd_never_get_the_same_event() {
    const EVENTS: u64 = 20_000;
    let fd = Arc::new(open_nonblock());
    let start = info(&*fd).posted;
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = [1, 3, 64]
        .into_iter()
        .map(|room| {
            let (fd, done) = (fd.clone(), done.clone());
            Worker::start(move || {
                let mut all = Vec::new();
                loop {
                    let last = done.load(Ordering::SeqCst);
                    match read(&*fd, room) {
                        Ok(events) => all.extend(events),
                        Err(Errno::EAGAIN) if last => return all,
                        Err(Errno::EAGAIN) => std::thread::yield_now(),
                        Err(errno) => panic!("read: {errno}"),
                    }
                }
            })
        })
        .collect();
    let writer = open_rw();
    post_numbers(&writer, 0..EVENTS);
    done.store(true, Ordering::SeqCst);
    let mut all = Vec::new();
    for reader in readers {
        let events = reader.join();
        assert!(
            events.is_sorted_by(|a, b| a.seq < b.seq),
            "each reader goes forward"
        );
        all.extend(events);
    }
    all.sort_by_key(|event| event.seq);
    // Contiguous but for what is said to be lost: so none is there twice.
    assert_eq!(check_account(start + 1, &all), start + 1 + EVENTS);
    for event in &all {
        assert_eq!(number(event), event.seq - start - 1);
    }
}
