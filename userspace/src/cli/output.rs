// SPDX-License-Identifier: MIT OR Apache-2.0
//! Events as lines. Whole lines only, and all of them before the next wait.

use std::fmt::Write as _;
use std::io;
use std::os::fd::AsFd as _;

use evq::input::Stamped;
use evq::{Event, Source, StopSignals};
use nix::errno::Errno;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use serde::Serialize;

use super::describe::{describe, describe_bytes, describe_ticks};
use super::{json, Format};

/// What became of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Flushed {
    /// All are written.
    All,
    /// The reader does not take them, and a signal has come.
    Signalled,
}

/// The length of the lines that fit into `most` bytes, of one line at least.
fn whole_lines(bytes: &[u8], most: usize) -> usize {
    let end_of = |part: &[u8]| {
        part.iter()
            .rposition(|&byte| byte == b'\n')
            .map(|at| at + 1)
    };
    if bytes.len() <= most {
        return bytes.len();
    }
    end_of(&bytes[..most]).unwrap_or_else(|| {
        let first = bytes.iter().position(|&byte| byte == b'\n');
        first.map_or(bytes.len(), |at| at + 1)
    })
}

/// Collects lines and writes them at once.
#[derive(Debug)]
pub(super) struct Output {
    format: Format,
    show_device: bool,
    quiet: bool,
    lines: String,
}

#[derive(Serialize)]
struct Banner<'a> {
    v: u32,
    watching: &'a [String],
    via: &'a str,
}

impl Output {
    pub(super) fn new(format: Format, show_device: bool, quiet: bool) -> Output {
        Output {
            format,
            show_device,
            quiet,
            lines: String::new(),
        }
    }

    /// The line that says that everything is armed.
    pub(super) fn banner(&mut self, devices: &[String], via: &str) {
        match self.format {
            Format::Text => {
                let devices = devices.join(", ");
                self.text(format_args!("evdev-client: watching {devices} via {via}"));
            }
            Format::Json => {
                let line = json::line(&Banner {
                    v: json::VERSION,
                    watching: devices,
                    via,
                });
                self.text(format_args!("{line}"));
            }
        }
    }

    /// An event of a queue.
    pub(super) fn event(&mut self, device: &str, event: &Event) {
        if self.quiet {
            return;
        }
        match self.format {
            Format::Text => {
                if event.lost > 0 {
                    let at_least = if event.lost == u32::MAX {
                        "at least "
                    } else {
                        ""
                    };
                    let line = format!("lost {at_least}{} just before {}", event.lost, event.seq);
                    self.line(device, &line);
                }
                let time = seconds(event.time_ns);
                let source = Source::from(event.source).to_string();
                let text = describe(event);
                self.line(
                    device,
                    &format!("{:>7} {time} {source:<9} {text}", event.seq),
                );
            }
            Format::Json => self.text(format_args!("{}", json::event(device, event))),
        }
    }

    /// An event of an input device; `source` is the last part of its path.
    pub(super) fn input(&mut self, device: &str, stamped: &Stamped) {
        if self.quiet {
            return;
        }
        let source = short(device);
        match self.format {
            Format::Text => {
                let (time, text) = (seconds(stamped.time_ns), stamped.input);
                self.line(device, &format!("{:>7} {time} {source:<9} {text}", "-"));
            }
            Format::Json => {
                let line = json::input(device, source, stamped);
                self.text(format_args!("{line}"));
            }
        }
    }

    /// A line of a source of bytes, or a piece of one; or a message.
    pub(super) fn bytes(&mut self, device: &str, time_ns: u64, bytes: &[u8]) {
        if self.quiet {
            return;
        }
        let source = short(device);
        match self.format {
            Format::Text => {
                let (time, text) = (seconds(time_ns), describe_bytes(bytes));
                self.line(device, &format!("{:>7} {time} {source:<9} {text}", "-"));
            }
            Format::Json => {
                let line = json::bytes(device, source, time_ns, bytes);
                self.text(format_args!("{line}"));
            }
        }
    }

    /// What a timer says: so many ticks since the last time. All but the last
    /// of them count as lost.
    pub(super) fn ticks(&mut self, device: &str, time_ns: u64, ticks: u64) {
        if self.quiet {
            return;
        }
        match self.format {
            Format::Text => {
                let (time, text) = (seconds(time_ns), describe_ticks(ticks));
                self.line(device, &format!("{:>7} {time} {:<9} {text}", "-", "timer"));
            }
            Format::Json => {
                let line = json::ticks(device, time_ns, ticks);
                self.text(format_args!("{line}"));
            }
        }
    }

    /// Writes what was collected, unless the reader does not take it and a
    /// signal has come: then `Flushed::Signalled`, with the rest kept.
    pub(super) fn flush(&mut self, signals: &StopSignals) -> io::Result<Flushed> {
        let stdout = io::stdout();
        let mut rest = self.lines.as_bytes();
        while !rest.is_empty() {
            let mut fds = [
                PollFd::new(stdout.as_fd(), PollFlags::POLLOUT),
                PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut fds, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                result => result?,
            };
            if !fds[0].any().unwrap_or(true) {
                let written = self.lines.len() - rest.len();
                self.lines.drain(..written);
                return Ok(Flushed::Signalled);
            }
            // A pipe that polls writable takes this much without blocking.
            let piece = &rest[..whole_lines(rest, libc::PIPE_BUF)];
            match nix::unistd::write(&stdout, piece) {
                Ok(count) => rest = &rest[count..],
                // Others may have made it non-blocking.
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        self.lines.clear();
        Ok(Flushed::All)
    }

    /// Lines that were collected and not written.
    pub(super) fn unwritten(&self) -> usize {
        self.lines.lines().count()
    }

    fn line(&mut self, device: &str, line: &str) {
        if self.show_device {
            self.text(format_args!("{device}: {line}"));
        } else {
            self.text(format_args!("{line}"));
        }
    }

    fn text(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.lines, "{line}");
    }
}

/// The last part of a path.
fn short(device: &str) -> &str {
    device.rsplit('/').next().unwrap_or(device)
}

/// Seconds of `CLOCK_MONOTONIC`.
fn seconds(ns: u64) -> String {
    format!("{:>5}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use evq::input::Input;

    use super::*;

    fn lines(format: Format, event: &Event) -> String {
        let mut output = Output::new(format, false, false);
        output.event("/dev/evq", event);
        output.lines
    }

    fn key() -> Event {
        let mut event = Event::new(1, 30, &1_i32.to_ne_bytes()).unwrap();
        (event.seq, event.time_ns, event.source) = (18, 2_000_000_003, 0x8001_0000);
        event
    }

    #[test]
    fn a_loss_comes_right_before_its_record() {
        let text = lines(Format::Text, &Event { lost: 12, ..key() });
        assert_eq!(
            text,
            "lost 12 just before 18\n     18     2.000000003 input:0   EV_KEY KEY_A press\n"
        );
    }

    #[test]
    fn both_sources_of_an_input_event_read_the_same() {
        let mut output = Output::new(Format::Text, false, false);
        let input = Input::from_event(&key()).unwrap();
        output.input("/dev/input/event0", &Stamped { time_ns: 5, input });
        let words = |line: &str| {
            line.split_whitespace()
                .skip(3)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(words(&output.lines), words(&lines(Format::Text, &key())));
    }

    #[test]
    fn unknown_payloads_are_hex_and_ticks_are_numbers() {
        let mut event = Event::new(7, 3, &[0xde, 0xad]).unwrap();
        event.source = 42;
        assert!(lines(Format::Text, &event).ends_with(" pid:42    type 7 code 3 data dead\n"));
        let mut event = Event::new(0, 0, &17_u64.to_ne_bytes()).unwrap();
        event.source = 0x8002_0000;
        assert!(lines(Format::Text, &event).ends_with(" timer:0   type 0 code 0 tick 17\n"));
    }

    #[test]
    fn what_has_no_number_has_a_name() {
        let mut output = Output::new(Format::Text, true, false);
        output.bytes("/run/fifo", 1, b"hello\n");
        output.bytes("stdin", 2, b"\0\n");
        output.ticks("every 1s", 3, 3);
        assert_eq!(
            output.lines,
            "/run/fifo:       -     0.000000001 fifo      hello\n\
             stdin:       -     0.000000002 stdin     data 000a\n\
             every 1s:       -     0.000000003 timer     tick, 2 missed before it\n"
        );
    }

    #[test]
    fn pieces_end_with_a_line() {
        assert_eq!(whole_lines(b"ab\ncd\n", 100), 6);
        assert_eq!(whole_lines(b"ab\ncd\n", 5), 3);
        assert_eq!(whole_lines(b"ab\ncd\n", 3), 3);
        assert_eq!(whole_lines(b"abcd\nef\n", 2), 5);
        assert_eq!(whole_lines(b"abcd", 2), 4);
    }

    #[test]
    fn the_banner_is_documented() {
        let mut output = Output::new(Format::Json, false, false);
        output.banner(&["/dev/evq".into()], "sigio");
        json::tests::assert_documented(&output.lines);
    }
}
