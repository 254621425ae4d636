// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lines of several lengths: a limit counts lines, and each line has the time at
//! which it was read. Only a pipe carries lines; queues and input devices carry
//! records of one length.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use evq::timer::monotonic_ns;
use evq::via::Kind;
use evq::{Bytes, Filled, Lines, Token, Watcher};
use nix::fcntl::OFlag;
use nix::unistd::{gettid, pipe2, write};

use crate::cell;
use crate::gate::{until_asleep, Gate};
use crate::source::Origin;
use crate::watch::watcher;

/// What is written, without the ends of lines.
const LENGTHS: [usize; 9] = [0, 1, 2, 5, 63, 64, 65, 1000, 4095];

struct Reader {
    // Dropped before the descriptor is closed.
    watcher: Watcher,
    token: Token,
    bytes: Bytes,
    lines: Lines,
}

fn make(kind: Kind) -> (Reader, OwnedFd) {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
    let bytes = Bytes::from_fd(reader, "pipe").expect("it carries bytes");
    let mut watcher = watcher(kind);
    let token = watcher.arm(&bytes, bytes.name()).expect("arming it");
    let reader = Reader {
        watcher,
        token,
        bytes,
        lines: Lines::new(),
    };
    (reader, writer)
}

impl Reader {
    /// Waits for lines and gives up to `most` of them, as one report of the
    /// mechanism brings them.
    fn some(&mut self, most: usize) -> Vec<(u64, Vec<u8>)> {
        let mut given = Vec::new();
        let mut buffer = [0; 16 * 1024];
        while given.is_empty() {
            let ready = self.watcher.wait(None).expect("waiting");
            if !ready.contains(&self.token) {
                continue;
            }
            let drains = self.watcher.drains(self.token);
            loop {
                let left = most - given.len();
                let give = |time, line: &[u8]| given.push((time, line.to_vec()));
                let filled = self
                    .lines
                    .read(&self.bytes, left, drains, &mut buffer, give);
                match filled.expect("reading") {
                    Filled::Records(_) => cell::progress(),
                    Filled::Empty => break,
                    Filled::End => panic!("ended after {given:?}"),
                }
                if given.len() == most {
                    self.watcher.more(self.token);
                    break;
                }
                if !drains {
                    break;
                }
            }
        }
        given
    }
}

fn line(length: usize) -> Vec<u8> {
    let mut line = vec![b'x'; length];
    line.push(b'\n');
    line
}

/// C1: every line whole, whatever its length and the limit.
pub(crate) fn lengths(kind: Kind, _: Origin) {
    for most in [1, 2, LENGTHS.len()] {
        let (mut reader, writer) = make(kind);
        let all = LENGTHS.map(line);
        write(&writer, &all.concat()).expect("it fits into the pipe");
        let mut given = Vec::new();
        while given.len() < most {
            given.extend(reader.some(most - given.len()));
        }
        let lines: Vec<_> = given.into_iter().map(|(_, line)| line).collect();
        assert_eq!(lines, all[..most], "limit {most}");
    }
    // One after the other: none waits for the next one.
    let (mut reader, writer) = make(kind);
    for length in LENGTHS {
        write(&writer, &line(length)).expect("it fits into the pipe");
        let given = reader.some(usize::MAX);
        assert_eq!(given.len(), 1, "a line of {length} bytes");
        assert_eq!(given[0].1, line(length));
    }
}

/// C1: the line comes while the thread sleeps in the wait, or in the read, and
/// has a time from after that.
pub(crate) fn times(kind: Kind, _: Origin) {
    let (mut reader, writer) = make(kind);
    let (asleep, written) = (Gate::new(), AtomicU64::new(0));
    let main = gettid();
    thread::scope(|scope| {
        scope.spawn(|| {
            for length in LENGTHS {
                asleep.pass();
                until_asleep(main);
                written.store(monotonic_ns(), Ordering::Release);
                write(&writer, &line(length)).expect("it fits into the pipe");
            }
        });
        for length in LENGTHS {
            asleep.open();
            let given = reader.some(usize::MAX);
            let (time, line) = &given[0];
            assert_eq!(line.len(), length + 1);
            let written = written.load(Ordering::Acquire);
            let now = monotonic_ns();
            assert!(
                (written..=now).contains(time),
                "written {written}, stamped {time}, now {now}"
            );
        }
    });
}
