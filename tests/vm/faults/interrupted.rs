// SPDX-License-Identifier: MIT OR Apache-2.0
//! R3, U17: a signal in every call that waits for the queue. It ends with EINTR,
//! nothing is taken away, and the next call finds the event. (`read` itself, with
//! and without SA_RESTART: `crate::interrupt`.)

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;
use nix::poll::{poll, ppoll, PollFd, PollFlags, PollTimeout};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::select::{pselect, select, FdSet};
use nix::sys::signal::{sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal};

use crate::support::calls;
use crate::support::device::*;
use crate::support::worker::{until, Worker};

static HANDLED: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_signal: libc::c_int) {
    HANDLED.fetch_add(1, Ordering::SeqCst);
}

/// One call that waits until the fd is readable, and returns how many are ready.
type Wait = fn(BorrowedFd<'_>) -> Result<i32, Errno>;

/// Starts `wait`, interrupts it in `call`, then lets it wait for an event.
fn is_interrupted(name: &str, call: libc::c_long, wait: Wait) {
    // SA_RESTART makes no difference to these.
    for flags in [SaFlags::empty(), SaFlags::SA_RESTART] {
        let action = SigAction::new(SigHandler::Handler(count), flags, SigSet::empty());
        // SAFETY: The handler only touches an atomic.
        unsafe { sigaction(Signal::SIGUSR2, &action) }.expect("sigaction");
        let (writer, reader) = (open_rw(), open_rw());
        let worker = Worker::start(move || {
            let interrupted = wait(reader.as_fd());
            let ready = wait(reader.as_fd());
            (interrupted, ready, read(&reader, 4))
        });
        worker.until_blocked_in(call);
        let before = HANDLED.load(Ordering::SeqCst);
        worker.signal(libc::SIGUSR2);
        // Once the handler runs, what the call returns is settled.
        until(
            || HANDLED.load(Ordering::SeqCst) > before,
            || "the handler to run".into(),
        );
        post(&writer, &[record(9)]);
        let (interrupted, ready, events) = worker.join();
        assert_eq!(interrupted, Err(Errno::EINTR), "{name} {flags:?}");
        assert_eq!(ready, Ok(1), "{name} {flags:?}");
        assert_eq!(numbers(&events.expect("the event")), [9], "{name}");
    }
}

#[test]
fn poll_is_interrupted() {
    is_interrupted("poll", calls::POLL, |fd| {
        poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], PollTimeout::NONE)
    });
}

#[test]
fn ppoll_is_interrupted() {
    is_interrupted("ppoll", libc::SYS_ppoll, |fd| {
        ppoll(&mut [PollFd::new(fd, PollFlags::POLLIN)], None, None)
    });
}

fn set(fd: BorrowedFd<'_>) -> FdSet<'_> {
    let mut set = FdSet::new();
    set.insert(fd);
    set
}

#[test]
fn select_is_interrupted() {
    // The C library makes it of pselect6.
    is_interrupted("select", libc::SYS_pselect6, |fd| {
        select(fd.as_raw_fd() + 1, &mut set(fd), None, None, None)
    });
}

#[test]
fn pselect_is_interrupted() {
    is_interrupted("pselect", libc::SYS_pselect6, |fd| {
        pselect(fd.as_raw_fd() + 1, &mut set(fd), None, None, None, None)
    });
}

#[test]
fn epoll_is_interrupted() {
    is_interrupted("epoll_wait", calls::EPOLL_WAIT, |fd| {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("epoll_create1");
        epoll
            .add(fd, EpollEvent::new(EpollFlags::EPOLLIN, 0))
            .expect("EPOLL_CTL_ADD");
        let mut events = [EpollEvent::empty(); 2];
        epoll
            .wait(&mut events, EpollTimeout::NONE)
            .map(|count| count as i32)
    });
}
