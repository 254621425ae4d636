// SPDX-License-Identifier: MIT OR Apache-2.0
//! C5: a signal that was ignored when a program was started stays ignored in it,
//! and in what it starts: `nohup`, `trap '' INT`, and jobs that a shell without
//! job control puts in the background.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use evq::via::Kind;
use evq::{Ignored, StopSignals};
use nix::sys::signal::{kill, SigSet, Signal};
use nix::sys::stat::Mode;
use nix::unistd::Pid;
use tempfile::TempDir;

const ENDING: [Signal; 4] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
];

/// The program, with these signals ignored; killed by SIGALRM if it hangs.
fn client(ignored: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    let script = format!("trap '' {ignored}; exec \"$0\" \"$@\"");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_evdev-client")]);
    command.args(arguments).stdin(Stdio::null());
    // SAFETY: System calls only, between fork and exec.
    unsafe {
        command.pre_exec(|| {
            SigSet::all().thread_unblock()?;
            nix::unistd::alarm::set(60);
            Ok(())
        })
    };
    command
}

fn signal(child: &Child, signals: &[Signal]) {
    let pid = Pid::from_raw(child.id().try_into().unwrap());
    for &signal in signals {
        kill(pid, signal).unwrap();
    }
}

/// The signals that a process ignores, as /proc shows them.
fn ignored_by(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    u64::from_str_radix(line.unwrap().trim(), 16).unwrap()
}

#[test]
fn c5_watch_is_not_ended_by_signals_that_were_ignored() {
    let folder = TempDir::new().unwrap();
    let fifo = folder.path().join("fifo");
    nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    for kind in Kind::ALL {
        eprintln!("{kind}");
        let path = fifo.to_str().unwrap();
        let arguments = ["watch", "--banner", "--device", path];
        let mut child = client("INT TERM HUP QUIT PIPE", &arguments)
            .args(["--via", kind.name(), "--format", "%x"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.next().unwrap().unwrap().contains("watching"));
        signal(&child, &ENDING);
        let mut writer = File::options().write(true).open(&fifo).unwrap();
        writer.write_all(b"a line\n").unwrap();
        assert_eq!(lines.next().map(Result::unwrap).as_deref(), Some("a line"));
        // It ends with its only source.
        drop(writer);
        assert_eq!(child.wait().unwrap().code(), Some(0), "{kind}");
    }
}

/// What is not ignored ends it as ever.
#[test]
fn c5_watch_with_one_signal_ignored_is_ended_by_another() {
    let arguments = ["watch", "--banner", "--every", "1h"];
    let mut child = client("INT HUP", &arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    let wanted = [Signal::SIGINT, Signal::SIGHUP]
        .iter()
        .fold(0, |mask, &signal| mask | 1_u64 << (signal as u32 - 1));
    assert_eq!(ignored_by(child.id()) & wanted, wanted);
    signal(&child, &[Signal::SIGINT, Signal::SIGTERM]);
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

#[test]
fn c5_replay_is_not_ended_by_signals_that_were_ignored() {
    let folder = TempDir::new().unwrap();
    let [json, recording] = ["events.jsonl", "events.evq"].map(|name| folder.path().join(name));
    let line = |seq: u64| {
        let time_ns = seq * 1_000_000_000;
        format!(
            "{{\"v\":1,\"device\":\"/dev/evq\",\"seq\":{seq},\"time_ns\":{time_ns},\
             \"source\":\"pid:7\",\"type\":1,\"code\":2,\"lost\":0,\"data\":\"\",\"text\":\"\"}}\n"
        )
    };
    fs::write(&json, line(1) + &line(2)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_evdev-client"));
    let made = command.arg("convert").args([&json, &recording]).status();
    assert!(made.unwrap().success());
    let mut child = client(
        "INT TERM HUP QUIT",
        &["replay", recording.to_str().unwrap()],
    )
    .stdout(Stdio::piped())
    .spawn()
    .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    signal(&child, &ENDING);
    assert!(lines.next().is_some(), "it has ended after the first event");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn c5_daemon_is_not_ended_by_signals_that_were_ignored() {
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("daemon.toml");
    fs::write(
        &config,
        "[[device]]\npath = \"/nonexistent\"\nwait = true\n",
    )
    .unwrap();
    let arguments = ["daemon", "--config", config.to_str().unwrap()];
    let mut child = client("INT HUP QUIT", &arguments)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut until = |text: &str| {
        let mut seen = String::new();
        loop {
            let line = lines.next().map(Result::unwrap);
            let line = line.unwrap_or_else(|| panic!("it has ended without {text:?}: {seen}"));
            seen = seen + &line + "\n";
            if line.contains(text) {
                return seen;
            }
        }
    };
    until("watches");
    signal(&child, &[Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT]);
    signal(&child, &[Signal::SIGUSR1]);
    let seen = until("statistics");
    assert!(!seen.contains("configuration"), "SIGHUP was taken: {seen}");
    signal(&child, &[Signal::SIGTERM]);
    until("stops");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// The daemon has to learn how its programs end, which an ignored SIGCHLD prevents.
#[test]
fn c5_daemon_does_not_ignore_sigchld() {
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("daemon.toml");
    let text = "[[device]]\npath = \"/nonexistent\"\nwait = true\n";
    fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_evdev-client"));
    command.args(["daemon", "--config"]).arg(config);
    let bit = 1_u64 << (Signal::SIGCHLD as u32 - 1);
    Ignored::from_mask(bit).in_child(&mut command);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("watches")));
    assert_eq!(ignored_by(child.id()) & bit, 0);
    signal(&child, &[Signal::SIGTERM]);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// What was ignored at the start is what a child ignores, SIGPIPE too, which
/// Rust's own start-up ignores and its children do not.
#[test]
fn u13_a_child_ignores_what_its_parent_was_started_with() {
    let [pipe, usr2] = [Signal::SIGPIPE, Signal::SIGUSR2].map(|signal| signal as i32);
    let child = |ignored: &Ignored| {
        let mut command = Command::new("grep");
        command.args(["SigIgn:", "/proc/self/status"]);
        let output = ignored.in_child(&mut command).output().unwrap();
        let line = String::from_utf8(output.stdout).unwrap();
        let mask = line.split_whitespace().nth(1).unwrap();
        u64::from_str_radix(mask, 16).unwrap()
    };
    let bit = |signal: i32| 1_u64 << (signal - 1);
    assert!(Ignored::now().contains(pipe), "Rust's start-up ignores it");
    let of_pipe = child(&Ignored::now());
    assert_eq!(of_pipe & bit(pipe), bit(pipe));
    assert_eq!(of_pipe & bit(usr2), 0);
    assert_eq!(child(&Ignored::default()) & bit(pipe), 0);
}

/// A library's user keeps the choice too.
#[test]
fn c5_stop_signals_leave_an_ignored_signal_alone() {
    assert!(Ignored::now().contains(Signal::SIGPIPE as i32));
    let stop = StopSignals::new(&[Signal::SIGPIPE]).unwrap();
    nix::sys::signal::raise(Signal::SIGPIPE).unwrap();
    assert_eq!(stop.next().unwrap(), None);
}
