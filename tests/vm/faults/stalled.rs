// SPDX-License-Identifier: MIT OR Apache-2.0
//! R6, Q3: whoever does not get on, because its memory does not come or because
//! it is stopped, holds up nobody else. (A reader in a page fault: `crate::fault`.)

use std::os::fd::AsFd;
use std::sync::Arc;

use nix::fcntl::OFlag;
use nix::sys::signal::{kill, Signal};

use crate::support::device::*;
use crate::support::memory::{write_from, Absent};
use crate::support::process::{until_stopped, Child, Gate};
use crate::support::until_readable;
use crate::support::worker::Worker;

/// W3: a writer whose buffer takes for ever to be there holds up neither other
/// writers, also of the same fd, nor readers; its event is posted when it comes.
#[test]
fn a_writer_in_a_page_fault_blocks_nobody() {
    let fd = Arc::new(open_nonblock());
    let absent = Arc::new(Absent::new(1));
    let (slow_fd, slow_absent) = (fd.clone(), absent.clone());
    let slow =
        Worker::start(move || write_from(&*slow_fd, slow_absent.pages().address(0), EVENT_SIZE));
    absent.until_touched();
    let quick_fd = fd.clone();
    Worker::start(move || post_numbers(&*quick_fd, 0..1000)).join();
    post(open_rw(), &[record(1000)]);
    assert_eq!(numbers(&drain(&*fd)), (0..=1000).collect::<Vec<_>>());
    assert!(!slow.is_done(), "nobody has given it memory yet");
    absent.serve();
    assert_eq!(slow.join(), Ok(EVENT_SIZE));
    // The page that came is zeroed, and so is a record without anything in it.
    assert_eq!(drain(&*fd).len(), 1);
}

/// Q3: a reader that is stopped in the middle, and lapped many times meanwhile,
/// is told exactly what it has missed when it goes on; others have lost nothing.
#[test]
fn a_stopped_reader_has_an_exact_account() {
    const EACH: u64 = 1000;
    let (writer, other) = (open(OFlag::O_WRONLY), open_nonblock());
    let capacity = u64::from(info(&other).capacity);
    let first = info(&other).next;
    let rounds = 3 * capacity / EACH;
    let last = first + (rounds + 2) * EACH - 1;
    let (opened, begun) = (Gate::new(), Gate::new());
    let child = Child::fork(|| {
        let fd = open(OFlag::O_RDONLY);
        opened.open();
        let (mut next, mut delivered, mut lost) = (first, 0, 0);
        while next <= last {
            until_readable(fd.as_fd(), "events for the one that is stopped");
            let events = read(&fd, 16).expect("it is readable");
            next = check_account(next, &events);
            delivered += events.len() as u64;
            lost += events
                .iter()
                .map(|event| u64::from(event.lost))
                .sum::<u64>();
            if delivered >= EACH && lost == 0 {
                begun.open();
            }
        }
        assert!(lost > 0, "it was lapped");
        assert_eq!(delivered + lost, last + 1 - first);
    });
    opened.wait();
    post_numbers(&writer, 0..EACH);
    begun.wait();
    kill(child.pid(), Signal::SIGSTOP).expect("SIGSTOP");
    until_stopped(child.pid());
    assert_eq!(drain(&other).len() as u64, EACH);
    for _ in 0..rounds {
        post_numbers(&writer, 0..EACH);
        let events = drain(&other);
        assert_eq!(numbers(&events), (0..EACH).collect::<Vec<_>>());
        assert!(events.iter().all(|event| event.lost == 0));
    }
    kill(child.pid(), Signal::SIGCONT).expect("SIGCONT");
    post_numbers(&writer, 0..EACH);
    child.success();
}
