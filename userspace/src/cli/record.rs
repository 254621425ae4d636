// SPDX-License-Identifier: MIT OR Apache-2.0
//! `record`: the events of a queue into a file, over and over without a gap.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::bail;
use evq::recording::{Opened, Recording, Repair, Segment};
use evq::via::Kind;
use evq::{device, Event, Filled, Position, Queue, StopSignals, Token, Watcher};
use nix::sys::signal::{SigSet, Signal};

use super::exit::{Exit, ENDING};
use super::hex;
use super::secret::{hide, SHOW_KEYS};
use super::wallclock::WallClock;
use super::watch::{duration, kinds, position};
use crate::cli::printable::printable;
use crate::cli::tell::{print, tell};

/// Records per read, and per frame of the file.
const BATCH: usize = 1024;
/// Reads before signals and limits are looked at again.
const TURN: usize = 16;

/// Record the events of a queue.
///
/// A file that is there already is appended to: recording goes on with the
/// event after the last one in it, without a gap or a duplicate as long as the
/// queue still holds it. What is lost is counted in the file, as in the queue.
/// If the queue was made anew since (by a reboot, or by loading the module
/// again), a new segment begins with its first event; so does one when the wall
/// clock is set or the machine resumes, so that times become the right dates.
/// Whatever ends this, the file is whole. The format is described in evq-recording(5).
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The recording, which is made if it is not there.
    file: PathBuf,

    /// The queue.
    #[arg(long, value_name = "PATH", default_value = device::DEFAULT_PATH)]
    device: PathBuf,

    /// How to be told when to read.
    #[arg(long, value_name = "MECHANISM", default_value = Kind::Sigio.name(), value_parser = kinds())]
    via: Kind,

    /// Where a recording that holds nothing of this queue yet starts: `newest`
    /// (what comes from now on; the default), `oldest` (what is still kept) or
    /// a sequence number.
    #[arg(long, value_name = "POSITION", value_parser = position)]
    from: Option<Position>,

    /// End after this many events.
    #[arg(long, short = 'n', value_name = "N", value_parser = hex::at_least::<1>)]
    num_events: Option<u64>,

    /// End, with status 3, after this time without an event: seconds, or 500ms, 2m …
    #[arg(long, value_name = "TIME", value_parser = duration)]
    idle_timeout: Option<Duration>,

    /// When to wait for the disk: a power failure takes what was written since.
    #[arg(long, value_enum, default_value = "end")]
    sync: Sync,

    /// Cut off what is damaged at the end of the file, too. What an interrupted
    /// recording left half written is always cut off.
    #[arg(long)]
    repair: bool,

    #[arg(long, help = SHOW_KEYS)]
    show_keys: bool,

    /// Print one line once everything is armed: no event after it is missed.
    #[arg(long)]
    banner: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Sync {
    /// Leave it to the system.
    Never,
    /// Once, at the end.
    End,
    /// After each write.
    Always,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let stop = StopSignals::new(&ENDING)?;
    // A file that may not grow any more is an error of write(2), with a message.
    SigSet::from(Signal::SIGXFSZ).thread_block()?;
    let mut watcher = Watcher::new(args.via)?;
    let stop_token = watcher.also(&stop, "the signalfd")?;
    if args.idle_timeout.is_some() && !args.via.drains() {
        bail!(
            "--idle-timeout cannot be kept by --via {}: a blocking read has no time limit; use \
             another mechanism",
            args.via
        );
    }
    // First: a device that is not there leaves no file behind.
    let queue = Queue::open(&args.device)?;
    let repair = if args.repair {
        Repair::Damaged
    } else {
        Repair::Torn
    };
    let (mut recording, opened) = Recording::open(&args.file, repair)?;
    let file = args.file.display().to_string();
    if opened.cut > 0 {
        tell!(
            "cut {} bytes off the end of {file}, which were not written to the end",
            opened.cut
        );
    }
    let wall = WallClock::new();
    let clock_token = match wall.changes() {
        Some(changes) => Some(watcher.also(changes, "the timerfd of the wall clock")?),
        None => None,
    };
    let next = begin(args, &queue, &mut recording, &opened, &file)?;
    let token = watcher.arm(&queue, queue.name())?;
    if args.banner {
        print(&format!(
            "evdev-client: recording {} (capacity {}, next {next}) to {} via {}\n",
            printable(queue.name()),
            queue.info()?.capacity,
            printable(&file),
            args.via
        ))?;
    }
    let mut record = Loop {
        args,
        stop,
        stop_token,
        clock_token,
        watcher,
        queue,
        token,
        recording,
        wall,
        clock_changed: false,
        next,
        recorded: 0,
        lost: 0,
        hidden: 0,
    };
    let result = record.run();
    let result = result.and_then(|exit| match args.sync {
        Sync::Never => Ok(exit),
        Sync::End | Sync::Always => Ok(record.recording.sync().map(|()| exit)?),
    });
    let why = match &result {
        Err(_) => "after a failure".into(),
        Ok(Exit::Signal(signal)) => format!("stopped by {signal}"),
        Ok(Exit::IdleTimeout) => "nothing came within the idle timeout".into(),
        Ok(_) => "count reached".into(),
    };
    let hidden = match record.hidden {
        0 => String::new(),
        hidden => format!("; {hidden} keys and scan codes are hidden (see --show-keys)"),
    };
    tell!(
        "{file}: recorded {}, lost {} ({why}); {} events in all{hidden}",
        record.recorded,
        record.lost,
        opened.events + record.recorded
    );
    result
}

/// Finds out where to go on, and begins a segment unless it is in one already.
fn begin(
    args: &Args,
    queue: &Queue,
    recording: &mut Recording,
    opened: &Opened,
    file: &str,
) -> anyhow::Result<u64> {
    let here = Segment::of(queue)?;
    let known = opened.segment.as_ref();
    if let (true, Some(next)) = (known.is_some_and(|s| s.same_queue(&here)), opened.next) {
        if args.from.is_some() {
            bail!(
                "{file} goes on with event {next} of {}: leave out --from, or give another file",
                queue.name()
            );
        }
        tell!("{file} goes on with event {next}");
        if known.is_some_and(|segment| !segment.same_clock(&here)) {
            // The wall clock was set meanwhile, or the machine was suspended.
            recording.begin(&Segment { next, ..here })?;
        }
        let _ = queue.seek(Position::Seq(next))?;
        return Ok(next);
    }
    let mut from = Position::Newest;
    if let Some(last) = known {
        let device = &last.device;
        if *device == here.device {
            // From its very first event: there is no gap but the time without a queue.
            from = Position::Seq(1);
            tell!(
                "{device} was made anew since {file} was written (by a reboot, or by \
                 loading the module again): a new segment begins"
            );
        } else {
            tell!("{file} is of {device} so far: a new segment begins");
        }
    }
    let from = args.from.unwrap_or(from);
    let next = queue.seek(from)?;
    recording.begin(&Segment { next, ..here })?;
    Ok(next)
}

struct Loop<'a> {
    args: &'a Args,
    stop: StopSignals,
    stop_token: Token,
    /// Tells that the wall clock was set, or the machine resumed.
    clock_token: Option<Token>,
    watcher: Watcher,
    queue: Queue,
    token: Token,
    recording: Recording,
    wall: WallClock,
    /// It has changed since the segment began.
    clock_changed: bool,
    /// The number of the event that follows in the recording.
    next: u64,
    recorded: u64,
    lost: u64,
    hidden: u64,
}

impl Loop<'_> {
    fn run(&mut self) -> anyhow::Result<Exit> {
        let mut events = vec![Event::default(); BATCH];
        let mut latest = Instant::now();
        loop {
            let left = |idle: Duration| idle.saturating_sub(latest.elapsed());
            let ready = self.watcher.wait(self.args.idle_timeout.map(left))?;
            if ready.contains(&self.stop_token) {
                if let Some(signal) = self.stop.next()? {
                    self.finish(&mut events)?;
                    return Ok(Exit::Signal(signal));
                }
            }
            if self.clock_token.is_some_and(|token| ready.contains(&token)) {
                self.clock_changed |= self.wall.check();
            }
            let before = self.recorded;
            if ready.contains(&self.token) {
                let turns = if self.args.via.drains() { TURN } else { 1 };
                let mut empty = false;
                for _ in 0..turns {
                    empty = !self.take(&mut events)?;
                    if self.is_enough() {
                        return Ok(Exit::Done);
                    }
                    if empty {
                        break;
                    }
                }
                if !empty {
                    self.watcher.more(self.token);
                }
            }
            if self.recorded > before {
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

    fn is_enough(&self) -> bool {
        self.args.num_events == Some(self.recorded)
    }

    /// Takes what was posted up to now: before the signal, and perhaps after.
    fn finish(&mut self, events: &mut [Event]) -> anyhow::Result<()> {
        let posted = self.queue.info()?.posted;
        // Other mechanisms read blocking.
        while self.args.via.drains() && self.queue.info()?.next <= posted && !self.is_enough() {
            if !self.take(events)? {
                break;
            }
        }
        Ok(())
    }

    /// One read, into the file; whether there was something.
    fn take(&mut self, events: &mut [Event]) -> anyhow::Result<bool> {
        let most = self.args.num_events.map_or(BATCH, |wanted| {
            (wanted - self.recorded).min(BATCH as u64) as usize
        });
        let events = match self.queue.read(&mut events[..most])? {
            Filled::Records(count) => &mut events[..count],
            Filled::Empty => return Ok(false),
            Filled::End => bail!(
                "{} has ended: nobody can post to it any more",
                self.queue.name()
            ),
        };
        if !self.args.show_keys {
            self.hidden += events
                .iter_mut()
                .filter_map(|event| hide(event).then_some(1))
                .sum::<u64>();
        }
        self.clock_changed |= self.wall.check();
        if std::mem::take(&mut self.clock_changed) {
            // From here on, times of events become dates in another way.
            let next = self.next;
            let now = Segment::of(&self.queue)?;
            self.recording.begin(&Segment { next, ..now })?;
        }
        self.recording.append(events)?;
        self.next = events.last().map_or(self.next, |event| event.seq + 1);
        if self.args.sync == Sync::Always {
            self.recording.sync()?;
        }
        self.recorded += events.len() as u64;
        self.lost += events.iter().map(|e| u64::from(e.lost)).sum::<u64>();
        Ok(true)
    }
}
