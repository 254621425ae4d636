// SPDX-License-Identifier: MIT OR Apache-2.0
//! `vm-ctl`: asks the host to press keys, and returns when the guest's input
//! layer has seen them.
//!
//! Waiting for that is what makes the order certain, and it is flow control
//! as well: the emulated keyboard holds 16 bytes and drops what comes on top.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use anyhow::Context;
use evq_vm::wire::path;
use nix::libc;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};

const HELP: &str = "\
Usage: vm-ctl key CHORD...   press and release keys of the emulated keyboard
       vm-ctl down KEY       press a key and hold it
       vm-ctl up KEY         release it
       vm-ctl nmi            raise a non-maskable interrupt
       vm-ctl trace on|off   record each instruction, see qemu/run --trace

KEY is a name of QEMU (QKeyCode): a, 1, shift, ret, spc, f1 ... A CHORD is keys
joined by '-': shift-a presses shift, presses a, releases a, releases shift.
Each step is acknowledged by the host, and vm-ctl waits until the guest's
keyboard has reported it; with --no-wait before the command only for the host.
";

/// How long the guest may take to report a key that the host has pressed.
const SEEN_WITHIN_MS: u16 = 10_000;

/// Bytes of a struct input_event; type, code and value are behind the time.
const INPUT_EVENT: usize = 24;
const EV_KEY: u16 = 1;

pub(crate) fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let patient = words.first().is_none_or(|word| word != "--no-wait");
    if !patient {
        words.remove(0);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["--help" | "-h"] => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        ["key", chords @ ..] if !chords.is_empty() => press(chords, patient),
        ["down", key] => steps(&[Step::Down(key)], patient),
        ["up", key] => steps(&[Step::Up(key)], patient),
        ["nmi"] => steps(&[Step::Nmi], false),
        ["trace", on @ ("on" | "off")] => steps(&[Step::Trace(on)], false),
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vm-ctl: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Down(&'a str),
    Up(&'a str),
    Nmi,
    Trace(&'a str),
}

fn press(chords: &[&str], patient: bool) -> anyhow::Result<()> {
    for chord in chords {
        let keys: Vec<&str> = chord.split('-').collect();
        let down = keys.iter().map(|key| Step::Down(key));
        let up = keys.iter().rev().map(|key| Step::Up(key));
        let all: Vec<Step<'_>> = down.chain(up).collect();
        steps(&all, patient)?;
    }
    Ok(())
}

fn steps(steps: &[Step<'_>], patient: bool) -> anyhow::Result<()> {
    let mut keyboard = if patient {
        Some(Keyboard::open()?)
    } else {
        None
    };
    let stream = UnixStream::connect(path::CONTROL).with_context(|| {
        format!(
            "connecting to {} (vm-ctl runs in a guest of qemu/run)",
            path::CONTROL
        )
    })?;
    let mut host = BufReader::new(&stream);
    for step in steps {
        let (words, value) = match step {
            Step::Down(key) => (format!("down {key}"), Some(1)),
            Step::Up(key) => (format!("up {key}"), Some(0)),
            Step::Nmi => ("nmi".to_owned(), None),
            Step::Trace(on) => (format!("trace {on}"), None),
        };
        (&stream)
            .write_all(format!("{words}\n").as_bytes())
            .with_context(|| format!("asking the host: {words}"))?;
        let mut answer = String::new();
        host.read_line(&mut answer)
            .with_context(|| format!("waiting for the answer to: {words}"))?;
        match answer.trim_end() {
            "ok" => {}
            "" => anyhow::bail!("no answer of the host to: {words}"),
            other => {
                let why = other.strip_prefix("error ").unwrap_or(other);
                anyhow::bail!("the host could not do: {words}: {why}");
            }
        }
        if let (Some(keyboard), Some(value)) = (keyboard.as_mut(), value) {
            keyboard.wait_for(value).with_context(|| words)?;
        }
    }
    Ok(())
}

/// The keyboard's own event node, to see what arrives.
struct Keyboard {
    node: File,
    name: String,
}

impl Keyboard {
    fn open() -> anyhow::Result<Self> {
        let list = "/proc/bus/input/devices";
        let text = std::fs::read_to_string(list).with_context(|| format!("reading {list}"))?;
        let event = text
            .split("\n\n")
            .filter(|device| device.contains("eyboard"))
            .find_map(|device| {
                let handlers = device
                    .lines()
                    .find_map(|line| line.strip_prefix("H: Handlers="))?;
                handlers
                    .split(' ')
                    .find(|handler| handler.starts_with("event"))
            })
            .with_context(|| {
                format!("no keyboard with an event node in {list} (load evdev, or use --no-wait)")
            })?;
        let name = format!("/dev/input/{event}");
        let node = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&name)
            .with_context(|| format!("opening {name}"))?;
        Ok(Self { node, name })
    }

    /// Waits for the next press (1) or release (0) of any key.
    fn wait_for(&mut self, value: i32) -> anyhow::Result<()> {
        loop {
            let mut ready = [PollFd::new(self.node.as_fd(), PollFlags::POLLIN)];
            let count = poll(&mut ready, PollTimeout::from(SEEN_WITHIN_MS))
                .with_context(|| format!("polling {}", self.name))?;
            anyhow::ensure!(
                count > 0,
                "QEMU has taken the key, but {} does not report it within {SEEN_WITHIN_MS} ms \
                 (a key that it does not have, or another program has grabbed it: use --no-wait)",
                self.name
            );
            let mut event = [0; INPUT_EVENT];
            self.node
                .read_exact(&mut event)
                .with_context(|| format!("reading {}", self.name))?;
            let kind = u16::from_ne_bytes([event[16], event[17]]);
            let got = i32::from_ne_bytes([event[20], event[21], event[22], event[23]]);
            if kind == EV_KEY && got == value {
                return Ok(());
            }
        }
    }
}
