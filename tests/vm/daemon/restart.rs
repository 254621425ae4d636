// SPDX-License-Identifier: MIT OR Apache-2.0
//! C5, Q2: stopped, killed and started again, it goes on where it was.

use nix::sys::signal::Signal;

use super::{Daemon, Place};
use crate::support::device::*;
use evq::via::Kind;

const APPEND: &str = r#"
    [hooks]
    running = 1
    [[rule]]
    name = "gate"
    code = 9
    run = ["/bin/sh", "-c", "echo $EVQ_SEQ >FOLDER/started; read line <FOLDER/gate"]
    [[rule]]
    name = "all"
    append = "FOLDER/events"
"#;

/// Something to wait for: a program is started for it, and waits too.
fn end() -> Event {
    Event::new(0x100, 9, &[]).expect("an event")
}

/// SIGTERM: what was posted before is dealt with, programs may end, and what
/// comes later is for the next start, which has each event once.
#[test]
fn stopped_and_started_again_nothing_is_missed_or_done_twice() {
    for kind in Kind::ALL.iter().filter(|kind| kind.drains()) {
        let place = Place::new(APPEND);
        let (mut started, mut gate) = (place.fifo("started"), place.fifo("gate"));
        let via = ["--via", kind.name()];
        let mut daemon = Daemon::start_with(&place, Vec::new(), &via);
        let writer = open_rw();
        let first = info(&writer).posted + 1;
        post(&writer, &[record(0), end(), end(), record(3)]);
        // The first program runs, the second event waits for it.
        started.line();
        daemon.signal(Signal::SIGTERM);
        daemon.until("STOPPING=1");
        post_numbers(&writer, 0..10);
        gate.write("\n");
        started.line();
        gate.write("\n");
        let log = daemon.log.clone();
        let (status, manager) = daemon.end();
        assert_eq!(status.code(), Some(0), "{kind}: {}", read_log(&log));
        assert_eq!(
            place.seqs("events"),
            (first..first + 4).collect::<Vec<_>>(),
            "{kind}"
        );

        post_numbers(&writer, 10..20);
        let kept = manager.kept();
        let names: Vec<&str> = kept.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["/dev/evq", "next=/dev/evq"], "{kind}");
        let daemon = Daemon::start_with(&place, kept, &via);
        place.until_metric("evq_matched_total{rule=\"all\"} 20");
        daemon.stop();
        assert_eq!(
            place.seqs("events"),
            (first..first + 24).collect::<Vec<_>>(),
            "{kind}"
        );
    }
}

/// SIGKILL at the worst time: every event is dealt with; only the one that was
/// under way is begun again.
#[test]
fn killed_and_started_again_nothing_is_missed() {
    for kind in Kind::ALL.iter().filter(|kind| kind.drains()) {
        let place = Place::new(APPEND);
        let (mut started, mut gate) = (place.fifo("started"), place.fifo("gate"));
        let via = ["--via", kind.name()];
        let daemon = Daemon::start_with(&place, Vec::new(), &via);
        let writer = open_rw();
        let first = info(&writer).posted + 1;
        post(&writer, &[record(0), end(), end(), record(3)]);
        started.line();
        // It has read all four, and waits with the second `end`.
        place.until_metric("evq_matched_total{rule=\"all\"} 2");
        daemon.signal(Signal::SIGKILL);
        let (_, manager) = daemon.end();
        post_numbers(&writer, 0..10);
        let daemon = Daemon::start_with(&place, manager.kept(), &via);
        started.line();
        gate.write("\n\n");
        place.until_metric("evq_matched_total{rule=\"all\"} 12");
        assert_eq!(
            place.seqs("events"),
            (first..first + 14).collect::<Vec<_>>(),
            "{kind}"
        );
        daemon.stop();
    }
}

/// With the queue lapped meanwhile, what is lost is counted.
#[test]
fn what_the_ring_could_not_hold_is_counted() {
    let place = Place::new(APPEND);
    let daemon = Daemon::start(&place);
    let manager = daemon.stop();
    let writer = open_rw();
    let capacity = u64::from(info(&writer).capacity);
    post_numbers(&writer, 0..capacity + 5);
    let daemon = Daemon::start_with(&place, manager.kept(), &[]);
    place.until_metric("evq_lost_total{device=\"/dev/evq\"} 5");
    place.until_metric(&format!(
        "evq_events_total{{device=\"/dev/evq\"}} {capacity}"
    ));
    assert!(daemon.log().contains("lost=5"), "{}", daemon.log());
    daemon.stop();
}

fn read_log(path: &std::path::Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
