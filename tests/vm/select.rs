// SPDX-License-Identifier: MIT OR Apache-2.0
//! Subscribers that want fewer wake-ups: only for some events, or for many at
//! once (Q7, Q8).

use std::os::fd::{AsFd, OwnedFd};

use evq::uapi::CLASS_TIMER;
use evq::uapi::{FilterArg, DELAY_MAX_NS, FILTER_MAX, IOC_FILTER, IOC_WAKEUP};
use evq::Match;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::PollFlags;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::support::device::*;
use crate::support::modules::{self, Unloaded};
use crate::support::readiness;
use crate::support::signals::{arm, realtime, Signals};
use crate::support::worker::Worker;

/// A delay that no test lives to see the end of.
const NEVER: u64 = DELAY_MAX_NS;

/// A record of this type.
fn typed(type_: u16, number: u64) -> Event {
    Event {
        type_,
        ..record(number)
    }
}

/// A subscriber that wants events of the types 5 and 6 only.
fn wants_5_and_6(flags: OFlag) -> OwnedFd {
    let fd = open(OFlag::O_RDWR | flags);
    try_filter(&fd, &[Match::types(5..=6)]).expect("EVQ_IOC_FILTER");
    fd
}

/// Wake-ups and signals of the queue so far.
fn told(fd: impl AsFd) -> (u64, u64) {
    let info = info(fd);
    (info.wakeups, info.signals)
}

/// Q7: only what is wanted is delivered; the rest is neither delivered nor lost,
/// and is no reason to say that there is something to read.
#[test]
fn a_filter_delivers_what_is_wanted() {
    let fd = wants_5_and_6(OFlag::O_NONBLOCK);
    post(
        &fd,
        &[typed(4, 0), typed(7, 1), typed(0, 2), typed(u16::MAX, 3)],
    );
    assert_eq!(readiness(&fd, PollFlags::POLLIN), PollFlags::empty());
    assert_eq!(read(&fd, 8), Err(Errno::EAGAIN));
    post(
        &fd,
        &[
            typed(5, 4),
            typed(4, 5),
            typed(6, 6),
            typed(7, 7),
            typed(5, 8),
        ],
    );
    assert_eq!(readiness(&fd, PollFlags::POLLIN), PollFlags::POLLIN);
    let events = read(&fd, 8).expect("three events");
    assert_eq!(numbers(&events), [4, 6, 8]);
    assert!(events.iter().all(|event| event.lost == 0));
    let info = info(&fd);
    assert_eq!((info.delivered, info.lost, info.skipped), (3, 0, 6));
    assert_eq!(readiness(&fd, PollFlags::POLLIN), PollFlags::empty());
}

/// Q7: the buffer may end anywhere.
#[test]
fn a_filter_loses_nothing_to_a_small_buffer() {
    let fd = wants_5_and_6(OFlag::O_NONBLOCK);
    let wanted: Vec<u64> = (0..300).filter(|n| matches!(n % 9, 5 | 6)).collect();
    for n in 0..300 {
        post(&fd, &[typed((n % 9) as u16, n)]);
    }
    let mut got = Vec::new();
    for room in (1..=20).cycle() {
        match read(&fd, room) {
            Ok(events) => got.extend(numbers(&events)),
            Err(errno) => {
                assert_eq!(errno, Errno::EAGAIN);
                break;
            }
        }
    }
    assert_eq!(got, wanted);
    let info = info(&fd);
    assert_eq!((info.delivered + info.skipped, info.lost), (300, 0));
}

/// R1, Q7: a big buffer gets all that is wanted, however much of the other there
/// is between, and a second read finds nothing.
#[test]
fn a_filter_fills_a_big_buffer() {
    let fd = wants_5_and_6(OFlag::O_NONBLOCK);
    // Often at first, then once after more than are looked at in one go.
    let wanted: Vec<u64> = (0..700)
        .filter(|n| n % 3 == 0 && *n < 150 || *n == 650)
        .collect();
    for n in 0..700 {
        post(&fd, &[typed(if wanted.contains(&n) { 5 } else { 7 }, n)]);
    }
    let events = read(&fd, 100).expect("51 events");
    assert_eq!(numbers(&events), wanted);
    assert_eq!(read(&fd, 1), Err(Errno::EAGAIN));
}

/// Q3: a loss counts whatever would have been wanted of it, and is told by the
/// next event that is delivered, also when others came in between.
#[test]
fn a_filter_tells_every_loss() {
    let fd = wants_5_and_6(OFlag::O_NONBLOCK);
    let capacity = u64::from(info(&fd).capacity);
    for n in 0..capacity + 70 {
        post(&fd, &[typed(4, n)]);
    }
    assert_eq!(read(&fd, 1), Err(Errno::EAGAIN));
    post(&fd, &[typed(4, 0), typed(5, 1), typed(5, 2)]);
    let events = read(&fd, 4).expect("two events");
    assert_eq!(numbers(&events), [1, 2]);
    assert_eq!((events[0].lost, events[1].lost), (70, 0));
    let info = info(&fd);
    assert_eq!(
        (info.delivered, info.lost, info.skipped),
        (2, 70, capacity + 1)
    );
}

/// Q7: by source; kernel code of one class, whatever its number.
#[test]
fn a_filter_goes_by_source() {
    let fd = open_nonblock();
    let timers = Match::types(0..=u16::MAX).from_class(CLASS_TIMER);
    try_filter(&fd, &[timers]).expect("EVQ_IOC_FILTER");
    post_numbers(&fd, 0..3);
    modules::load("evq_timer", "count=5").expect("loading evq_timer");
    let mut delivered = 0;
    while delivered < 5 {
        crate::support::until_readable(fd.as_fd(), "the timer");
        let events = drain(&fd);
        assert!(events.iter().all(|event| event.source >> 16 == 0x8002));
        delivered += events.len();
    }
    modules::unload("evq_timer").expect("unloading evq_timer");
    assert_eq!(info(&fd).skipped, 3);
}

/// Q7: an event that is not wanted wakes nobody and signals nobody; one that is
/// wanted does, also one that follows others in the same write.
#[test]
fn only_wanted_events_wake() {
    let _signals = Signals::block();
    let poster = open_rw();
    let (wakeups, signals) = told(&poster);
    let sleeper =
        Worker::start(|| numbers(&read(wants_5_and_6(OFlag::empty()), 8).expect("events")));
    sleeper.until_blocked_in(libc::SYS_read);
    for n in 0..100 {
        post(&poster, &[typed(4, n), typed(70, n)]);
    }
    assert!(!sleeper.is_done());
    post(&poster, &[typed(4, 0), typed(6, 1)]);
    assert_eq!(sleeper.join(), [1]);
    assert_eq!(told(&poster), (wakeups + 1, signals));
}

/// Q7, F1: the same for signals.
#[test]
fn only_wanted_events_signal() {
    let signals = Signals::block();
    let fd = wants_5_and_6(OFlag::O_NONBLOCK);
    arm(&fd);
    let (_, before) = told(&fd);
    for n in 0..100 {
        post(&fd, &[typed(4, n)]);
    }
    post(&fd, &[typed(5, 7)]);
    let got = signals.wait("the signal of a wanted event");
    assert_eq!(got[0].ssi_signo as i32, realtime());
    assert_eq!(told(&fd).1, before + 1);
    assert_eq!(numbers(&drain(&fd)), [7]);
}

/// Q8: one who sleeps is told when enough are there, not before.
#[test]
fn a_threshold_wakes_when_enough_are_there() {
    let poster = open_rw();
    let before = told(&poster);
    let sleeper = Worker::start(|| {
        let fd = open_rw();
        try_wakeup(&fd, 10, NEVER).expect("EVQ_IOC_WAKEUP");
        read(&fd, 64).expect("events").len()
    });
    sleeper.until_blocked_in(libc::SYS_read);
    post_numbers(&poster, 0..4);
    for n in 4..9 {
        post(&poster, &[record(n)]);
    }
    assert_eq!(told(&poster), before, "nine are not enough");
    sleeper.until_blocked_in(libc::SYS_read);
    post(&poster, &[record(9)]);
    assert_eq!(sleeper.join(), 10);
    assert_eq!(told(&poster), (before.0 + 1, before.1));
}

/// Q8: or when the first of them has waited long enough.
#[test]
fn a_delay_wakes_when_there_are_never_enough() {
    let poster = open_rw();
    for delay in [1, 1_000_000, 30_000_000] {
        let sleeper = Worker::start(move || {
            let fd = open_rw();
            try_wakeup(&fd, 1000, delay).expect("EVQ_IOC_WAKEUP");
            let events = read(&fd, 64).expect("events");
            events[0].time_ns
        });
        sleeper.until_blocked_in(libc::SYS_read);
        post(&poster, &[record(1)]);
        let posted = sleeper.join();
        let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).expect("a clock");
        let now = now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64;
        assert!(now >= posted + delay, "{delay} ns: woken too early");
    }
}

/// Q8, F1: each time enough more are there, one signal.
#[test]
fn a_threshold_signals_once_for_many() {
    let signals = Signals::block();
    let fd = open_nonblock();
    try_wakeup(&fd, 8, NEVER).expect("EVQ_IOC_WAKEUP");
    arm(&fd);
    for round in 0..20 {
        let before = told(&fd).1;
        for n in 0..8 {
            post(&fd, &[record(n)]);
        }
        let got = signals.wait("the signal of the eighth event");
        assert_eq!(got.len(), 1, "round {round}");
        assert_eq!(told(&fd).1, before + 1);
        assert_eq!(drain(&fd).len(), 8);
    }
}

/// P1, R2: what is there can be read, whatever would wake.
#[test]
fn a_threshold_does_not_hide_what_is_there() {
    let fd = open_rw();
    try_wakeup(&fd, 100, NEVER).expect("EVQ_IOC_WAKEUP");
    post_numbers(&fd, 0..3);
    assert_eq!(readiness(&fd, PollFlags::POLLIN), PollFlags::POLLIN);
    assert_eq!(
        read(&fd, 8).expect("three events").len(),
        3,
        "does not block"
    );
}

/// P2: edge-triggered, with a reader that leaves things behind.
#[test]
fn edges_come_with_each_wanted_event_beyond_the_threshold() {
    let fd = wants_5_and_6(OFlag::O_NONBLOCK);
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("epoll");
    let edge = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
    epoll.add(&fd, EpollEvent::new(edge, 1)).expect("adding it");
    for n in 0..10 {
        post(&fd, &[typed(5, n), typed(5, n), typed(4, n)]);
        let mut events = [EpollEvent::empty()];
        let count = epoll
            .wait(&mut events, EpollTimeout::from(60_000u16))
            .expect("waiting");
        assert_eq!(count, 1, "no edge for round {n}");
        assert_eq!(read(&fd, 1).expect("one of two").len(), 1);
    }
}

/// Q7, Q8: what makes no sense is refused, and changes nothing.
#[test]
fn bad_arguments_are_refused() {
    let fd = open_nonblock();
    let capacity = info(&fd).capacity;
    let backwards = Match {
        type_first: 6,
        type_last: 5,
        ..Match::default()
    };
    let outside_the_mask = Match {
        source: 2,
        source_mask: 1,
        ..Match::types(0..=1)
    };
    let reserved = Match {
        reserved: 1,
        ..Match::types(0..=1)
    };
    for bad in [backwards, outside_the_mask, reserved] {
        assert_eq!(
            try_filter(&fd, &[Match::types(0..=1), bad]),
            Err(Errno::EINVAL),
            "{bad:?}"
        );
    }
    for (count, reserved) in [(FILTER_MAX as u32 + 1, 0), (u32::MAX, 0), (0, 1)] {
        let arg = FilterArg {
            count,
            reserved,
            ..FilterArg::default()
        };
        let result = raw_ioctl(&fd, IOC_FILTER, (&raw const arg) as usize);
        assert_eq!(result, Err(Errno::EINVAL), "{arg:?}");
    }
    for (events, delay) in [
        (0, 1),
        (1, 1),
        (2, 0),
        (2, DELAY_MAX_NS + 1),
        (capacity + 1, 1),
        (u32::MAX, 1),
    ] {
        assert_eq!(
            try_wakeup(&fd, events, delay),
            Err(Errno::EINVAL),
            "{events} {delay}"
        );
    }
    for request in [IOC_FILTER, IOC_WAKEUP] {
        assert_eq!(raw_ioctl(&fd, request, 8), Err(Errno::EFAULT));
        let writer = open(OFlag::O_WRONLY);
        assert_eq!(raw_ioctl(&writer, request, 8), Err(Errno::EBADF));
    }
    post_numbers(&fd, 0..3);
    assert_eq!(drain(&fd).len(), 3);
    // The largest that do.
    try_wakeup(&fd, capacity, DELAY_MAX_NS).expect("all there is, in a minute");
    try_filter(&fd, &[Match::types(0..=u16::MAX); FILTER_MAX]).expect("eight rules");
    try_wakeup(&fd, 1, 0).expect("as before");
    try_filter(&fd, &[]).expect("no rule");
}

/// Q7: where a file waits is decided when it first waits.
#[test]
fn who_has_waited_already_cannot_change_its_mind() {
    let _signals = Signals::block();
    let polled = open_nonblock();
    readiness(&polled, PollFlags::POLLIN);
    let armed = open_nonblock();
    arm(&armed);
    for fd in [polled, armed] {
        assert_eq!(try_filter(&fd, &[Match::types(0..=1)]), Err(Errno::EBUSY));
        assert_eq!(try_wakeup(&fd, 1, 0), Err(Errno::EBUSY));
    }
    // A read that need not wait and a seek are no waiting.
    let fd = open_nonblock();
    post_numbers(&fd, 0..3);
    assert_eq!(drain(&fd).len(), 3);
    assert_eq!(seek_oldest(&fd), 1 + info(&fd).overwritten);
    try_filter(&fd, &[Match::types(4..=4)]).expect("has not waited");

    let fd = wants_5_and_6(OFlag::O_NONBLOCK);
    readiness(&fd, PollFlags::POLLIN);
    try_filter(&fd, &[Match::types(4..=4)]).expect("had said so before");
    post(&fd, &[typed(5, 5), typed(4, 4)]);
    assert_eq!(numbers(&drain(&fd)), [4]);
}

/// P3: those who wait apart are told of the end as well, within their threshold.
#[test]
fn those_who_wait_apart_are_told_of_the_end() {
    modules::load("evq_timer", "own=64 count=1").expect("loading evq_timer");
    let sleepers: Vec<_> = (0..40)
        .map(|_| {
            Worker::start(|| {
                let fd = try_open("/dev/evq-timer", OFlag::O_RDONLY).expect("its own queue");
                try_wakeup(&fd, 50, NEVER).expect("EVQ_IOC_WAKEUP");
                let first = read(&fd, 1);
                (
                    first.map(|events| events.len()),
                    read(&fd, 1).map(|events| events.len()),
                )
            })
        })
        .collect();
    for sleeper in &sleepers {
        sleeper.until_blocked_in(libc::SYS_read);
    }
    modules::unload("evq_timer").expect("unloading evq_timer");
    for sleeper in sleepers {
        let (first, second) = sleeper.join();
        assert_eq!(second, Err(Errno::ENODEV));
        assert!(matches!(first, Ok(1) | Err(Errno::ENODEV)), "{first:?}");
    }
}

/// M1: a delay that has begun does not outlive the file, nor the module.
#[test]
fn a_close_ends_a_delay() {
    let _unloaded = Unloaded::new();
    for _ in 0..50 {
        modules::load("evq", "").expect("loading evq");
        let fd = open_nonblock();
        try_wakeup(&fd, 64, 1_000_000).expect("EVQ_IOC_WAKEUP");
        let signals = Signals::block();
        arm(&fd);
        post(&fd, &[record(1)]);
        drop(fd);
        drop(signals);
        assert_eq!(modules::unload("evq"), Ok(()));
    }
}

/// Q3, Q7, Q8 under load: subscribers of all kinds, asleep and awake by turns,
/// miss no wake-up and no event.
#[test]
fn no_wake_up_is_lost_under_load() {
    const EVENTS: u64 = 20_000;
    const TYPES: u64 = 8;
    let readers: Vec<_> = (0..TYPES as u16)
        .map(|wanted| {
            let fd = open(OFlag::O_RDONLY);
            if wanted > 0 {
                try_filter(&fd, &[Match::types(wanted..=TYPES as u16)]).expect("EVQ_IOC_FILTER");
            }
            if wanted % 2 == 1 {
                try_wakeup(&fd, u32::from(wanted) * 3, 1_000_000).expect("EVQ_IOC_WAKEUP");
            }
            let first = info(&fd).next;
            Worker::start(move || {
                let mut last = 0;
                // The last event that is posted is wanted by all.
                while last < first + EVENTS - 1 {
                    let events = read(&fd, 16).expect("a blocking read");
                    assert!(events.iter().all(|event| event.type_ >= wanted));
                    last = events.last().expect("at least one").seq;
                }
                let info = info(&fd);
                (
                    wanted,
                    info.delivered + info.lost + info.skipped,
                    info.delivered,
                )
            })
        })
        .collect();
    let fd = open_rw();
    for n in 0..EVENTS - 1 {
        post(&fd, &[typed((n % TYPES) as u16, n)]);
    }
    post(&fd, &[typed(TYPES as u16, 0)]);
    for reader in readers {
        let (wanted, all, delivered) = reader.join();
        assert_eq!(all, EVENTS, "of the reader of {wanted} and above");
        assert!(delivered > 0);
    }
}
