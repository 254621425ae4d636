// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be seen from outside: fdinfo, counters, tracepoints; and that
//! nothing is done for those who do not wait.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::mount::{mount, MsFlags};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use crate::support::device::*;
use crate::support::signals::{arm, Signals};
use crate::support::worker::Worker;

/// The lines of the queue in the file's fdinfo.
fn fdinfo(fd: impl AsFd) -> BTreeMap<String, String> {
    let path = format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd());
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let lines = text.lines().filter_map(|line| line.strip_prefix("evq-"));
    lines
        .map(|line| line.split_once(":\t").expect("NAME:\\tVALUE"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// fdinfo says what the ioctl says.
#[test]
fn fdinfo_is_the_state_of_the_subscriber() {
    let fd = open_nonblock();
    let capacity = u64::from(info(&fd).capacity);
    post_numbers(&fd, 0..capacity + 5);
    read(&fd, 10).expect("ten events");
    let (told, info) = (fdinfo(&fd), info(&fd));
    let expected = [
        ("capacity", capacity),
        ("posted", info.posted),
        ("overwritten", info.overwritten),
        ("refused", info.refused),
        ("subscribers", info.subscribers.into()),
        ("wakeups", info.wakeups),
        ("signals", info.signals),
        ("next", info.next),
        ("delivered", 10),
        ("lost", 5),
        ("skipped", 0),
    ];
    for (name, value) in expected {
        assert_eq!(
            told.get(name),
            Some(&value.to_string()),
            "{name} of {told:?}"
        );
    }
    assert_eq!(told["flags"], "0x0");
    assert_eq!(told.len(), expected.len() + 2, "{told:?}");
}

/// F4: a duplicate is the same open file, another open is not; and a number is
/// not used again.
#[test]
fn fdinfo_tells_open_files_apart() {
    let file = |fd: &OwnedFd| fdinfo(fd)["file"].parse::<u64>().expect("a number");
    let fd = open_nonblock();
    let first = file(&fd);
    assert_eq!(file(&fd.try_clone().expect("dup")), first);
    let other = file(&open_nonblock());
    assert!(other > first, "{other} after {first}");
    assert!(file(&open_nonblock()) > other, "{other} is closed");
}

/// W2: who may only post learns nothing of the traffic.
#[test]
fn fdinfo_of_a_writer_says_nothing_of_the_traffic() {
    let told = fdinfo(open(OFlag::O_WRONLY));
    assert_eq!(told.keys().collect::<Vec<_>>(), ["capacity", "flags"]);
}

/// Q1: nobody waits, nothing is done; the input queue of the module's own
/// producer has no part in it.
#[test]
fn only_those_who_wait_are_told() {
    let _signals = Signals::block();
    let fd = open_nonblock();
    let counts = || (info(&fd).wakeups, info(&fd).signals);
    let (wakeups, signals) = counts();
    post_numbers(&fd, 0..200);
    assert_eq!(counts(), (wakeups, signals), "nobody waits");

    arm(&fd);
    post(&fd, &[record(0)]);
    assert_eq!(counts(), (wakeups, signals + 1), "one is armed");
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("epoll");
    epoll
        .add(&fd, EpollEvent::new(EpollFlags::EPOLLIN, 0))
        .expect("adding it");
    post(&fd, &[record(1)]);
    assert_eq!(counts(), (wakeups + 1, signals + 2), "and one polls");
    epoll.delete(&fd).expect("taking it away");
    crate::support::signals::set_async(&fd, false);
    post(&fd, &[record(2)]);
    assert_eq!(counts(), (wakeups + 1, signals + 2), "nobody does any more");

    let sleeper = Worker::start(|| read(open_rw(), 1).expect("an event").len());
    sleeper.until_blocked_in(libc::SYS_read);
    post(&fd, &[record(3)]);
    assert_eq!(sleeper.join(), 1);
    assert_eq!(counts(), (wakeups + 2, signals + 2), "one slept");
}

/// The tracepoints say what was posted, who was told and what was read. A
/// kernel without tracefs has none.
#[test]
fn tracepoints_follow_an_event() {
    let tracefs = "/sys/kernel/tracing";
    if !fs::exists(tracefs).expect("/sys") {
        return;
    }
    if !fs::exists(format!("{tracefs}/trace")).expect("tracefs") {
        mount(
            None::<&str>,
            tracefs,
            Some("tracefs"),
            MsFlags::empty(),
            None::<&str>,
        )
        .expect("mounting tracefs");
    }
    if !fs::exists(format!("{tracefs}/events")).expect("tracefs") {
        return;
    }
    let switch = |on: &str| {
        let path = format!("{tracefs}/events/evq/enable");
        fs::write(&path, on).unwrap_or_else(|error| panic!("{path}: {error}"));
    };
    let _signals = Signals::block();
    let fd = open_nonblock();
    arm(&fd);
    fs::write(format!("{tracefs}/trace"), "").expect("emptying the trace");
    switch("1");
    post_numbers(&fd, 0..3);
    let read = drain(&fd);
    switch("0");
    let trace = fs::read_to_string(format!("{tracefs}/trace")).expect("the trace");
    let (first, next) = (read[0].seq, read[2].seq + 1);
    let instance = info(&fd).instance;
    for line in [
        format!("evq_post: instance={instance:016x} first={first} count=3"),
        format!("evq_notify: instance={instance:016x} woken=0 signalled=1"),
        format!("evq_read: instance={instance:016x} next={next} delivered=3 lost=0"),
    ] {
        assert_eq!(trace.matches(&line).count(), 1, "{line} in\n{trace}");
    }
}
