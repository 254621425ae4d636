// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is printed for people: the banner, and columns that stay aligned.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::program::{command, fifo, say, terminal, text, writer, Watch};

/// Devices need no option; both ways can be mixed.
#[test]
fn devices_may_be_given_without_an_option() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = fifo(dir.path());
    let file = dir.path().join("file");
    fs::write(&file, "a line\n").unwrap();
    let arguments = [text(&fifo), "--device", text(&file), "-"];
    let mut watch = Watch::start_with(&arguments, |command| {
        command.stdin(Stdio::piped());
    });
    let wanted = format!("watching {}, stdin, {} via", text(&fifo), text(&file));
    assert!(watch.banner.contains(&wanted), "{}", watch.banner);
    watch.until("a line");
    say(watch.child.stdin.as_ref().unwrap(), "typed");
    watch.until("typed");
    say(writer(&fifo), "piped");
    watch.until("piped");
    let ended = watch.end();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

/// The first line that a watch of a file prints to a terminal.
fn first_line_on_terminal(arguments: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "a line\n").unwrap();
    let (pty, tty) = terminal();
    let tty = File::options().read(true).write(true).open(tty).unwrap();
    let mut child = command(&[arguments, &[text(&file)]].concat())
        .stdout(tty.try_clone().unwrap())
        .spawn()
        .unwrap();
    let mut pty = BufReader::new(pty);
    let mut line = String::new();
    // `tty` is still open: what was printed is kept.
    assert_eq!(child.wait().unwrap().code(), Some(0));
    pty.read_line(&mut line).unwrap();
    line
}

/// On a terminal, people see that it has begun; programs ask for it.
#[test]
fn banner_on_terminal_is_printed_by_default() {
    for (arguments, wanted) in [
        (&[][..], "evdev-client: watching /"),
        (&["--banner"], "evdev-client: watching /"),
        (&["--banner=never"], "a line"),
        (&["--format", "json"], "\"text\":\"a line\""),
        (&["--format", "json", "--banner"], "\"watching\":["),
    ] {
        let line = first_line_on_terminal(arguments);
        assert!(line.contains(wanted), "{arguments:?}: {line:?}");
    }
}

#[test]
fn banner_on_pipe_is_printed_on_request_only() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "a line\n").unwrap();
    for (arguments, lines) in [
        (&[][..], 1),
        (&["--banner=auto"], 1),
        (&["--banner=always"], 2),
    ] {
        let output = command(&[arguments, &[text(&file)]].concat()).output();
        let printed = String::from_utf8(output.unwrap().stdout).unwrap();
        assert_eq!(printed.lines().count(), lines, "{arguments:?}: {printed}");
    }
}

/// From the first line on, whatever the names of the devices.
#[test]
fn columns_of_several_devices_are_aligned() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["a", "a-name-that-is-long", "medium"];
    let paths = names.map(|name| dir.path().join(name));
    for path in &paths {
        fs::write(path, "the text\n").unwrap();
    }
    let output = command(&paths.each_ref().map(|path| text(path))).output();
    let printed = String::from_utf8(output.unwrap().stdout).unwrap();
    let columns = |needle: &str| -> Vec<_> {
        let lines = printed.lines();
        lines.map(|line| line.find(needle).unwrap()).collect()
    };
    let [numbers, texts] = [" - ", "the text"].map(columns);
    assert_eq!(numbers.len(), 3, "{printed}");
    for columns in [numbers, texts] {
        assert!(columns.iter().all(|at| *at == columns[0]), "{printed}");
    }
}
