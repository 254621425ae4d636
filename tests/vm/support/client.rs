// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program `evdev-client`, as a user starts it.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use nix::sys::signal::{kill, Signal};
use nix::unistd::{alarm, Pid};

use super::process::until_stopped;
use super::signals::unblock_all;
use super::LIMIT;

/// What a program has said and how it has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) lines: Vec<String>,
    pub(crate) errors: String,
}

impl Ended {
    /// Its exit code; panics with all that it said if a signal has killed it.
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("{self:?}"))
    }
}

/// The command, with a signal mask as a shell leaves it. One that never ends is
/// killed by SIGALRM, which its status then says: a hang fails one test only.
pub(crate) fn client(arguments: &[&str]) -> Command {
    let mut command = Command::new("evdev-client");
    command.args(arguments).stdin(Stdio::null());
    let limit = LIMIT.as_secs().try_into().expect("a minute fits");
    // SAFETY: System calls only, between fork and exec.
    unsafe {
        command.pre_exec(move || {
            unblock_all();
            alarm::set(limit);
            Ok(())
        })
    };
    command
}

/// For one that has much to do, and whose end is waited for in another way.
pub(crate) fn no_limit(command: &mut Command) {
    // SAFETY: A system call only, between fork and exec.
    unsafe {
        command.pre_exec(|| {
            alarm::cancel();
            Ok(())
        })
    };
}

/// Runs it to its end.
pub(crate) fn run(arguments: &[&str]) -> Ended {
    let output = client(arguments)
        .output()
        .expect("starting evdev-client, which the runner puts on the PATH");
    Ended {
        status: output.status,
        lines: text(output.stdout).lines().map(str::to_owned).collect(),
        errors: text(output.stderr),
    }
}

impl Ended {
    /// The numbers of the summary: delivered and lost. Panics if it says that
    /// some were left unread.
    pub(crate) fn account(&self) -> (u64, u64) {
        let account = || {
            let (_, rest) = self.errors.split_once("delivered ")?;
            let (delivered, rest) = rest.split_once(", lost ")?;
            let (lost, _) = rest.split_once(" (")?;
            Some((delivered.parse().ok()?, lost.parse().ok()?))
        };
        account().unwrap_or_else(|| panic!("no summary, or some left unread: {self:?}"))
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("the client writes text")
}

/// `evdev-client watch` or `record`, armed: the banner is what says so.
pub(crate) struct Watch {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) banner: String,
}

impl Watch {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, |_| ())
    }

    pub(crate) fn start_with(arguments: &[&str], change: impl FnOnce(&mut Command)) -> Self {
        Self::start_as("watch", "watching", arguments, change)
    }

    pub(crate) fn record(arguments: &[&str]) -> Self {
        Self::start_as("record", "recording", arguments, |_| ())
    }

    /// With these signals ignored, as a shell names them.
    pub(crate) fn record_ignoring(signals: &str, arguments: &[&str]) -> Self {
        let script = format!("trap '' {signals}; exec evdev-client record --banner \"$@\"");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &script, "sh"]).args(arguments);
        Self::spawn("recording", command)
    }

    fn start_as(
        command: &str,
        ready: &str,
        arguments: &[&str],
        change: impl FnOnce(&mut Command),
    ) -> Self {
        let mut command = client(&[command, "--banner"]);
        command.args(arguments);
        change(&mut command);
        Self::spawn(ready, command)
    }

    fn spawn(ready: &str, mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .expect("starting evdev-client, which the runner puts on the PATH");
        let mut stdout = BufReader::new(child.stdout.take().expect("it is a pipe"));
        let mut banner = String::new();
        stdout.read_line(&mut banner).expect("reading the banner");
        if !banner.contains(ready) {
            let mut errors = String::new();
            let _ = child
                .stderr
                .take()
                .map(|mut e| e.read_to_string(&mut errors));
            panic!("no banner but {banner:?}; {errors}");
        }
        Self {
            child,
            stdout,
            banner,
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().expect("a process id"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it is our child");
    }

    /// Stops it, and waits until it is stopped; SIGCONT lets it go on.
    pub(crate) fn stop(&self) {
        self.signal(Signal::SIGSTOP);
        until_stopped(self.pid());
    }

    /// The next line of its output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("reading a line");
        line.trim_end().to_owned()
    }

    /// Reads lines up to one of this source with this text.
    pub(crate) fn until(&mut self, source: &str, text: &str) {
        loop {
            let line = self.line();
            assert_ne!(line, "", "it has ended without {source}{text}");
            if line.starts_with(source) && line.contains(text) {
                return;
            }
        }
    }

    /// Reads its messages up to a line with this text; gives all of them.
    pub(crate) fn told(&mut self, text: &str) -> String {
        let stderr = self.child.stderr.as_mut().expect("it is a pipe");
        let mut told = Vec::new();
        loop {
            let start = told.len();
            // Byte by byte: what follows the line is for the next one who reads.
            while told.len() == start || !told.ends_with(b"\n") {
                let mut byte = [0];
                let count = stderr.read(&mut byte).expect("reading stderr");
                let so_far = String::from_utf8_lossy(&told);
                assert_ne!(count, 0, "it has ended; no {text:?} in {so_far:?}");
                told.extend(byte);
            }
            if String::from_utf8_lossy(&told[start..]).contains(text) {
                return String::from_utf8_lossy(&told).into_owned();
            }
        }
    }

    /// Closes the reading end of its output, as `head` does.
    pub(crate) fn close_output(self) -> Child {
        self.child
    }

    /// Waits for its end, however it came.
    pub(crate) fn ended(mut self) {
        self.child.wait().expect("waiting for it");
    }

    /// Reads all that it still says.
    pub(crate) fn end(mut self) -> Ended {
        let mut lines = Vec::new();
        for line in self.stdout.lines() {
            lines.push(line.expect("reading a line"));
        }
        let mut errors = String::new();
        let mut stderr = self.child.stderr.take().expect("it is a pipe");
        stderr.read_to_string(&mut errors).expect("reading stderr");
        Ended {
            status: self.child.wait().expect("waiting for it"),
            lines,
            errors,
        }
    }
}
