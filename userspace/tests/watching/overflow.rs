// SPDX-License-Identifier: MIT OR Apache-2.0
//! A full signal queue under many sources (C3, U8).

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use crate::carrier::{alone, post, read, watchdog, Carrier, Writer};
use evq::via::Kind;
use evq::{Queue, Token, Watcher};
use nix::sys::resource::{getrlimit, setrlimit, Resource};

/// Sources: far more than the bits of a mask, or the usual limit of open files.
const SOURCES: usize = 1000;

/// Events for each source; what fits into two pages, as a pipe has at least.
const EVENTS_MAX: u64 = 128;

struct Manager {
    watcher: Watcher,
    /// With the numbers of the events that were read.
    sources: BTreeMap<Token, (Queue, Vec<u64>)>,
    tokens: Vec<Token>,
    writers: Vec<Writer>,
}

impl Manager {
    fn new(kind: Kind) -> Manager {
        let mut watcher = Watcher::new(kind).unwrap();
        let mut sources = BTreeMap::new();
        let mut writers = Vec::new();
        for _ in 0..SOURCES {
            let (queue, writer) = Carrier::Pipe.open();
            let token = watcher.arm(&queue, queue.name()).unwrap();
            sources.insert(token, (queue, Vec::new()));
            writers.push(writer);
        }
        let mut manager = Manager {
            watcher,
            tokens: sources.keys().copied().collect(),
            sources,
            writers,
        };
        assert_eq!(manager.turn(None), SOURCES, "all are told after arming");
        manager
    }

    /// Waits once and reads what is told; gives how many sources were told.
    fn turn(&mut self, timeout: Option<Duration>) -> usize {
        let ready = self.watcher.wait(timeout).unwrap();
        for token in &ready {
            let (queue, seqs) = self.sources.get_mut(token).expect("a source of ours");
            while let Some(some) = read(queue, 64) {
                seqs.extend(some);
            }
        }
        ready.len()
    }

    /// How many events of one source were read.
    fn read_of(&self, index: usize) -> u64 {
        self.sources[&self.tokens[index]].1.len() as u64
    }

    fn expect(&self, events: u64, when: &str) {
        for (token, (_, seqs)) in &self.sources {
            assert!(
                seqs.iter().copied().eq(1..=events),
                "{token:?}, {when}: {seqs:?} instead of 1 to {events}"
            );
        }
    }
}

fn storm(writers: &mut [Writer], seqs: impl Iterator<Item = u64>) {
    for seq in seqs {
        for writer in &mut *writers {
            post(writer, [seq]);
        }
    }
}

/// Where there is room for `room` signals of this user.
fn survives(kind: Kind, room: u64) {
    watchdog();
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let files = 3 * SOURCES as u64 + 100;
    assert!(
        files <= most,
        "the hard limit of open files is below {files}: raise it for this test"
    );
    setrlimit(Resource::RLIMIT_NOFILE, files, most).unwrap();
    let (_, most) = getrlimit(Resource::RLIMIT_SIGPENDING).unwrap();
    setrlimit(Resource::RLIMIT_SIGPENDING, room, most).unwrap();
    // More than there is room for, as far as the pipes have room for it.
    let events = (room / SOURCES as u64 + 2).min(EVENTS_MAX / 2);
    let overflow = events * SOURCES as u64 > room;

    let mut manager = Manager::new(kind);
    storm(&mut manager.writers, 1..=events);
    // No more signals come: a wait that tells of nothing has nothing to tell.
    while manager.turn(Some(Duration::ZERO)) > 0 {}
    let seen = manager.watcher.overflows();
    assert!(seen > 0 || !overflow, "room for {room}: no overflow");
    manager.expect(events, "all was posted before the first wait");

    // And while it is being read.
    let mut writers = std::mem::take(&mut manager.writers);
    thread::scope(|scope| {
        scope.spawn(|| storm(&mut writers, events + 1..=2 * events));
        while (0..SOURCES).any(|index| manager.read_of(index) < 2 * events) {
            manager.turn(None);
        }
    });
    manager.expect(2 * events, "during the storm");

    // They are armed again: each is told by itself.
    for (index, writer) in writers.iter_mut().enumerate().step_by(100) {
        post(writer, [2 * events + 1]);
        while manager.read_of(index) <= 2 * events {
            manager.turn(None);
        }
    }
}

#[test]
fn c3_a_thousand_sources_survive_a_full_signal_queue() {
    let (default, _) = getrlimit(Resource::RLIMIT_SIGPENDING).unwrap();
    for kind in [Kind::Rtsig, Kind::RtsigThread] {
        for room in [0, 8, default] {
            eprintln!("{kind}, room for {room}");
            alone(|| survives(kind, room));
        }
    }
}
