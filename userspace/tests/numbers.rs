// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers, names and classes: the same syntax in every command. What is understood
//! goes on to the device, which is not there (status 1); the rest ends with status 2.

use std::process::Command;

const NONE: &str = "/nonexistent/evq";

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evdev-client"));
    let output = command.args(arguments).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), said)
}

#[test]
fn options_take_decimal_hex_and_names() {
    for arguments in [
        &["watch", "--source", "kernel:0x100:7"][..],
        &["watch", "--source", "kernel:256"],
        &["watch", "--source", "kernel:0x100", "--source", "pid:0x10"],
        &["watch", "--type", "0x1", "--code", "BTN_A"],
        &["watch", "--code", "BTN_GAMEPAD", "--code", "KEY_HANGUEL"],
        &["watch", "--num-events", "0x10", "--from", "0x2"],
        &["send", "--type", "EV_KEY", "--code", "KEY_A"],
        &["send", "--type", "0x1", "--code", "KEY_HANGUEL"],
        &[
            "send", "--code", "BTN_A", "--count", "0x2", "--rate", "0x10",
        ],
        &["record", "/nonexistent/file", "-n", "0x3", "--from", "0x1"],
    ] {
        let (status, said) = run(&[arguments, &["--device", NONE]].concat());
        assert_eq!(status, Some(1), "{arguments:?}: {said}");
        assert!(said.contains(NONE), "{arguments:?}: {said}");
    }
}

#[test]
fn wrong_numbers_and_names_are_refused() {
    for (arguments, wanted) in [
        (&["watch", "--source", "kernel:0x8000"][..], "pid:N"),
        (&["watch", "--source", "kernel:0x"], "pid:N"),
        (&["watch", "-n", "0"], "from 1 on"),
        (&["watch", "-n", "-1"], "-1"),
        (&["watch", "--from", "0x0"], "a sequence number from 1"),
        (
            &["send", "--type", "KEY_A", "--code", "1"],
            "give it as code",
        ),
        (
            &["send", "--type", "EV_REL", "--code", "KEY_A"],
            "a code of type 1",
        ),
        (&["send", "--code", "7"], "give --type too"),
        (&["send", "--type", "7"], "--code"),
        (&["send", "--code", "KEY_A", "--rate", "0"], "from 1 on"),
    ] {
        let (status, said) = run(&[arguments, &["--device", NONE]].concat());
        assert_eq!(status, Some(2), "{arguments:?}: {said}");
        assert!(said.contains(wanted), "{arguments:?}: {said}");
    }
}

/// Rules of the daemon, too.
#[test]
fn rules_take_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("daemon.toml");
    let check = |rule: &str| {
        let text = format!(
            "[[device]]\npath = \"/dev/evq\"\nfrom = \"0x10\"\n\
             [[rule]]\nname = \"one\"\nlog = true\n{rule}\n"
        );
        std::fs::write(&path, text).unwrap();
        run(&["daemon", "--check", "--config", path.to_str().unwrap()])
    };
    for rule in [
        "source = \"kernel:0x100:7\"",
        "source = \"kernel:256\"",
        "type = 0x1",
        "type = \"0x1\"\ncode = [\"BTN_A\", \"KEY_HANGUEL\", 0x1e]",
    ] {
        assert_eq!(check(rule), (Some(0), String::new()), "{rule}");
    }
}
