// SPDX-License-Identifier: MIT OR Apache-2.0
//! C5: programs that rules start.

use std::fs;

use super::{Daemon, Place};
use crate::support::device::*;

/// The event is in the environment, no signal is blocked, the process group is
/// its own, nothing of the service manager's leaks, and no shell is involved.
#[test]
fn an_event_starts_a_program() {
    let place = Place::new(
        r#"
        [[rule]]
        name = "one"
        type = 0x100
        code = [1, 7]
        run = ["/bin/sh", "-c", 'env >FOLDER/env; cat /proc/self/status >FOLDER/status; cut -d" " -f1,5 /proc/$$/stat >FOLDER/stat; echo "$1" >FOLDER/argument; readlink /proc/$$/fd/0 >FOLDER/stdin; echo done >FOLDER/fifo', "sh", '$(touch /tmp/no) ; * "']
        [[rule]]
        name = "other"
        type = 0x101
        run = ["/bin/false"]
        "#,
    );
    let mut fifo = place.fifo("fifo");
    let daemon = Daemon::start(&place);
    let writer = open_rw();
    let next = info(&writer).posted + 1;
    post(&writer, &[record(0xabcd)]);
    assert_eq!(fifo.line(), "done");

    let environment = place.lines("env");
    let expected = [
        "EVQ_DEVICE=/dev/evq".to_owned(),
        format!("EVQ_SEQ={next}"),
        format!("EVQ_SOURCE=pid:{}", std::process::id()),
        "EVQ_TYPE=256".into(),
        "EVQ_CODE=7".into(),
        "EVQ_LOST=0".into(),
        "EVQ_DATA=cdab000000000000".into(),
        "EVQ_TEXT=type 256 code 7 data cdab000000000000".into(),
    ];
    for line in expected {
        assert!(environment.contains(&line), "{line}: {environment:?}");
    }
    // C8: what makes the time one of all machines and boots.
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("it is there");
    let boot = format!("EVQ_BOOT_ID={}", boot.trim().replace('-', ""));
    assert!(environment.contains(&boot), "{boot}: {environment:?}");
    let date = |line: &String| line.starts_with("EVQ_TIME=2") && line.ends_with('Z');
    assert!(environment.iter().any(date), "{environment:?}");
    let leaks = |line: &&String| line.starts_with("NOTIFY_") || line.starts_with("LISTEN_");
    assert_eq!(environment.iter().find(leaks), None);
    let status = place.lines("status");
    let blocked = status.iter().find(|line| line.starts_with("SigBlk:"));
    assert_eq!(
        blocked.map(String::as_str),
        Some("SigBlk:\t0000000000000000")
    );
    let stat = place.lines("stat");
    let (pid, group) = stat[0].split_once(' ').expect("two numbers");
    assert_eq!(pid, group, "its own process group");
    assert_eq!(place.lines("argument"), ["$(touch /tmp/no) ; * \""]);
    assert_eq!(place.lines("stdin"), ["/dev/null"]);
    place.until_metric("evq_hooks_started_total{rule=\"one\"} 1");
    assert!(!place.metrics().contains("rule=\"other\""));
    daemon.stop();
}

/// No more programs at a time than are allowed; the events that have to wait
/// do, and each gets its turn, in order.
#[test]
fn programs_are_bounded_and_no_event_is_forgotten() {
    let place = Place::new(
        r#"
        [hooks]
        running = 2
        [[rule]]
        name = "slow"
        run = ["/bin/sh", "-c", 'echo $EVQ_SEQ >FOLDER/started; read line <FOLDER/gate; exit $((EVQ_SEQ % 2))']
        "#,
    );
    let (mut started, mut gate) = (place.fifo("started"), place.fifo("gate"));
    let daemon = Daemon::start(&place);
    let writer = open_rw();
    let first = info(&writer).posted + 1;
    post_numbers(&writer, 0..200);
    let mut seen = vec![started.line(), started.line()];
    // All that was read has been dealt with before this is answered.
    let metrics = place.metrics();
    assert!(metrics.contains("\nevq_hooks_running 2\n"), "{metrics}");
    let count = "\nevq_hooks_started_total{rule=\"slow\"} 2\n";
    assert!(metrics.contains(count), "{metrics}");
    for number in 0..200 {
        // A single byte, for the two that wait take turns at reading bytes.
        gate.write("\n");
        if number < 198 {
            seen.push(started.line());
        }
    }
    let mut seqs: Vec<u64> = seen
        .iter()
        .map(|line| line.parse().expect("a number"))
        .collect();
    // Two at a time: the one that started second may be the first to say so.
    seqs.sort_unstable();
    assert_eq!(seqs, (first..first + 200).collect::<Vec<_>>());
    place.until_metric("evq_hooks_running 0");
    place.until_metric("evq_hooks_failed_total{rule=\"slow\"} 100");
    place.until_metric("evq_lost_total{device=\"/dev/evq\"} 0");
    daemon.stop();
}

/// A program that takes too long is ended with all that it has started, also
/// what does not listen to SIGTERM.
#[test]
fn a_program_that_takes_too_long_is_ended() {
    let place = Place::new(
        r#"
        [hooks]
        time_limit = "50ms"
        grace = "50ms"
        [[rule]]
        name = "deaf"
        run = ["/bin/sh", "-c", 'trap "" TERM; sleep 100000 & echo $$ $! >FOLDER/started; wait; sleep 100000']
        "#,
    );
    let mut started = place.fifo("started");
    let daemon = Daemon::start(&place);
    post(open_rw(), &[record(0)]);
    let pids = started.line();
    place.until_metric("evq_hooks_timed_out_total{rule=\"deaf\"} 1");
    place.until_metric("evq_hooks_running 0");
    for pid in pids.split(' ') {
        let state = fs::read_to_string(format!("/proc/{pid}/stat"));
        // The grandchild may still wait for init to reap it.
        let ended = state.is_err() || state.is_ok_and(|stat| stat.contains(") Z "));
        assert!(ended, "process {pid} is still there");
    }
    assert!(daemon.log().contains("its time was up"), "{}", daemon.log());
    daemon.stop();
}

/// A program that is not there costs that event's run and is said; the next
/// rules and events have their turn.
#[test]
fn a_program_that_is_missing_is_named() {
    let place = Place::new(
        r#"
        [[rule]]
        name = "missing"
        run = ["/nonexistent/program"]
        [[rule]]
        name = "there"
        run = ["/bin/sh", "-c", "echo $EVQ_CODE >FOLDER/fifo"]
        "#,
    );
    let mut fifo = place.fifo("fifo");
    let daemon = Daemon::start(&place);
    post(open_rw(), &[record(0), record(1)]);
    assert_eq!([fifo.line(), fifo.line()], ["7", "7"]);
    place.until_metric("evq_hooks_failed_total{rule=\"missing\"} 2");
    let log = daemon.log();
    assert!(log.contains("/nonexistent/program"), "{log}");
    daemon.stop();
}
