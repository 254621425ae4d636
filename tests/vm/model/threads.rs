// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random programs in several threads on the same files: no order is known
//! beforehand, but every account has to be exact in the end (Q3, R6, W3).

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Barrier};

use evq::uapi::{SeekArg, SEEK_OLDEST, SEEK_SEQ};
use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::unistd::getpid;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use super::{rng, seeds};
use crate::support::device::*;
use crate::support::modules::{load, Unloaded};
use crate::support::signals::*;
use crate::support::worker::Worker;
use crate::support::{figure, readiness};

const THREADS: usize = 4;

/// Files that all threads use; the last one is the one whose cursor they move.
const FILES: usize = 3;
const MOVED: usize = FILES - 1;

/// What a thread does next, on which file.
#[derive(Clone, Copy, Debug)]
enum Act {
    Read { file: usize, room: usize },
    Write { file: usize, records: u64 },
    Seek { back: u64 },
    Poll { file: usize },
    Async { file: usize, on: bool },
    Info { file: usize },
}

fn act() -> impl Strategy<Value = Act> {
    let file = || 0..FILES;
    prop_oneof![
        6 => (file(), 1..70usize).prop_map(|(file, room)| Act::Read { file, room }),
        4 => (file(), 1..65u64).prop_map(|(file, records)| Act::Write { file, records }),
        1 => (0..100u64).prop_map(|back| Act::Seek { back }),
        1 => file().prop_map(|file| Act::Poll { file }),
        1 => (file(), any::<bool>()).prop_map(|(file, on)| Act::Async { file, on }),
        2 => file().prop_map(|file| Act::Info { file }),
    ]
}

/// The event that thread `writer` posts as its `number`th.
fn event(writer: usize, number: u64) -> Event {
    let payload = [writer as u64, number, !number, number.rotate_left(17)];
    let payload: Vec<u8> = payload.into_iter().flat_map(u64::to_ne_bytes).collect();
    Event::new(writer as u16, number as u16, &payload).expect("it fits exactly")
}

/// Who has posted an event, as which of its own; panics if it is not whole.
fn origin(got: &Event) -> (usize, u64) {
    let word = |at: usize| u64::from_ne_bytes(got.data[at..at + 8].try_into().expect("8 bytes"));
    let (writer, number) = (word(0) as usize, word(8));
    let expected = Event {
        seq: got.seq,
        time_ns: got.time_ns,
        source: got.source,
        lost: got.lost,
        ..event(writer, number)
    };
    assert_eq!(*got, expected, "event {} is whole", got.seq);
    assert_eq!(got.source, getpid().as_raw() as u32);
    (writer, number)
}

/// Delivered and lost add up at any time, for a file whose cursor nobody moves.
fn check_info(fd: &OwnedFd, start: u64) {
    let info = info(fd);
    assert_eq!(
        info.delivered + info.lost,
        info.next - start,
        "{info:?}, opened at {start}"
    );
    // What was posted has been asked first.
    assert!(info.oldest <= info.posted + 1, "{info:?}");
}

/// Runs one thread; what it has read from each file, and how many events it has posted.
fn program(files: &[OwnedFd], start: u64, thread: usize, acts: &[Act]) -> (Vec<Vec<Event>>, u64) {
    let mut taken = vec![Vec::new(); FILES];
    let mut posted = 0;
    for act in acts {
        match *act {
            Act::Read { file, room } => match read(&files[file], room) {
                Ok(events) => taken[file].extend(events),
                Err(errno) => assert_eq!(errno, Errno::EAGAIN, "{act:?}"),
            },
            Act::Write { file, records } => {
                let records: Vec<_> = (posted..posted + records)
                    .map(|number| event(thread, number))
                    .collect();
                post(&files[file], &records);
                posted += records.len() as u64;
            }
            Act::Seek { back } => {
                let behind = info(&files[MOVED]).posted + 1;
                let seq = behind.saturating_sub(back).max(1);
                let to = SeekArg {
                    whence: SEEK_SEQ,
                    reserved: 0,
                    seq,
                };
                assert_eq!(try_seek(&files[MOVED], to), Ok(seq), "{act:?}");
            }
            Act::Poll { file } => {
                let ready = readiness(&files[file], PollFlags::POLLIN | PollFlags::POLLOUT);
                assert!(ready.contains(PollFlags::POLLOUT), "{act:?}: {ready:?}");
            }
            Act::Async { file, on } => set_fioasync(&files[file], on),
            Act::Info { file: MOVED } => {}
            Act::Info { file } => check_info(&files[file], start),
        }
    }
    (taken, posted)
}

fn run(programs: Vec<Vec<Act>>) {
    let files: Arc<Vec<OwnedFd>> = Arc::new((0..FILES).map(|_| open_nonblock()).collect());
    files.iter().for_each(|fd| set_owner(fd, getpid().as_raw()));
    let start = info(&files[0]).next;
    let together = Arc::new(Barrier::new(THREADS));
    let workers: Vec<_> = programs
        .into_iter()
        .enumerate()
        .map(|(thread, acts)| {
            let (files, together) = (files.clone(), together.clone());
            Worker::start(move || {
                together.wait();
                program(&files, start, thread, &acts)
            })
        })
        .collect();
    let mut taken = vec![Vec::new(); FILES];
    let mut posted = 0;
    for worker in workers {
        let (by_thread, count) = worker.join();
        posted += count;
        taken
            .iter_mut()
            .zip(by_thread)
            .for_each(|(all, some)| all.extend(some));
    }

    // What nobody has taken yet; of the file that was moved, from its oldest on.
    let oldest = SeekArg {
        whence: SEEK_OLDEST,
        reserved: 0,
        seq: 0,
    };
    let oldest = try_seek(&files[MOVED], oldest).expect("seeking to the oldest");
    let rest = drain(&files[MOVED]);
    assert_eq!(check_account(oldest, &rest), start + posted);
    taken[MOVED].extend(rest);

    let mut all = BTreeMap::new();
    for (file, mut events) in taken.into_iter().enumerate() {
        if file != MOVED {
            events.extend(drain(&files[file]));
            events.sort_by_key(|event| event.seq);
            // Also: nobody got what somebody else has got (R6).
            assert_eq!(check_account(start, &events), start + posted, "file {file}");
            check_info(&files[file], start);
        }
        for event in events.into_iter().filter(|event| event.seq >= start) {
            let same = Event { lost: 0, ..event };
            assert_eq!(
                *all.entry(event.seq).or_insert(same),
                same,
                "the same for all"
            );
        }
    }
    // Each thread's own events are in the order in which it has posted them, and so are the times.
    let mut last: BTreeMap<usize, u64> = BTreeMap::new();
    let mut time = 0;
    for event in all.values() {
        let (writer, number) = origin(event);
        assert!(
            last.insert(writer, number)
                .is_none_or(|before| before < number),
            "{event:?}"
        );
        assert!(time <= event.time_ns, "{event:?} after {time}");
        time = event.time_ns;
    }
}

/// Q3: delivered and lost add up for each file, whoever reads it and whoever posts.
#[test]
fn random_threads_leave_exact_accounts() {
    let _guard = Unloaded::new();
    load("evq", "capacity=64").expect("loading evq");
    let _signals = Signals::block();
    let seeds = seeds(20);
    for seed in seeds.clone() {
        println!("threads: seed {seed}");
        let mut runner = TestRunner::new_with_rng(Config::default(), rng(seed));
        let programs = vec(vec(act(), 100..200), THREADS).new_tree(&mut runner);
        run(programs.expect("nothing is filtered out").current());
    }
    figure(&format!(
        "random programs of {THREADS} threads: seeds {seeds:?}"
    ));
}
