// SPDX-License-Identifier: MIT OR Apache-2.0
//! More than one of something: watchers, sources, descriptors, processes.

use std::collections::BTreeMap;
use std::thread;

use evq::via::Kind;
use nix::sys::wait::{waitpid, WaitStatus};
use nix::unistd::{fork, ForkResult};

use crate::gate::Gate;
use crate::source::{make, Got, Origin};
use crate::watch::{arm, wait, watcher, Watch};

/// Q2: two descriptions of one queue, each by a watcher of its own on the same
/// thread; each gets all, whoever is asked first.
pub(crate) fn two_watchers(kind: Kind, origin: Origin) {
    let (reader, writer) = make(origin);
    let mut one = Watch::new(kind, reader);
    let mut other = Watch::new(kind, writer.reader());
    writer.post(1..=3);
    assert_eq!(one.collect(64, 3), [1, 2, 3]);
    assert_eq!(other.collect(1, 3), [1, 2, 3]);
    one.drain();
    other.drain();
    writer.post([4]);
    assert_eq!(other.collect(64, 1), [4]);
    assert_eq!(one.collect(64, 1), [4]);
    // One ends, the other goes on.
    drop(one);
    other.drain();
    writer.post([5]);
    assert_eq!(other.collect(64, 1), [5]);
}

/// Q2: the same, each watcher on a thread of its own.
pub(crate) fn two_threads(kind: Kind, origin: Origin) {
    let (reader, writer) = make(origin);
    let readers = [reader, writer.reader()];
    let (armed, again) = (Gate::new(), Gate::new());
    thread::scope(|scope| {
        for reader in readers {
            scope.spawn(|| {
                let mut watch = Watch::new(kind, reader);
                watch.drain();
                armed.open();
                assert_eq!(watch.collect(1, 3), [1, 2, 3]);
                watch.drain();
                again.open();
                assert_eq!(watch.collect(64, 1), [4]);
            });
        }
        armed.pass();
        armed.pass();
        writer.post(1..=3);
        again.pass();
        again.pass();
        writer.post([4]);
    });
}

/// The source, and a pipe, in one watcher.
pub(crate) fn two_sources(kind: Kind, origin: Origin) {
    let (mut reader, writer) = make(origin);
    let (mut other_reader, other_writer) = make(Origin::Pipe);
    let mut watcher = watcher(kind);
    let token = arm(&mut watcher, &reader);
    let other_token = arm(&mut watcher, &other_reader);
    assert_ne!(token, other_token);
    let mut readers = BTreeMap::from([(token, &mut reader), (other_token, &mut other_reader)]);
    let mut next = BTreeMap::from([(token, 1), (other_token, 1)]);
    for (number, to) in [(1, 3), (2, 1), (3, 2), (4, 3), (5, 2), (6, 1)] {
        let (mut wanted, mut at) = (0, Vec::new());
        for (bit, token, writer) in [(1, token, &writer), (2, other_token, &other_writer)] {
            if to & bit != 0 {
                writer.post([number]);
                wanted += 1;
                at.push(token);
            }
        }
        while wanted > 0 {
            for token in wait(&mut watcher) {
                let reader = readers.get_mut(&token).expect("one of the two");
                while let Got::Numbers(numbers, lost) = reader.read(64) {
                    assert_eq!(lost, 0);
                    for got in numbers {
                        assert_eq!(got, number, "from the other round");
                        assert!(at.contains(&token), "from the other source");
                        wanted -= 1;
                        next.insert(token, got + 1);
                    }
                }
            }
        }
    }
    assert_eq!(
        (next[&token], next[&other_token]),
        (7, 6),
        "the last of each"
    );
}

/// F4: the description is what is armed, not the number.
pub(crate) fn dup(kind: Kind, origin: Origin) {
    let (reader, writer) = make(origin);
    let copy = reader.duplicate();
    let mut watcher = watcher(kind);
    let token = arm(&mut watcher, &reader);
    drop(reader);
    let mut watch = Watch {
        watcher,
        token,
        reader: copy,
    };
    watch.drain();
    writer.post([1]);
    assert_eq!(watch.collect(64, 1), [1]);
    watch.drain();
    writer.post([2]);
    assert_eq!(watch.collect(64, 1), [2]);
}

/// F4: a child has the descriptor too, and ends.
pub(crate) fn fork_holds(kind: Kind, origin: Origin) {
    let (reader, writer) = make(origin);
    let mut watch = Watch::new(kind, reader);
    let (there, go) = (Gate::new(), Gate::new());
    // SAFETY: the child only makes system calls.
    let child = match unsafe { fork() }.expect("fork") {
        ForkResult::Child => {
            there.open();
            go.pass();
            // SAFETY: ends the process.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => child,
    };
    there.pass();
    watch.drain();
    writer.post([1]);
    assert_eq!(watch.collect(64, 1), [1]);
    go.open();
    assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
    watch.drain();
    writer.post([2]);
    assert_eq!(watch.collect(64, 1), [2]);
}
