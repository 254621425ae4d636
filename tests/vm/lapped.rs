// SPDX-License-Identifier: MIT OR Apache-2.0
//! Q3: a reader that has fallen behind, beside a writer that does not stop: it
//! gets on, and its account stays exact.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread;

use evq::uapi::Event;
use evq::{Filled, Mapped, Queue};
use nix::fcntl::OFlag;

use crate::support::device::*;
use crate::support::worker::Worker;

/// How often the reader falls behind by two rings.
const TIMES: u64 = 20;

/// A thread that posts `batch` records at a time until this is dropped.
struct Busy {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Busy {
    fn posting(batch: u64) -> Busy {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let fd = open_rw();
            let records: Vec<Event> = (0..batch).map(record).collect();
            while !stopped.load(Ordering::Relaxed) {
                post(&fd, &records);
            }
        });
        Busy {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("not joined before");
        // It posts or it has panicked, and then the test has told so.
        let _ = thread.join();
    }
}

/// Lets `read` fall behind and read, again and again, beside a busy writer.
/// `read` is given room for a batch, and says how much it has read.
fn gets_on(batch: u64, mut read: impl FnMut(&mut [Event]) -> usize + Send + 'static, next: u64) {
    let busy = Busy::posting(batch);
    let reader = Worker::start(move || {
        let fd = open_rw();
        let behind = 2 * u64::from(info(&fd).capacity);
        let mut events = [Event::default(); 64];
        let (mut next, mut total) = (next, 0);
        for _ in 0..TIMES {
            while info(&fd).posted < next + behind {
                thread::yield_now();
            }
            let count = read(&mut events);
            assert!(count > 0, "there are some at any time");
            next = check_account(next, &events[..count]);
            total += count;
        }
        total
    });
    assert!(reader.join() >= TIMES as usize);
    drop(busy);
}

/// Q3, R1: by read. It may not keep a processor either, for as long as somebody posts.
#[test]
fn a_reader_gets_on_beside_a_busy_writer() {
    for batch in [1, 64] {
        let fd = open(OFlag::O_RDONLY);
        let next = seek_newest(&fd);
        let read = move |room: &mut [Event]| {
            let got = read(&fd, room.len()).expect("reading");
            room[..got.len()].copy_from_slice(&got);
            got.len()
        };
        gets_on(batch, read, next);
    }
}

/// Q3: by the mapped ring.
#[test]
fn a_mapped_reader_gets_on_beside_a_busy_writer() {
    for batch in [1, 64] {
        let queue = Queue::from_fd(open(OFlag::O_RDONLY), DEVICE);
        let mut mapped = Mapped::new(queue).expect("mapping");
        let next = mapped.next_seq();
        let read = move |room: &mut [Event]| match mapped.read(room).expect("reading") {
            Filled::Records(count) => count,
            other => panic!("{other:?}"),
        };
        gets_on(batch, read, next);
    }
}
