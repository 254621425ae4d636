// SPDX-License-Identifier: MIT OR Apache-2.0
//! One source of a watch: opened, read, counted, and opened again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use evq::bytes::Carrier;
use evq::input::{RawInput, Stamped};
use evq::{AnyDevice, AnySource, Bytes, Event, Filled, Position, Timer};
use nix::time::{clock_gettime, ClockId};

use super::hotplug::{Awaited, Hotplug};
use super::pieces::Pieces;
use crate::cli::filter::Filter;
use crate::cli::is_absent;
use crate::cli::output::Output;
use crate::cli::row::Row;
use crate::cli::start::Start;

/// Records per read.
const BATCH: usize = 256;
/// Bytes per read: what a message of a socket may have.
const BUFFER: usize = 64 * 1024;

/// What the user has asked for.
#[derive(Clone, Debug)]
pub(super) enum Spec {
    Path(PathBuf),
    Stdin,
    Every(Duration),
}

impl Spec {
    pub(super) fn of(path: &Path) -> Spec {
        if path == Path::new("-") {
            Spec::Stdin
        } else {
            Spec::Path(path.into())
        }
    }

    /// What it is called before it is open.
    fn name(&self) -> String {
        match self {
            Spec::Path(path) => path.display().to_string(),
            Spec::Stdin | Spec::Every(_) => String::new(),
        }
    }

    fn open(&self) -> evq::Result<AnySource> {
        match self {
            Spec::Path(path) => AnySource::open(path),
            Spec::Stdin => Bytes::stdin().map(AnySource::Bytes),
            Spec::Every(period) => Timer::every(*period).map(AnySource::Timer),
        }
    }
}

/// What came of a source.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// Events, lines or reports of a timer.
    pub(super) delivered: u64,
    /// Events of a queue that were overwritten, or ticks that came together.
    pub(super) lost: u64,
    /// How often an input device had to drop events.
    pub(super) overflows: u64,
    /// How often the watcher said to read it.
    pub(super) wakeups: u64,
}

/// Buffers for any source.
pub(super) struct Buffers {
    events: Vec<Event>,
    inputs: Vec<RawInput>,
    bytes: Vec<u8>,
}

impl Default for Buffers {
    fn default() -> Buffers {
        Buffers {
            events: vec![Event::default(); BATCH],
            inputs: vec![RawInput::default(); BATCH],
            bytes: vec![0; BUFFER],
        }
    }
}

/// What a read has left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Perhaps more.
    Unknown,
    /// Nothing for now.
    Nothing,
    /// Nothing any more.
    End,
}

/// A source and its account.
#[derive(Debug)]
pub(super) struct Watched {
    spec: Spec,
    pub(super) name: String,
    /// `None`: it has ended, or has not come yet.
    pub(super) device: Option<AnySource>,
    /// What it waits for when it is not there; `None`: it does not.
    pub(super) awaited: Option<Awaited>,
    /// Something may have come at its path while the old one was open.
    pub(super) may_be_back: bool,
    /// Where to start, until it was there for the first time.
    from: Option<Start>,
    pub(super) account: Account,
    pub(super) filter: Filter,
    /// Lost before events that were not wanted, and not told yet.
    untold: u32,
    pieces: Pieces,
}

impl Watched {
    /// Opens it. With `hotplug`, a path at which there is nothing yet is no
    /// failure.
    pub(super) fn open(
        spec: Spec,
        from: Option<Start>,
        filter: Filter,
        hotplug: Option<&Hotplug>,
    ) -> anyhow::Result<Watched> {
        let mut watched = Watched {
            name: spec.name(),
            spec,
            device: None,
            awaited: None,
            may_be_back: false,
            from,
            account: Account::default(),
            filter,
            untold: 0,
            pieces: Pieces::default(),
        };
        if let Some(hotplug) = hotplug {
            watched.look_out(hotplug)?;
        }
        match watched.open_at(from) {
            Err(error) if watched.awaited.is_some() && is_absent(&error) => {}
            opened => opened?,
        }
        Ok(watched)
    }

    /// Has its path watched, if it has one.
    pub(super) fn look_out(&mut self, hotplug: &Hotplug) -> anyhow::Result<()> {
        if let Spec::Path(path) = &self.spec {
            self.awaited = Some(hotplug.look_out(path)?);
        }
        Ok(())
    }

    /// Opens one that has come, or one that has ended again. A queue that is new
    /// has only events that have not been seen.
    pub(super) fn reopen(&mut self) -> anyhow::Result<()> {
        self.open_at(Some(self.from.unwrap_or(Start::At(Position::Oldest))))
    }

    /// Whether only its writers come and go: whoever opens it then is told of the
    /// next one.
    pub(super) fn is_pipe(&self) -> bool {
        matches!(&self.device, Some(AnySource::Bytes(bytes)) if bytes.carrier() == Carrier::Pipe)
    }

    fn open_at(&mut self, from: Option<Start>) -> anyhow::Result<()> {
        let device = self.spec.open()?;
        match (device.queue(), from) {
            (Some(queue), from) => {
                if let Some(from) = from {
                    from.seek(queue, &self.filter)?;
                }
                self.filter.apply(queue)?;
            }
            (None, _) if self.from.is_some() => {
                anyhow::bail!(
                    "--from works on queues only, as --last and --since do: {} is none",
                    device.name()
                );
            }
            (None, _) => {}
        }
        self.from = None;
        self.may_be_back = false;
        self.name = device.name().into();
        self.device = Some(device);
        Ok(())
    }

    /// In the banner.
    pub(super) fn title(&self) -> evq::Result<String> {
        Ok(match &self.device {
            Some(AnySource::Device(AnyDevice::Queue(queue))) => {
                let info = queue.info()?;
                let (capacity, next) = (info.capacity, info.next);
                format!("{} (capacity {capacity}, next {next})", self.name)
            }
            Some(AnySource::Device(AnyDevice::Input(input))) => {
                format!("{} ({})", self.name, input.title())
            }
            None => format!("{} (waiting for it)", self.name),
            _ => self.name.clone(),
        })
    }

    /// One read of up to `most` events, into the account and the output; gives
    /// how many there were. `once`: no other read follows.
    pub(super) fn take(
        &mut self,
        most: u64,
        once: bool,
        buffers: &mut Buffers,
        output: &mut Output,
    ) -> evq::Result<(u64, Left)> {
        let Some(device) = &self.device else {
            return Ok((0, Left::End));
        };
        let limit = usize::try_from(most).unwrap_or(usize::MAX);
        let most = limit.min(BATCH);
        let (name, account) = (self.name.as_str(), &mut self.account);
        let before = account.delivered;
        let left = match device {
            AnySource::Device(AnyDevice::Queue(queue)) => {
                match queue.read(&mut buffers.events[..most])? {
                    Filled::Records(count) => {
                        for event in &mut buffers.events[..count] {
                            account.lost += u64::from(event.lost);
                            // A loss is told with the next event that is printed.
                            event.lost = event.lost.saturating_add(self.untold);
                            if self.filter.wants_event(event) {
                                self.untold = 0;
                                account.delivered += 1;
                                output.row(Row::event(name, event));
                            } else {
                                self.untold = event.lost;
                            }
                        }
                        Left::Unknown
                    }
                    Filled::Empty => Left::Nothing,
                    Filled::End => Left::End,
                }
            }
            AnySource::Device(AnyDevice::Input(device)) => {
                match device.read(&mut buffers.inputs[..most])? {
                    Filled::Records(count) => {
                        for raw in &buffers.inputs[..count] {
                            let stamped = Stamped::from(*raw);
                            account.overflows += u64::from(stamped.input.is_overflow());
                            if self.filter.wants_input(&stamped) {
                                account.delivered += 1;
                                output.row(Row::input(name, &stamped));
                            }
                        }
                        Left::Unknown
                    }
                    Filled::Empty => Left::Nothing,
                    Filled::End => Left::End,
                }
            }
            AnySource::Bytes(bytes) => {
                let time_ns = monotonic_ns();
                let give = |piece: &[u8]| {
                    account.delivered += 1;
                    output.row(Row::bytes(name, time_ns, piece));
                };
                read_bytes(
                    bytes,
                    &mut self.pieces,
                    limit,
                    once,
                    &mut buffers.bytes,
                    give,
                )?
            }
            AnySource::Timer(timer) => {
                if let Some(ticks) = timer.read()? {
                    account.delivered += 1;
                    account.lost += ticks - 1;
                    output.row(Row::ticks(name, monotonic_ns(), ticks));
                }
                // Whatever comes now is told again.
                Left::Nothing
            }
        };
        Ok((account.delivered - before, left))
    }
}

/// One read of bytes, which gives up to `most` pieces.
fn read_bytes(
    bytes: &Bytes,
    pieces: &mut Pieces,
    most: usize,
    once: bool,
    buffer: &mut [u8],
    mut give: impl FnMut(&[u8]),
) -> evq::Result<Left> {
    let messages = bytes.carrier() == Carrier::Messages;
    // A line has a byte at least, a message anything.
    let room = buffer.len();
    let room = if messages { room } else { most.min(room) };
    let left = match bytes.read(&mut buffer[..room])? {
        Filled::Records(count) if messages => {
            give(&buffer[..count]);
            Left::Unknown
        }
        Filled::Records(count) => {
            pieces.push(&buffer[..count], &mut give);
            Left::Unknown
        }
        Filled::Empty => Left::Nothing,
        Filled::End => Left::End,
    };
    if once || left != Left::Unknown {
        pieces.flush(give);
    }
    Ok(left)
}

/// `CLOCK_MONOTONIC`, as queues and input devices stamp their events.
fn monotonic_ns() -> u64 {
    // It cannot fail for this clock.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |now| {
        u64::try_from(now.tv_sec()).unwrap_or(0) * 1_000_000_000
            + u64::try_from(now.tv_nsec()).unwrap_or(0)
    })
}
