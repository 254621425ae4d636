// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command where there is no queue: messages and exit statuses. What it
//! does on a queue is tested in the VM.

use assert_cmd::Command;

fn run(args: &[&str]) -> (i32, String, String) {
    let output = Command::cargo_bin("evdev-client")
        .unwrap()
        .args(args)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// A path that looks like a queue's and is none, wherever this runs.
const MISSING: &str = "/nonexistent/evq-missing";

#[test]
fn c7_a_missing_module_is_named_with_the_remedy() {
    let loaded = std::fs::read_to_string("/proc/modules")
        .is_ok_and(|m| m.starts_with("evq ") || m.contains("\nevq "));
    let expected = if loaded {
        "there is no such device"
    } else {
        "the evq module is not loaded; load it with `modprobe evq`"
    };
    for args in [
        &["watch"][..],
        &["info"],
        &["send", "--type", "1", "--code", "2"],
    ] {
        let (status, stdout, stderr) = run(&[args, &["--device", MISSING]].concat());
        assert_eq!((status, stdout.as_str()), (1, ""), "{args:?}");
        assert!(
            stderr.starts_with(&format!("evdev-client: cannot open {MISSING}: ")),
            "{stderr}"
        );
        assert!(stderr.contains(expected), "{stderr}");
    }
}

#[test]
fn c7_other_devices_are_refused() {
    let (status, _, stderr) = run(&["watch", "--device", "/dev/null"]);
    assert_eq!(status, 1);
    assert!(
        stderr.contains("/dev/null is neither an event queue nor an input device, a terminal"),
        "{stderr}"
    );
    let (status, _, stderr) = run(&["info", "--device", "/dev/null"]);
    assert_eq!(status, 1);
    assert!(
        stderr.contains("/dev/null is not an event queue"),
        "{stderr}"
    );
}

#[test]
fn wrong_arguments_are_status_2() {
    for (args, message) in [
        (&["watch", "--via", "pigeon"][..], "pigeon"),
        (&["watch", "--num-events", "0"], "0"),
        (&["watch", "--idle-timeout=-1"], "number of seconds"),
        (&["watch", "--idle-timeout", "nan"], "number of seconds"),
        (&["watch", "--from", "0"], "sequence number from 1"),
        (&["send", "--type", "1"], "--code"),
        (&["send", "--type", "65536", "--code", "1"], "0 to 65535"),
        (
            &["send", "--type", "1", "--code", "1", "--data", "abc"],
            "hex digits",
        ),
        (&["send", "--count", "3"], "--code"),
        (&["send", "--rate", "0", "--type", "1", "--code", "1"], "0"),
        (&["post"], "post"),
    ] {
        let (status, stdout, stderr) = run(args);
        assert_eq!((status, stdout.as_str()), (2, ""), "{args:?}: {stderr}");
        assert!(stderr.contains(message), "{args:?}: {stderr}");
    }
}

#[test]
fn help_lists_the_exit_statuses_and_the_mechanisms() {
    let (status, help, _) = run(&["--help"]);
    assert_eq!(status, 0);
    assert!(
        help.contains("Exit status:") && help.contains("143 for SIGTERM"),
        "{help}"
    );
    let (_, help, _) = run(&["watch", "--help"]);
    for kind in evq::via::Kind::ALL {
        assert!(help.contains(kind.name()), "{kind} is missing: {help}");
    }
}
