// SPDX-License-Identifier: MIT OR Apache-2.0
//! P3: a queue that ends while it is open. `evq_timer` with a queue of its own
//! is unloaded.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use io_uring::{opcode, types, IoUring};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use crate::support::calls;
use crate::support::device::*;
use crate::support::modules::Timer;
use crate::support::signals::*;
use crate::support::worker::{until, Worker};
use crate::support::{readiness, until_completed};
use evq::uapi::INFO_RETIRED;

const QUEUE: &str = "/dev/evq-timer";

/// `si_band` of POLL_HUP: EPOLLHUP | EPOLLERR.
const BAND_HUP: u32 = 0x18;

fn open_queue(flags: OFlag) -> OwnedFd {
    try_open(QUEUE, flags).unwrap_or_else(|errno| panic!("open {QUEUE}: {errno}"))
}

/// A queue which has got its `count` events and will not get more.
fn quiet_queue(count: u64) -> (Timer, OwnedFd) {
    let timer = Timer::load(&format!("own=64 rate=10000 count={count}"));
    let fd = open_queue(OFlag::O_RDWR | OFlag::O_NONBLOCK);
    until(|| info(&fd).posted == count, || format!("{count} ticks"));
    // The first may have come before or after the open.
    seek_newest(&fd);
    (timer, fd)
}

fn ends_with_enodev(fd: &OwnedFd) {
    for _ in 0..3 {
        assert_eq!(read(fd, 4), Err(Errno::ENODEV));
    }
    assert_eq!(
        nix::unistd::write(fd, &bytes(&[record(1)])),
        Err(Errno::ENODEV)
    );
}

/// P3: what is in a retired queue can still be read, then ENODEV; writing is
/// ENODEV at once, and nobody can open it any more.
#[test]
fn the_backlog_is_readable_then_enodev() {
    let (timer, fd) = quiet_queue(10);
    seek_oldest(&fd);
    drop(timer);
    let all = PollFlags::POLLIN | PollFlags::POLLOUT;
    let gone = PollFlags::POLLHUP | PollFlags::POLLERR;
    assert!(readiness(&fd, all).contains(PollFlags::POLLIN | gone));
    assert_eq!(
        nix::unistd::write(&fd, &bytes(&[record(1)])),
        Err(Errno::ENODEV)
    );
    assert_eq!(try_open(QUEUE, OFlag::O_RDONLY).err(), Some(Errno::ENOENT));
    assert_eq!(info(&fd).flags, INFO_RETIRED);

    let events = read(&fd, 100).expect("the backlog");
    assert_eq!(numbers(&events), (1..=10).collect::<Vec<_>>());
    assert_eq!(
        readiness(&fd, all).intersection(PollFlags::POLLIN | gone),
        gone
    );
    ends_with_enodev(&fd);
    assert_eq!(
        (info(&fd).posted, info(&fd).refused),
        (10, 2),
        "the two writes were refused"
    );
}

/// P3: a blocked read ends with ENODEV.
#[test]
fn a_blocked_read_ends_with_enodev() {
    let (timer, fd) = quiet_queue(1);
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let reader = open_queue(OFlag::O_RDONLY);
            Worker::start(move || read(&reader, 4))
        })
        .collect();
    for worker in &workers {
        worker.until_blocked_in(libc::SYS_read);
    }
    drop(timer);
    for worker in workers {
        assert_eq!(worker.join(), Err(Errno::ENODEV));
    }
    ends_with_enodev(&fd);
}

/// P3: a blocked poll ends with POLLHUP and POLLERR.
#[test]
fn a_blocked_poll_ends_with_hup_and_err() {
    let (timer, fd) = quiet_queue(1);
    let reader = open_queue(OFlag::O_RDONLY);
    let worker = Worker::start(move || {
        let mut fds = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
        let count = poll(&mut fds, PollTimeout::NONE);
        (count, fds[0].revents())
    });
    worker.until_blocked_in(calls::POLL);
    drop(timer);
    assert_eq!(
        worker.join(),
        (Ok(1), Some(PollFlags::POLLHUP | PollFlags::POLLERR))
    );
    ends_with_enodev(&fd);
}

/// P3: so does a blocked epoll, level- and edge-triggered, and one that asked
/// for output only.
#[test]
fn a_blocked_epoll_ends_with_hup_and_err() {
    let (timer, _fd) = quiet_queue(1);
    let asked = [
        EpollFlags::EPOLLIN,
        EpollFlags::EPOLLIN | EpollFlags::EPOLLET,
        EpollFlags::EPOLLIN | EpollFlags::EPOLLET | EpollFlags::EPOLLEXCLUSIVE,
        EpollFlags::EPOLLRDHUP,
    ];
    let workers = asked.map(|flags| {
        let reader = open_queue(OFlag::O_RDONLY);
        Worker::start(move || {
            let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("epoll_create1");
            epoll
                .add(&reader, EpollEvent::new(flags, 0))
                .expect("EPOLL_CTL_ADD");
            let mut events = [EpollEvent::empty(); 2];
            let count = epoll.wait(&mut events, nix::sys::epoll::EpollTimeout::NONE);
            (count, events[0].events())
        })
    });
    for worker in &workers {
        worker.until_blocked_in(calls::EPOLL_WAIT);
    }
    drop(timer);
    for worker in workers {
        assert_eq!(
            worker.join(),
            (Ok(1), EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR)
        );
    }
}

/// P3: SIGIO with POLL_HUP to those that are armed.
#[test]
fn armed_files_get_poll_hup() {
    let signals = Signals::block();
    let (timer, fd) = quiet_queue(1);
    arm(&fd);
    drop(timer);
    let [told] = signals.wait("the signal of a retired queue")[..] else {
        panic!("one signal")
    };
    assert_eq!(
        (told.ssi_signo as i32, told.ssi_code),
        (realtime(), POLL_HUP)
    );
    assert_eq!((told.ssi_band, told.ssi_fd), (BAND_HUP, fd.as_raw_fd()));
    // Close after that finds nothing of the queue but what the file itself keeps alive.
    set_async(&fd, false);
    set_async(&fd, true);
    drop(fd);
    assert_eq!(signals.pending_numbers(), []);
}

/// P3: a pending read of an io_uring ends with ENODEV.
#[test]
fn a_pending_io_uring_read_ends_with_enodev() {
    let (timer, _fd) = quiet_queue(1);
    let reader = open_queue(OFlag::O_RDONLY);
    let mut ring = IoUring::new(4).expect("io_uring_setup");
    let mut buffer = [0; EVENT_SIZE];
    let entry = opcode::Read::new(
        types::Fd(reader.as_raw_fd()),
        buffer.as_mut_ptr(),
        EVENT_SIZE as u32,
    )
    .build();
    // SAFETY: Buffer and descriptor outlive the request, which is waited for below.
    unsafe { ring.submission().push(&entry) }.expect("room for one");
    ring.submit().expect("submitting does not wait");
    assert_eq!(ring.completion().count(), 0);
    drop(timer);
    until_completed(&ring);
    let completion = ring.completion().next().expect("a completion");
    assert_eq!(completion.result(), -(Errno::ENODEV as i32));
}

/// P3: a queue of the same name that comes later is another one.
#[test]
fn a_new_queue_of_the_same_name_is_another_one() {
    let (timer, old) = quiet_queue(5);
    drop(timer);
    let (timer, new) = quiet_queue(3);
    assert_eq!(info(&old).flags, INFO_RETIRED);
    assert_eq!((info(&new).flags, info(&new).posted), (0, 3));
    assert_eq!(read(&old, 1), Err(Errno::ENODEV));
    assert_eq!(read(&new, 1), Err(Errno::EAGAIN));
    drop(timer);
}

/// P3: retired while its timer posts at full rate: each reader gets all that
/// was posted, then ENODEV.
#[test]
fn retiring_under_load_loses_nothing() {
    for _ in 0..5 {
        let timer = Timer::load("own=4096 rate=20000");
        let reader = open_queue(OFlag::O_RDONLY);
        let start = info(&reader).next;
        let worker = Worker::start(move || {
            let mut all = Vec::new();
            loop {
                match read(&reader, 64) {
                    Ok(events) => all.extend(events),
                    Err(errno) => return (all, errno, info(&reader).posted),
                }
            }
        });
        let fd = open_queue(OFlag::O_RDONLY);
        until(|| info(&fd).posted > start + 200, || "some ticks".into());
        drop(timer);
        let (all, errno, posted) = worker.join();
        assert_eq!(errno, Errno::ENODEV);
        assert_eq!(check_account(start, &all), posted + 1);
    }
}
