// SPDX-License-Identifier: MIT OR Apache-2.0
//! R3: signals while a read is blocked.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Mutex;

use nix::errno::Errno;
use nix::sys::signal::{sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal};

use crate::support::device::*;
use crate::support::worker::{until, Worker};

static HANDLED: AtomicU32 = AtomicU32::new(0);
/// The disposition of a signal belongs to the process.
static SIGUSR1: Mutex<()> = Mutex::new(());

extern "C" fn count(_signal: libc::c_int) {
    HANDLED.fetch_add(1, Ordering::SeqCst);
}

/// Runs `test` with a handler for SIGUSR1 that counts.
fn with_handler(flags: SaFlags, test: impl FnOnce()) {
    let _guard = SIGUSR1.lock().unwrap_or_else(|poison| poison.into_inner());
    HANDLED.store(0, Ordering::SeqCst);
    let action = SigAction::new(SigHandler::Handler(count), flags, SigSet::empty());
    // SAFETY: The handler only touches an atomic.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.expect("sigaction");
    test();
}

fn until_handled(times: u32) {
    until(
        || HANDLED.load(Ordering::SeqCst) >= times,
        || "the handler to run".into(),
    );
}

/// R3: without SA_RESTART a signal ends a blocked read with EINTR, and the
/// event that comes later is not lost.
#[test]
fn a_signal_ends_a_blocked_read_with_eintr() {
    with_handler(SaFlags::empty(), || {
        let writer = open_rw();
        let reader = open_rw();
        let worker = Worker::start(move || {
            let first = read(&reader, 4);
            (first, read(&reader, 4))
        });
        worker.until_blocked_in(libc::SYS_read);
        worker.signal(libc::SIGUSR1);
        until_handled(1);
        post(&writer, &[record(9)]);
        let (first, second) = worker.join();
        assert_eq!(first, Err(Errno::EINTR));
        assert_eq!(numbers(&second.expect("the event")), [9]);
    });
}

/// R3: with SA_RESTART the read goes on, whatever the number of signals.
#[test]
fn a_read_restarts_after_a_handler_with_sa_restart() {
    with_handler(SaFlags::SA_RESTART, || {
        let writer = open_rw();
        let reader = open_rw();
        let worker = Worker::start(move || read(&reader, 4));
        for times in 1..=20 {
            worker.until_blocked_in(libc::SYS_read);
            worker.signal(libc::SIGUSR1);
            until_handled(times);
        }
        worker.until_blocked_in(libc::SYS_read);
        post(&writer, &[record(9)]);
        assert_eq!(numbers(&worker.join().expect("the event")), [9]);
    });
}

/// R3: signals that race with posts take nothing away: each event arrives once
/// (a waiter that is woken and signalled at once must not swallow the wake).
#[test]
fn signals_that_race_with_posts_lose_nothing() {
    const EVENTS: u64 = 500;
    with_handler(SaFlags::empty(), || {
        let writer = open_rw();
        let reader = open_rw();
        let worker = Worker::start(move || {
            let mut all = Vec::new();
            while all.len() < EVENTS as usize {
                match read(&reader, 4) {
                    Ok(events) => all.extend(numbers(&events)),
                    Err(Errno::EINTR) => {}
                    Err(errno) => panic!("read: {errno}"),
                }
            }
            all
        });
        for number in 0..EVENTS {
            worker.signal(libc::SIGUSR1);
            post(&writer, &[record(number)]);
        }
        assert_eq!(worker.join(), (0..EVENTS).collect::<Vec<_>>());
    });
}
