// SPDX-License-Identifier: MIT OR Apache-2.0
//! Q3, Q4: a processor goes away and comes back while interrupts post: its
//! timers move to another one, and so does what it had put off.

use std::fs;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use crate::support::device::*;
use crate::support::modules::Timer;
use crate::support::until_readable;
use crate::support::worker::Worker;

const ONLINE: &str = "/sys/devices/system/cpu/cpu1/online";

/// The second processor; on again when this is dropped.
struct Processor;

impl Processor {
    fn set(&self, online: bool) {
        let value = if online { "1" } else { "0" };
        fs::write(ONLINE, value).unwrap_or_else(|error| {
            panic!("writing {value} to {ONLINE}: {error}; this needs two processors")
        });
    }
}

impl Drop for Processor {
    fn drop(&mut self) {
        let _ = fs::write(ONLINE, "1");
    }
}

#[test]
fn a_processor_that_goes_away_loses_nothing() {
    const EACH: u64 = 3000;
    let fd = open_nonblock();
    let first = info(&fd).next;
    let last = first + 3 * EACH - 1;
    let done = Arc::new(AtomicBool::new(false));
    let timer = Timer::load(&format!("softirq=2 rate=1000 count={EACH}"));
    let switch = Worker::start({
        let done = done.clone();
        move || {
            let processor = Processor;
            let mut times = 0;
            while !done.load(Ordering::SeqCst) || times < 3 {
                processor.set(false);
                processor.set(true);
                times += 1;
            }
            times
        }
    });
    let writer = Worker::start(|| {
        let fd = open_rw();
        for number in 0..EACH {
            post(&fd, &[record(number)]);
        }
    });
    let mut next = first;
    let mut delivered = 0;
    while next <= last {
        until_readable(fd.as_fd(), "events while a processor comes and goes");
        let events = drain(&fd);
        delivered += events.len() as u64;
        next = check_account(next, &events);
    }
    done.store(true, Ordering::SeqCst);
    writer.join();
    assert!(switch.join() >= 3);
    drop(timer);
    let state = info(&fd);
    assert_eq!(state.posted, last);
    assert_eq!(delivered + state.lost, 3 * EACH);
}
