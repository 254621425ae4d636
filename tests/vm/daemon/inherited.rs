// SPDX-License-Identifier: MIT OR Apache-2.0
//! C5: what the daemon was started with: ignored signals, and being process 1.

use std::fs;
use std::process::Command;

use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;

use super::{Daemon, Place};
use crate::support::client::Watch;
use crate::support::device::*;

fn bit(signal: Signal) -> u64 {
    1 << (signal as u32 - 1)
}

/// What a rule's program ignores, started by a daemon that was started so.
fn ignored_by_program(before: &'static str) -> u64 {
    let mut place = Place::new(
        r#"
        [[rule]]
        name = "status"
        run = ["/bin/cp", "/proc/self/status", "FOLDER/status"]
        [[rule]]
        name = "done"
        run = ["/bin/sh", "-c", "echo done >FOLDER/fifo"]
        "#,
    );
    place.before = before;
    let mut fifo = place.fifo("fifo");
    let daemon = Daemon::start(&place);
    post(open_rw(), &[record(0)]);
    assert_eq!(fifo.line(), "done");
    place.until_metric("evq_hooks_running 0");
    daemon.stop();
    let status = place.lines("status");
    let mask = status.iter().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.unwrap_or_else(|| panic!("no mask in {status:?}"));
    u64::from_str_radix(mask.trim(), 16).expect("a mask")
}

#[test]
fn c5_programs_ignore_what_the_daemon_was_started_with() {
    let wanted = [Signal::SIGINT, Signal::SIGPIPE, Signal::SIGIO];
    let wanted = wanted.map(bit).into_iter().sum::<u64>();
    assert_eq!(ignored_by_program("") & wanted, 0);
    let mask = ignored_by_program("trap '' INT PIPE IO;");
    assert_eq!(mask & wanted, wanted, "{mask:x}");
}

/// `record` and `top` go on, and end by a signal that was not ignored.
#[test]
fn c5_commands_leave_ignored_signals_alone() {
    let file = "/tmp/ignored.evq";
    let recorder = Watch::record_ignoring("INT HUP QUIT", &[file]);
    for signal in [Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
        recorder.signal(signal);
    }
    recorder.signal(Signal::SIGTERM);
    let ended = recorder.end();
    assert_eq!(ended.code(), 143, "{ended:?}");
    fs::remove_file(file).expect("what it has recorded");
    let script = "trap '' INT; evdev-client top --stream json -n 2 --interval 0.5 & \
                  pid=$!; until grep -qs evdev-client /proc/$pid/cmdline; do :; done; \
                  kill -INT $pid; wait $pid";
    let shell = Command::new("/bin/sh").args(["-c", script]).output();
    let shell = shell.expect("a shell");
    assert_eq!(shell.status.code(), Some(0), "{shell:?}");
    let lines = String::from_utf8(shell.stdout).expect("text");
    assert_eq!(lines.lines().count(), 2, "{lines}");
}

/// Orphans of its programs are its children then.
#[test]
fn c5_process_1_reaps_the_orphans_of_its_programs() {
    let mut place = Place::new(
        r#"
        [[rule]]
        name = "orphans"
        run = ["/bin/sh", "-c", "(true & true & true &) ; echo $EVQ_SEQ >FOLDER/fifo"]
        "#,
    );
    place.through = "unshare -p -f";
    let mut fifo = place.fifo("fifo");
    let mut daemon = Daemon::start(&place);
    let outside = daemon.pid();
    let children = |pid: Pid| {
        let path = format!("/proc/{pid}/task/{pid}/children");
        let text = fs::read_to_string(path).expect("its children");
        let number = |word: &str| Pid::from_raw(word.parse().expect("a process id"));
        text.split_whitespace().map(number).collect::<Vec<_>>()
    };
    let [one] = children(outside)[..] else {
        panic!("not one process in the namespace");
    };
    let status = fs::read_to_string(format!("/proc/{one}/status")).expect("its status");
    let numbers = status.lines().find(|line| line.starts_with("NSpid:"));
    assert!(
        numbers.is_some_and(|line| line.ends_with("\t1")),
        "{status}"
    );
    post_numbers(open_rw(), 0..10);
    for _ in 0..10 {
        fifo.line();
    }
    place.until_metric("evq_hooks_running 0");
    let start = std::time::Instant::now();
    while !children(one).is_empty() {
        assert!(start.elapsed() < crate::support::LIMIT, "zombies are left");
        std::thread::yield_now();
    }
    // Process 1 has no default action: what ends it is its own loop.
    kill(one, Signal::SIGTERM).expect("it is there");
    assert_eq!(daemon.child.wait().expect("its end").code(), Some(0));
}
