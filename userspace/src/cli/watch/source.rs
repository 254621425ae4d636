// SPDX-License-Identifier: MIT OR Apache-2.0
//! One source of a watch: opened, read, counted, and opened again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use evq::bytes::Carrier;
use evq::input::{RawInput, Stamped};
use evq::timer::monotonic_ns;
use evq::{AnyDevice, AnySource, Bytes, Event, Filled, Lines, Position, Timer};
use nix::sys::stat::{fstat, stat, FileStat, SFlag};

use super::hotplug::{Awaited, Hotplug};
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

/// Which file it is that a path leads to, or that is open.
#[derive(Clone, Copy, Debug)]
struct FileId {
    device: u64,
    inode: u64,
    /// The number of a character device: its node may be made anew.
    number: Option<u64>,
}

impl FileId {
    fn of(stat: &FileStat) -> FileId {
        let file_type = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
        FileId {
            device: stat.st_dev,
            inode: stat.st_ino,
            number: (file_type == SFlag::S_IFCHR).then_some(stat.st_rdev),
        }
    }

    fn of_path(path: &Path) -> Option<FileId> {
        Some(FileId::of(&stat(path).ok()?))
    }

    fn is_same(self, other: FileId) -> bool {
        match (self.number, other.number) {
            (None, None) => (self.device, self.inode) == (other.device, other.inode),
            (number, other) => number == other,
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

impl Account {
    /// Adds another one.
    pub(super) fn add(&mut self, other: &Account) {
        self.delivered += other.delivered;
        self.lost += other.lost;
        self.overflows += other.overflows;
        self.wakeups += other.wakeups;
    }
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
    /// Of the file that is open, or was last.
    id: Option<FileId>,
    /// A regular file that has been read to its end: while it is held, no other one
    /// gets its number.
    read_file: Option<AnySource>,
    /// Another file has taken its place: where the source of its path is.
    pub(super) replaced_by: Option<usize>,
    /// Where to start, until it was there for the first time.
    from: Option<Start>,
    pub(super) account: Account,
    pub(super) filter: Filter,
    /// Lost before events that were not wanted, and not told yet.
    untold: u32,
    lines: Lines,
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
            id: None,
            read_file: None,
            replaced_by: None,
            from,
            account: Account::default(),
            filter,
            untold: 0,
            lines: Lines::new(),
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

    fn carrier(&self) -> Option<Carrier> {
        match &self.device {
            Some(AnySource::Bytes(bytes)) => Some(bytes.carrier()),
            _ => None,
        }
    }

    /// Whether only its writers come and go: whoever opens it then is told of the
    /// next one.
    pub(super) fn is_pipe(&self) -> bool {
        self.carrier() == Some(Carrier::Pipe)
    }

    /// Whether its path leads to another file than the one that is open, or was
    /// last. A path that leads nowhere does not.
    pub(super) fn is_replaced(&self) -> bool {
        let Spec::Path(path) = &self.spec else {
            return false;
        };
        match (self.id, FileId::of_path(path)) {
            (Some(open), Some(now)) => !open.is_same(now),
            _ => false,
        }
    }

    /// Whether there may be something to open at its path: a regular file that has
    /// been read to its end is opened again only as another file.
    pub(super) fn may_have_come(&self) -> bool {
        self.read_file.is_none() || self.is_replaced()
    }

    /// It has ended, and is waited for.
    pub(super) fn close(&mut self) {
        let is_file = self.carrier() == Some(Carrier::File);
        let device = self.device.take();
        self.read_file = device.filter(|_| is_file);
    }

    /// What is open becomes a source of its own, which nothing comes after; the
    /// path, which is at `at`, is free for another file.
    pub(super) fn replace(&mut self, at: usize) -> Watched {
        Watched {
            spec: self.spec.clone(),
            name: self.name.clone(),
            device: self.device.take(),
            awaited: None,
            may_be_back: false,
            id: self.id.take(),
            read_file: None,
            replaced_by: Some(at),
            from: None,
            account: Account::default(),
            filter: self.filter.clone(),
            untold: std::mem::take(&mut self.untold),
            lines: std::mem::take(&mut self.lines),
        }
    }

    /// What messages call it.
    pub(super) fn label(&self) -> String {
        match self.replaced_by {
            Some(_) => format!("{} (replaced)", self.name),
            None => self.name.clone(),
        }
    }

    fn open_at(&mut self, from: Option<Start>) -> anyhow::Result<()> {
        // A socket is not what its path leads to.
        let before = match &self.spec {
            Spec::Path(path) => FileId::of_path(path),
            _ => None,
        };
        let device = self.spec.open()?;
        let is_socket = matches!(&device, AnySource::Bytes(bytes)
            if matches!(bytes.carrier(), Carrier::Stream | Carrier::Messages));
        self.id = match is_socket {
            true => before,
            false => fstat(&device).ok().map(|stat| FileId::of(&stat)),
        };
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
        self.read_file = None;
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
        drains: bool,
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
                let give = |time_ns, piece: &[u8]| {
                    account.delivered += 1;
                    output.row(Row::bytes(name, time_ns, piece));
                };
                match self
                    .lines
                    .read(bytes, limit, drains, &mut buffers.bytes, give)?
                {
                    Filled::Records(_) => Left::Unknown,
                    // Without a name, it gets no writer any more.
                    Filled::Empty if self.replaced_by.is_some() && bytes.is_deserted() => Left::End,
                    Filled::Empty => Left::Nothing,
                    Filled::End => Left::End,
                }
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
        let delivered = account.delivered - before;
        match left {
            Left::Nothing if self.replaced_by.is_some() && !self.will_end() => {
                Ok((delivered, Left::End))
            }
            _ => Ok((delivered, left)),
        }
    }

    /// Whether what is open has an end of its own: a device has none, nor has a FIFO
    /// that nobody writes to.
    fn will_end(&self) -> bool {
        match &self.device {
            Some(AnySource::Bytes(bytes)) => {
                bytes.carrier() != Carrier::Terminal && !bytes.is_deserted()
            }
            _ => false,
        }
    }
}
