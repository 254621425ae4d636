// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each behaviour by each mechanism, on pipes and sockets: they raise SIGIO and
//! wake pollers as a queue does.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use crate::carrier::{alone, flags, post, read, watchdog, Carrier, CARRIERS};
use evq::via::Kind;
use evq::{Queue, Token, Watcher};
use nix::sys::eventfd::{EfdFlags, EventFd};

/// Runs `behaviour` in each cell of the table.
fn everywhere(behaviour: impl Fn(Kind, Carrier)) {
    watchdog();
    for &kind in Kind::ALL {
        for carrier in CARRIERS {
            eprintln!("{kind} on {carrier:?}");
            if kind == Kind::Rtsig {
                alone(|| behaviour(kind, carrier));
            } else {
                behaviour(kind, carrier);
            }
        }
    }
}

/// Waits for, and reads, `count` events; in pieces of `piece`, and stopping
/// before the source is empty each time.
fn collect(
    watcher: &mut Watcher,
    queue: &Queue,
    token: Token,
    piece: usize,
    count: usize,
) -> Vec<u64> {
    let mut seqs = Vec::new();
    while seqs.len() < count {
        if watcher.wait(None).unwrap().contains(&token) {
            if let Some(some) = read(queue, piece) {
                seqs.extend(some);
                watcher.more(token);
            }
        }
    }
    seqs
}

#[test]
fn c2_an_event_before_arming_is_told() {
    everywhere(|kind, carrier| {
        let (queue, mut writer) = carrier.open();
        post(&mut writer, [1]);
        let mut watcher = Watcher::new(kind).unwrap();
        let token = watcher.arm(&queue, queue.name()).unwrap();
        assert_eq!(collect(&mut watcher, &queue, token, 64, 1), [1]);
    });
}

#[test]
fn c2_an_event_between_arming_and_waiting_is_told() {
    everywhere(|kind, carrier| {
        let (queue, mut writer) = carrier.open();
        let mut watcher = Watcher::new(kind).unwrap();
        let token = watcher.arm(&queue, queue.name()).unwrap();
        post(&mut writer, [1]);
        assert_eq!(collect(&mut watcher, &queue, token, 64, 1), [1]);
    });
}

/// However long the mechanism's own clock reaches.
#[test]
fn a_wait_may_be_longer_than_any_system_call() {
    everywhere(|kind, carrier| {
        if !kind.drains() {
            return;
        }
        let (queue, mut writer) = carrier.open();
        let mut watcher = Watcher::new(kind).unwrap();
        let token = watcher.arm(&queue, queue.name()).unwrap();
        for (limit, seq) in [Duration::MAX, Duration::from_secs(1 << 60)]
            .into_iter()
            .zip(1..)
        {
            watcher.wait(Some(Duration::ZERO)).unwrap();
            assert_eq!(read(&queue, 64), None);
            post(&mut writer, [seq]);
            while !watcher.wait(Some(limit)).unwrap().contains(&token) {}
            assert_eq!(read(&queue, 64), Some(vec![seq]));
        }
    });
}

#[test]
fn c2_an_event_at_any_time_is_told() {
    const ROUNDS: u64 = 500;
    everywhere(|kind, carrier| {
        let (queue, mut writer) = carrier.open();
        let mut watcher = Watcher::new(kind).unwrap();
        let token = watcher.arm(&queue, queue.name()).unwrap();
        // One event a round, posted while the other side drains, or waits, or
        // is on its way: the barrier only keeps the two in step.
        let step = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                for seq in 1..=ROUNDS {
                    step.wait();
                    post(&mut writer, [seq]);
                }
            });
            for seq in 1..=ROUNDS {
                step.wait();
                assert_eq!(collect(&mut watcher, &queue, token, 64, 1), [seq]);
            }
        });
    });
}

#[test]
fn u2_what_a_partial_read_leaves_is_told_again() {
    everywhere(|kind, carrier| {
        let (queue, mut writer) = carrier.open();
        let mut watcher = Watcher::new(kind).unwrap();
        let token = watcher.arm(&queue, queue.name()).unwrap();
        post(&mut writer, 1..=3);
        assert_eq!(collect(&mut watcher, &queue, token, 1, 3), [1, 2, 3]);
        // And what comes after the queue has been empty.
        post(&mut writer, [4]);
        assert_eq!(collect(&mut watcher, &queue, token, 1, 1), [4]);
    });
}

#[test]
fn u10_a_burst_is_read_to_its_end_whatever_the_number_of_signals() {
    const COUNT: u64 = 10_000;
    everywhere(|kind, carrier| {
        let (queue, mut writer) = carrier.open();
        let mut watcher = Watcher::new(kind).unwrap();
        let token = watcher.arm(&queue, queue.name()).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| post(&mut writer, 1..=COUNT));
            let mut seqs = Vec::new();
            while seqs.len() < COUNT as usize {
                if !watcher.wait(None).unwrap().contains(&token) {
                    continue;
                }
                while let Some(some) = read(&queue, 64) {
                    seqs.extend(some);
                    if !kind.drains() {
                        break;
                    }
                }
            }
            assert!(seqs.iter().copied().eq(1..=COUNT), "out of order");
        });
    });
}

#[test]
fn u5_the_description_is_put_back() {
    everywhere(|kind, carrier| {
        let (queue, _writer) = carrier.open();
        let before = (flags(&queue), owner(&queue));
        let mut watcher = Watcher::new(kind).unwrap();
        let token = watcher.arm(&queue, queue.name()).unwrap();
        let armed = flags(&queue);
        assert_eq!(armed & libc::O_NONBLOCK != 0, kind.drains());
        let signals = matches!(
            kind,
            Kind::Sigio
                | Kind::SelfPipe
                | Kind::Signalfd
                | Kind::Pselect
                | Kind::Rtsig
                | Kind::RtsigThread
        );
        assert_eq!(armed & libc::O_ASYNC != 0, signals);
        watcher.disarm(token);
        assert_eq!((flags(&queue), owner(&queue)), before, "after disarm");
        watcher.arm(&queue, queue.name()).unwrap();
        drop(watcher);
        assert_eq!((flags(&queue), owner(&queue)), before, "after drop");
    });
}

fn owner(queue: &Queue) -> i32 {
    use std::os::fd::{AsFd as _, AsRawFd as _};
    // SAFETY: F_GETOWN takes no argument.
    unsafe { libc::fcntl(queue.as_fd().as_raw_fd(), libc::F_GETOWN) }
}

#[test]
fn c5_a_source_beside_is_told_until_it_is_read() {
    everywhere(|kind, carrier| {
        let (queue, _writer) = carrier.open();
        let stop = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).unwrap();
        let mut watcher = Watcher::new(kind).unwrap();
        let beside = watcher.also(&stop, "the eventfd").unwrap();
        let token = watcher.arm(&queue, queue.name()).unwrap();
        stop.write(1).unwrap();
        for _ in 0..3 {
            loop {
                let ready = watcher.wait(None).unwrap();
                if ready.contains(&beside) {
                    break;
                }
                if ready.contains(&token) {
                    assert_eq!(read(&queue, 64), None);
                }
            }
        }
    });
}

#[test]
fn c5_a_source_beside_ends_the_wait_in_any_gap() {
    const ROUNDS: usize = 200;
    everywhere(|kind, carrier| {
        let (queue, mut writer) = carrier.open();
        let stop = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).unwrap();
        let mut watcher = Watcher::new(kind).unwrap();
        let beside = watcher.also(&stop, "the eventfd").unwrap();
        let token = watcher.arm(&queue, queue.name()).unwrap();
        let step = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    step.wait();
                    stop.write(1).unwrap();
                }
            });
            for _ in 0..ROUNDS {
                step.wait();
                loop {
                    let ready = watcher.wait(None).unwrap();
                    if ready.contains(&beside) {
                        break;
                    }
                    if ready.contains(&token) {
                        assert_eq!(read(&queue, 64), None);
                    }
                }
                assert_eq!(stop.read().unwrap(), 1);
            }
        });
        // The source still works after all that.
        post(&mut writer, [9]);
        assert_eq!(collect(&mut watcher, &queue, token, 64, 1), [9]);
    });
}

#[test]
fn c4_one_busy_source_starves_no_other() {
    everywhere(|kind, carrier| {
        if !kind.drains() {
            return; // Cannot: a read blocks on one source.
        }
        let (busy, mut flood) = carrier.open();
        let (calm, mut writer) = carrier.open();
        let mut watcher = Watcher::new(kind).unwrap();
        let tokens = [&busy, &calm].map(|queue| watcher.arm(queue, queue.name()).unwrap());
        let mut told = BTreeMap::new();
        post(&mut flood, 1..=2);
        watcher.wait(None).unwrap();
        assert!(read(&calm, 1).is_none());
        for seq in 3..100 {
            // Never empty: one in, one out.
            post(&mut flood, [seq]);
            read(&busy, 1).unwrap();
            watcher.more(tokens[0]);
            if seq == 50 {
                post(&mut writer, [1]);
            }
            for token in watcher.wait(None).unwrap() {
                told.entry(token).or_insert(seq);
            }
        }
        assert!(
            told.contains_key(&tokens[1]),
            "the calm source was never told of"
        );
    });
}

#[test]
fn u6_the_number_of_a_closed_source_may_be_used_again() {
    everywhere(|kind, carrier| {
        let mut watcher = Watcher::new(kind).unwrap();
        for round in 1..=50 {
            let (queue, mut writer) = carrier.open();
            let token = watcher.arm(&queue, queue.name()).unwrap();
            post(&mut writer, [round]);
            assert_eq!(collect(&mut watcher, &queue, token, 64, 1), [round]);
            watcher.disarm(token);
        }
    });
}

#[test]
fn a_wait_with_nothing_to_tell_ends_at_its_limit() {
    everywhere(|kind, carrier| {
        let (queue, _writer) = carrier.open();
        let mut watcher = Watcher::new(kind).unwrap();
        let token = watcher.arm(&queue, queue.name()).unwrap();
        if !kind.drains() {
            let error = watcher.wait(Some(Duration::ZERO)).unwrap_err().to_string();
            assert!(
                error.contains("blocking cannot keep a time limit"),
                "{error}"
            );
            return;
        }
        assert_eq!(watcher.wait(None).unwrap(), [token], "right after arming");
        assert_eq!(read(&queue, 1), None);
        while !watcher
            .wait(Some(Duration::from_millis(1)))
            .unwrap()
            .is_empty()
        {
            assert_eq!(read(&queue, 1), None);
        }
    });
}
