// SPDX-License-Identifier: MIT OR Apache-2.0
//! `explain`: what goes wrong with signals, shown with the library's own
//! mechanisms. Each topic checks what it shows: what comes out otherwise is an
//! exit status of its own.

mod broken;
mod eventfd;
mod overflow;
mod program;
mod race;
mod right;

use std::fmt::Display;
use std::path::{Path, PathBuf};

use anyhow::{bail, Context as _};
use evq::{Event, Filled, Options, Queue};
use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use super::exit::Exit;
use crate::cli::tell::{print, tell};

/// Show what goes wrong with signals, and what does not.
///
/// Each topic runs it and says what happens, step by step. Nothing is needed
/// for that: the events go through pipes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    topic: Topic,
}

#[derive(Debug, clap::Subcommand)]
enum Topic {
    Race(race::Args),
    Eventfd(eventfd::Args),
    Overflow(overflow::Args),
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    match &args.topic {
        Topic::Race(args) => race::run(args),
        Topic::Eventfd(args) => eventfd::run(args),
        Topic::Overflow(args) => overflow::run(args),
    }
}

#[derive(Debug, clap::Args)]
struct Place {
    /// A queue in place of pipes, one that nobody else posts to and that keeps
    /// 1,024 events or more; you must be allowed to read and write it.
    #[arg(long, value_name = "PATH")]
    device: Option<PathBuf>,
}

impl Place {
    /// Whether all sources are open files of one queue.
    fn is_queue(&self) -> bool {
        self.device.is_some()
    }

    /// `count` readers, and who posts to them: one queue posts to all, a pipe
    /// to one.
    fn open(&self, count: usize) -> anyhow::Result<(Vec<Queue>, Vec<Queue>)> {
        match &self.device {
            Some(path) => {
                let readers = (0..count).map(|_| Queue::open(path));
                let readers = readers.collect::<evq::Result<_>>()?;
                Ok((readers, vec![writer(path)?]))
            }
            None => {
                let mut ends = (Vec::new(), Vec::new());
                for _ in 0..count {
                    let (read, write) = pipe2(OFlag::O_CLOEXEC).context("cannot make a pipe")?;
                    ends.0.push(Queue::from_fd(read, "the pipe"));
                    ends.1.push(Queue::from_fd(write, "the pipe"));
                }
                Ok(ends)
            }
        }
    }
}

fn writer(path: &Path) -> evq::Result<Queue> {
    Options::new().read(false).write(true).open(path)
}

fn post(writer: &Queue) -> anyhow::Result<()> {
    match writer.post(&[Event::default()]) {
        Ok(1) => Ok(()),
        Ok(_) => bail!("cannot post to {}: it is full", writer.name()),
        Err((_, error)) => Err(error.into()),
    }
}

/// Reads until there is nothing left; gives how many events there were.
fn drain(queue: &Queue) -> anyhow::Result<u64> {
    let mut events = [Event::default(); 64];
    let mut count = 0;
    loop {
        match queue.read(&mut events)? {
            Filled::Records(some) => count += some as u64,
            Filled::Empty => return Ok(count),
            Filled::End => bail!("{} has ended", queue.name()),
        }
    }
}

/// Prints the steps, and remembers those that came out wrong.
#[derive(Default)]
struct Steps {
    wrong: u32,
}

impl Steps {
    fn say(&self, line: impl Display) -> anyhow::Result<()> {
        print(&format!("{line}\n"))
    }

    /// A step that `holds`, or else the rest is not worth believing.
    fn check(&mut self, holds: bool, line: impl Display) -> anyhow::Result<()> {
        if holds {
            return self.say(line);
        }
        self.wrong += 1;
        self.say(format_args!("{line}  <-- NOT SO"))
    }

    fn end(self) -> Exit {
        match self.wrong {
            0 => Exit::Done,
            wrong => {
                tell!(
                    "{wrong} of the steps came out otherwise than they should; \
                     with nobody else at work here, that is a bug to be reported with this output"
                );
                Exit::Unexpected
            }
        }
    }
}
