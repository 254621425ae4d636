// SPDX-License-Identifier: MIT OR Apache-2.0
//! Q4: posting from NMI is refused and counted, never a deadlock, also in the
//! middle of another post. `evq_nmi` tries it in each NMI that the host raises.

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use nix::sched::{sched_setaffinity, CpuSet};
use nix::unistd::Pid;

use crate::support::device::*;
use crate::support::modules::{load, unload};
use crate::support::worker::{until, Worker};

/// `evq_nmi`, while this lives.
struct Nmis;

impl Nmis {
    fn load() -> Self {
        load("evq_nmi", "").expect("loading evq_nmi");
        Self
    }

    /// Has the host raise one; does not wait for it.
    fn raise(&self) {
        let output = Command::new("vm-ctl")
            .arg("nmi")
            .output()
            .expect("vm-ctl asks the host");
        assert!(output.status.success(), "vm-ctl nmi: {output:?}");
    }

    /// One of the counts of the module.
    fn count(&self, name: &str) -> u64 {
        let path = format!("/sys/module/evq_nmi/parameters/{name}");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        text.trim().parse().expect("a number")
    }
}

impl Drop for Nmis {
    fn drop(&mut self) {
        let result = unload("evq_nmi");
        if !std::thread::panicking() {
            result.expect("unloading evq_nmi");
        }
    }
}

/// This thread runs on the processor that gets the NMIs, the first one.
fn stay_on_the_first_processor() {
    let mut first = CpuSet::new();
    first.set(0).expect("processor 0");
    sched_setaffinity(Pid::from_raw(0), &first).expect("sched_setaffinity");
}

#[test]
fn posting_from_nmi_is_refused_and_counted() {
    const ROUNDS: u64 = 30;
    // An event, and a batch of two.
    const CALLS: u64 = 2;
    const EVENTS: u64 = 3;
    let nmis = Nmis::load();
    let fd = open_nonblock();
    let before = info(&fd);
    let done = Arc::new(AtomicBool::new(false));
    let writer = Worker::start({
        let done = done.clone();
        move || {
            stay_on_the_first_processor();
            let fd = open_rw();
            let records: Vec<Event> = (0..64).map(record).collect();
            let mut posted = 0;
            while !done.load(Ordering::SeqCst) {
                post(&fd, &records);
                posted += records.len() as u64;
            }
            posted
        }
    });
    for round in 1..=ROUNDS {
        nmis.raise();
        until(
            || nmis.count("refused") + nmis.count("other") == round * CALLS,
            || format!("NMI {round}"),
        );
    }
    done.store(true, Ordering::SeqCst);
    let posted = writer.join();
    assert_eq!(
        (nmis.count("refused"), nmis.count("other")),
        (ROUNDS * CALLS, 0)
    );
    let after = info(&fd);
    assert_eq!(after.refused - before.refused, ROUNDS * EVENTS);
    assert_eq!(
        after.posted - before.posted,
        posted,
        "nothing of them is there"
    );
}
