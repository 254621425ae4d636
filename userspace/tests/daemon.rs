// SPDX-License-Identifier: MIT OR Apache-2.0
//! Configurations of the daemon: what is accepted, and what is said of the rest.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;

use assert_cmd::Command;
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use tempfile::TempDir;

/// What `daemon --check` says of a file: status, output, errors without the path.
fn check(text: &[u8]) -> (i32, String, String) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("daemon.toml");
    fs::write(&path, text).unwrap();
    let output = Command::cargo_bin("evdev-client")
        .unwrap()
        .args(["daemon", "--check", "--config"])
        .arg(&path)
        .output()
        .unwrap();
    let text = |bytes| {
        let text = String::from_utf8(bytes).unwrap();
        text.replace(path.to_str().unwrap(), "FILE")
    };
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

const GOOD: &str = r#"
[[device]]
path = "/dev/evq"
from = "oldest"

[[device]]
path = "/dev/input/event0"
wait = true

[hooks]
running = 4
time_limit = "10s"
grace = "2s"
stop = "1min"

[metrics]
listen = "unix:/run/evq/metrics.sock"

[[rule]]
name = "power"
source = "input"
type = "EV_KEY"
code = ["KEY_POWER", 143]
value = [1]
run = ["/usr/bin/systemctl", "suspend"]
time_limit = "500ms"

[[rule]]
name = "everything"
append = "/var/log/evq/events.jsonl"

[[rule]]
name = "timers"
device = "/dev/evq"
source = "timer:0"
log = true
show_keys = true
"#;

#[test]
fn a_good_file_is_accepted() {
    let (status, stdout, stderr) = check(GOOD.as_bytes());
    assert_eq!(
        (status, stdout.as_str(), stderr.as_str()),
        (0, "FILE: 2 devices, 3 rules\n", "")
    );
}

/// C6: nobody has to read the verdict.
#[test]
fn c6_a_reader_that_has_left_is_no_failure() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("daemon.toml");
    fs::write(&path, GOOD).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_evdev-client"));
    command.args(["daemon", "--check", "--config"]).arg(&path);
    let output = command.stdout(writer).stderr(std::process::Stdio::piped());
    let output = output.spawn().unwrap().wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.as_str()), (Some(0), ""));
}

/// C7: each of these in place of something good: where it is wrong, and what is said.
#[test]
fn what_is_wrong_is_named_with_its_place() {
    let cases = [
        (
            "wait = true",
            "wiat = true",
            "FILE:8:1: unknown field `wiat`",
        ),
        (
            "wait = true",
            "wait = 3",
            "FILE:8:8: wait takes true or false, without quotes; write: wait = true",
        ),
        ("wait = true", "wait = true wait", "FILE:8:8: "),
        (
            "running = 4",
            "running = 0",
            "FILE:11:11: at least one hook",
        ),
        ("running = 4", "running = -1", "FILE:11:11: "),
        (
            "running = 4",
            "running = 99999999999999999999",
            "FILE:11:11: ",
        ),
        ("\"10s\"", "\"10\"", "FILE:12:14: give a time above 0"),
        ("\"10s\"", "\"0s\"", "FILE:12:14: give a time above 0"),
        (
            "\"10s\"",
            "10",
            "FILE:12:14: time_limit takes a string: a time with its unit; write: time_limit = \"10s\"",
        ),
        ("\"10s\"", "\"2y\"", "FILE:12:14: give a time above 0"),
        (
            "\"1min\"",
            "\"10000000000000000000s\"",
            "FILE:14:8: give a time above 0",
        ),
        (
            "unix:/run/evq/metrics.sock",
            "unix:metrics.sock",
            "FILE:17:10: give unix:/PATH",
        ),
        (
            "unix:/run/evq/metrics.sock",
            "0.0.0.0:80",
            "FILE:17:10: give unix:/PATH",
        ),
        ("\"oldest\"", "\"new\"", "FILE:4:8: give newest, oldest"),
        ("\"oldest\"", "0", "FILE:4:8: give newest, oldest"),
        (
            "\"/dev/evq\"\nfrom",
            "\"evq\"\nfrom",
            "FILE:3:8: give the whole path of a device",
        ),
        (
            "\"/dev/input/event0\"",
            "\"/dev/\\u0000\"",
            "FILE:7:8: give the whole path of a device",
        ),
        (
            "\"/dev/input/event0\"",
            "\"/dev/evq\"",
            "FILE:7:8: this device is there already",
        ),
        (
            "\"everything\"",
            "\"power\"",
            "FILE:29:8: another rule has this name",
        ),
        ("\"input\"", "\"keyboard\"", "FILE:21:10: give pid:N"),
        (
            "\"EV_KEY\"",
            "\"EV_KEYS\"",
            "FILE:22:8: no type of an input event is called \"EV_KEYS\"",
        ),
        (
            "\"KEY_POWER\"",
            "\"EV_KEY\"",
            "FILE:23:8: EV_KEY is a type, not a code",
        ),
        ("[\"KEY_POWER\", 143]", "[]", "FILE:23:8: give one at least"),
        ("[1]", "[]", "FILE:24:9: give one at least"),
        ("143]", "65536]", "FILE:23:8: "),
        (
            "\"/usr/bin/systemctl\"",
            "\"systemctl\"",
            "FILE:25:7: give the whole path of a program",
        ),
        (
            "[\"/usr/bin/systemctl\", \"suspend\"]",
            "[]",
            "FILE:25:7: give the whole path of a program",
        ),
        (
            "\"suspend\"",
            "\"sus\\u0000pend\"",
            "FILE:25:7: an argument cannot contain a NUL",
        ),
        (
            "log = true",
            "log = false",
            "FILE:32:1: a rule does one thing",
        ),
        (
            "log = true",
            "log = true\nappend = \"/x\"",
            "FILE:32:1: a rule does one thing",
        ),
        (
            "log = true",
            "log = true\njournal = true",
            "FILE:32:1: a rule does one thing",
        ),
        (
            "\"/var/log/evq/events.jsonl\"",
            "\"events.jsonl\"",
            "FILE:30:10: give the whole path of a file",
        ),
        (
            "\"/var/log/evq/events.jsonl\"",
            "\"/var/log/evq/\\u0000\"",
            "FILE:30:10: give the whole path of a file",
        ),
        (
            "log = true",
            "log = true\ntime_limit = \"1s\"",
            "FILE:37:14: only a rule with run",
        ),
        (
            "device = \"/dev/evq\"",
            "device = \"/dev/evq2\"",
            "FILE:34:10: no [[device]] has this path",
        ),
    ];
    for (good, bad, said) in cases {
        assert_eq!(GOOD.matches(good).count(), 1, "{good}");
        let (status, stdout, stderr) = check(GOOD.replace(good, bad).as_bytes());
        assert_eq!((status, stdout.as_str()), (2, ""), "{bad}: {stderr}");
        let expected = format!("evdev-client: {said}");
        assert!(stderr.starts_with(&expected), "{bad}: {stderr}");
    }
}

/// C7: common mistakes of type and form are answered with the right line, which
/// then is accepted.
#[test]
fn mistakes_of_type_are_answered_with_the_right_line() {
    const RUN: &str = "[\"/usr/bin/systemctl\", \"suspend\"]";
    let cases = [
        ("wait = true", "wait = \"yes\"", "wait = true"),
        ("wait = true", "wait = 1", "wait = true"),
        ("wait = true", "wait = yes", "wait = true"),
        ("wait = true", "wait = True", "wait = true"),
        ("running = 4", "running = \"4\"", "running = 4"),
        ("running = 4", "running = -4", "running = 4"),
        ("running = 4", "running = 1.5", "running = 4"),
        ("\"10s\"", "90", "time_limit = \"90s\""),
        ("\"10s\"", "10s", "time_limit = \"10s\""),
        ("\"2s\"", "[2]", "grace = \"5s\""),
        ("\"oldest\"", "oldest", "from = \"oldest\""),
        ("\"oldest\"", "true", "from = \"oldest\""),
        (RUN, "\"/bin/true\"", "run = [\"/bin/true\"]"),
        (
            RUN,
            "\"/bin/kill -9 7\"",
            "run = [\"/bin/kill\", \"-9\", \"7\"]",
        ),
        (RUN, "[\"/bin/sleep\", 3]", "run = [\"/bin/sleep\", \"3\"]"),
        (RUN, "/bin/true", "run = [\"/usr/bin/logger\", \"hello\"]"),
        ("[1]", "1", "value = [1]"),
        ("[1]", "\"1\"", "value = [1]"),
        ("[1]", "[5000000000]", "value = [1]"),
        ("\"EV_KEY\"", "1.0", "type = \"EV_KEY\""),
        ("\"EV_KEY\"", "EV_KEY", "type = \"EV_KEY\""),
        ("\"power\"", "7", "name = \"7\""),
        ("name = \"power\"", "", "name = \"power\""),
        ("\"input\"", "[\"input\"]", "source = \"input\""),
        (
            "\"/var/log/evq/events.jsonl\"",
            "[\"/var/log/x\"]",
            "append = \"/var/log/x\"",
        ),
        ("log = true", "log = \"true\"", "log = true"),
        ("log = true", "journal = 1", "journal = true"),
    ];
    for (good, bad, line) in cases {
        let text = GOOD.replacen(good, bad, 1);
        let (status, stdout, said) = check(text.as_bytes());
        assert_eq!((status, stdout.as_str()), (2, ""), "{bad}: {said}");
        assert!(said.contains("FILE:"), "{bad}: {said}");
        assert!(said.trim_end().ends_with(line), "{bad}: {said}");
        assert!(!said.contains("invalid type"), "{bad}: {said}");
        // With that line the file is good, but for what else a value must be.
        let (_, value) = line.split_once(" = ").unwrap();
        let mended = if bad.is_empty() || bad.contains(" = ") {
            line
        } else {
            value
        };
        let (status, _, said) = check(GOOD.replacen(good, mended, 1).as_bytes());
        assert_eq!(status, 0, "{line}: {said}");
    }
    for (text, wanted) in [
        (
            "[device]\npath = \"/dev/evq\"\n",
            "FILE:1:1: there may be several tables device; write [[device]]",
        ),
        (
            "device = \"/dev/evq\"\n",
            "FILE:1:10: there may be several tables device; write [[device]]",
        ),
        (
            "[[device]]\npath = \"/dev/evq\"\n[rule]\nname = \"x\"\n",
            "FILE:3:1: there may be several tables rule; write [[rule]]",
        ),
        (
            "[[device]]\npath = \"/dev/evq\"\n[[hooks]]\nrunning = 1\n",
            "there is one table hooks; write [hooks]",
        ),
        (
            "metrics = \"unix:/x\"\n[[device]]\npath = \"/dev/evq\"\n",
            "FILE:1:11: there is one table metrics; write [metrics]",
        ),
    ] {
        let (status, _, said) = check(text.as_bytes());
        assert!(status == 2 && said.contains(wanted), "{text}: {said}");
    }
}

#[test]
fn files_that_are_none_are_refused() {
    let (status, _, stderr) = check(b"");
    assert_eq!(status, 2);
    assert!(
        stderr.contains("FILE: there is nothing to watch"),
        "{stderr}"
    );
    let (status, _, stderr) = check(b"[[device]]\n# \xff\xfe\n");
    assert_eq!(status, 2);
    assert!(stderr.contains("FILE:2:3: this is no text"), "{stderr}");
    let (status, _, stderr) = check("# ää \u{0}\n".as_bytes());
    assert_eq!(status, 2);
    assert!(stderr.contains("FILE:1:6: "), "{stderr}");
}

#[test]
fn a_file_that_is_missing_is_named() {
    let output = Command::cargo_bin("evdev-client")
        .unwrap()
        .args(["daemon", "--config", "/nonexistent/daemon.toml"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("/nonexistent/daemon.toml: cannot read it: No such file"),
        "{stderr}"
    );
}

/// Every prefix of a good file, and the file with any byte replaced, is
/// accepted or refused with a place; nothing panics.
#[test]
fn torn_and_garbled_files_do_not_panic() {
    let mut files: Vec<PathBuf> = Vec::new();
    let directory = TempDir::new().unwrap();
    for at in (0..GOOD.len()).step_by(37) {
        let mut garbled = GOOD.as_bytes().to_vec();
        garbled[at] = 0xc3;
        for (name, bytes) in [("torn", &GOOD.as_bytes()[..at]), ("garbled", &garbled)] {
            let path = directory.path().join(format!("{name}-{at}"));
            fs::write(&path, bytes).unwrap();
            files.push(path);
        }
    }
    for path in files {
        let output = Command::cargo_bin("evdev-client")
            .unwrap()
            .args(["daemon", "--check", "--config"])
            .arg(&path)
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        match output.status.code() {
            Some(0) => assert_eq!(stderr, ""),
            Some(2) => assert!(stderr.contains(path.to_str().unwrap()), "{stderr}"),
            _ => panic!("{}: {stderr}", path.display()),
        }
    }
}

/// C6: names in the log cannot draw or break its lines.
#[test]
fn c6_names_in_the_log_are_plain() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("daemon.toml");
    let text = "[[device]]\npath = \"/tmp/a\\u001b[2J\\u009b\\u202e\\nb\"\nwait = true\n";
    fs::write(&path, text).unwrap();
    for format in ["text", "json"] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_evdev-client"));
        command
            .args(["daemon", "--log-format", format, "--config"])
            .arg(&path);
        // SAFETY: A system call only, between fork and exec: one that is left is killed.
        unsafe {
            command.pre_exec(|| {
                nix::unistd::alarm::set(60);
                Ok(())
            })
        };
        let mut child = command
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let waits = lines.next().unwrap().unwrap();
        assert!(
            waits.contains("waits for it") && waits.contains("2J"),
            "{waits:?}"
        );
        let bad = |c: char| c.is_control() || c == '\u{202e}';
        assert!(!waits.contains(bad), "{format}: {waits:?}");
        assert!(
            lines.next().unwrap().unwrap().contains("watches"),
            "{format}"
        );
        let pid = Pid::from_raw(child.id().try_into().unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        child.wait().unwrap();
    }
}

/// C7: what keeps a device from being opened that has come is told, once.
#[test]
fn c7_what_has_come_and_cannot_be_opened_is_told() {
    let folder = TempDir::new().unwrap();
    let [device, path] = ["device", "daemon.toml"].map(|name| folder.path().join(name));
    let text = format!("[[device]]\npath = {device:?}\nwait = true\n");
    fs::write(&path, text).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_evdev-client"));
    command.args(["daemon", "--config"]).arg(&path);
    // SAFETY: A system call only, between fork and exec: one that hangs is killed.
    unsafe {
        command.pre_exec(|| {
            nix::unistd::alarm::set(60);
            Ok(())
        })
    };
    let mut child = command
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut until = |text: &str| {
        let line = lines
            .by_ref()
            .map(Result::unwrap)
            .find(|line| line.contains(text));
        line.unwrap_or_else(|| panic!("it has ended without {text:?}"))
    };
    until("there is no such device");
    until("watches");
    fs::write(&device, "").unwrap();
    until("waits for it: ");
    fs::remove_file(&device).unwrap();
    let pid = Pid::from_raw(child.id().try_into().unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    until("stops");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
