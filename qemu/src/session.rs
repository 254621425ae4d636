// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the start of the machine until it is gone.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::klog;
use crate::machine::{Hardware, Machine};
use crate::qmp::Qmp;
use crate::stdio::{self, Notice, Received, Stdio};
use crate::terminal::{self, RawMode};
use crate::verdict::{Observed, Phase};
use crate::wire::{DataPort, Report, LOG_END, VERSION};

/// How long each part may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until init speaks, and again until it starts the command.
    pub boot: Duration,
    /// Until the command has ended, as a function of what booting has taken.
    pub command: CommandLimit,
}

/// The limit of the command.
#[derive(Clone, Copy, Debug)]
pub enum CommandLimit {
    /// This long.
    Fixed(Duration),
    /// So many times what booting has taken, and at least so long.
    Scaled(u32, Duration),
    /// A user sits before it.
    None,
}

impl CommandLimit {
    fn after(self, boot: Duration) -> Option<Duration> {
        match self {
            Self::Fixed(limit) => Some(limit),
            Self::Scaled(factor, least) => Some((boot * factor).max(least)),
            Self::None => None,
        }
    }
}

/// What came of it.
pub struct Outcome {
    /// For the verdict.
    pub seen: Observed,
    /// From the start of QEMU until init has spoken.
    pub boot: Option<Duration>,
    /// The kernel log.
    pub log: String,
    /// We ended the machine for a reason outside of it.
    pub interrupted: Option<Notice>,
}

enum Event {
    Line(String),
    ControlClosed,
    Notice(Notice),
}

/// Called once with the sections of the project's modules, before the command
/// starts.
pub type OnSections<'a> = &'a mut dyn FnMut(&[Report]) -> anyhow::Result<()>;

/// Boots and stays until the machine is gone. Blocks.
///
/// # Errors
/// QEMU cannot be started, the log cannot be written. What goes wrong inside
/// is no error but in the outcome.
pub fn run(
    hardware: &Hardware,
    limits: Limits,
    stdio: Stdio,
    log_file: &Path,
    on_sections: OnSections<'_>,
) -> anyhow::Result<Outcome> {
    let file = File::create(log_file)
        .with_context(|| format!("creating the kernel log {}", log_file.display()))?;
    let started = Instant::now();
    let (events, inbox) = channel();
    let mut machine = Machine::start(hardware)?;
    let log = keep_log(machine.log.try_clone()?, file);
    listen(machine.control.try_clone()?, events.clone());
    let mut session = Session {
        control: machine.control.try_clone()?,
        inbox,
        limits,
        qmp: None,
        seen: Observed::default(),
        phase: Phase::Boot,
        since: started,
        boot: None,
        sections: Vec::new(),
        on_sections,
        raw: None,
        stdio: Some((stdio, events)),
        output: None,
        output_complete: false,
    };
    let interrupted = session.attend(&mut machine)?;
    drop(session.raw.take());

    let status = machine.wait()?;
    if !status.success() && session.seen.overdue.is_none() && interrupted.is_none() {
        session.seen.qemu_failed = Some(format!("{status}; {}", machine.messages()));
    }
    if let Some(output) = session.output.take() {
        let received = output
            .join()
            .map_err(|_| anyhow::anyhow!("the thread for output panicked"))?;
        session.seen.received = (received.out, received.err);
        session.seen.garbled = received.garbled;
    }
    let log = log
        .join()
        .map_err(|_| anyhow::anyhow!("the thread for the kernel log panicked"))?
        .with_context(|| format!("writing the kernel log {}", log_file.display()))?;
    session.seen.findings = klog::scan(&log);
    session.seen.log_complete = klog::contains(&log, LOG_END);
    Ok(Outcome {
        seen: session.seen,
        boot: session.boot,
        log,
        interrupted,
    })
}

struct Session<'a> {
    control: UnixStream,
    inbox: Receiver<Event>,
    limits: Limits,
    qmp: Option<Qmp>,
    seen: Observed,
    phase: Phase,
    /// When the phase began.
    since: Instant,
    boot: Option<Duration>,
    sections: Vec<Report>,
    on_sections: OnSections<'a>,
    raw: Option<RawMode>,
    /// Until the command starts; only then it is known which port is used.
    stdio: Option<(Stdio, Sender<Event>)>,
    output: Option<JoinHandle<Received>>,
    output_complete: bool,
}

impl Session<'_> {
    /// Handles what comes until QEMU has closed the control port.
    fn attend(&mut self, machine: &mut Machine) -> anyhow::Result<Option<Notice>> {
        let mut interrupted = None;
        loop {
            let event = match self.left() {
                None => self
                    .inbox
                    .recv()
                    .map_err(|_| RecvTimeoutError::Disconnected),
                Some(left) => self.inbox.recv_timeout(left),
            };
            match event {
                Ok(Event::Line(line)) => match line.parse() {
                    Ok(report) => self.take(report, machine)?,
                    // Whoever opens ttyS2 in the guest can write there.
                    Err(error) => eprintln!("evq-vm: {error}"),
                },
                Ok(Event::ControlClosed) | Err(RecvTimeoutError::Disconnected) => {
                    return Ok(interrupted);
                }
                Ok(Event::Notice(Notice::OutputComplete)) => {
                    self.output_complete = true;
                    self.part();
                }
                Ok(Event::Notice(notice)) => {
                    interrupted = Some(notice);
                    machine.kill();
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(limit) = self.limit() {
                        self.seen.overdue = Some((self.phase, limit));
                    }
                    machine.kill();
                }
            }
        }
    }

    fn limit(&self) -> Option<Duration> {
        match self.phase {
            Phase::Boot | Phase::Setup | Phase::End => Some(self.limits.boot),
            Phase::Command => self.limits.command.after(self.boot.unwrap_or_default()),
        }
    }

    /// Time left in this phase; `None` without a limit, or once it was passed.
    fn left(&self) -> Option<Duration> {
        let limit = self.limit().filter(|_| self.seen.overdue.is_none())?;
        Some(limit.saturating_sub(self.since.elapsed()))
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = Instant::now();
    }

    fn take(&mut self, report: Report, machine: &Machine) -> anyhow::Result<()> {
        match report {
            Report::Hello(version) => {
                self.boot = Some(self.since.elapsed());
                self.enter(Phase::Setup);
                if version != VERSION {
                    self.seen.init_failed = Some(format!(
                        "init speaks version {version}, not {VERSION}: rebuild it"
                    ));
                }
            }
            Report::Tainted {
                after: false,
                value,
            } => self.seen.taint.0 = Some(value),
            Report::Tainted { after: true, value } => self.seen.taint.1 = Some(value),
            Report::Section { .. } => self.sections.push(report),
            Report::Failed(text) => {
                self.seen.init_failed = Some(text);
                self.enter(Phase::End);
            }
            Report::Start(port) => {
                (self.on_sections)(&self.sections)?;
                self.enter(Phase::Command);
                self.start_stdio(match port {
                    DataPort::Serial => &machine.data,
                    DataPort::Virtio => &machine.fast_data,
                })?;
            }
            Report::Ask { id, words } => {
                let answer = match self.request(&words, machine) {
                    Ok(()) => format!("answer {id} ok\n"),
                    Err(error) => format!("answer {id} error {error:#}\n"),
                };
                // A machine that is gone is noticed elsewhere.
                let _ = self.control.write_all(answer.as_bytes());
            }
            Report::Status(status) => {
                self.seen.status = Some(status);
                self.enter(Phase::End);
            }
            Report::Done { out, err } => {
                self.seen.sent = Some((out, err));
                self.part();
            }
        }
        Ok(())
    }

    /// Lets the guest reset the machine, once all has arrived.
    fn part(&mut self) {
        if self.output_complete && self.seen.sent.is_some() {
            // A machine that is gone is noticed elsewhere.
            let _ = self.control.write_all(b"bye\n");
        }
    }

    fn start_stdio(&mut self, port: &UnixStream) -> anyhow::Result<()> {
        let Some((stdio, events)) = self.stdio.take() else {
            return Ok(());
        };
        let (acknowledge, acknowledged) = stdio::acknowledgements();
        if stdio.raw {
            self.raw = Some(RawMode::enter()?);
            let control = self.control.try_clone()?;
            terminal::watch_size(move |rows, columns| {
                let _ = (&control).write_all(format!("size {rows} {columns}\n").as_bytes());
            });
        }
        self.output = Some(stdio::forward(
            port.try_clone()?,
            stdio.out,
            stdio.err,
            acknowledge,
            notice_to(&events),
        ));
        stdio::feed(
            stdio.input,
            stdio.raw,
            port.try_clone()?,
            acknowledged,
            notice_to(&events),
        );
        Ok(())
    }

    fn request(&mut self, words: &str, machine: &Machine) -> anyhow::Result<()> {
        if self.qmp.is_none() {
            self.qmp = Some(Qmp::new(machine.monitor.try_clone()?)?);
        }
        match &mut self.qmp {
            Some(qmp) => qmp.request(words),
            None => Ok(()),
        }
    }
}

fn notice_to(events: &Sender<Event>) -> impl Fn(Notice) + Send + 'static {
    let events = events.clone();
    move |notice| {
        // The session may be over.
        let _ = events.send(Event::Notice(notice));
    }
}

fn listen(port: UnixStream, events: Sender<Event>) {
    thread::spawn(move || {
        let mut lines = BufReader::new(port);
        let mut line = Vec::new();
        loop {
            line.clear();
            let count = lines.read_until(b'\n', &mut line).unwrap_or(0);
            let event = if count == 0 {
                Event::ControlClosed
            } else {
                Event::Line(String::from_utf8_lossy(&line).trim_end().to_owned())
            };
            if events.send(event).is_err() || count == 0 {
                return;
            }
        }
    });
}

/// Writes the kernel log to a file as it comes and returns it at the end.
fn keep_log(mut port: UnixStream, mut file: File) -> JoinHandle<io::Result<String>> {
    thread::spawn(move || {
        let mut log = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let count = match port.read(&mut buffer) {
                Ok(0) => return Ok(String::from_utf8_lossy(&log).into_owned()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let text: Vec<u8> = buffer[..count]
                .iter()
                .copied()
                .filter(|byte| *byte != b'\r')
                .collect();
            file.write_all(&text)?;
            log.extend_from_slice(&text);
        }
    })
}
