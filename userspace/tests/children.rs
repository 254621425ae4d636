// SPDX-License-Identifier: MIT OR Apache-2.0
//! Children that a command has not started: those of a program that became it by
//! exec, and the orphans that process 1 of a container gets. None stays a zombie.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{kill, SigSet, Signal};
use nix::unistd::Pid;
use tempfile::TempDir;

/// A shell that becomes `program`, as process 1 of a namespace if `one`. Each of
/// its children ends when the standard input does.
fn with_children(one: bool, arguments: &[&str]) -> Command {
    const SCRIPT: &str = r#"exec 3<&0 </dev/null; for i in 1 2 3; do (exec cat <&3) >/dev/null & done; exec "$0" "$@""#;
    let mut command = Command::new(if one { "unshare" } else { "sh" });
    if one {
        command.args([
            "--user",
            "--map-root-user",
            "--pid",
            "--fork",
            "--kill-child",
            "--",
            "sh",
        ]);
    }
    command.args(["-c", SCRIPT]);
    command
        .arg(env!("CARGO_BIN_EXE_evdev-client"))
        .args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
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

/// The children of a process that is there, zombies too.
fn children(pid: u32) -> Option<Vec<u32>> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    let numbers = text.split_whitespace();
    Some(numbers.map(|number| number.parse().unwrap()).collect())
}

fn has_no_children(pid: u32) -> bool {
    children(pid).is_some_and(|children| children.is_empty())
}

/// Whether the process has become the program, by its command line.
fn is_client(pid: u32) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.starts_with(env!("CARGO_BIN_EXE_evdev-client").as_bytes())
}

fn until(child: &mut Child, what: &str, holds: impl Fn() -> bool) {
    // Whatever hangs is ended by its alarm.
    while !holds() {
        assert_eq!(
            child.try_wait().unwrap(),
            None,
            "it has ended before {what}"
        );
        std::thread::yield_now();
    }
}

fn config(folder: &Path) -> String {
    let path = folder.join("daemon.toml");
    fs::write(&path, "[[device]]\npath = \"/nonexistent\"\nwait = true\n").unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn daemon_reaps_children_that_it_has_not_started() {
    let folder = TempDir::new().unwrap();
    let config = config(folder.path());
    let mut command = with_children(false, &["daemon", "--config", &config]);
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let pid = child.id();
    until(&mut child, "it runs", || is_client(pid));
    assert!(!has_no_children(pid));
    drop(child.stdin.take());
    until(&mut child, "all are reaped", || has_no_children(pid));
    kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// As process 1, of the user's own namespace: where the system allows none, this
/// says so and shows nothing.
#[test]
fn process_1_leaves_no_zombies() {
    let may = Command::new("unshare")
        .args(["--user", "--map-root-user", "--pid", "--fork", "true"])
        .status();
    if !may.is_ok_and(|status| status.success()) {
        eprintln!("skipped: unshare makes no namespace of processes here");
        return;
    }
    let folder = TempDir::new().unwrap();
    let [json, recording] = ["events.jsonl", "events.evq"].map(|name| folder.path().join(name));
    let line = |seq: u64| {
        let time_ns = seq * 1_000_000_000_000;
        format!(
            "{{\"v\":1,\"device\":\"/dev/evq\",\"seq\":{seq},\"time_ns\":{time_ns},\
             \"source\":\"pid:7\",\"type\":1,\"code\":2,\"lost\":0,\"data\":\"\",\"text\":\"\"}}\n"
        )
    };
    fs::write(&json, line(1) + &line(2)).unwrap();
    let mut convert = Command::new(env!("CARGO_BIN_EXE_evdev-client"));
    let made = convert.arg("convert").args([&json, &recording]).status();
    assert!(made.unwrap().success());
    let config = config(folder.path());
    for arguments in [
        &["daemon", "--config", &config][..],
        &["watch", "--every", "1h"],
        // The second event is due after a thousand seconds.
        &["replay", recording.to_str().unwrap()],
    ] {
        eprintln!("{arguments:?}");
        let mut command = with_children(true, arguments);
        let mut outside = command.stderr(Stdio::null()).spawn().unwrap();
        let parent = outside.id();
        let one = || {
            children(parent)
                .and_then(|all| all.first().copied())
                .unwrap_or(0)
        };
        until(&mut outside, "it runs", || is_client(one()));
        let pid = one();
        assert!(!has_no_children(pid));
        drop(outside.stdin.take());
        until(&mut outside, "all are reaped", || has_no_children(pid));
        kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGKILL).unwrap();
        outside.wait().unwrap();
    }
}
