// SPDX-License-Identifier: MIT OR Apache-2.0
//! Events as lines. Whole lines only, and all of them before the next wait.

mod clock;
mod style;

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};

use anyhow::Context as _;
use evq::StopSignals;
use nix::errno::Errno;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use serde::Serialize;

use super::decode::Decoders;
use super::json;
use super::printable::printable;
use super::row::Row;
use super::tell::PRINTING;
use super::wallclock::WallClock;
pub(super) use clock::Clock;
use clock::Times;
pub(super) use style::Style;

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
    style: Style,
    times: Times,
    wall: WallClock,
    decoders: Decoders,
    /// Whether the next row is the first of those that were read together.
    first_row: bool,
    show_device: bool,
    quiet: bool,
    hide_keys: bool,
    ascii: bool,
    lines: String,
}

#[derive(Serialize)]
struct Banner<'a> {
    v: u32,
    watching: &'a [String],
    via: &'a str,
}

impl Output {
    pub(super) fn new(style: Style, clock: Clock, show_device: bool, quiet: bool) -> Output {
        // Others have no dates.
        let wall = match (&style, clock) {
            (Style::Text, Clock::Monotonic | Clock::Relative | Clock::Delta) => {
                WallClock::default()
            }
            _ => WallClock::new(),
        };
        Output {
            style,
            times: Times::new(clock),
            wall,
            decoders: Decoders::default(),
            first_row: true,
            show_device,
            quiet,
            hide_keys: false,
            ascii: false,
            lines: String::new(),
        }
    }

    /// Has no line tell which keys are pressed.
    pub(super) fn hide_keys(&mut self) {
        self.hide_keys = true;
    }

    /// Has events decoded.
    pub(super) fn decode(&mut self, decoders: Decoders) {
        self.decoders = decoders;
    }

    /// Has text show payloads in ASCII beside the hex.
    pub(super) fn show_ascii(&mut self) {
        self.ascii = true;
    }

    /// The line that says that everything is armed. It comes first; among values
    /// it is a comment.
    pub(super) fn banner(&mut self, devices: &[String], via: &str) {
        let names: Vec<_> = devices.iter().map(|name| printable(name)).collect();
        let names = names.join(", ");
        match self.style {
            Style::Text => self.line(&format!("evdev-client: watching {names} via {via}")),
            Style::Json => {
                let line = json::line(&Banner {
                    v: json::VERSION,
                    watching: devices,
                    via,
                });
                self.line(&line);
            }
            Style::Csv | Style::Custom(_) => {
                self.line(&format!("# evdev-client: watching {names} via {via}"));
            }
        }
    }

    /// What comes before all events.
    pub(super) fn begin(&mut self) {
        if self.style == Style::Csv && !self.quiet {
            self.line(&style::csv_titles());
        }
    }

    /// An event, a line or a tick.
    pub(super) fn row(&mut self, mut row: Row<'_>) {
        if self.quiet {
            return;
        }
        if self.hide_keys {
            row.hide_key();
        }
        self.decoders.apply(&mut row);
        if std::mem::take(&mut self.first_row) {
            self.wall.check();
        }
        let time = self.times.print(row.time_ns, &self.wall);
        if self.style != Style::Text {
            self.wall.date_row(&mut row);
        }
        let prefix = if self.show_device {
            format!("{}: ", printable(row.device))
        } else {
            String::new()
        };
        let mut lines = style::lines(&self.style, &row, &time, &prefix);
        if self.ascii && self.style == Style::Text {
            style::add_ascii(&mut lines, &row);
        }
        self.line(&lines);
    }

    /// Takes the clock of a recording for the rows that follow.
    pub(super) fn set_clock(&mut self, wall: WallClock) {
        self.wall = wall;
    }

    /// Becomes readable when the wall clock has been set or the machine has resumed:
    /// then [`Output::check_clock`] is due.
    pub(super) fn clock_changes(&self) -> Option<BorrowedFd<'_>> {
        self.wall.changes()
    }

    /// Looks whether the wall clock has changed.
    pub(super) fn check_clock(&mut self) {
        self.wall.check();
    }

    /// Writes what was collected, unless the reader does not take it and a
    /// signal has come: then `Flushed::Signalled`, with the rest kept.
    pub(super) fn flush(&mut self, signals: &StopSignals) -> anyhow::Result<Flushed> {
        self.write(signals).context(PRINTING)
    }

    fn write(&mut self, signals: &StopSignals) -> io::Result<Flushed> {
        let stdout = io::stdout();
        let mut rest = self.lines.as_bytes();
        while !rest.is_empty() {
            let mut fds = [
                PollFd::new(stdout.as_fd(), PollFlags::POLLOUT),
                PollFd::new(signals.as_fd(), PollFlags::POLLIN),
                // The last one may be missing.
                PollFd::new(signals.as_fd(), PollFlags::empty()),
            ];
            let clock = self.wall.changes();
            if let Some(clock) = clock {
                fds[2] = PollFd::new(clock, PollFlags::POLLIN);
            }
            match poll(&mut fds, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                result => result?,
            };
            if !fds[0].any().unwrap_or(true) {
                if clock.is_some() && fds[2].any().unwrap_or(true) {
                    // While the reader takes nothing, events wait that are from before.
                    self.wall.check();
                    continue;
                }
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
        self.first_row = true;
        Ok(Flushed::All)
    }

    /// Lines that were collected and not written.
    pub(super) fn unwritten(&self) -> usize {
        self.lines.lines().count()
    }

    fn line(&mut self, line: &str) {
        self.lines += line;
        self.lines.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use evq::input::{Input, Stamped};
    use evq::Event;

    use super::*;

    fn output(style: Style, show_device: bool) -> Output {
        Output::new(style, Clock::Monotonic, show_device, false)
    }

    fn lines(event: &Event) -> String {
        let mut output = output(Style::Text, false);
        output.row(Row::event("/dev/evq", event));
        output.lines
    }

    fn key() -> Event {
        let mut event = Event::new(1, 30, &1_i32.to_ne_bytes()).unwrap();
        (event.seq, event.time_ns, event.source) = (18, 2_000_000_003, 0x8001_0000);
        event
    }

    #[test]
    fn a_loss_comes_right_before_its_record() {
        let text = lines(&Event { lost: 12, ..key() });
        assert_eq!(
            text,
            "lost 12 just before 18\n     18     2.000000003 input:0   EV_KEY KEY_A press\n"
        );
    }

    #[test]
    fn both_sources_of_an_input_event_read_the_same() {
        let mut output = output(Style::Text, false);
        let input = Input::from_event(&key()).unwrap();
        output.row(Row::input(
            "/dev/input/event0",
            &Stamped { time_ns: 5, input },
        ));
        let words = |line: &str| {
            line.split_whitespace()
                .skip(3)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(words(&output.lines), words(&lines(&key())));
    }

    #[test]
    fn unknown_payloads_are_hex_and_ticks_are_numbers() {
        let mut event = Event::new(7, 3, &[0xde, 0xad]).unwrap();
        event.source = 42;
        assert!(lines(&event).ends_with(" pid:42    type 7 code 3 data dead\n"));
        let mut event = Event::new(0, 0, &17_u64.to_ne_bytes()).unwrap();
        event.source = 0x8002_0000;
        assert!(lines(&event).ends_with(" timer:0   type 0 code 0 tick 17\n"));
    }

    #[test]
    fn what_has_no_number_has_a_name() {
        let mut output = output(Style::Text, true);
        output.row(Row::bytes("/run/fifo", 1, b"hello\n"));
        output.row(Row::bytes("stdin", 2, b"\0\n"));
        output.row(Row::ticks("every 1s", 3, 3));
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
        let mut output = output(Style::Json, false);
        output.banner(&["/dev/evq".into()], "sigio");
        json::tests::assert_documented(&output.lines);
    }
}
