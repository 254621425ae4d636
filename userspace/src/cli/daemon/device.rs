// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device that the daemon watches: what was read from it and is still to be
//! dealt with, and where to go on after a restart.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use evq::input::{RawInput, Stamped};
use evq::{AnyDevice, Error, Event, Filled, Position, Queue, Token, Watcher};
use tracing::{info, warn};

use super::config::Device;
use super::rule::{Rule, Seen};
use super::service::{self, Kept, Next};
use crate::cli::is_absent;

/// Records per read.
const BATCH: usize = 64;
/// Between two attempts to open a device that is not there.
const RETRY: Duration = Duration::from_secs(1);

/// A device of the configuration.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) config: Device,
    pub(super) state: State,
}

#[derive(Debug)]
pub(super) enum State {
    Open(Box<Open>),
    Missing(Missing),
}

/// A device that is not there, or cannot be opened.
#[derive(Debug)]
pub(super) struct Missing {
    /// When it is tried again.
    pub(super) retry: Instant,
    /// What was said last; the same is not said every second.
    why: String,
}

impl Missing {
    fn since(now: Instant, why: String) -> State {
        State::Missing(Missing {
            retry: now + RETRY,
            why,
        })
    }
}

/// A device that is there.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) device: AnyDevice,
    /// None while it is not watched, because what was read from it waits.
    pub(super) token: Option<Token>,
    pub(super) batch: VecDeque<Seen>,
    /// The rules that the first of the batch has begun with, and how many of
    /// them are done with: a reload does not change what is under way.
    pub(super) begun: Option<(Arc<[Rule]>, usize)>,
    /// Whether there may be something to read.
    pub(super) unread: bool,
    next: Option<Next>,
    /// When told to stop: the last event to deal with.
    pub(super) last: Option<u64>,
}

/// What a read has brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// So many events, so many lost before or between them, and how often an
    /// input device says that there were some: it does not say how many.
    Events {
        count: u64,
        lost: u64,
        overflows: u64,
    },
    Nothing,
    /// The device is gone.
    Gone,
}

impl Watched {
    /// Opens the device, or takes the one that was kept, and arms it.
    pub(super) fn open(
        config: Device,
        kept: &mut Kept,
        watcher: &mut Watcher,
    ) -> anyhow::Result<Watched> {
        let state = match Open::new(&config, kept, watcher) {
            Ok(open) => State::Open(Box::new(open)),
            Err(error) if config.wait && is_absent(&error) => {
                let why = format!("{error:#}");
                warn!(device = %config.path.display(), "waits for it: {why}");
                Missing::since(Instant::now(), why)
            }
            Err(error) => return Err(error),
        };
        Ok(Watched { config, state })
    }

    /// Tries again if it is time to.
    pub(super) fn retry(&mut self, now: Instant, watcher: &mut Watcher) {
        let State::Missing(missing) = &self.state else {
            return;
        };
        if missing.retry > now {
            return;
        }
        match Open::new(&self.config, &mut Kept::default(), watcher) {
            Ok(open) => {
                info!(device = %self.config.path.display(), "is there");
                self.state = State::Open(Box::new(open));
            }
            Err(error) => {
                let why = format!("{error:#}");
                // That it is gone has been said.
                if why != missing.why && !is_absent(&error) {
                    warn!(device = %self.config.path.display(), "waits for it: {why}");
                }
                self.state = Missing::since(now, why);
            }
        }
    }

    /// The device went away: another one of its name will do.
    pub(super) fn gone(&mut self, watcher: &mut Watcher) {
        if let State::Open(open) = &mut self.state {
            open.disarm(watcher);
        }
        service::forget(&self.name());
        self.state = Missing::since(Instant::now(), String::new());
    }

    pub(super) fn name(&self) -> String {
        self.config.path.display().to_string()
    }
}

impl Open {
    fn new(config: &Device, kept: &mut Kept, watcher: &mut Watcher) -> anyhow::Result<Open> {
        let name = config.path.display().to_string();
        let (device, next) = match kept.device(&name) {
            Some(fd) => {
                let queue = Queue::from_fd(fd, name.clone());
                let next = kept.next(&name);
                resume(&queue, next.as_ref())?;
                (AnyDevice::Queue(queue), next)
            }
            None => {
                let device = AnyDevice::open(&config.path)?;
                let mut next = None;
                if let AnyDevice::Queue(queue) = &device {
                    let first = queue.seek(config.from)?;
                    next = service::keep(&name, queue);
                    if let Some(next) = &next {
                        next.set(first);
                    }
                }
                (device, next)
            }
        };
        let mut open = Open {
            device,
            token: None,
            batch: VecDeque::new(),
            begun: None,
            unread: true,
            next,
            last: None,
        };
        open.arm(watcher)?;
        Ok(open)
    }

    pub(super) fn arm(&mut self, watcher: &mut Watcher) -> evq::Result<()> {
        if self.token.is_none() {
            self.token = Some(watcher.arm(&self.device, self.device.name())?);
        }
        Ok(())
    }

    pub(super) fn disarm(&mut self, watcher: &mut Watcher) {
        if let Some(token) = self.token.take() {
            watcher.disarm(token);
        }
    }

    /// One read.
    pub(super) fn read(&mut self) -> anyhow::Result<Came> {
        let (mut lost, mut overflows) = (0, 0);
        let filled = match &self.device {
            AnyDevice::Queue(queue) => {
                let mut events = [Event::default(); BATCH];
                queue.read(&mut events).inspect(|filled| {
                    for event in taken(&events, *filled) {
                        lost += u64::from(event.lost);
                        self.batch.push_back(Seen::Queue(*event));
                    }
                })
            }
            AnyDevice::Input(input) => {
                let mut events = [RawInput::default(); BATCH];
                input.read(&mut events).inspect(|filled| {
                    for raw in taken(&events, *filled) {
                        let stamped = Stamped::from(*raw);
                        overflows += u64::from(stamped.input.is_overflow());
                        self.batch.push_back(Seen::Input(stamped));
                    }
                })
            }
        };
        match filled {
            Ok(Filled::Records(count)) => Ok(Came::Events {
                count: count as u64,
                lost,
                overflows,
            }),
            Ok(Filled::Empty) => {
                self.unread = false;
                Ok(Came::Nothing)
            }
            Ok(Filled::End) | Err(Error::Retired { .. }) => Ok(Came::Gone),
            Err(error) => Err(error.into()),
        }
    }

    /// The first of the batch has been dealt with.
    pub(super) fn done(&mut self) {
        if let (Some(Seen::Queue(event)), Some(next)) = (self.batch.pop_front(), &self.next) {
            next.set(event.seq + 1);
        }
        self.begun = None;
    }

    /// From now on, only what has been posted already is dealt with.
    pub(super) fn stop(&mut self) -> anyhow::Result<()> {
        if let AnyDevice::Queue(queue) = &self.device {
            self.last = Some(queue.info()?.posted);
        }
        Ok(())
    }

    /// Whether [`Open::stop`] was called and there is nothing left to do.
    pub(super) fn is_stopped(&self) -> bool {
        match (self.batch.front(), self.last) {
            (Some(Seen::Queue(event)), Some(last)) => event.seq > last,
            (Some(Seen::Input(_)), _) => false,
            _ => !self.unread,
        }
    }

    /// Leaves what was not dealt with to the next start; gives how many of them
    /// there are.
    pub(super) fn leave(&mut self) -> anyhow::Result<u64> {
        let AnyDevice::Queue(queue) = &self.device else {
            return Ok(self.batch.len() as u64);
        };
        if let Some(Seen::Queue(event)) = self.batch.front() {
            queue.seek(Position::Seq(event.seq))?;
        }
        let info = queue.info()?;
        Ok((info.posted + 1).saturating_sub(info.next))
    }
}

fn taken<T>(records: &[T], filled: Filled) -> &[T] {
    match filled {
        Filled::Records(count) => &records[..count],
        Filled::Empty | Filled::End => &[],
    }
}

/// Goes back to what was read from a kept queue and not dealt with.
fn resume(queue: &Queue, next: Option<&Next>) -> anyhow::Result<()> {
    let info = queue
        .info()
        .context("the queue that was kept for this start cannot be used")?;
    let Some(first) = next.and_then(Next::get).filter(|first| *first < info.next) else {
        info!(device = queue.name(), next = info.next, "goes on");
        return Ok(());
    };
    queue.seek(Position::Seq(first))?;
    info!(
        device = queue.name(),
        next = first,
        again = info.next - first,
        "goes on with what was read and not dealt with"
    );
    Ok(())
}
