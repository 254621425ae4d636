// SPDX-License-Identifier: MIT OR Apache-2.0
//! A full queue of realtime signals, and what the library does about it (C3).

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{bail, Context as _};
use evq::via::Kind;
use evq::{Queue, Token, Watcher};
use nix::sys::resource::{getrlimit, setrlimit, Resource};
use nix::sys::signal::Signal;

use super::{drain, post, Place, Steps};
use crate::cli::exit::Exit;
use crate::cli::process;

/// Events for each source at least.
const EVENTS_MIN: u64 = 3;
/// Two pages of a pipe, which is what a user with many of them gets.
const EVENTS_MAX: u64 = 128;

/// More events than there is room for realtime signals: the kernel sends one
/// plain SIGIO in their place, and no event is lost.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,

    /// How many sources to watch: 1000 pipes by default, or 16 open files of a
    /// queue, which is as many as a post signals itself.
    #[arg(long, value_name = "N", value_parser = crate::cli::hex::within::<u64, 1, 10_000>)]
    sources: Option<u64>,
}

/// Pipes by default.
const PIPES: u64 = 1000;

/// Open files of a queue that a post signals itself. Those beyond are signalled by a
/// thread of the kernel, once for several posts and after the post has returned.
const IN_PLACE_MAX: u64 = 16;

impl Args {
    fn sources(&self) -> anyhow::Result<u64> {
        match (self.sources, self.place.is_queue()) {
            (None, true) => Ok(IN_PLACE_MAX),
            (None, false) => Ok(PIPES),
            (Some(count), true) if count > IN_PLACE_MAX => bail!(
                "cannot show {count} files of one queue: a post signals {IN_PLACE_MAX} of them itself, and a \
                 thread the others later; give --sources {IN_PLACE_MAX} or fewer, or leave --device out"
            ),
            (Some(count), _) => Ok(count),
        }
    }
}

/// Makes room for the descriptors: two ends, and the watcher's duplicate.
fn allow_files(sources: u64) -> anyhow::Result<()> {
    let wanted = 3 * sources + 50;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if wanted > hard {
        bail!(
            "cannot open {sources} sources: that takes {wanted} descriptors, and the hard limit is \
             {hard}; give fewer with --sources, or raise the limit (`ulimit -Hn`)"
        );
    }
    if wanted > soft {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)
            .context("cannot raise the limit of open files")?;
    }
    Ok(())
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let mut steps = Steps::default();
    let sources = args.sources()?;
    allow_files(sources)?;
    steps.say(format_args!(
        "{} sources, each with a realtime signal that says which of them has an event. The signals are\n\
         queued, as many as RLIMIT_SIGPENDING lets all processes of a user have (`ulimit -i`).",
        sources
    ))?;
    let (default, hard) = getrlimit(Resource::RLIMIT_SIGPENDING)?;
    let (readers, writers) = args.place.open(usize::try_from(sources)?)?;
    let mut manager = Manager::new(readers)?;
    manager.read_all()?;
    let rooms = [0, 8].into_iter().filter(|&room| room < default);
    for room in rooms.chain([default]) {
        // Lowering, and raising again, needs no privilege.
        setrlimit(Resource::RLIMIT_SIGPENDING, room, hard)
            .with_context(|| format!("cannot set RLIMIT_SIGPENDING to {room}"))?;
        let title = if room == default {
            ", as it was at the start"
        } else {
            ""
        };
        steps.say(format_args!("\nRoom for {room} signals{title}:"))?;
        storm(&mut steps, &mut manager, &writers, room)?;
    }
    Ok(steps.end())
}

struct Manager {
    watcher: Watcher,
    sources: BTreeMap<Token, Queue>,
}

impl Manager {
    fn new(readers: Vec<Queue>) -> anyhow::Result<Manager> {
        let mut watcher = Watcher::new(Kind::Rtsig)?;
        let mut sources = BTreeMap::new();
        for reader in readers {
            sources.insert(watcher.arm(&reader, reader.name())?, reader);
        }
        Ok(Manager { watcher, sources })
    }

    /// Waits, without blocking, and reads what is told, until nothing is. All
    /// signals were sent before: what is not told now never will be. Gives how
    /// many sources were told the first time and how many events read in all.
    fn read_all(&mut self) -> anyhow::Result<(usize, u64)> {
        let (mut first, mut read) = (None, 0);
        loop {
            let ready = self.watcher.wait(Some(Duration::ZERO))?;
            first.get_or_insert(ready.len());
            if ready.is_empty() {
                return Ok((first.unwrap_or(0), read));
            }
            for token in ready {
                let source = self
                    .sources
                    .get(&token)
                    .context("told of no source of ours")?;
                read += drain(source)?;
            }
        }
    }
}

fn storm(
    steps: &mut Steps,
    manager: &mut Manager,
    writers: &[Queue],
    room: u64,
) -> anyhow::Result<()> {
    let sources = manager.sources.len() as u64;
    let before = manager.watcher.overflows();
    steps.say(format_args!(
        "  armed; signals queued: {}",
        process::signal_queue()
    ))?;

    // One more than there is room for, if the sources can hold as many.
    let each = (room / sources + 1).clamp(EVENTS_MIN, EVENTS_MAX);
    for _ in 0..each {
        for writer in writers {
            post(writer)?;
        }
    }
    let posted = each * sources;
    steps.say(format_args!(
        "  {posted} events, {each} for each; signals queued: {}",
        process::signal_queue()
    ))?;
    let fallback = process::is_pending(Signal::SIGIO)?;
    let full = posted > room;
    if fallback {
        steps
            .say("  SIGIO is pending: some signals could not be queued, and nobody knows which")?;
    } else {
        steps.check(!full, "  no SIGIO is pending: all signals were queued")?;
    }

    let (told, read) = manager.read_all()?;
    let overflows = manager.watcher.overflows() - before;
    if fallback {
        steps.check(
            overflows > 0 && told as u64 == sources,
            format_args!(
                "  signals off, queue emptied, signals on again, all polled: {told} are readable"
            ),
        )?;
    }
    steps.check(
        read == posted,
        format_args!(
            "  read until EAGAIN: {read} of {posted} events; overflows counted: {overflows}"
        ),
    )?;
    steps.check(
        !process::is_pending(Signal::SIGIO)?,
        format_args!(
            "  no SIGIO is left; signals queued: {}",
            process::signal_queue()
        ),
    )?;

    // A queue posts to all of its subscribers.
    post(&writers[0])?;
    let by = if process::is_pending(Signal::SIGIO)? {
        "SIGIO"
    } else {
        "its signal"
    };
    let wanted = sources / writers.len() as u64;
    let (told, read) = manager.read_all()?;
    steps.check(
        read == wanted,
        format_args!("  one more event, told by {by}: {told} readable, {read} read"),
    )?;
    Ok(())
}
