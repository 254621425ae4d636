// SPDX-License-Identifier: MIT OR Apache-2.0
//! Q1, M2: what has lived and ended many times leaves no memory behind. (kmemleak,
//! on the debug kernel, knows of each object; this looks at the sum, on any.)

use std::os::fd::OwnedFd;

use evq::Match;
use nix::fcntl::OFlag;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::mman::{mmap, munmap, MapFlags, ProtFlags};

use crate::support::device::*;
use crate::support::figure;
use crate::support::memory::{is_checked, meminfo, page};
use crate::support::modules::{load, unload, Timer, Unloaded};
use crate::support::signals::arm;
use crate::support::worker::until;

/// What is kept for the kernel itself: object caches that cannot shrink, and what is mapped.
fn used() -> u64 {
    meminfo("SUnreclaim") + meminfo("VmallocUsed")
}

/// Runs `live` so often that an object of `smallest` bytes, left behind each time,
/// shows; freed memory may take a moment until it is given back.
fn leaves_nothing(what: &str, times: u64, smallest: u64, live: impl Fn()) {
    // Its quarantine of freed objects is all that would be seen.
    if is_checked() {
        return;
    }
    // Caches have their fill after that.
    for _ in 0..times / 4 {
        live();
    }
    let before = used();
    for _ in 0..times {
        live();
    }
    let most = before + times * smallest / 2;
    until(
        || used() < most,
        || {
            let more = used() - before;
            format!("{what}: {more} bytes left by {times} of them to be given back")
        },
    );
    let more = used().saturating_sub(before);
    figure(&format!("{what}, {times} times: {more} bytes are left"));
}

fn map(fd: &OwnedFd) {
    let length = std::num::NonZeroUsize::new(page()).expect("a page");
    // SAFETY: The kernel chooses an address that is free.
    let start = unsafe {
        mmap(
            None,
            length,
            ProtFlags::PROT_READ,
            MapFlags::MAP_SHARED,
            fd,
            0,
        )
    };
    // SAFETY: Just mapped, and nobody holds a reference into it.
    unsafe { munmap(start.expect("mmap"), page()) }.expect("munmap");
}

fn watch(fd: &OwnedFd) {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("epoll_create1");
    epoll
        .add(fd, EpollEvent::new(EpollFlags::EPOLLIN, 0))
        .expect("EPOLL_CTL_ADD");
}

/// An open file, with all that can be kept for one.
#[test]
fn files() {
    leaves_nothing("an open file", 10_000, 32, || drop(open(OFlag::O_RDWR)));
    leaves_nothing(
        "a file armed, watched, mapped, written and read",
        8_000,
        64,
        || {
            let fd = open_nonblock();
            arm(&fd);
            watch(&fd);
            map(&fd);
            post(&fd, &[record(1)]);
            assert_eq!(drain(&fd).len(), 1);
        },
    );
    leaves_nothing("a file with a filter and a threshold", 4_000, 64, || {
        let fd = open_nonblock();
        try_filter(&fd, &[Match::types(1..=1)]).expect("EVQ_IOC_FILTER");
        try_wakeup(&fd, 4, 1_000_000).expect("EVQ_IOC_WAKEUP");
        arm(&fd);
    });
}

/// A queue with a file that outlives it, and the module.
#[test]
fn queues() {
    // Less than its ring of 64 records.
    leaves_nothing("a queue", 100, 4096, || {
        let timer = Timer::load("own=64 rate=1000 count=1");
        let fd = try_open("/dev/evq-timer", OFlag::O_RDONLY).expect("opening it");
        drop(timer);
        drop(fd);
    });
    let _guard = Unloaded::new();
    leaves_nothing("the module", 60, 4096, || {
        load("evq", "capacity=64").expect("loading evq");
        drop(open(OFlag::O_RDWR));
        unload("evq").expect("unloading evq");
    });
}
