// SPDX-License-Identifier: MIT OR Apache-2.0
//! The loop of the daemon: events, signals, programs that end, metrics.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use evq::via::Kind;
use evq::{AnyDevice, StopSignals, Token, Watcher};
use nix::sys::signal::Signal;
use tracing::{debug, error, info, warn};

use super::config::{Config, Limits};
use super::device::{Came, Open, State, Watched};
use super::hook::Hooks;
use super::http::Server;
use super::metrics::{ByDevice, ByRule, Metrics};
use super::rule::{Action, Known, Rule, Seen};
use super::service::{self, Kept};
use crate::cli::exit::{Exit, STEERING};
use crate::cli::wallclock::WallClock;

/// Reads of one device before the others get their turn.
const TURN: usize = 16;
/// Between two attempts to append to a file.
const RETRY: Duration = Duration::from_secs(1);

/// Runs until it is told to stop.
pub(super) fn run(path: &Path, via: Kind, config: Config) -> anyhow::Result<Exit> {
    // The kernel would reap programs before the daemon learns how they ended.
    evq::sys::set_ignored(libc::SIGCHLD, false).context("cannot set the action of SIGCHLD")?;
    // Before anything else: from here on, a signal ends this by the loop.
    let signals = StopSignals::new(&STEERING)?;
    let mut kept = Kept::take();
    let mut watcher = Watcher::new(via)?;
    let signals_token = watcher.also(&signals, "the signalfd")?;
    let wall = WallClock::new();
    let clock_token = match wall.changes() {
        Some(changes) => Some(watcher.also(changes, "the timerfd of the wall clock")?),
        None => None,
    };
    let mut devices = Vec::new();
    for device in config.devices {
        devices.push(Watched::open(device, &mut kept, &mut watcher)?);
    }
    kept.forget_rest();
    let server = config
        .metrics
        .map(|address| Server::listen(&address, &mut watcher))
        .transpose()?;
    let mut daemon = Daemon {
        path: path.to_owned(),
        rules: config.rules.into(),
        limits: config.hooks,
        signals,
        signals_token,
        clock_token,
        devices,
        doing: Doing {
            known: Known {
                wall,
                decoders: config.decoders,
            },
            hooks: Hooks::new(config.hooks.grace),
            most: config.hooks.running,
            files: super::append::Files::default(),
            journal: super::journal::Journal::default(),
            metrics: Metrics::new(),
            retry: None,
        },
        server,
        stopping: None,
        watchdog: service::watchdog(),
        alive: Instant::now(),
        watcher,
    };
    daemon.tell_ready();
    let result = daemon.run();
    if let Some(server) = daemon.server.take() {
        server.end(&mut daemon.watcher);
    }
    result
}

struct Daemon {
    path: PathBuf,
    rules: Arc<[Rule]>,
    limits: Limits,
    signals: StopSignals,
    signals_token: Token,
    /// Tells that the wall clock was set, or the machine resumed.
    clock_token: Option<Token>,
    devices: Vec<Watched>,
    doing: Doing,
    server: Option<Server>,
    /// When what is left to do must be done, since it was told to stop.
    stopping: Option<Instant>,
    watchdog: Option<Duration>,
    alive: Instant,
    watcher: Watcher,
}

/// What rules do.
struct Doing {
    known: Known,
    hooks: Hooks,
    /// Hooks that may run at the same time.
    most: usize,
    files: super::append::Files,
    journal: super::journal::Journal,
    metrics: Metrics,
    /// A file could not be appended to, or the journal took nothing: when to try
    /// again.
    retry: Option<Instant>,
}

/// What has become of an action.
#[derive(PartialEq, Eq)]
enum Done {
    Yes,
    /// It has to be tried again.
    Blocked,
}

impl Daemon {
    fn run(&mut self) -> anyhow::Result<Exit> {
        // Children that have ended before SIGCHLD was blocked.
        self.reap();
        loop {
            let now = Instant::now();
            let limit = self.deadline().map(|at| at.saturating_duration_since(now));
            let ready = self.watcher.wait(limit)?;
            let now = Instant::now();
            if ready.contains(&self.signals_token) {
                while let Some(signal) = self.signals.next()? {
                    self.signal(signal, now)?;
                }
            }
            if self.clock_token.is_some_and(|token| ready.contains(&token)) {
                self.doing.known.wall.check();
            }
            self.reap();
            self.doing.hooks.enforce(now);
            if self.doing.retry.is_some_and(|at| at <= now) {
                self.doing.retry = None;
            }
            for at in 0..self.devices.len() {
                self.devices[at].retry(now, &mut self.watcher);
                self.turn(at, &ready)?;
            }
            self.serve(&ready);
            if let Some(interval) = self.watchdog {
                if self.alive + interval <= now {
                    service::alive();
                    self.alive = now;
                }
            }
            if let Some(limit) = self.stopping {
                let idle = self.devices.iter().all(|watched| match &watched.state {
                    State::Open(open) => open.is_stopped(),
                    State::Missing(_) => true,
                });
                if limit <= now {
                    self.doing.hooks.end_all(now);
                }
                if self.doing.hooks.running() == 0 && (idle || limit <= now) {
                    return self.end();
                }
            }
        }
    }

    /// When there is something to do that nothing will tell of.
    fn deadline(&self) -> Option<Instant> {
        let missing = self.devices.iter().map(|watched| match watched.state {
            State::Missing(ref missing) => Some(missing.retry),
            State::Open(_) => None,
        });
        missing
            .chain([
                self.doing.hooks.deadline(),
                self.doing.retry,
                self.stopping,
                self.watchdog.map(|interval| self.alive + interval),
            ])
            .flatten()
            .min()
    }

    fn signal(&mut self, signal: Signal, now: Instant) -> anyhow::Result<()> {
        match signal {
            Signal::SIGHUP => self.reload(),
            Signal::SIGUSR1 => self.statistics(),
            // All that have ended are looked for anyway.
            Signal::SIGCHLD => {}
            _ if self.stopping.is_some() => {
                info!(%signal, "stops at once");
                self.stopping = Some(now);
            }
            _ => {
                self.stopping = Some(now + self.limits.stop);
                for watched in &mut self.devices {
                    if let State::Open(open) = &mut watched.state {
                        open.stop()?;
                    }
                }
                info!(%signal, running = self.doing.hooks.running(), "stops");
                service::stopping();
            }
        }
        Ok(())
    }

    fn reap(&mut self) {
        for ended in self.doing.hooks.reap() {
            let label = ByRule {
                rule: ended.rule.clone(),
            };
            let metrics = &self.doing.metrics;
            let took_ms = u64::try_from(ended.took.as_millis()).unwrap_or(u64::MAX);
            let (rule, pid, status) = (ended.rule, ended.pid, ended.status);
            if ended.timed_out {
                metrics.hooks_timed_out.get_or_create(&label).inc();
                warn!(rule, pid, %status, took_ms, "was ended: its time was up");
            } else if status.success() {
                debug!(rule, pid, took_ms, "has ended");
            } else {
                metrics.hooks_failed.get_or_create(&label).inc();
                warn!(rule, pid, %status, took_ms, "has failed");
            }
        }
        let orphans = self.doing.hooks.reap_orphans();
        if orphans > 0 {
            debug!(orphans, "reaped processes that are no programs of rules");
        }
    }

    /// Reads one device and deals with what came, as far as that goes.
    fn turn(&mut self, at: usize, ready: &[Token]) -> anyhow::Result<()> {
        let Some(watched) = self.devices.get_mut(at) else {
            return Ok(());
        };
        let name = watched.name();
        let State::Open(open) = &mut watched.state else {
            return Ok(());
        };
        if open.token.is_some_and(|token| ready.contains(&token)) {
            open.unread = true;
        }
        let mut reads = TURN;
        loop {
            if self.stopping.is_some() && open.is_stopped() {
                open.disarm(&mut self.watcher);
                return Ok(());
            }
            let blocked = self.stopping.is_some_and(|limit| limit <= Instant::now())
                || self.doing.deal(open, &self.rules, &name) == Done::Blocked;
            if blocked {
                // Whatever comes is kept by the queue, and nobody need tell.
                open.disarm(&mut self.watcher);
                return Ok(());
            }
            open.arm(&mut self.watcher)?;
            if !open.unread || !open.batch.is_empty() {
                return Ok(());
            }
            if reads == 0 {
                if let Some(token) = open.token {
                    self.watcher.more(token);
                }
                return Ok(());
            }
            reads -= 1;
            let came = open.read()?;
            self.doing.known.wall.check();
            match came {
                Came::Events {
                    count,
                    lost,
                    overflows,
                } => {
                    let label = ByDevice {
                        device: name.clone(),
                    };
                    let metrics = &self.doing.metrics;
                    metrics.events.get_or_create(&label).inc_by(count);
                    metrics.lost.get_or_create(&label).inc_by(lost);
                    metrics.overflows.get_or_create(&label).inc_by(overflows);
                    if lost > 0 {
                        warn!(
                            device = name,
                            lost, "events were overwritten before they were read"
                        );
                    }
                    if overflows > 0 {
                        warn!(
                            device = name,
                            overflows, "the device has dropped events before they were read"
                        );
                    }
                }
                Came::Nothing => {}
                Came::Gone => {
                    warn!(device = name, "is gone; waits for another one");
                    watched.gone(&mut self.watcher);
                    return Ok(());
                }
            }
        }
    }

    fn serve(&mut self, ready: &[Token]) {
        let Some(server) = &mut self.server else {
            return;
        };
        let (devices, metrics) = (&self.devices, &self.doing.metrics);
        let (hooks, overflows) = (&self.doing.hooks, self.watcher.overflows());
        let mut page = || {
            let number = |value| i64::try_from(value).unwrap_or(i64::MAX);
            metrics.hooks_running.set(number(hooks.running() as u64));
            metrics.signal_overflows(overflows);
            for watched in devices {
                if let State::Open(open) = &watched.state {
                    if let AnyDevice::Queue(queue) = &open.device {
                        if let Ok(info) = queue.info() {
                            metrics.queue(queue.name(), &info);
                        }
                    }
                }
            }
            metrics.text()
        };
        server.serve(ready, &mut self.watcher, &mut page);
    }

    /// Takes the file over as a whole, or goes on as before.
    fn reload(&mut self) {
        service::reloading();
        self.doing.files.reopen();
        match self.try_reload() {
            Ok(()) => {
                self.doing.metrics.reloads.inc();
                info!(
                    devices = self.devices.len(),
                    rules = self.rules.len(),
                    "has read its configuration again"
                );
            }
            Err(error) => {
                self.doing.metrics.reload_failures.inc();
                error!("keeps its old configuration: {error:#}");
            }
        }
        self.tell_ready();
    }

    fn try_reload(&mut self) -> anyhow::Result<()> {
        let config = Config::read(&self.path)?;
        // First all that can fail, and nothing that cannot be undone by dropping it.
        let server = match (&self.server, &config.metrics) {
            (Some(server), Some(address)) if server.address == *address => None,
            (_, Some(address)) => Some(Server::listen(address, &mut self.watcher)?),
            (_, None) => None,
        };
        let mut opened = Vec::new();
        for device in &config.devices {
            if !self
                .devices
                .iter()
                .any(|old| old.config.path == device.path)
            {
                let new = Watched::open(device.clone(), &mut Kept::default(), &mut self.watcher);
                match new {
                    Ok(new) => opened.push(new),
                    Err(error) => {
                        opened
                            .iter_mut()
                            .for_each(|new| new.gone(&mut self.watcher));
                        if let Some(server) = server {
                            server.end(&mut self.watcher);
                        }
                        return Err(error);
                    }
                }
            }
        }
        for watched in std::mem::take(&mut self.devices) {
            let wanted = |device: &&super::config::Device| device.path == watched.config.path;
            match config.devices.iter().find(wanted) {
                Some(device) => self.devices.push(Watched {
                    config: device.clone(),
                    state: watched.state,
                }),
                None => {
                    let mut watched = watched;
                    watched.gone(&mut self.watcher);
                }
            }
        }
        self.devices.append(&mut opened);
        if server.is_some() || config.metrics.is_none() {
            if let Some(old) = std::mem::replace(&mut self.server, server) {
                old.end(&mut self.watcher);
            }
        }
        self.rules = config.rules.into();
        self.doing.known.decoders = config.decoders;
        self.limits = config.hooks;
        self.doing.hooks.set_grace(config.hooks.grace);
        self.doing.most = config.hooks.running;
        Ok(())
    }

    fn tell_ready(&self) {
        let status = format!("{} devices, {} rules", self.devices.len(), self.rules.len());
        info!(
            devices = self.devices.len(),
            rules = self.rules.len(),
            via = self.watcher.kind().name(),
            "watches"
        );
        service::ready(&status);
    }

    fn statistics(&self) {
        let metrics = &self.doing.metrics;
        for watched in &self.devices {
            let device = watched.name();
            let label = ByDevice {
                device: device.clone(),
            };
            info!(
                device,
                events = metrics.events.get_or_create(&label).get(),
                lost = metrics.lost.get_or_create(&label).get(),
                running = self.doing.hooks.running(),
                overflows = self.watcher.overflows(),
                "statistics"
            );
        }
    }

    fn end(&mut self) -> anyhow::Result<Exit> {
        for watched in &mut self.devices {
            let name = watched.name();
            if let State::Open(open) = &mut watched.state {
                let left = open.leave().with_context(|| {
                    format!("{name}: what was not dealt with cannot be left to the next start")
                })?;
                info!(device = name, left, "stopped");
            }
        }
        Ok(Exit::Done)
    }
}

impl Doing {
    /// Deals with what was read, until all is done or something has to wait.
    fn deal(&mut self, open: &mut Open, rules: &Arc<[Rule]>, name: &str) -> Done {
        while let Some(seen) = open.batch.front() {
            let (begun, from) = open.begun.clone().unwrap_or_else(|| (rules.clone(), 0));
            if let (Seen::Queue(event), Some(last)) = (seen, open.last) {
                if event.seq > last {
                    return Done::Blocked;
                }
            }
            for (at, rule) in begun.iter().enumerate().skip(from) {
                if rule.wanted.is(name, seen, &self.known.decoders)
                    && self.act(rule, seen, name) == Done::Blocked
                {
                    open.begun = Some((begun.clone(), at));
                    return Done::Blocked;
                }
            }
            open.done();
        }
        Done::Yes
    }

    fn act(&mut self, rule: &Rule, seen: &Seen, device: &str) -> Done {
        let label = ByRule {
            rule: rule.name.clone(),
        };
        match &rule.action {
            Action::Run { argv, time_limit } => {
                if self.hooks.running() >= self.most {
                    return Done::Blocked;
                }
                match self.hooks.start(
                    &rule.name,
                    argv,
                    &seen.variables(device, rule, &self.known),
                    *time_limit,
                ) {
                    Ok(pid) => {
                        self.metrics.hooks_started.get_or_create(&label).inc();
                        debug!(rule = rule.name, pid, "has started");
                    }
                    Err(error) => {
                        self.metrics.hooks_failed.get_or_create(&label).inc();
                        error!(
                            rule = rule.name,
                            program = argv.first(),
                            %error,
                            "could not be started; check that the program is there and may be run"
                        );
                    }
                }
            }
            Action::Append(path) => {
                if self.retry.is_some() {
                    return Done::Blocked;
                }
                let line = seen.line(device, rule, &self.known);
                if let Err(error) = self.files.append(path, &line) {
                    self.metrics.append_failures.get_or_create(&label).inc();
                    error!(
                        rule = rule.name,
                        file = %path.display(),
                        %error,
                        "cannot append; the event waits, and is tried again every second: make room, or mend the path"
                    );
                    self.retry = Some(Instant::now() + RETRY);
                    return Done::Blocked;
                }
            }
            Action::Journal => {
                if self.retry.is_some() {
                    return Done::Blocked;
                }
                let message = seen.row(device, rule, &self.known).text;
                let variables = seen.variables(device, rule, &self.known);
                if let Err(error) = self.journal.send(&rule.name, &message, &variables) {
                    self.metrics.journal_failures.get_or_create(&label).inc();
                    error!(
                        rule = rule.name,
                        socket = super::journal::SOCKET,
                        %error,
                        "cannot write to the journal; the event waits, and is tried again every second: see that systemd-journald runs"
                    );
                    self.retry = Some(Instant::now() + RETRY);
                    return Done::Blocked;
                }
            }
            Action::Log => {
                let row = seen.row(device, rule, &self.known);
                info!(
                    rule = rule.name,
                    device,
                    seq = row.seq,
                    time_ns = row.time_ns,
                    time = row.time,
                    source = row.source,
                    lost = row.seq.map(|_| row.lost),
                    "{}",
                    row.text
                );
            }
        }
        self.metrics.matched.get_or_create(&label).inc();
        Done::Yes
    }
}
