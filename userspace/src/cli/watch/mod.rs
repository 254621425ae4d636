// SPDX-License-Identifier: MIT OR Apache-2.0
//! `watch`: one line per event, from sources of any kind, by any mechanism.

mod hotplug;
mod report;
mod session;
mod source;

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use evq::via::Kind;
use evq::{device, Position, StopSignals, Watcher};

use super::decode::Decoders;
use super::exit::{Exit, STEERING};
use super::filter::Filter;
use super::hex;
use super::output::{Clock, Output, Style};
use super::reader::Reader;
use super::secret::SHOW_KEYS;
use super::start::{Since, Start};
use super::tell::tell;
use hotplug::Hotplug;
use session::{Limits, Session};
use source::Spec;

/// Print events as they come.
///
/// One line per event: sequence number, seconds of CLOCK_MONOTONIC, who posted
/// it (`input:0`, `timer:0`, `pid:123`, `kernel:CLASS:ID`), and what it says.
/// `lost N` stands before the event that N others should have preceded. Byte
/// streams are printed line by line, a line without an end when nothing follows
/// for now.
///
/// Ends on SIGINT or SIGTERM with a summary on standard error, and, without
/// --wait, when all sources have ended; also when the reader of its output has
/// gone, unless --quiet is given. SIGUSR1 prints statistics there. SIGHUP arms all sources
/// once more, without closing them, and opens those that have ended again. A
/// signal that was ignored when this was started (by `nohup`, say) stays ignored.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A queue, an input device such as /dev/input/event0, a terminal, a FIFO, a
    /// Unix socket (stream or seqpacket) to connect to, a regular file, which is
    /// read to its end, or - for standard input [default: /dev/evq]
    #[arg(value_name = "DEVICE")]
    devices: Vec<PathBuf>,

    /// One more device; may be repeated.
    #[arg(long = "device", value_name = "DEVICE")]
    more_devices: Vec<PathBuf>,

    /// A timer that ticks every 1s, 500ms, 2m …; may be repeated.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    every: Vec<Duration>,

    /// Wait for devices that are not there yet, and for those that have ended to
    /// come back. All folders and links on the way to a path are watched. When
    /// another file takes the place of an open one, it is opened at once (with
    /// --via blocking, after the end of the old one). The old one is read as long as
    /// a FIFO has a writer or a socket a peer; of a device, what it has by then. A
    /// FIFO is opened again for its next writer, a regular file only when it was
    /// replaced. A queue that has come is read from its oldest event on.
    #[arg(long)]
    wait: bool,

    /// How to be told when to read. Those by signals watch what sends none
    /// (timers) by epoll or the like beside it.
    #[arg(long, value_name = "MECHANISM", default_value = Kind::Sigio.name(), value_parser = kinds())]
    via: Kind,

    /// End after this many events; each line of a source of bytes is one.
    #[arg(long, short = 'n', value_name = "N", value_parser = hex::at_least::<1>)]
    num_events: Option<u64>,

    /// Print one line once everything is armed: no event after it is missed. By
    /// default, text on a terminal has it.
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        num_args = 0..=1,
        require_equals = true,
        default_value = "auto",
        default_missing_value = "always"
    )]
    banner: Banner,

    /// End, with status 3, after this time without an event (ticks of timers do
    /// not count): seconds, or 500ms, 2m …
    #[arg(long, value_name = "TIME", value_parser = duration)]
    idle_timeout: Option<Duration>,

    /// End after this time; with status 3 if that is before --num-events.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,

    /// End, with status 5, when events have been lost.
    #[arg(long)]
    fail_on_loss: bool,

    #[command(flatten)]
    filter: Filter,

    /// Where to start in a queue: `newest` (what comes from now on), `oldest`
    /// (what is still kept) or a sequence number.
    #[arg(long, value_name = "POSITION", value_parser = position)]
    from: Option<Position>,

    /// Start in a queue with the last N events that the filters let through, as far
    /// as it still holds them.
    #[arg(long, value_name = "N", value_parser = hex::at_least::<1>, conflicts_with = "from")]
    last: Option<u64>,

    /// Start in a queue with the first event since TIME, if it still holds it: how
    /// long ago (90s, 5m), or a date, such as 2026-11-21T12:34:56Z in UTC, or
    /// '2026-11-21 12:34' or 12:34 in local time.
    #[arg(long, value_name = "TIME", conflicts_with_all = ["from", "last"])]
    since: Option<Since>,

    /// How to print: text, json (docs/event.schema.json), csv, or a line with
    /// fields: %n number, %t time, %s source, %T type, %c code, %x what it says,
    /// %d its data in hex, %a in ASCII, %v the value of an input event, %l how many were lost
    /// before it, %D the device, %u the date in UTC and %b the id of the boot, by
    /// which times of several boots are told apart, %% a %.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Style,

    #[arg(long, help = SHOW_KEYS)]
    show_keys: bool,

    /// How to print times (JSON always has CLOCK_MONOTONIC, and the date in UTC).
    /// Dates of events from before this program began are those by the clock as it
    /// is: if the clock was set or the machine suspended since, they are off by that.
    #[arg(long, value_enum, default_value = "monotonic")]
    time: Clock,

    /// Say what events mean as this decoder file has it (TOML, docs/decoders.md); may
    /// be repeated. Files in /usr/share/evq/decoders are taken as well.
    #[arg(long, value_name = "FILE")]
    decode: Vec<PathBuf>,

    /// Print the payload in ASCII as well, where text has it in hex.
    #[arg(long, short)]
    ascii: bool,

    /// Print no events, only the banner and the summary.
    #[arg(long, short)]
    quiet: bool,
}

/// When to print a banner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Banner {
    /// As text on a terminal, unless --quiet is given.
    Auto,
    /// Also in a file or a pipe, and in every format.
    Always,
    /// Not even on a terminal.
    Never,
}

pub(super) fn kinds() -> impl clap::builder::TypedValueParser<Value = Kind> {
    PossibleValuesParser::new(Kind::ALL.iter().map(|kind| kind.name()))
        .map(|name| name.parse().expect("a possible value is a mechanism"))
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    const WANTED: &str = "give a number of seconds above 0, or one with its unit: 500ms, 1.5s, 2m";
    let number_ends = text
        .find(|c: char| c.is_ascii_alphabetic() && c != 'e')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(number_ends);
    let scale = match unit {
        "" | "s" => 1.0,
        "us" => 1e-6,
        "ms" => 1e-3,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(WANTED.into()),
    };
    let number: f64 = number.parse().map_err(|_| WANTED)?;
    match Duration::try_from_secs_f64(number * scale) {
        Ok(limit) if !limit.is_zero() => Ok(limit),
        _ => Err(WANTED.into()),
    }
}

pub(super) fn position(text: &str) -> Result<Position, String> {
    match text {
        "newest" => Ok(Position::Newest),
        "oldest" => Ok(Position::Oldest),
        _ => match hex::unsigned(text) {
            Some(seq) if seq > 0 => Ok(Position::Seq(seq)),
            _ => Err("give newest, oldest, or a sequence number from 1".into()),
        },
    }
}

impl Args {
    /// Where to start in queues.
    fn start(&self) -> Option<Start> {
        let start = self.from.map(Start::At);
        let start = start.or_else(|| self.last.map(Start::Last));
        start.or_else(|| self.since.map(Start::Since))
    }

    /// What to watch, in the order in which it is armed.
    fn specs(&self) -> Vec<Spec> {
        let devices = self.devices.iter().chain(&self.more_devices);
        let mut specs: Vec<Spec> = devices.map(|path| Spec::of(path)).collect();
        specs.extend(self.every.iter().map(|period| Spec::Every(*period)));
        if specs.is_empty() {
            specs.push(Spec::Path(device::DEFAULT_PATH.into()));
        }
        specs
    }

    fn wants_banner(&self) -> bool {
        match self.banner {
            Banner::Always => true,
            Banner::Never => false,
            Banner::Auto => self.format == Style::Text && !self.quiet && io::stdout().is_terminal(),
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
    // Before anything else: from here on, a signal is a matter of the loop.
    let signals = StopSignals::new(&STEERING)?;
    super::process::reap();
    let watcher = Watcher::new(args.via)?;
    if !args.via.drains() {
        let limits = [
            ("--idle-timeout", args.idle_timeout),
            ("--timeout", args.timeout),
        ];
        if let Some((name, _)) = limits.iter().find(|(_, limit)| limit.is_some()) {
            bail!(
                "{name} cannot be kept by --via {}: a blocking read has no time limit; use another mechanism",
                args.via
            );
        }
    }
    let specs = args.specs();
    let mut output = Output::new(args.format.clone(), args.time, specs.len() > 1, args.quiet);
    if !args.show_keys && !args.filter.names_codes() {
        output.hide_keys();
    }
    output.decode(decoders);
    if args.ascii {
        output.show_ascii();
    }
    let limits = Limits {
        events: args.num_events,
        idle: args.idle_timeout,
        time: args.timeout,
        loss: args.fail_on_loss,
    };
    let hotplug = args.wait.then(Hotplug::new).transpose()?;
    // Without events to print, it goes on without a reader.
    let reader = if args.quiet {
        None
    } else {
        Reader::of_stdout()?
    };
    let mut session = Session::new(signals, watcher, hotplug, reader, output, limits)?;
    for spec in specs {
        session.add(spec, args.start(), args.filter.clone())?;
    }
    session.align();
    if args.wants_banner() {
        session.banner()?;
    }
    session.begin();
    let result = session.run();
    match &result {
        Err(error) if super::is_broken_pipe(error) => {}
        Err(_) => session.report("after a failure"),
        Ok(Exit::Signal(signal)) => session.report(&format!("stopped by {signal}")),
        Ok(_) => session.report(session.why()),
    }
    // Its signals stay blocked: one that comes now would end this with a status of
    // its own, SIGUSR1 too.
    session.finish();
    result
}

#[cfg(test)]
mod tests {
    use super::duration;
    use std::time::Duration;

    #[test]
    fn durations_are_seconds_or_have_a_unit() {
        for (text, millis) in [
            ("2", 2_000),
            ("0.5", 500),
            ("500ms", 500),
            ("1.5s", 1_500),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("1e1s", 10_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["", "0", "-1", "nan", "inf", "s", "1 s", "1d", "1e99"] {
            let error = duration(bad).unwrap_err();
            assert!(error.contains("number of seconds"), "{bad:?}: {error}");
        }
    }
}
