// SPDX-License-Identifier: MIT OR Apache-2.0
//! `replay`: a recording once more, in its own time or another one.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

use evq::device::BATCH;
use evq::recording::{Item, Reader, Segment};
use evq::via::Kind;
use evq::{Event, Options, Queue, StopSignals, Token, Watcher};

use super::decode::Decoders;
use super::exit::{Exit, ENDING};
use super::filter::Filter;
use super::output::{Clock, Flushed, Output, Style};
use super::reader::Reader as OutputReader;
use super::row::Row;
use super::secret::SHOW_KEYS;
use super::wallclock::WallClock;
use crate::cli::tell::tell;

/// Print or post the events of a recording again.
///
/// Without --into: prints them as `watch` does, with its filters, formats and
/// clocks, until its reader has gone. With --into: posts them to a
/// queue, which gives them numbers, times and a source of their own; as ever,
/// a subscriber that is slower than the replay is told what it has lost. Of a
/// recording that is not whole, what is whole is replayed before this fails.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The recording.
    file: PathBuf,

    /// Post to this queue instead of printing.
    #[arg(long, value_name = "PATH")]
    into: Option<PathBuf>,

    /// How fast: 1 as recorded, 2 twice as fast, `max` without any pause.
    #[arg(long, value_name = "FACTOR", default_value = "1")]
    speed: Speed,

    #[command(flatten)]
    filter: Filter,

    /// How to print: text, json, csv, or a line with fields, as `watch --help`
    /// lists them.
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "text",
        conflicts_with = "into"
    )]
    format: Style,

    /// How to print times. Dates are those of the recording, by the wall clock of
    /// the machine that has made it.
    #[arg(long, value_enum, default_value = "monotonic", conflicts_with = "into")]
    time: Clock,

    /// Print the payload in ASCII as well, where text has it in hex.
    #[arg(long, short, conflicts_with = "into")]
    ascii: bool,

    /// Say what events mean as this decoder file has it (TOML, docs/decoders.md); may
    /// be repeated. Files in /usr/share/evq/decoders are taken as well.
    #[arg(long, value_name = "FILE")]
    decode: Vec<PathBuf>,

    #[arg(long, help = SHOW_KEYS, conflicts_with = "into")]
    show_keys: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Speed {
    Max,
    Times(f64),
}

impl FromStr for Speed {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Speed, Self::Err> {
        match text.parse() {
            _ if text == "max" => Ok(Speed::Max),
            Ok(factor) if factor > 0.0 && f64::is_finite(factor) => Ok(Speed::Times(factor)),
            _ => Err("give a number above 0, such as 0.5 or 2, or max"),
        }
    }
}

impl Speed {
    /// How long after the first event of a segment this one is due.
    fn due(self, since_first_ns: u64) -> Duration {
        match self {
            Speed::Max => Duration::ZERO,
            Speed::Times(factor) => {
                let seconds = since_first_ns as f64 / 1e9 / factor;
                Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
            }
        }
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let decoders = match Decoders::load(&args.decode) {
        Ok(decoders) => decoders,
        Err(bad) => {
            tell!("{bad}");
            return Ok(Exit::BadInput);
        }
    };
    // From here on a signal ends this between two events, with the count told.
    let stop = StopSignals::new(&ENDING)?;
    let mut watcher = Watcher::new(Kind::Poll)?;
    let stop_token = watcher.also(&stop, "the signalfd")?;
    let recording = Reader::open(&args.file)?;
    let sink = match &args.into {
        Some(path) => Sink::Queue(Options::new().read(false).write(true).open(path)?),
        None => {
            let mut output = Output::new(args.format.clone(), args.time, false, false);
            if !args.show_keys && !args.filter.names_codes() {
                output.hide_keys();
            }
            output.decode(decoders);
            if args.ascii {
                output.show_ascii();
            }
            output.begin();
            Sink::Print(output)
        }
    };
    let mut output_reader = None;
    if args.into.is_none() {
        if let Some(reader) = OutputReader::of_stdout()? {
            output_reader = Some((watcher.also(&reader, "standard output")?, reader));
        }
    }
    let mut replay = Replay {
        stop,
        stop_token,
        output_reader,
        watcher,
        sink,
        speed: args.speed,
        filter: args.filter.clone(),
        untold: 0,
        due: Vec::with_capacity(BATCH),
        device: String::new(),
        replayed: 0,
        lost: 0,
    };
    let result = replay.all(recording);
    let file = args.file.display();
    let events = if replay.replayed == 1 {
        "event"
    } else {
        "events"
    };
    tell!(
        "replayed {} {events} of {file}; {} were lost when it was recorded",
        replay.replayed,
        replay.lost
    );
    result
}

enum Sink {
    Print(Output),
    Queue(Queue),
}

struct Replay {
    stop: StopSignals,
    stop_token: Token,
    /// Tells that the reader of what is printed has gone.
    output_reader: Option<(Token, OutputReader)>,
    watcher: Watcher,
    sink: Sink,
    speed: Speed,
    filter: Filter,
    /// Lost before events that are not wanted, and not told yet.
    untold: u32,
    /// Events whose time has come.
    due: Vec<Event>,
    device: String,
    replayed: u64,
    lost: u64,
}

impl Replay {
    fn all(
        &mut self,
        reader: impl Iterator<Item = evq::recording::Result<Item>>,
    ) -> anyhow::Result<Exit> {
        let mut first = None;
        let mut queue: Option<Segment> = None;
        for item in reader {
            let mut event = match item {
                Ok(Item::Event(event)) => event,
                Ok(Item::Segment(segment)) => {
                    if !queue
                        .as_ref()
                        .is_some_and(|queue| queue.same_queue(&segment))
                    {
                        // Another CLOCK_MONOTONIC: its first event follows at once.
                        first = None;
                    }
                    if let Some(exit) = self.flush()? {
                        return Ok(exit);
                    }
                    if let Sink::Print(output) = &mut self.sink {
                        output.set_clock(WallClock::recorded(&segment));
                    }
                    self.device.clone_from(&segment.device);
                    queue = Some(segment);
                    continue;
                }
                Err(error) => {
                    self.flush()?;
                    return Err(error.into());
                }
            };
            // A loss is told with the next event that is wanted.
            event.lost = event.lost.saturating_add(self.untold);
            if !self.filter.wants_event(&event) {
                self.untold = event.lost;
                continue;
            }
            self.untold = 0;
            let (start, first_ns) = *first.get_or_insert((Instant::now(), event.time_ns));
            let due = self.speed.due(event.time_ns.saturating_sub(first_ns));
            if self.due.len() == BATCH || due > start.elapsed() {
                if let Some(exit) = self.flush()? {
                    return Ok(exit);
                }
            }
            while let Some(left) = due.checked_sub(start.elapsed()).filter(|d| !d.is_zero()) {
                if let Some(exit) = self.pause(left)? {
                    return Ok(exit);
                }
            }
            self.due.push(event);
        }
        let exit = self.flush()?.unwrap_or(Exit::Done);
        self.lost += u64::from(std::mem::take(&mut self.untold));
        Ok(exit)
    }

    /// Prints or posts the events whose time has come; says if a signal is to
    /// end this.
    fn flush(&mut self) -> anyhow::Result<Option<Exit>> {
        let count = match &mut self.sink {
            Sink::Print(output) => {
                for event in &self.due {
                    output.row(Row::event(&self.device, event));
                }
                match output.flush(&self.stop)? {
                    Flushed::All => self.due.len(),
                    _ => self.due.len() - output.unwritten().min(self.due.len()),
                }
            }
            Sink::Queue(queue) => match queue.post(&self.due) {
                Ok(posted) => posted,
                Err((posted, error)) => {
                    self.count(posted);
                    return Err(error.into());
                }
            },
        };
        self.count(count);
        self.due.clear();
        self.pause(Duration::ZERO)
    }

    fn count(&mut self, count: usize) {
        self.replayed += count as u64;
        let lost = self.due[..count].iter().map(|event| u64::from(event.lost));
        self.lost += lost.sum::<u64>();
    }

    /// Waits, or ends early because a signal has come.
    fn pause(&mut self, limit: Duration) -> anyhow::Result<Option<Exit>> {
        let ready = self.watcher.wait(Some(limit))?;
        if ready.contains(&self.stop_token) {
            if let Some(signal) = self.stop.next()? {
                return Ok(Some(Exit::Signal(signal)));
            }
        }
        match &self.output_reader {
            Some((token, reader)) if ready.contains(token) => reader.gone().map(Some),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds() {
        let second = 1_000_000_000;
        for (text, due) in [("1", 1000), ("2", 500), ("0.5", 2000), ("max", 0)] {
            let speed: Speed = text.parse().unwrap();
            assert_eq!(speed.due(second), Duration::from_millis(due), "{text}");
        }
        for bad in ["0", "-1", "inf", "nan", "", "fast", "Max"] {
            assert!(bad.parse::<Speed>().is_err(), "{bad}");
        }
        assert_eq!(Speed::Times(1e-300).due(second), Duration::MAX);
    }
}
