// SPDX-License-Identifier: MIT OR Apache-2.0
//! When events come: at any time, and all of them are told (C2).

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use evq::via::Kind;
use nix::unistd::gettid;

use crate::cell;
use crate::gate::{until_asleep, Gate};
use crate::source::{make, Origin};
use crate::watch::{Account, Watch};

pub(crate) fn before_arming(kind: Kind, origin: Origin) {
    let (reader, writer) = make(origin);
    writer.post([1]);
    let mut watch = Watch::new(kind, reader);
    assert_eq!(watch.collect(64, 1), [1]);
}

pub(crate) fn before_waiting(kind: Kind, origin: Origin) {
    let (reader, writer) = make(origin);
    let mut watch = Watch::new(kind, reader);
    writer.post([1]);
    assert_eq!(watch.collect(64, 1), [1]);
    // And with the report of arming out of the way.
    watch.drain();
    writer.post([2]);
    assert_eq!(watch.collect(64, 1), [2]);
}

/// U2: what a reader leaves behind is nobody's news.
pub(crate) fn partial_reads(kind: Kind, origin: Origin) {
    let (reader, writer) = make(origin);
    let mut watch = Watch::new(kind, reader);
    watch.drain();
    writer.post(1..=3);
    assert_eq!(watch.collect(1, 3), [1, 2, 3]);
    writer.post([4]);
    assert_eq!(watch.collect(1, 1), [4]);
}

/// U16: one comes between two reads, one between the last read and the wait,
/// one while the thread sleeps in the wait.
pub(crate) fn while_draining(kind: Kind, origin: Origin) {
    let (reader, writer) = make(origin);
    let mut watch = Watch::new(kind, reader);
    writer.post(1..=2);
    let (asked, answered, asleep) = (Gate::new(), Gate::new(), Gate::new());
    let main = gettid();
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in [3, 4] {
                asked.pass();
                writer.post([number]);
                answered.open();
            }
            asleep.pass();
            until_asleep(main);
            writer.post([5]);
        });
        assert_eq!(watch.collect(1, 1), [1]);
        asked.open();
        answered.pass();
        assert_eq!(watch.collect(1, 2), [2, 3]);
        watch.drain();
        asked.open();
        answered.pass();
        assert_eq!(watch.collect(1, 1), [4]);
        watch.drain();
        asleep.open();
        assert_eq!(watch.collect(1, 1), [5]);
    });
}

/// U10: whatever the number of notifications, all of it is read.
pub(crate) fn burst(kind: Kind, origin: Origin) {
    flood(kind, origin, 10_000);
}

/// As many as take about ten seconds, over all mechanisms.
pub(crate) fn storm(kind: Kind, origin: Origin) {
    let count = match origin {
        Origin::Evq | Origin::Mapped => cell::rounds(1_000_000).div_ceil(Kind::ALL.len() as u64),
        Origin::Pipe => cell::rounds(50_000),
        Origin::Input => cell::rounds(5_000),
    };
    flood(kind, origin, count);
}

/// Q3: `delivered + lost == posted`. Only the queue may lose: the writer to an
/// input device waits for the reader, which evdev cannot make it do.
fn flood(kind: Kind, origin: Origin, count: u64) {
    let (reader, writer) = make(origin);
    let mut watch = Watch::new(kind, reader);
    watch.drain();
    let taken = AtomicU64::new(0);
    thread::scope(|scope| {
        let (writer, taken) = (&writer, &taken);
        scope.spawn(move || {
            let step = if origin == Origin::Input {
                writer.room()
            } else {
                64
            };
            for from in (1..=count).step_by(usize::try_from(step).expect("small")) {
                while origin == Origin::Input && taken.load(Ordering::Acquire) + 1 < from {
                    thread::yield_now();
                }
                writer.post(from..=count.min(from + step - 1));
            }
        });
        let mut account = Account::default();
        let mut next = 1;
        while account.total() < count {
            // In this order the account can be checked number by number.
            let some = watch.some();
            assert!(some.numbers.is_sorted(), "out of order");
            if let (Some(first), Some(last)) = (some.numbers.first(), some.numbers.last()) {
                assert!(*first >= next, "{first} after {next} was due");
                next = last + 1;
            }
            account.lost += some.lost;
            account.numbers.extend(some.numbers);
            taken.store(account.total(), Ordering::Release);
        }
        assert_eq!(account.total(), count, "delivered + lost == posted");
        assert_eq!(next, count + 1, "the newest is never lost");
        assert!(origin.is_queue() || account.lost == 0);
    });
}
