// SPDX-License-Identifier: MIT OR Apache-2.0
//! C6, C7: an answer that cannot be written to standard output is a failure with
//! a message that names it, in every command. /dev/full takes nothing.

use std::fs::{self, File};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

fn client() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evdev-client"));
    command.stdin(Stdio::null());
    command
}

/// Runs the command with an output that is always full.
fn into_full(command: &mut Command) -> Output {
    let full = File::options().write(true).open("/dev/full").unwrap();
    command.stdout(full).output().unwrap()
}

fn assert_names_its_output(command: &mut Command) {
    let output = into_full(command);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
    assert!(
        said.contains("cannot write to standard output: No space left on device"),
        "{command:?}: {said}"
    );
}

/// The names of all commands, from the help.
fn commands() -> Vec<String> {
    let help = client().arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let names: Vec<String> = help
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| Some(line.split_whitespace().next()?.to_owned()))
        .collect();
    assert!(names.contains(&"replay".into()), "{help}");
    names
}

#[test]
fn help_and_version_on_a_full_output_fail_with_a_message() {
    for argument in ["--help", "-h", "--version", "-V", "help"] {
        assert_names_its_output(client().arg(argument));
    }
    for command in commands() {
        let argument = if command == "help" { "help" } else { "--help" };
        assert_names_its_output(client().args([&command, argument]));
    }
}

#[test]
fn answers_on_a_full_output_fail_with_a_message() {
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("daemon.toml");
    fs::write(&config, "[[device]]\npath = \"/dev/evq\"\n").unwrap();
    let json = folder.path().join("events.jsonl");
    let line = r#"{"v":1,"device":"/dev/evq","seq":1,"time_ns":5,"source":"pid:7","type":1,"code":2,"lost":0,"data":"","text":""}"#;
    fs::write(&json, format!("{line}\n")).unwrap();
    let recording = folder.path().join("events.evq");
    let made = client().arg("convert").args([&json, &recording]).status();
    assert!(made.unwrap().success());

    assert_names_its_output(client().args(["explain", "race"]));
    assert_names_its_output(client().args(["explain", "eventfd"]));
    assert_names_its_output(client().args(["explain", "overflow"]));
    assert_names_its_output(client().args(["info", "--via"]));
    assert_names_its_output(client().args(["info", "--via", "--format", "json"]));
    assert_names_its_output(client().arg("doctor"));
    assert_names_its_output(
        client()
            .args(["daemon", "--check", "--config"])
            .arg(&config),
    );
    assert_names_its_output(client().args(["watch", "--banner", "--every", "10ms"]));
    assert_names_its_output(client().args(["watch", "--every", "10ms", "--format", "csv"]));
    assert_names_its_output(client().arg("replay").arg(&recording));
    assert_names_its_output(client().arg("convert").arg(&recording).arg("-"));
    assert_names_its_output(client().arg("convert").arg(&json).arg("-"));
}

/// A reader that has left is another matter: it has seen enough (C6).
#[test]
fn help_whose_reader_has_left_succeeds() {
    for arguments in [&["--help"][..], &["--version"], &["watch", "--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = client().args(arguments).stdout(writer).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.as_str()), (Some(0), ""));
    }
}
