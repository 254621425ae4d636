// SPDX-License-Identifier: MIT OR Apache-2.0
//! The examples of the library, as they are in its documentation, on the real
//! queue.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};

use nix::sys::signal::{kill, Signal};
use nix::unistd::{alarm, Pid};

use crate::support::device::*;
use crate::support::LIMIT;

/// An example that runs until it is dropped.
struct Example {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

fn command(name: &str) -> Command {
    let here = std::env::current_exe().expect("/proc is there");
    let mut command = Command::new(here.with_file_name(name));
    let limit = LIMIT.as_secs().try_into().expect("a minute fits");
    // SAFETY: A system call only, between fork and exec.
    unsafe {
        command.pre_exec(move || {
            alarm::set(limit);
            Ok(())
        })
    };
    command
}

impl Example {
    fn start(name: &str) -> Example {
        let mut child = command(name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("starting {name}, which the runner puts beside this: {error}")
            });
        let stdout = child.stdout.take().expect("it is a pipe");
        Example {
            child,
            stdout: BufReader::new(stdout),
        }
    }

    /// Reads lines up to one that has `text` in it.
    fn until(&mut self, text: &str) -> String {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            let count = self.stdout.read_line(&mut line).expect("reading a line");
            assert_ne!(count, 0, "ended, and no {text:?} in {seen:?}");
            if line.contains(text) {
                return line;
            }
            seen += &line;
        }
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // No failure if it has ended, and been waited for.
        self.child.kill().expect("it is our child");
        self.child.wait().expect("waiting for it");
    }
}

/// W3: three events in one write, and what it says of them.
#[test]
fn post_posts() {
    let reader = open_nonblock();
    let output = command("example-post")
        .output()
        .expect("starting it, which the runner puts beside this");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, b"posted 3\n");
    let codes: Vec<_> = drain(&reader)
        .iter()
        .map(|e| (e.type_, e.code, e.len))
        .collect();
    assert_eq!(codes, [(1, 1, 5), (1, 2, 5), (1, 3, 5)]);
}

/// Q2: what is kept from before, and then what comes.
#[test]
fn tail_prints_what_is_kept_and_what_comes() {
    let writer = open_rw();
    post(&writer, &[record(7)]);
    let seq = info(&writer).posted;
    let mut tail = Example::start("example-tail");
    tail.until(&format!("{seq} pid:"));
    post(&writer, &[record(8)]);
    tail.until(&format!("{} pid:", seq + 1));
}

/// C4, C5: each of the sources gets its turn, and SIGTERM is an end like any
/// other.
#[test]
fn several_watches_them_all() {
    let mut several = Example::start("example-several");
    several.until("watching");
    let mut input = several.child.stdin.take().expect("it is a pipe");
    for _ in 0..2 {
        input.write_all(b"word").expect("it reads");
        several.until("bytes: 4");
        post(open_rw(), &[record(1)]);
        several.until("events: 1, ");
    }
    several.until("ticks: ");
    let pid = several.child.id().try_into().expect("a process id");
    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it is our child");
    assert!(several.child.wait().expect("waiting for it").success());
}

/// C2: armed when it says so; what comes from then on is printed.
#[test]
fn stream_prints_what_comes() {
    let mut stream = Example::start("example-stream");
    stream.until("watching");
    let writer = open_rw();
    for number in 0..3 {
        post(&writer, &[record(number)]);
        let seq = info(&writer).posted;
        let line = stream.until(&format!("{seq} ["));
        assert!(line.ends_with("(lost 0)\n"), "{line:?}");
    }
}
