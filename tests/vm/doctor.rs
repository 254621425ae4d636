// SPDX-License-Identifier: MIT OR Apache-2.0
//! `evdev-client doctor` (C7): what it says when all is well, and when it is not.

use std::os::unix::process::CommandExt;

use nix::sys::resource::{setrlimit, Resource};
use nix::unistd::{setgid, setgroups, setuid, Gid, Uid};

use crate::support::client::{client, run};
use crate::support::modules::Unloaded;

/// Somebody without rights.
const NOBODY: u32 = 65534;

/// The line of a check and the one with its remedy, if there is one.
fn check<'a>(lines: &'a [String], name: &str) -> (&'a str, Option<&'a str>) {
    let named = |line: &String| line.get(6..).is_some_and(|rest| rest.starts_with(name));
    let at = lines.iter().position(named);
    let at = at.unwrap_or_else(|| panic!("no line about {name} in {lines:#?}"));
    let next = lines.get(at + 1).map(|line| line.trim());
    let todo = next.filter(|line| line.starts_with("-> "));
    (&lines[at], todo)
}

#[test]
fn all_is_well() {
    let ended = run(&["doctor"]);
    assert_eq!(ended.code(), 0, "{ended:?}");
    for name in [
        "kernel",
        "module",
        "device",
        "watching",
        "posting",
        "signal queue",
        "open files",
        "mechanisms",
    ] {
        let (line, todo) = check(&ended.lines, name);
        assert!(line.starts_with("ok "), "{line}");
        assert_eq!(todo, None);
    }
    let failed = ended.lines.iter().any(|line| line.starts_with("fail"));
    assert!(!failed, "{ended:?}");
}

#[test]
fn a_missing_module() {
    let _unloaded = Unloaded::new();
    let ended = run(&["doctor"]);
    assert_eq!(ended.code(), 1, "{ended:?}");
    for (name, wanted) in [("module", "insmod evq.ko"), ("device", "load the module")] {
        let (line, todo) = check(&ended.lines, name);
        assert!(line.starts_with("fail "), "{line}");
        assert!(todo.is_some_and(|todo| todo.contains(wanted)), "{todo:?}");
    }
    assert!(ended
        .lines
        .iter()
        .any(|line| line.starts_with("does not work")));
}

/// No permission, and limits that are too low.
#[test]
fn a_user_without_rights() {
    let mut command = client(&["doctor"]);
    // SAFETY: System calls only, between fork and exec.
    unsafe {
        command.pre_exec(|| {
            setrlimit(Resource::RLIMIT_SIGPENDING, 8, 8)?;
            setgroups(&[])?;
            setgid(Gid::from_raw(NOBODY))?;
            Ok(setuid(Uid::from_raw(NOBODY))?)
        })
    };
    let output = command.output().expect("starting it");
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    assert_eq!(output.status.code(), Some(1), "{text}");
    for (name, level, wanted) in [
        ("module", "ok ", None),
        ("device", "ok ", None),
        ("watching", "fail ", Some("your group")),
        ("posting", "warn ", Some("your group")),
        ("signal queue", "warn ", Some("ulimit -i 1024")),
        ("tracepoints", "warn ", Some("as root")),
    ] {
        let (line, todo) = check(&lines, name);
        assert!(line.starts_with(level), "{line}");
        assert_eq!(todo.is_some(), wanted.is_some(), "{line}");
        let said = todo.unwrap_or_default();
        assert!(said.contains(wanted.unwrap_or_default()), "{said}");
    }
}

/// For programs: the same as JSON.
#[test]
fn the_same_as_json() {
    let ended = run(&["doctor", "--format", "json"]);
    assert_eq!((ended.code(), ended.lines.len()), (0, 1), "{ended:?}");
    for wanted in ["\"ok\":true", "\"check\":\"watching\"", "\"level\":\"ok\""] {
        assert!(ended.lines[0].contains(wanted), "{wanted} in {ended:?}");
    }
    let _unloaded = Unloaded::new();
    let ended = run(&["doctor", "--format", "json"]);
    assert_eq!(ended.code(), 1, "{ended:?}");
    assert!(ended.lines[0].contains("\"ok\":false"), "{ended:?}");
}
