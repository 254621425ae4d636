// SPDX-License-Identifier: MIT OR Apache-2.0
//! `convert`: a recording to JSON lines, and JSON lines to a recording.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal as _, Read as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{bail, Context as _};
use evq::recording::{Item, Reader, Segment, Writer, MAGIC};
use evq::Event;
use jiff::Timestamp;

use super::decode::Decoders;
use super::exit::Exit;
use super::json::{self, EventLine, Line};
use super::row::Row;
use super::secret::SHOW_KEYS;
use super::wallclock::WallClock;
use crate::cli::tell::{tell, PRINTING};

/// Events that share a frame.
const BATCH: usize = 1024;
/// A longer line is nothing that this program has written.
const LINE_MAX: u64 = 65536;
/// U+FEFF in UTF-8, and in UTF-16 of both byte orders.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const UTF_16: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

/// Convert a recording to JSON lines, or JSON lines to a recording.
///
/// FROM tells which by how it begins. Lines are those of `watch --format json`
/// and those that this writes; docs/event.schema.json describes them; a byte
/// order mark before them is skipped. A recording is not written to a terminal. Of a
/// recording that is not whole, what is whole is converted before this fails.
/// The lines before a bad one, which ends it with status 2, are converted.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A recording or JSON lines; - is standard input.
    from: PathBuf,

    /// What to make of it; - is standard output. Nothing is overwritten.
    #[arg(default_value = "-")]
    to: PathBuf,

    #[arg(long, help = SHOW_KEYS)]
    show_keys: bool,

    /// Say what events mean as this decoder file has it (TOML, docs/decoders.md); may
    /// be repeated. Files in /usr/share/evq/decoders are taken as well.
    #[arg(long, value_name = "FILE")]
    decode: Vec<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let decoders = match Decoders::load(&args.decode) {
        Ok(decoders) => decoders,
        Err(bad) => {
            tell!("{bad}");
            return Ok(Exit::BadInput);
        }
    };
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
        match to_json(reader, args.show_keys, &decoders, &mut sink(&args.to)?)
            .with_context(writing)?
        {
            None => Ok(Exit::Done),
            Some(error) => Err(error.into()),
        }
    } else {
        if is_dash(&args.to) && io::stdout().is_terminal() {
            bail!(
                "a recording is not text, and standard output is a terminal; give a file to \
                 write to, or send standard output to a file or a pipe"
            );
        }
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
    show_keys: bool,
    decoders: &Decoders,
    to: &mut impl Write,
) -> io::Result<Option<evq::recording::Error>> {
    let (mut device, mut wall, mut end) = (String::new(), WallClock::default(), None);
    for item in reader {
        let line = match item {
            Ok(Item::Segment(segment)) => {
                let line = json::segment(&segment);
                wall = WallClock::recorded(&segment);
                device = segment.device;
                line
            }
            Ok(Item::Event(event)) => {
                let mut row = Row::event(&device, &event);
                wall.date_row(&mut row);
                if !show_keys {
                    row.hide_key();
                }
                decoders.apply(&mut row);
                json::line(&row)
            }
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
        segment: None,
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
        // Some editors and shells put it first; files put together have it within.
        let text = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&line);
        if text.trim_ascii().is_empty() {
            continue;
        }
        let taken = if length as u64 == LINE_MAX {
            Err(format!("the line is longer than {LINE_MAX} bytes"))
        } else if UTF_16.iter().any(|mark| text.starts_with(mark)) {
            Err("this is UTF-16; make it UTF-8 first, with iconv for example".into())
        } else {
            json::parse(&String::from_utf8_lossy(text))
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
    segment: Option<Segment>,
    /// The lowest number that can follow; 0 if a segment has to.
    next: u64,
    events: Vec<Event>,
}

impl<W: Write> Pending<W> {
    /// Adds a line; the inner error says why it cannot follow.
    fn take(&mut self, line: Line) -> anyhow::Result<Result<(), String>> {
        let line = match line {
            Line::Banner => return Ok(Ok(())),
            Line::Segment(segment) => {
                self.begin(segment)?;
                return Ok(Ok(()));
            }
            Line::Event(line) => line,
        };
        let event = line.event;
        let dated = match dated(&line) {
            Ok(dated) => dated,
            Err(what) => return Ok(Err(what)),
        };
        match &self.segment {
            Some(Segment { device, .. }) if *device != line.device => {
                let what = format!(
                    "an event of {} after those of {device}: convert one device at a time",
                    line.device
                );
                return Ok(Err(what));
            }
            Some(segment) if dated.is_none_or(|it| segment.same_clock(&it.within(segment))) => {}
            // The clock was set, or it is another boot.
            Some(segment) if event.seq >= self.next && self.next > 0 => {
                let segment = Segment {
                    next: self.next,
                    ..dated.unwrap_or_default().within(segment)
                };
                self.begin(segment)?;
            }
            // Which is said below.
            Some(_) => {}
            None => {
                // What was lost before it belongs to the account.
                let next = event.seq.saturating_sub(event.lost.into()).max(1);
                let unknown = Segment::unknown(line.device, next);
                self.begin(dated.unwrap_or_default().within(&unknown))?;
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
        (self.next, self.segment) = (segment.next, Some(segment));
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

/// What a line says of the clocks.
#[derive(Clone, Copy, Debug, Default)]
struct Dated {
    boot_id: u128,
    monotonic_ns: u64,
    realtime_ns: u64,
}

/// What the line of an event says of the clocks, if it does; the error says what is wrong.
fn dated(line: &EventLine) -> Result<Option<Dated>, String> {
    let Some(time) = &line.time else {
        return Ok(None);
    };
    let date: Timestamp = time
        .parse()
        .map_err(|_| format!("time is {time:?}: expected a date such as 2026-11-21T12:34:56Z"))?;
    // Recordings have no dates before 1970.
    Ok(u64::try_from(date.as_nanosecond())
        .ok()
        .map(|realtime_ns| Dated {
            boot_id: line.boot_id.unwrap_or(0),
            monotonic_ns: line.event.time_ns,
            realtime_ns,
        }))
}

impl Dated {
    fn within(self, segment: &Segment) -> Segment {
        Segment {
            boot_id: self.boot_id,
            monotonic_ns: self.monotonic_ns,
            realtime_ns: self.realtime_ns,
            ..segment.clone()
        }
    }
}
