// SPDX-License-Identifier: MIT OR Apache-2.0
//! A program that stops in the gap, in a process of its own, and what it says to
//! the one that has started it. That is this very executable, both times.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, Context as _};
use evq::via::Kind;
use evq::{unblock_in_child, Queue};
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};

use super::{broken, post, right, Place};
use crate::cli::exit::Exit;
use crate::cli::process;

/// How long a program may take for a step: only so that a hang that is not the
/// one to be shown ends too.
const LIMIT: Duration = Duration::from_secs(60);

/// One of the programs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Program {
    Broken,
    Right(Kind),
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Program::Broken => f.pad("broken"),
            Program::Right(kind) => kind.fmt(f),
        }
    }
}

impl FromStr for Program {
    type Err = String;

    fn from_str(name: &str) -> Result<Program, String> {
        match name {
            "broken" => Ok(Program::Broken),
            _ => name.parse().map(Program::Right),
        }
    }
}

/// What a program says.
#[derive(Clone, Copy, Debug)]
pub(super) enum Said {
    /// It is in the gap, and waits for the word to go on.
    Gap,
    /// It goes to sleep now.
    Waits { flag: bool },
    /// It was told, and has read this many events.
    Told(u64),
}

impl Said {
    fn to_line(self) -> String {
        match self {
            Said::Gap => "gap 0\n".into(),
            Said::Waits { flag } => format!("waits {}\n", u64::from(flag)),
            Said::Told(events) => format!("told {events}\n"),
        }
    }

    fn from_line(line: &str) -> Option<Said> {
        let (word, number) = line.split_once(' ')?;
        let number = number.parse().ok()?;
        match word {
            "gap" => Some(Said::Gap),
            "waits" => Some(Said::Waits { flag: number != 0 }),
            "told" => Some(Said::Told(number)),
            _ => None,
        }
    }
}

/// The program's side: standard input has the events, standard output is a
/// socket to whoever has started it.
#[derive(Debug)]
pub(super) struct Parent(UnixStream);

impl Parent {
    fn say(&self, what: Said) -> anyhow::Result<()> {
        Ok((&self.0).write_all(what.to_line().as_bytes())?)
    }

    /// Stops in the gap until the signal has been sent.
    pub(super) fn gap(&self) -> anyhow::Result<()> {
        self.say(Said::Gap)?;
        self.request()
    }

    /// The sleep comes next, and whether the flag is set.
    pub(super) fn waits(&self, flag: bool) -> anyhow::Result<()> {
        self.say(Said::Waits { flag })
    }

    /// It was told, and has read this many events.
    pub(super) fn told(&self, events: u64) -> anyhow::Result<()> {
        self.say(Said::Told(events))
    }

    /// Reads one request: they carry nothing.
    pub(super) fn request(&self) -> anyhow::Result<()> {
        Ok((&self.0).read_exact(&mut [0])?)
    }
}

impl AsFd for Parent {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Is one of the programs: what the executable does that [`Running`] starts.
pub(super) fn be(program: Program) -> anyhow::Result<Exit> {
    let queue = Queue::from_fd(io::stdin().as_fd().try_clone_to_owned()?, "standard input");
    let parent = Parent(io::stdout().as_fd().try_clone_to_owned()?.into());
    match program {
        Program::Broken => broken::run(&queue, &parent)?,
        Program::Right(kind) => right::run(kind, &queue, &parent)?,
    }
    Ok(Exit::Done)
}

/// A program that was started; killed when dropped.
pub(super) struct Running {
    program: Program,
    child: Child,
    socket: UnixStream,
    writer: Queue,
}

impl Running {
    pub(super) fn start(program: Program, place: &Place) -> anyhow::Result<Running> {
        let (mut readers, mut writers) = place.open(1)?;
        let (reader, writer) = (readers.remove(0), writers.remove(0));
        let (socket, theirs) = UnixStream::pair().context("cannot make a pair of sockets")?;
        let name = program.to_string();
        let start = || {
            let mut command = Command::new(std::env::current_exe()?);
            command
                .args(["explain", "race", "--be", &name])
                .stdin(reader.as_fd().try_clone_to_owned()?)
                .stdout(OwnedFd::from(theirs));
            unblock_in_child(&mut command).spawn()
        };
        let child = start()
            .with_context(|| format!("cannot start the program {name} in a process of its own"))?;
        Ok(Running {
            program,
            child,
            socket,
            writer,
        })
    }

    /// Whether it says something within this time.
    fn speaks(&self, within: Duration) -> anyhow::Result<bool> {
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        Ok(poll(&mut fds, PollTimeout::try_from(within)?)? > 0)
    }

    /// The next that it says.
    pub(super) fn listen(&mut self) -> anyhow::Result<Said> {
        let mut line = String::new();
        loop {
            if !self.speaks(LIMIT)? {
                bail!("the program {} says nothing for {LIMIT:?}; on a machine that is as slow as that, try again", self.program);
            }
            let mut byte = [0];
            if (&self.socket).read(&mut byte)? == 0 {
                let status = self.child.wait()?;
                bail!(
                    "the program {} has ended before its time: {status}",
                    self.program
                );
            }
            match byte[0] {
                b'\n' => break,
                byte => line.push(byte.into()),
            }
        }
        Said::from_line(&line)
            .with_context(|| format!("the program {} said {line:?}", self.program))
    }

    /// What it says next, or none if it sleeps for good.
    pub(super) fn outcome(&mut self) -> anyhow::Result<Option<Said>> {
        let start = Instant::now();
        while start.elapsed() < LIMIT {
            let asleep = process::sleeps(self.child.id());
            // After the look: what it said before it went to sleep is here by now.
            if self.speaks(Duration::ZERO)? {
                return self.listen().map(Some);
            }
            if asleep? {
                return Ok(None);
            }
            thread::yield_now();
        }
        bail!(
            "the program {} neither sleeps nor says anything for {LIMIT:?}",
            self.program
        )
    }

    /// Posts an event. Its signal has been sent by the time that this returns.
    pub(super) fn post(&self) -> anyhow::Result<()> {
        post(&self.writer)
    }

    /// The word to go on, in the gap; later, something for it to do besides.
    pub(super) fn request(&mut self) -> io::Result<()> {
        self.socket.write_all(&[1])
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody to tell if not.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
