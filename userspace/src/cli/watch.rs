// SPDX-License-Identifier: MIT OR Apache-2.0
//! `watch`: one line per event, from several devices, by any mechanism.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{bail, Context as _};
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use evq::input::{RawInput, Stamped};
use evq::via::Kind;
use evq::{device, AnyDevice, Event, Filled, Position, Queue, StopSignals, Token, Watcher};
use nix::sys::signal::Signal;

use super::exit::Exit;
use super::output::{Flushed, Output};
use super::Format;

/// Records per read.
const BATCH: usize = 256;
/// Reads of one device before the others get their turn.
const TURN: usize = 16;
/// What an input device says when its reader was too slow.
const SYN_DROPPED: (u16, u16) = (0, 3);

/// Print events as they come.
///
/// One line per event: sequence number, seconds of CLOCK_MONOTONIC, who posted
/// it (`input:0`, `timer:0`, `pid:123`, `kernel:CLASS:ID`), and what it says.
/// `lost N` stands before the event that N others should have preceded. Ends
/// on SIGINT or SIGTERM with a summary on standard error.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A queue, or an input device such as /dev/input/event0; may be repeated.
    #[arg(long = "device", value_name = "PATH", default_value = device::DEFAULT_PATH)]
    devices: Vec<PathBuf>,

    /// How to be told when to read.
    #[arg(long, value_name = "MECHANISM", default_value = Kind::Sigio.name(), value_parser = kinds())]
    via: Kind,

    /// End after this many events.
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    num_events: Option<u64>,

    /// Print one line once everything is armed: no event after it is missed.
    #[arg(long)]
    banner: bool,

    /// End, with status 3, after this many seconds without an event.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    idle_timeout: Option<Duration>,

    /// Where to start in a queue: `newest` (what comes from now on), `oldest`
    /// (what is still kept) or a sequence number.
    #[arg(long, value_name = "POSITION", value_parser = position)]
    from: Option<Position>,

    /// How to print.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,

    /// Print no events, only the banner and the summary.
    #[arg(long, short)]
    quiet: bool,
}

pub(super) fn kinds() -> impl clap::builder::TypedValueParser<Value = Kind> {
    PossibleValuesParser::new(Kind::ALL.iter().map(|kind| kind.name()))
        .map(|name| name.parse().expect("a possible value is a mechanism"))
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "give a number of seconds, such as 0.5")?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(limit) if !limit.is_zero() => Ok(limit),
        _ => Err("give a number of seconds above 0".into()),
    }
}

pub(super) fn position(text: &str) -> Result<Position, String> {
    match text {
        "newest" => Ok(Position::Newest),
        "oldest" => Ok(Position::Oldest),
        _ => match text.parse() {
            Ok(seq) if seq > 0 => Ok(Position::Seq(seq)),
            _ => Err("give newest, oldest, or a sequence number from 1".into()),
        },
    }
}

/// A device and its account.
struct Watched {
    device: AnyDevice,
    token: Token,
    delivered: u64,
    lost: u64,
    overflows: u64,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    // Before anything else: from here on, a signal ends this by the loop.
    let stop = StopSignals::new(&[Signal::SIGINT, Signal::SIGTERM])?;
    let mut watcher = Watcher::new(args.via)?;
    let stop_token = watcher.also(&stop, "the signalfd")?;
    if args.idle_timeout.is_some() && !args.via.drains() {
        bail!(
            "--idle-timeout cannot be kept by --via {}: a blocking read has no time limit; use another mechanism",
            args.via
        );
    }
    let mut watched = Vec::new();
    for path in &args.devices {
        let device = AnyDevice::open(path)?;
        if let Some(from) = args.from {
            match &device {
                AnyDevice::Queue(queue) => drop(queue.seek(from)?),
                AnyDevice::Input(_) => {
                    bail!(
                        "--from works on queues only: {} is an input device",
                        device.name()
                    )
                }
            }
        }
        let token = watcher.arm(&device, device.name())?;
        watched.push(Watched {
            device,
            token,
            delivered: 0,
            lost: 0,
            overflows: 0,
        });
    }
    let mut output = Output::new(args.format, watched.len() > 1, args.quiet);
    if args.banner {
        let names = watched
            .iter()
            .map(|w| title(&w.device))
            .collect::<evq::Result<Vec<_>>>()?;
        output.banner(&names, args.via.name());
    }
    let mut watch = Loop {
        args,
        stop,
        stop_token,
        watcher,
        watched,
        output,
    };
    let result = watch.run();
    match &result {
        Err(error) if super::is_broken_pipe(error) => {}
        Err(_) => watch.summary("after a failure"),
        Ok(Exit::Signal(signal)) => watch.summary(&format!("stopped by {signal}")),
        Ok(Exit::IdleTimeout) => watch.summary("nothing came within the idle timeout"),
        Ok(_) => watch.summary("count reached"),
    }
    result
}

/// A device in the banner.
fn title(device: &AnyDevice) -> evq::Result<String> {
    Ok(match device {
        AnyDevice::Queue(queue) => {
            let info = queue.info()?;
            format!(
                "{} (capacity {}, next {})",
                queue.name(),
                info.capacity,
                info.next
            )
        }
        AnyDevice::Input(input) => format!("{} ({})", input.name(), input.title()),
    })
}

/// How many events have been posted that the next reads would tell of. None
/// if the queue does not say: this is for a summary on the way out.
fn unread(queue: &Queue) -> u64 {
    queue
        .info()
        .map_or(0, |info| (info.posted + 1).saturating_sub(info.next))
}

struct Loop<'a> {
    args: &'a Args,
    stop: StopSignals,
    stop_token: Token,
    watcher: Watcher,
    watched: Vec<Watched>,
    output: Output,
}

impl Loop<'_> {
    fn run(&mut self) -> anyhow::Result<Exit> {
        if self.output.flush(&self.stop)? == Flushed::Stuck {
            return self.stuck();
        }
        let mut events = vec![Event::default(); BATCH];
        let mut inputs = vec![RawInput::default(); BATCH];
        let mut remaining = self.args.num_events;
        let mut latest = Instant::now();
        loop {
            let limit = self
                .args
                .idle_timeout
                .map(|idle| idle.saturating_sub(latest.elapsed()));
            let ready = self.watcher.wait(limit)?;
            if ready.contains(&self.stop_token) {
                if let Some(signal) = self.stop.next()? {
                    return Ok(Exit::Signal(signal));
                }
            }
            let mut came = false;
            for token in ready {
                // Armed one after the other: in the order of their tokens.
                let Ok(at) = self.watched.binary_search_by_key(&token, |w| w.token) else {
                    continue;
                };
                let watched = &mut self.watched[at];
                let mut reads = if self.args.via.drains() { TURN } else { 1 };
                loop {
                    if reads == 0 {
                        self.watcher.more(token);
                        break;
                    }
                    reads -= 1;
                    let most = remaining.map_or(BATCH, |n| n.min(BATCH as u64) as usize);
                    let filled =
                        watched.take(&mut events[..most], &mut inputs[..most], &mut self.output)?;
                    let count = match filled {
                        Filled::Records(count) => count as u64,
                        Filled::Empty => break,
                        Filled::End => bail!(
                            "{} has ended: nobody can post to it any more",
                            watched.device.name()
                        ),
                    };
                    came = true;
                    if self.output.flush(&self.stop)? == Flushed::Stuck {
                        return self.stuck();
                    }
                    if let Some(left) = &mut remaining {
                        *left -= count;
                        if *left == 0 {
                            return Ok(Exit::Done);
                        }
                    }
                }
            }
            if came {
                latest = Instant::now();
            } else if self
                .args
                .idle_timeout
                .is_some_and(|idle| latest.elapsed() >= idle)
            {
                return Ok(Exit::IdleTimeout);
            }
        }
    }

    /// A signal came while the reader of the output took nothing.
    fn stuck(&self) -> anyhow::Result<Exit> {
        let signal = self
            .stop
            .next()?
            .context("the signalfd was readable and had no signal")?;
        let lines = self.output.unwritten();
        eprintln!(
            "evdev-client: the reader of standard output is stuck: {lines} lines not written"
        );
        Ok(Exit::Signal(signal))
    }

    fn summary(&self, why: &str) {
        for watched in &self.watched {
            let (name, delivered) = (watched.device.name(), watched.delivered);
            let losses = match &watched.device {
                // With it, the numbers add up to what was posted.
                AnyDevice::Queue(queue) => match unread(queue) {
                    0 => format!("lost {}", watched.lost),
                    unread => format!("lost {}, left unread {unread}", watched.lost),
                },
                // The device does not say how many events an overflow cost.
                AnyDevice::Input(_) => format!("overflows {}", watched.overflows),
            };
            eprintln!("evdev-client: {name}: delivered {delivered}, {losses} ({why})");
        }
        if self.watcher.overflows() > 0 {
            eprintln!(
                "evdev-client: the signal queue was full {} times (see `ulimit -i`); each time all \
                 sources were read, so that nothing was missed for it",
                self.watcher.overflows()
            );
        }
    }
}

impl Watched {
    /// One read, into the account and the output.
    fn take(
        &mut self,
        events: &mut [Event],
        inputs: &mut [RawInput],
        output: &mut Output,
    ) -> anyhow::Result<Filled> {
        let name = self.device.name();
        let filled = match &self.device {
            AnyDevice::Queue(queue) => queue.read(events)?,
            AnyDevice::Input(device) => device.read(inputs)?,
        };
        let Filled::Records(count) = filled else {
            return Ok(filled);
        };
        match &self.device {
            AnyDevice::Queue(_) => {
                for event in &events[..count] {
                    self.lost += u64::from(event.lost);
                    output.event(name, event);
                }
            }
            AnyDevice::Input(_) => {
                for raw in &inputs[..count] {
                    let stamped = Stamped::from(*raw);
                    let input = stamped.input;
                    self.overflows += u64::from((input.type_, input.code) == SYN_DROPPED);
                    output.input(name, &stamped);
                }
            }
        }
        self.delivered += count as u64;
        Ok(filled)
    }
}
