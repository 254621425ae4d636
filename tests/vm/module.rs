// SPDX-License-Identifier: MIT OR Apache-2.0
//! M1: what keeps the module loaded, what lets it go, and its parameters.

use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::support::device::*;
use crate::support::modules::*;
use crate::support::readiness;
use nix::poll::PollFlags;

/// M1: a producer that is loaded keeps evq loaded.
#[test]
fn a_loaded_producer_refuses_rmmod() {
    assert!(is_loaded("evq_input"));
    assert_eq!(unload("evq"), Err(Errno::EWOULDBLOCK));
    let fd = open_nonblock();
    post(&fd, &[record(1)]);
    assert_eq!(numbers(&drain(&fd)), [1], "it works as before");
}

/// M1: an open fd keeps evq loaded, in whatever way it is open; after the last
/// close it unloads, and loads again.
#[test]
fn an_open_fd_refuses_rmmod_until_the_last_close() {
    let _guard = Unloaded::new();
    load("evq", "").expect("loading evq");
    for flags in [
        OFlag::O_RDONLY,
        OFlag::O_WRONLY,
        OFlag::O_RDWR | OFlag::O_NONBLOCK,
    ] {
        let fd = open(flags);
        assert_eq!(unload("evq"), Err(Errno::EWOULDBLOCK), "{flags:?}");
        let copy = fd.try_clone().expect("dup");
        drop(fd);
        assert_eq!(
            unload("evq"),
            Err(Errno::EWOULDBLOCK),
            "{flags:?}, a dup is left"
        );
        assert_ne!(readiness(&copy, PollFlags::POLLOUT), PollFlags::POLLERR);
        drop(copy);
        assert_eq!(unload("evq"), Ok(()), "{flags:?}");
        assert!(!Path::new(DEVICE).exists());
        assert_eq!(try_open(DEVICE, OFlag::O_RDONLY).err(), Some(Errno::ENOENT));
        load("evq", "").expect("loading evq again");
    }
}

/// M1: an open fd of an additional queue does so too, also when that queue has
/// been retired and its own module is gone.
#[test]
fn an_open_fd_of_a_retired_queue_refuses_rmmod() {
    let _guard = Unloaded::new();
    load("evq", "").expect("loading evq");
    let timer = Timer::load("own=64 rate=1000 count=3");
    assert_eq!(unload("evq"), Err(Errno::EWOULDBLOCK), "the timer uses it");
    let fd = try_open("/dev/evq-timer", OFlag::O_RDONLY).expect("opening /dev/evq-timer");
    drop(timer);
    assert_eq!(unload("evq"), Err(Errno::EWOULDBLOCK), "the fd uses it");
    seek_oldest(&fd);
    let _ = info(&fd);
    drop(fd);
    assert_eq!(unload("evq"), Ok(()));
}

/// M1: a queue that is loaded again is a new one, which counts from 1.
#[test]
fn a_module_that_is_loaded_again_starts_anew() {
    let _guard = Unloaded::new();
    for _ in 0..2 {
        load("evq", "").expect("loading evq");
        let fd = open_nonblock();
        let state = info(&fd);
        assert_eq!(
            (state.posted, state.oldest, state.next, state.overwritten),
            (0, 1, 1, 0)
        );
        post_numbers(&fd, 5..8);
        let events = drain(&fd);
        assert_eq!(
            events.iter().map(|event| event.seq).collect::<Vec<_>>(),
            [1, 2, 3]
        );
        drop(fd);
        unload("evq").expect("unloading evq");
    }
}

/// The parameter `capacity`: what is no power of two from 64 to 1048576 is
/// EINVAL, with a message in the kernel log that says so.
#[test]
fn a_bad_capacity_is_refused_and_explained() {
    let _guard = Unloaded::new();
    for capacity in ["0", "1", "63", "65", "100", "4095", "2097152"] {
        let log = KernelLog::from_now();
        assert_eq!(
            load("evq", &format!("capacity={capacity}")),
            Err(Errno::EINVAL)
        );
        let text = log.text();
        let wanted = format!("capacity={capacity}: must be a power of two from 64 to 1048576");
        assert!(
            text.contains(&wanted),
            "capacity={capacity}: the kernel says {text:?}"
        );
        assert!(!Path::new(DEVICE).exists(), "capacity={capacity}");
    }
    for capacity in ["", "x", "-64", "4294967296"] {
        let result = load("evq", &format!("capacity={capacity}"));
        assert!(
            matches!(result, Err(Errno::EINVAL | Errno::ERANGE)),
            "capacity={capacity:?}: {result:?}"
        );
    }
}

/// The parameter `capacity`: the smallest and the greatest, and Q3 with them.
#[test]
fn the_capacity_is_what_was_asked_for() {
    let _guard = Unloaded::new();
    for capacity in [64, 128, 1 << 20] {
        load("evq", &format!("capacity={capacity}")).expect("loading evq");
        let fd = open_nonblock();
        assert_eq!(info(&fd).capacity, capacity);
        post_numbers(&fd, 0..200);
        let kept = u64::from(capacity).min(200);
        let events = drain(&fd);
        assert_eq!(numbers(&events), (200 - kept..200).collect::<Vec<_>>());
        assert_eq!(u64::from(events[0].lost), 200 - kept);
        drop(fd);
        unload("evq").expect("unloading evq");
    }
}

/// The parameters of `evq_timer`: likewise.
#[test]
fn bad_parameters_of_the_timer_are_refused_and_explained() {
    for (parameters, wanted) in [
        ("rate=0", "rate=0: must be from 1 to 1000000"),
        ("rate=1000001", "rate=1000001: must be from 1 to 1000000"),
        ("burst=0", "burst=0: must be from 1 to 10000"),
        ("burst=10001", "burst=10001: must be from 1 to 10000"),
        ("softirq=3", "softirq=3: must be 0, 1, or 2 for both"),
        ("own=63", "own=63: cannot make /dev/evq-timer"),
        (
            "own=100",
            "the capacity must be a power of two from 64 to 1048576",
        ),
    ] {
        let log = KernelLog::from_now();
        assert_eq!(
            load("evq_timer", parameters),
            Err(Errno::EINVAL),
            "{parameters}"
        );
        let text = log.text();
        assert!(
            text.contains(wanted),
            "{parameters}: the kernel says {text:?}"
        );
    }
    assert!(!is_loaded("evq_timer"));
}

/// M1: 100 times, with work in between; a producer comes and goes as well.
#[test]
fn a_hundred_load_and_unload_cycles() {
    let _guard = Unloaded::new();
    for cycle in 0..100 {
        load("evq", "").unwrap_or_else(|errno| panic!("loading evq, cycle {cycle}: {errno}"));
        load("evq_input", "").expect("loading evq_input");
        let timer = Timer::load("rate=100000 count=50");
        let fd = open(OFlag::O_RDWR);
        post(&fd, &[record(cycle)]);
        assert!(!read(&fd, 64).expect("an event").is_empty());
        drop(timer);
        assert_eq!(unload("evq"), Err(Errno::EWOULDBLOCK), "cycle {cycle}");
        unload("evq_input").expect("unloading evq_input");
        assert_eq!(unload("evq"), Err(Errno::EWOULDBLOCK), "cycle {cycle}");
        drop(fd);
        unload("evq").unwrap_or_else(|errno| panic!("unloading evq, cycle {cycle}: {errno}"));
    }
}
