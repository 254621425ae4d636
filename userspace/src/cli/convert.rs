// SPDX-License-Identifier: MIT OR Apache-2.0
//! `convert`: a recording to JSON lines, and JSON lines to a recording.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use evq::recording::{Item, Reader, Segment, Writer, MAGIC};
use evq::Event;

use super::exit::Exit;
use super::json::{self, Line};
use crate::cli::tell::{tell, PRINTING};

/// Events that share a frame.
const BATCH: usize = 1024;
/// A longer line is nothing that this program has written.
const LINE_MAX: u64 = 65536;

/// Convert a recording to JSON lines, or JSON lines to a recording.
///
/// FROM tells which by how it begins. Lines are those of `watch --format json`
/// and those that this writes; docs/event.schema.json describes them. Of a
/// recording that is not whole, what is whole is converted before this fails.
/// The lines before a bad one, which ends it with status 2, are converted.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A recording or JSON lines; - is standard input.
    from: PathBuf,

    /// What to make of it; - is standard output. Nothing is overwritten.
    #[arg(default_value = "-")]
    to: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let name = if is_dash(&args.from) {
        "standard input".to_owned()
    } else {
        args.from.display().to_string()
    };
    let mut from: Box<dyn BufRead> = if is_dash(&args.from) {
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(&args.from)
            .with_context(|| format!("cannot open {name}; check the path"))?;
        Box::new(BufReader::new(file))
    };
    let reading = || format!("cannot read {name}");
    let is_recording = from.fill_buf().with_context(reading)?.first() == MAGIC.first();
    // Both halves are ready before there is anything to write.
    if is_recording {
        let reader = Reader::new(from, name)?;
        let writing = || match is_dash(&args.to) {
            true => PRINTING.to_owned(),
            false => format!("cannot write to {}", args.to.display()),
        };
        match to_json(reader, &mut sink(&args.to)?).with_context(writing)? {
            None => Ok(Exit::Done),
            Some(error) => Err(error.into()),
        }
    } else {
        to_recording(from, &name, &args.to)
    }
}

fn is_dash(path: &Path) -> bool {
    path == Path::new("-")
}

fn sink(path: &Path) -> anyhow::Result<BufWriter<Box<dyn Write>>> {
    Ok(BufWriter::new(if is_dash(path) {
        Box::new(io::stdout().lock())
    } else {
        let mut options = OpenOptions::new();
        // What was typed may be in it, as in the recording.
        options.write(true).create_new(true).mode(0o600);
        let file = options.open(path);
        Box::new(file.map_err(|error| {
            let remedy = match error.kind() {
                io::ErrorKind::AlreadyExists => "remove it, or give another name",
                _ => "check the path",
            };
            anyhow::anyhow!("cannot make {}: {error}; {remedy}", path.display())
        })?)
    }))
}

/// Writes what can be read; gives the reason why that is not all.
fn to_json(
    reader: impl Iterator<Item = evq::recording::Result<Item>>,
    to: &mut impl Write,
) -> io::Result<Option<evq::recording::Error>> {
    let (mut device, mut end) = (String::new(), None);
    for item in reader {
        let line = match item {
            Ok(Item::Segment(segment)) => {
                let line = json::segment(&segment);
                device = segment.device;
                line
            }
            Ok(Item::Event(event)) => json::event(&device, &event),
            Err(error) => {
                end = Some(error);
                break;
            }
        };
        writeln!(to, "{line}")?;
    }
    to.flush()?;
    Ok(end)
}

fn to_recording(mut from: impl BufRead, name: &str, to: &Path) -> anyhow::Result<Exit> {
    let target = match is_dash(to) {
        true => "standard output".to_owned(),
        false => to.display().to_string(),
    };
    let mut recording = Pending {
        writer: Writer::new(sink(to)?, &target)?,
        target,
        device: None,
        next: 0,
        events: Vec::with_capacity(BATCH),
    };
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let length = (&mut from)
            .take(LINE_MAX)
            .read_until(b'\n', &mut line)
            .with_context(|| format!("cannot read {name}"))?;
        if length == 0 {
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let taken = if length as u64 == LINE_MAX {
            Err(format!("the line is longer than {LINE_MAX} bytes"))
        } else {
            json::parse(&String::from_utf8_lossy(&line))
        };
        let taken = match taken {
            Ok(line) => recording.take(line)?,
            Err(what) => Err(what),
        };
        if let Err(what) = taken {
            recording.flush()?;
            tell!(
                "{name}, line {number}: {what}; the lines before it were converted; \
                 expected: lines as `evdev-client watch --format json` prints them"
            );
            return Ok(Exit::BadInput);
        }
    }
    recording.flush()?;
    Ok(Exit::Done)
}

/// A recording on its way, with events that have no frame yet.
struct Pending<W: Write> {
    writer: Writer<W>,
    /// The name of what it writes to, for messages.
    target: String,
    device: Option<String>,
    /// The lowest number that can follow; 0 if a segment has to.
    next: u64,
    events: Vec<Event>,
}

impl<W: Write> Pending<W> {
    /// Adds a line; the inner error says why it cannot follow.
    fn take(&mut self, line: Line) -> anyhow::Result<Result<(), String>> {
        let (device, event) = match line {
            Line::Banner => return Ok(Ok(())),
            Line::Segment(segment) => {
                self.begin(segment)?;
                return Ok(Ok(()));
            }
            Line::Event(device, event) => (device, event),
        };
        match &self.device {
            Some(other) if *other != device => {
                let what = format!(
                    "an event of {device} after those of {other}: convert one device at a time"
                );
                return Ok(Err(what));
            }
            Some(_) => {}
            None => {
                // What was lost before it belongs to the account.
                let next = event.seq.saturating_sub(event.lost.into()).max(1);
                self.begin(Segment::unknown(device, next))?;
            }
        }
        let (seq, next) = (event.seq, self.next);
        if next == 0 || seq < next {
            let wanted = match next {
                0 => "another segment".into(),
                next => format!("a number from {next} on"),
            };
            return Ok(Err(format!("seq is {seq}: {wanted} has to follow")));
        }
        self.next = seq.wrapping_add(1);
        self.events.push(event);
        if self.events.len() == BATCH {
            self.write()?;
        }
        Ok(Ok(()))
    }

    fn begin(&mut self, segment: Segment) -> anyhow::Result<()> {
        self.write()?;
        self.writer.begin(&segment)?;
        (self.next, self.device) = (segment.next, Some(segment.device));
        Ok(())
    }

    fn write(&mut self) -> anyhow::Result<()> {
        if !self.events.is_empty() {
            self.writer.append(&self.events)?;
            self.events.clear();
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.write()?;
        let flushed = self.writer.get_mut().flush();
        flushed.with_context(|| format!("cannot write to {}", self.target))
    }
}
