// SPDX-License-Identifier: MIT OR Apache-2.0
//! A shell that is given one command after the other.
//!
//! A command is done when the shell says so with a line of our own behind it,
//! and when all is there that the page shows: what runs in the background
//! prints when it likes, and the next command waits for that.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::lines;
use crate::page::Step;

/// Nothing here takes as long: it hangs.
const LIMIT: Duration = Duration::from_secs(300);
/// Begins the line that the shell prints behind a command, with its status.
const DONE: &str = "-- done: ";

pub(crate) struct Shell {
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<String>,
    /// A program runs beside the next commands.
    beside: bool,
}

impl Shell {
    /// Starts `command`, which reads commands, in a folder.
    pub(crate) fn start(folder: &Path, command: &str) -> Shell {
        let mut child = Command::new("bash")
            .args(["-c", &format!("exec 2>&1; {command}")])
            .current_dir(folder)
            // The page does not set it.
            .env_remove("EVQ_KERNEL")
            // Nor is it read by a make, which would have those of the page say where they are.
            .env_remove("MAKEFLAGS")
            .env_remove("MAKELEVEL")
            .env_remove("MFLAGS")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starting bash");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("it is a pipe"));
        let (sender, receiver) = channel();
        thread::spawn(move || {
            for line in output.split(b'\n') {
                let line = line.expect("reading a pipe");
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut shell = Shell {
            child,
            input,
            output: receiver,
            beside: false,
        };
        // So that the messages of a command come in order with its output.
        shell.send("exec 2>&1");
        shell
    }

    fn send(&mut self, text: &str) {
        if let Some(input) = &mut self.input {
            // If it has ended, what it has said tells more.
            let _ = writeln!(input, "{text}");
        }
    }

    /// Takes what is said before the first command.
    pub(crate) fn greet(&mut self, step: &Step) -> Result<(), String> {
        self.until_done(step)
    }

    /// Runs a command.
    pub(crate) fn run(&mut self, step: &Step) -> Result<(), String> {
        self.send(&step.command);
        if step.command.ends_with('&') {
            self.beside = true;
        }
        let result = self.until_done(step);
        if step.command.starts_with("wait") {
            self.beside = false;
        }
        result
    }

    /// Sends the last command, and waits for the end of all.
    pub(crate) fn leave(&mut self, step: &Step) -> Result<(), String> {
        self.send(&step.command);
        self.input = None;
        let mut printed = Vec::new();
        while let Ok(line) = self.output.recv_timeout(LIMIT) {
            printed.push(line);
        }
        self.compare(step, &printed, "")?;
        match self.child.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("ended with {status}")),
            Err(error) => Err(format!("waiting for its end: {error}")),
        }
    }

    fn until_done(&mut self, step: &Step) -> Result<(), String> {
        self.send(&format!("echo \"{DONE}$?\""));
        let mut printed = Vec::new();
        let mut status = None;
        loop {
            if let Some(status) = &status {
                if status != "0" {
                    return self.compare(step, &printed, &format!("its status is {status}"));
                }
                let compared = self.compare(step, &printed, "");
                if compared.is_ok() || !self.beside {
                    return compared;
                }
            }
            match self.output.recv_timeout(LIMIT) {
                Ok(line) => match line.strip_prefix(DONE) {
                    Some(number) => status = Some(number.to_owned()),
                    // The emulator did not get as far as a guest: rare, and no
                    // matter of the page.
                    None if line.ends_with("starting it once more") => {}
                    None => printed.push(line),
                },
                Err(RecvTimeoutError::Timeout) => {
                    return self.compare(step, &printed, "nothing more has come")
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return self.compare(step, &printed, "the shell has ended")
                }
            }
        }
    }

    fn compare(&self, step: &Step, printed: &[String], wrong: &str) -> Result<(), String> {
        let same = if self.beside {
            lines::in_any_order(&step.shown, printed)
        } else {
            lines::in_order(&step.shown, printed)
        };
        if same && wrong.is_empty() {
            return Ok(());
        }
        let (shown, printed) = (step.shown.join("\n"), printed.join("\n"));
        let wrong = match wrong {
            "" => "the page shows something else",
            wrong => wrong,
        };
        Err(format!(
            "{wrong}\n-- the page shows:\n{shown}\n-- printed:\n{printed}"
        ))
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // The end of its input is the end of a shell, and of a machine.
        self.input = None;
        if thread::panicking() {
            // It may hang, and that is why.
            let group = format!("-{}", self.child.id());
            let _ = Command::new("kill").args(["--", &group]).status();
        }
        let _ = self.child.wait();
    }
}
