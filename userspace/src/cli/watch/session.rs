// SPDX-License-Identifier: MIT OR Apache-2.0
//! The loop of `watch`: sources, signals and limits, all through one wait.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use evq::{AnySource, StopSignals, Token, Watcher};
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::signal::Signal;

use super::hotplug::Hotplug;
use super::report;
use super::source::{Buffers, Left, Spec, Watched};
use crate::cli::exit::Exit;
use crate::cli::filter::Filter;
use crate::cli::is_absent;
use crate::cli::output::{Flushed, Output};
use crate::cli::process;
use crate::cli::reader::Reader;
use crate::cli::start::Start;
use crate::cli::tell::tell;

/// Reads of one source before the others get their turn.
const TURN: usize = 16;

/// When to end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    pub(super) events: Option<u64>,
    /// Without an event.
    pub(super) idle: Option<Duration>,
    pub(super) time: Option<Duration>,
    /// When events were lost.
    pub(super) loss: bool,
}

pub(super) struct Session {
    signals: StopSignals,
    signals_token: Token,
    /// Tells that the wall clock was set, or the machine resumed.
    clock_token: Option<Token>,
    watcher: Watcher,
    /// Tells of devices that come, if they are waited for.
    hotplug: Option<(Hotplug, Token)>,
    /// Tells that the reader of what is printed has gone.
    reader: Option<(Reader, Token)>,
    watched: Vec<Watched>,
    /// Places in `watched` of those that are armed.
    armed: HashMap<Token, usize>,
    buffers: Buffers,
    output: Output,
    limits: Limits,
    remaining: Option<u64>,
    /// When the latest event came.
    latest: Instant,
    begun: Instant,
    /// Whether a source has ended by a failure.
    failed: bool,
    /// Why it has ended, if not by a signal.
    why: &'static str,
}

impl Session {
    pub(super) fn new(
        signals: StopSignals,
        mut watcher: Watcher,
        hotplug: Option<Hotplug>,
        reader: Option<Reader>,
        output: Output,
        limits: Limits,
    ) -> evq::Result<Session> {
        let signals_token = watcher.also(&signals, "the signalfd")?;
        let clock_token = match output.clock_changes() {
            Some(changes) => Some(watcher.also(changes, "the timerfd of the wall clock")?),
            None => None,
        };
        let hotplug = match hotplug {
            Some(hotplug) => {
                let token = watcher.also(&hotplug, "inotify")?;
                Some((hotplug, token))
            }
            None => None,
        };
        let reader = match reader {
            Some(reader) => {
                let token = watcher.also(&reader, "standard output")?;
                Some((reader, token))
            }
            None => None,
        };
        Ok(Session {
            signals,
            signals_token,
            clock_token,
            watcher,
            hotplug,
            reader,
            watched: Vec::new(),
            armed: HashMap::new(),
            buffers: Buffers::default(),
            output,
            limits,
            remaining: limits.events,
            latest: Instant::now(),
            begun: Instant::now(),
            failed: false,
            why: "count reached",
        })
    }

    /// Opens a source and arms it.
    pub(super) fn add(
        &mut self,
        spec: Spec,
        from: Option<Start>,
        filter: Filter,
    ) -> anyhow::Result<()> {
        let hotplug = self.hotplug.as_ref().map(|(hotplug, _)| hotplug);
        let watched = Watched::open(spec, from, filter, hotplug)?;
        self.watched.push(watched);
        Ok(self.arm(self.watched.len() - 1)?)
    }

    fn arm(&mut self, at: usize) -> evq::Result<()> {
        if let Some(device) = &self.watched[at].device {
            let token = device.arm(&mut self.watcher)?;
            self.armed.insert(token, at);
        }
        Ok(())
    }

    fn disarm(&mut self, at: usize) {
        let token = self.armed.iter().find(|(_, other)| **other == at);
        if let Some((&token, _)) = token {
            self.armed.remove(&token);
            self.watcher.disarm(token);
        }
    }

    /// Makes the columns wide enough for all sources.
    pub(super) fn align(&mut self) {
        for watched in &self.watched {
            let is_queue = matches!(&watched.device, Some(device) if device.queue().is_some());
            self.output.align(&watched.name, is_queue);
        }
    }

    /// Says that everything is armed.
    pub(super) fn banner(&mut self) -> evq::Result<()> {
        let titles: Vec<_> = self
            .watched
            .iter()
            .map(Watched::title)
            .collect::<evq::Result<_>>()?;
        self.output.banner(&titles, self.watcher.kind().name());
        Ok(())
    }

    /// Prints what comes before all events.
    pub(super) fn begin(&mut self) {
        self.output.begin();
    }

    pub(super) fn why(&self) -> &'static str {
        self.why
    }

    /// Nothing is open, and nothing is waited for.
    fn all_ended(&self) -> bool {
        self.watched
            .iter()
            .all(|watched| watched.device.is_none() && watched.awaited.is_none())
    }

    pub(super) fn report(&self, why: &str) {
        report::summary(&self.watched, why);
        report::signal_queue(&self.watcher);
    }

    pub(super) fn run(&mut self) -> anyhow::Result<Exit> {
        if let Some(exit) = self.flush()? {
            return Ok(exit);
        }
        self.latest = Instant::now();
        self.begun = self.latest;
        loop {
            let ready = self.watcher.wait(self.time_left())?;
            if ready.contains(&self.signals_token) {
                if let Some(exit) = self.take_signals()? {
                    return Ok(exit);
                }
            }
            if let Some((reader, token)) = &self.reader {
                if ready.contains(token) {
                    return reader.gone();
                }
            }
            if self.clock_token.is_some_and(|token| ready.contains(&token)) {
                self.output.check_clock();
            }
            if matches!(&self.hotplug, Some((_, token)) if ready.contains(token)) {
                self.look_for_devices()?;
            }
            for token in ready {
                // Not one of the sources, or not any more.
                let Some(&at) = self.armed.get(&token) else {
                    continue;
                };
                if let Some(exit) = self.drain(token, at)? {
                    return Ok(exit);
                }
            }
            if self.all_ended() {
                self.why = "all sources have ended";
                return Ok(if self.failed {
                    Exit::Failed
                } else {
                    Exit::Done
                });
            }
            if let Some(exit) = self.time_is_up() {
                return Ok(exit);
            }
        }
    }

    /// How long the next wait may be.
    fn time_left(&self) -> Option<Duration> {
        let left = |limit: Option<Duration>, since: Instant| {
            limit.map(|limit| limit.saturating_sub(since.elapsed()))
        };
        let idle = left(self.limits.idle, self.latest);
        let time = left(self.limits.time, self.begun);
        idle.into_iter().chain(time).min()
    }

    fn time_is_up(&mut self) -> Option<Exit> {
        let over = |limit: Option<Duration>, since: Instant| {
            limit.is_some_and(|limit| since.elapsed() >= limit)
        };
        if over(self.limits.idle, self.latest) {
            self.why = "nothing came within the idle timeout";
            return Some(Exit::IdleTimeout);
        }
        if over(self.limits.time, self.begun) {
            self.why = "time is up";
            return Some(match self.limits.events {
                Some(_) => Exit::IdleTimeout,
                None => Exit::Done,
            });
        }
        None
    }

    /// Puts all descriptors back as they were; signals stay blocked.
    pub(super) fn finish(self) {
        std::mem::forget(self.signals);
    }

    /// Reads a source until it is empty, or the others should have their turn.
    fn drain(&mut self, token: Token, at: usize) -> anyhow::Result<Option<Exit>> {
        let drains = self.watcher.drains(token);
        self.watched[at].account.wakeups += 1;
        for _ in 0..if drains { TURN } else { 1 } {
            let most = self.remaining.unwrap_or(u64::MAX);
            let watched = &mut self.watched[at];
            let taken = watched.take(most, drains, &mut self.buffers, &mut self.output);
            let (count, left) = match taken {
                Ok(taken) => taken,
                // The other sources go on.
                Err(error) => {
                    let unplugged = matches!(error, evq::Error::Retired { .. });
                    let watched = &self.watched[at];
                    let is_alone = watched.awaited.is_none() && watched.replaced_by.is_none();
                    if !unplugged || is_alone {
                        tell!("{error}");
                        self.failed = true;
                    }
                    (0, Left::End)
                }
            };
            let is_timer = matches!(self.watched[at].device, Some(AnySource::Timer(_)));
            if count > 0 && !is_timer {
                self.latest = Instant::now();
            }
            if let Some(exit) = self.flush()? {
                return Ok(Some(exit));
            }
            let account = &self.watched[at].account;
            if self.limits.loss && !is_timer && account.lost + account.overflows > 0 {
                self.why = "events were lost";
                return Ok(Some(Exit::Lost));
            }
            if let Some(remaining) = &mut self.remaining {
                *remaining -= count;
                if *remaining == 0 {
                    return Ok(Some(Exit::Done));
                }
            }
            match left {
                Left::Unknown => {}
                Left::Nothing => return Ok(None),
                Left::End => {
                    self.end(at);
                    return Ok(None);
                }
            }
        }
        self.watcher.more(token);
        Ok(None)
    }

    /// One source has ended; the others go on.
    fn end(&mut self, at: usize) {
        self.disarm(at);
        let watched = &mut self.watched[at];
        if watched.awaited.is_none() {
            tell!("{} has ended", watched.label());
            watched.device = None;
            if let Some(by) = watched.replaced_by {
                self.forget(at, by);
            }
            return;
        }
        tell!("{} has ended; waiting for it", watched.name);
        // A blocking read would not wait for the first writer.
        let stays = watched.is_pipe() && self.watcher.kind().drains();
        let may_be_back = std::mem::take(&mut watched.may_be_back) || stays;
        watched.close();
        if may_be_back && watched.may_have_come() {
            self.come(at);
        }
    }

    /// One that was replaced has ended: its account is that of its path, which is
    /// at `by`.
    fn forget(&mut self, at: usize, by: usize) {
        let replaced = self.watched.swap_remove(at);
        self.watched[by].account.add(&replaced.account);
        // The last one has taken its place.
        let moved = self.watched.len();
        for place in self.armed.values_mut().filter(|place| **place == moved) {
            *place = at;
        }
    }

    /// Another file has taken the place of the one that is open. That is read to its
    /// end beside the new one, which is opened at once.
    fn replace(&mut self, at: usize) {
        let token = self.armed.iter().find(|(_, other)| **other == at);
        let token = token.map(|(&token, _)| token);
        let replaced = self.watched[at].replace(at);
        tell!("{} was replaced by another file", replaced.name);
        if let Some(token) = token {
            self.armed.insert(token, self.watched.len());
            // It may have nothing to tell any more.
            self.watcher.more(token);
        }
        self.watched.push(replaced);
        self.come(at);
    }

    /// Something was made where a device is waited for, or may be one day.
    fn look_for_devices(&mut self) -> anyhow::Result<()> {
        let Some((hotplug, _)) = &self.hotplug else {
            return Ok(());
        };
        let news = hotplug.news()?;
        let (mut absent, mut replaced) = (Vec::new(), Vec::new());
        for (at, watched) in self.watched.iter_mut().enumerate() {
            let concerned = |awaited| news.concerns(awaited);
            if !watched.awaited.as_ref().is_some_and(concerned) {
                continue;
            }
            // A folder on the way may have come or gone.
            watched.look_out(hotplug)?;
            if watched.device.is_none() {
                if watched.may_have_come() {
                    absent.push(at);
                }
            } else if watched.is_replaced() && self.watcher.kind().drains() {
                replaced.push(at);
            } else {
                // Where a read blocks, there is one source at a time.
                watched.may_be_back = true;
            }
        }
        hotplug.keep(self.watched.iter().filter_map(|w| w.awaited.as_ref()));
        for at in replaced {
            self.replace(at);
        }
        for at in absent {
            self.come(at);
        }
        Ok(())
    }

    /// Opens one that has come, if it really has.
    fn come(&mut self, at: usize) {
        let opened = self.watched[at].reopen();
        match opened.and_then(|()| Ok(self.arm(at)?)) {
            Ok(()) => tell!("{} is there", self.watched[at].name),
            Err(error) => {
                self.watched[at].device = None;
                if !is_absent(&error) {
                    tell!("{error:#}; waiting for it");
                }
            }
        }
    }

    /// Writes the lines that were collected. While their reader takes none,
    /// signals are taken nevertheless.
    fn flush(&mut self) -> anyhow::Result<Option<Exit>> {
        while self.output.flush(&self.signals)? == Flushed::Signalled {
            if let Some(exit) = self.take_signals()? {
                let lines = self.output.unwritten();
                tell!("the reader of standard output is stuck: {lines} lines not written");
                return Ok(Some(exit));
            }
        }
        Ok(None)
    }

    /// Does what the signals that have come ask for.
    fn take_signals(&mut self) -> anyhow::Result<Option<Exit>> {
        while let Some(signal) = self.signals.next()? {
            match signal {
                Signal::SIGUSR1 => report::statistics(&self.watched, &self.watcher),
                Signal::SIGHUP if output_is_gone()? => return Ok(Some(Exit::Signal(signal))),
                Signal::SIGHUP => self.reload(),
                Signal::SIGCHLD => process::reap(),
                _ => return Ok(Some(Exit::Signal(signal))),
            }
        }
        Ok(None)
    }

    /// Arms all sources once more, whatever has become of their signals
    /// meanwhile, and opens again what has ended. What is open is not closed: a
    /// queue keeps its cursor, and loses nothing that the ring still holds.
    fn reload(&mut self) {
        let (mut armed, mut opened) = (0, 0);
        for at in 0..self.watched.len() {
            let has_ended = self.watched[at].device.is_none();
            self.disarm(at);
            let result = if has_ended {
                self.watched[at].reopen()
            } else {
                Ok(())
            };
            match result.and_then(|()| Ok(self.arm(at)?)) {
                Ok(()) if has_ended => opened += 1,
                Ok(()) => armed += 1,
                Err(error) => {
                    tell!("{error:#}");
                    self.watched[at].device = None;
                }
            }
        }
        tell!("SIGHUP: armed {armed} again, opened {opened} again");
    }
}

/// Whether nobody will read standard output any more: a terminal that was
/// closed sends SIGHUP to say so.
fn output_is_gone() -> anyhow::Result<bool> {
    let stdout = io::stdout();
    let mut fds = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    poll(&mut fds, PollTimeout::ZERO).context("cannot look at standard output")?;
    Ok(fds[0].any().unwrap_or(false))
}
