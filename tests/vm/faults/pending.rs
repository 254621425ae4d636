// SPDX-License-Identifier: MIT OR Apache-2.0
//! R3, W1: a signal that is pending while a call has plenty to do and need not
//! wait. It takes nothing away, and the call ends early, with what it has done:
//! otherwise a reader with a huge buffer could not be stopped.
//!
//! The signal is there before the call has done anything, and not handled before
//! it ends: a tracer sends it where the call begins.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use evq::Match;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::ptrace;
use nix::sys::signal::{kill, raise, sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal};
use nix::sys::wait::{waitpid, WaitStatus};

use crate::support::calls;
use crate::support::device::*;
use crate::support::modules::{load, Unloaded};
use crate::support::process::Child;

/// Records after which a read looks for signals, as `driver/subscriber.rs` has it.
const SIGNAL_CHECK: usize = 4096;

static HANDLED: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_signal: libc::c_int) {
    HANDLED.fetch_add(1, Ordering::SeqCst);
}

fn handled() -> u32 {
    HANDLED.load(Ordering::SeqCst)
}

/// Runs `run` in a child that is sent SIGUSR1 when its first `call` begins.
fn signalled_in(call: libc::c_long, run: impl FnOnce()) {
    let child = Child::fork(|| {
        HANDLED.store(0, Ordering::SeqCst);
        let action = SigAction::new(
            SigHandler::Handler(count),
            SaFlags::empty(),
            SigSet::empty(),
        );
        // SAFETY: The handler only touches an atomic.
        unsafe { sigaction(Signal::SIGUSR1, &action) }.expect("sigaction");
        ptrace::traceme().expect("PTRACE_TRACEME");
        raise(Signal::SIGSTOP).expect("raise");
        run();
    });
    let pid = child.pid();
    let stopped = |signal| WaitStatus::Stopped(pid, signal);
    assert_eq!(waitpid(pid, None), Ok(stopped(Signal::SIGSTOP)));
    let options = ptrace::Options::PTRACE_O_TRACESYSGOOD | ptrace::Options::PTRACE_O_EXITKILL;
    ptrace::setoptions(pid, options).expect("PTRACE_SETOPTIONS");
    loop {
        ptrace::syscall(pid, None).expect("PTRACE_SYSCALL");
        let status = waitpid(pid, None).expect("waitpid");
        assert_eq!(status, WaitStatus::PtraceSyscall(pid), "before call {call}");
        let registers = ptrace::getregs(pid).expect("PTRACE_GETREGS");
        if calls::about_to_make(&registers) == call {
            break;
        }
    }
    kill(pid, Signal::SIGUSR1).expect("kill");
    ptrace::cont(pid, None).expect("PTRACE_CONT");
    assert_eq!(waitpid(pid, None), Ok(stopped(Signal::SIGUSR1)));
    ptrace::detach(pid, Signal::SIGUSR1).expect("PTRACE_DETACH");
    child.success();
}

/// R3: with nothing to read, the call ends at once.
#[test]
fn a_read_of_nothing_ends_with_eintr() {
    let fd = open_rw();
    signalled_in(libc::SYS_read, || {
        assert_eq!(read(&fd, 4), Err(Errno::EINTR));
        assert_eq!(handled(), 1);
    });
    post(&fd, &[record(3)]);
    assert_eq!(numbers(&read(&fd, 4).expect("the event")), [3]);
}

/// R3: a read that has more to give than anybody asks for at once ends with what
/// it has given by then, and the next one goes on behind it.
#[test]
fn a_huge_read_ends_with_what_it_has() {
    const EVENTS: u64 = 3 * SIGNAL_CHECK as u64;
    let _guard = Unloaded::new();
    load("evq", "capacity=16384").expect("loading evq");
    let fd = open_nonblock();
    post_numbers(&fd, 0..EVENTS);
    signalled_in(libc::SYS_read, || {
        let first = read(&fd, EVENTS as usize).expect("a signal takes nothing away");
        assert_eq!(handled(), 1);
        assert_eq!(first.len(), SIGNAL_CHECK, "the read has been stopped");
        let second = read(&fd, EVENTS as usize).expect("the rest");
        let all: Vec<u64> = numbers(&first)
            .into_iter()
            .chain(numbers(&second))
            .collect();
        assert_eq!(all, (0..EVENTS).collect::<Vec<_>>());
        assert_eq!(second[0].lost, 0);
    });
    assert_eq!(info(&fd).delivered, EVENTS);
}

/// How many unwanted events a call has to pass in the tests below.
const UNWANTED: u64 = 3 * SIGNAL_CHECK as u64;

/// A file that has that many events before it which it does not want, and behind
/// them one that it does; and one to post with.
fn far_from_what_it_wants() -> (OwnedFd, OwnedFd) {
    load("evq", "capacity=16384").expect("loading evq");
    let (fd, poster) = (open_nonblock(), open_rw());
    try_filter(&fd, &[Match::types(9..=9)]).expect("EVQ_IOC_FILTER");
    post_numbers(&poster, 0..UNWANTED);
    post(
        &poster,
        &[Event {
            type_: 9,
            ..record(99)
        }],
    );
    (fd, poster)
}

/// Q11, R3: a read that passes unwanted events looks for signals, too.
#[test]
fn a_read_of_unwanted_events_ends_with_eintr() {
    let _guard = Unloaded::new();
    let (fd, _poster) = far_from_what_it_wants();
    signalled_in(libc::SYS_read, || {
        assert_eq!(read(&fd, 4), Err(Errno::EINTR));
        assert_eq!(handled(), 1);
        assert_eq!(
            info(&fd).skipped,
            SIGNAL_CHECK as u64,
            "it has been stopped"
        );
        assert_eq!(numbers(&read(&fd, 4).expect("the event")), [99]);
    });
}

/// Q11: so does a poll.
#[test]
fn a_poll_of_unwanted_events_ends_with_eintr() {
    let _guard = Unloaded::new();
    let (fd, _poster) = far_from_what_it_wants();
    signalled_in(calls::POLL, || {
        let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut fds, PollTimeout::ZERO), Err(Errno::EINTR));
        assert_eq!(handled(), 1);
        assert_eq!(
            info(&fd).skipped,
            SIGNAL_CHECK as u64,
            "it has been stopped"
        );
        assert_eq!(poll(&mut fds, PollTimeout::ZERO), Ok(1));
    });
}

/// P2, Q11: an epoll that was interrupted so has its event all the same.
#[test]
fn an_interrupted_epoll_reports_the_wanted_event() {
    let _guard = Unloaded::new();
    let (fd, _poster) = far_from_what_it_wants();
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("epoll_create1");
    let edge = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
    signalled_in(libc::SYS_epoll_ctl, || {
        epoll.add(&fd, EpollEvent::new(edge, 5)).expect("adding it");
        assert_eq!(handled(), 1);
        assert_eq!(
            info(&fd).skipped,
            SIGNAL_CHECK as u64,
            "it has been stopped"
        );
        let mut events = [EpollEvent::empty()];
        let count = epoll.wait(&mut events, EpollTimeout::from(60_000u16));
        assert_eq!(count, Ok(1), "nobody posts any more");
        assert_eq!(numbers(&drain(&fd)), [99]);
    });
}

/// W1, W3: likewise a write: after its first batch.
#[test]
fn a_huge_write_ends_with_what_it_has() {
    let (reader, writer) = (open_nonblock(), open(OFlag::O_WRONLY));
    let records: Vec<Event> = (0..200).map(record).collect();
    let bytes = bytes(&records);
    signalled_in(libc::SYS_write, || {
        assert_eq!(nix::unistd::write(&writer, &bytes), Ok(64 * EVENT_SIZE));
        assert_eq!(handled(), 1);
    });
    assert_eq!(numbers(&drain(&reader)), (0..64).collect::<Vec<_>>());
}
