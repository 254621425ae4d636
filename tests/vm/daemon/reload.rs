// SPDX-License-Identifier: MIT OR Apache-2.0
//! SIGHUP, a full disk, metrics, the watchdog: what happens beside the events.

use std::fs;
use std::io::Write as _;
use std::os::unix::net::UnixStream;

use nix::mount::{mount, umount, MsFlags};
use nix::sys::signal::Signal;

use super::{Daemon, Manager, Place};
use crate::support::device::*;
use crate::support::process::until_stopped;
use crate::support::{keyboard, modules};

const APPEND: &str = r#"
    [[rule]]
    name = "all"
    append = "FOLDER/events"
    [[rule]]
    name = "end"
    code = 9
    run = ["/bin/sh", "-c", "echo $EVQ_SEQ >FOLDER/fifo"]
"#;

/// Something to wait for: a program is started for it.
fn end() -> Event {
    Event::new(0x100, 9, &[]).expect("an event")
}

/// C5, C7: a bad file is refused with its place, and the old rules go on; a good one
/// is taken over. No event is missed or done twice.
#[test]
fn a_bad_file_is_refused_and_the_old_rules_go_on() {
    let place = Place::new(APPEND);
    let mut fifo = place.fifo("fifo");
    let mut daemon = Daemon::start(&place);
    let writer = open_rw();
    let first = info(&writer).posted + 1;
    post_numbers(&writer, 0..10);
    place.configure("[[rule]]\nname = \"x\"\nrum = []\n");
    daemon.signal(Signal::SIGHUP);
    post_numbers(&writer, 10..20);
    daemon.until("RELOADING=1");
    daemon.until("READY=1");
    let log = daemon.log();
    assert!(
        log.contains("daemon.toml:7:1: unknown field `rum`"),
        "{log}"
    );
    place.until_metric("evq_reload_failures_total 1");
    post(&writer, &[end()]);
    fifo.line();
    assert_eq!(
        place.seqs("events"),
        (first..=first + 20).collect::<Vec<_>>()
    );

    place.configure(&APPEND.replace("FOLDER/events", "FOLDER/others"));
    daemon.signal(Signal::SIGHUP);
    daemon.until("RELOADING=1");
    daemon.until("READY=1");
    post_numbers(&writer, 0..10);
    post(&writer, &[end()]);
    fifo.line();
    let others = place.seqs("others");
    assert_eq!(others, (first + 21..=first + 31).collect::<Vec<_>>());
    assert_eq!(place.seqs("events").len(), 21);
    daemon.stop();
}

/// C5: SIGHUP closes the files that are appended to, so that they can be rotated.
#[test]
fn files_can_be_moved_away() {
    let place = Place::new(APPEND);
    let mut fifo = place.fifo("fifo");
    let mut daemon = Daemon::start(&place);
    let writer = open_rw();
    post(&writer, &[end()]);
    fifo.line();
    fs::rename(place.path("events"), place.path("events.1")).expect("moving it away");
    daemon.signal(Signal::SIGHUP);
    daemon.until("RELOADING=1");
    daemon.until("READY=1");
    post(&writer, &[end()]);
    fifo.line();
    assert_eq!(place.lines("events.1").len(), 1);
    assert_eq!(place.lines("events").len(), 1);
    daemon.stop();
}

/// A disk that fills up: no torn line, no event forgotten, and it says so.
#[test]
fn a_full_disk_keeps_the_events_waiting() {
    let place = Place::new(
        r#"
        [[rule]]
        name = "all"
        append = "FOLDER/small/events"
        "#,
    );
    let small = place.path("small");
    fs::create_dir(&small).expect("a folder");
    let (tmpfs, size) = (Some("tmpfs"), Some("size=64k"));
    mount(tmpfs, &small, tmpfs, MsFlags::empty(), size).expect("a small disk");
    // All but one page of it.
    fs::write(small.join("ballast"), vec![0; 60 << 10]).expect("ballast");
    let daemon = Daemon::start(&place);
    let writer = open_rw();
    let first = info(&writer).posted + 1;
    post_numbers(&writer, 0..100);
    place.until_metric("evq_append_failures_total{rule=\"all\"} 1");
    let before = place.seqs("small/events");
    assert!(before.len() < 100, "{} of a full disk", before.len());
    let log = daemon.log();
    assert!(
        log.contains("small/events") && log.contains("make room"),
        "{log}"
    );
    fs::remove_file(small.join("ballast")).expect("making room");
    place.until_metric("evq_matched_total{rule=\"all\"} 100");
    assert_eq!(
        place.seqs("small/events"),
        (first..first + 100).collect::<Vec<_>>()
    );
    daemon.stop();
    umount(&small).expect("nobody uses it");
}

/// Metrics are there for whoever asks properly; whoever does not spoils only
/// his own answer.
#[test]
fn metrics_survive_bad_clients() {
    let place = Place::new(APPEND);
    let mut fifo = place.fifo("fifo");
    let daemon = Daemon::start(&place);
    let writer = open_rw();
    // One that says nothing, and one that stops in the middle.
    let silent: Vec<UnixStream> = (0..40)
        .map(|_| {
            let mut stream = UnixStream::connect(place.path("metrics")).expect("connecting");
            stream.write_all(b"GET /metr").expect("writing");
            stream
        })
        .collect();
    post(&writer, &[record(0), end()]);
    fifo.line();
    let metrics = place.metrics();
    let posted = info(&writer).posted;
    for line in [
        "evq_events_total{device=\"/dev/evq\"} 2".to_owned(),
        "evq_matched_total{rule=\"all\"} 2".into(),
        format!("evq_posted_total{{device=\"/dev/evq\"}} {posted}"),
        "evq_unread{device=\"/dev/evq\"} 0".into(),
    ] {
        assert!(
            metrics.lines().any(|other| other == line),
            "{line}: {metrics}"
        );
    }
    drop(silent);
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "404"),
        ("POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "405"),
        ("\x01\x02\x03\r\n\r\n", "400"),
        (
            &format!("GET /metrics HTTP/1.1\r\nX: {}", "x".repeat(9000)),
            "431",
        ),
    ] {
        let answer = place.ask(request);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
    }
    assert!(place.metrics().contains("evq_events_total"));
    daemon.stop();
}

/// The watchdog is told from the loop, also while nothing happens.
#[test]
fn the_watchdog_is_told() {
    let place = Place::new(APPEND);
    let manager = Manager::new(&place.path("notify"));
    // SAFETY: The other thread of the harness does not look at the environment.
    unsafe { std::env::set_var("WATCHDOG_USEC", "100000") };
    let mut daemon = Daemon::spawn(&place, manager, Vec::new(), &[]);
    // SAFETY: As above.
    unsafe { std::env::remove_var("WATCHDOG_USEC") };
    daemon.until("READY=1");
    for _ in 0..3 {
        daemon.until("WATCHDOG=1");
    }
    daemon.stop();
}

/// A device that is not there is waited for; one that goes away and comes back
/// is opened again.
#[test]
fn a_device_that_comes_and_goes_is_waited_for() {
    let rules = r#"
        [[device]]
        path = "/dev/evq-timer"
        wait = true
        from = "oldest"
        [[rule]]
        name = "ticks"
        device = "/dev/evq-timer"
        run = ["/bin/sh", "-c", "echo $EVQ_TEXT >FOLDER/fifo"]
    "#;
    let place = Place::new(rules);
    let mut fifo = place.fifo("fifo");
    let daemon = Daemon::start(&place);
    for _ in 0..2 {
        modules::load("evq_timer", "own=64 count=1").expect("loading evq_timer");
        assert_eq!(fifo.line(), "type 0 code 0 tick 1");
        let gone = daemon.log().matches("is gone").count();
        modules::unload("evq_timer").expect("nothing pins it");
        let start = std::time::Instant::now();
        while daemon.log().matches("is gone").count() == gone {
            assert!(start.elapsed() < crate::support::LIMIT, "{}", daemon.log());
            place.metrics();
        }
    }
    daemon.stop();
}

/// C7: without `wait`, a device that is missing is an error that says what to do.
#[test]
fn a_missing_device_is_explained() {
    let place = Place::new("[[device]]\npath = \"/dev/evq-nobody\"\n");
    let manager = Manager::new(&place.path("notify"));
    let daemon = Daemon::spawn(&place, manager, Vec::new(), &[]);
    let log = daemon.log.clone();
    let (status, _) = daemon.end();
    assert_eq!(status.code(), Some(1));
    let log = fs::read_to_string(log).expect("its log");
    assert!(log.contains("/dev/evq-nobody"), "{log}");
}

/// C6: an input device that was not read in time has dropped events; that it has
/// is told.
#[test]
fn an_input_device_that_overflows_is_told() {
    let (keyboard, _) = keyboard::find();
    let place = Place::new(&format!("[[device]]\npath = {keyboard:?}\n"));
    let daemon = Daemon::start(&place);
    daemon.signal(Signal::SIGSTOP);
    until_stopped(daemon.pid());
    // Three events for each press and for each release; evdev keeps 64 or so.
    keyboard::press(&["h"; 40]);
    daemon.signal(Signal::SIGCONT);
    place.until_metric(&format!("evq_overflows_total{{device=\"{keyboard}\"}} 1"));
    assert!(daemon.log().contains("has dropped events"));
    daemon.stop();
}
