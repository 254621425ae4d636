// SPDX-License-Identifier: MIT OR Apache-2.0
//! Notifications merge: in the pending signal, and in the eventfd behind the
//! handler. So neither of them counts events (U10).

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{bail, Context as _};
use evq::via::Kind;
use evq::Watcher;
use nix::sys::signal::{SigSet, Signal};

use super::{drain, post, Place, Steps};
use crate::cli::exit::Exit;
use crate::cli::process;

const EVENTS: u64 = 1000;

/// 1,000 notifications that are read as one count, and 1,000 events that are
/// one signal.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
}

/// The eventfd behind the handler, as /proc shows it.
struct Counter {
    info: PathBuf,
}

impl Counter {
    /// The only one of this process.
    fn find() -> anyhow::Result<Counter> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc/self/fd").context("cannot list /proc/self/fd")? {
            let entry = entry?;
            // The descriptor of this very list is gone by the time it is looked up.
            if fs::read_link(entry.path()).is_ok_and(|to| to.ends_with("anon_inode:[eventfd]")) {
                found.push(PathBuf::from("/proc/self/fdinfo").join(entry.file_name()));
            }
        }
        match <[PathBuf; 1]>::try_from(found) {
            Ok([info]) => Ok(Counter { info }),
            Err(found) => bail!(
                "this process has {} eventfds instead of one; start it without any",
                found.len()
            ),
        }
    }

    /// What a read would give, without reading.
    fn value(&self) -> anyhow::Result<u64> {
        let path = self.info.display();
        let text = fs::read_to_string(&self.info).with_context(|| format!("cannot read {path}"))?;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix("eventfd-count:"))
            .and_then(|value| u64::from_str_radix(value.trim(), 16).ok());
        value.with_context(|| format!("{path} does not tell the count of an eventfd"))
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let sigio = SigSet::from(Signal::SIGIO);
    let mut steps = Steps::default();
    let (readers, writers) = args.place.open(1)?;
    let (reader, writer) = (&readers[0], &writers[0]);
    let mut watcher = Watcher::new(Kind::Sigio)?;
    let counter = Counter::find()?;
    let token = watcher.arm(reader, reader.name())?;
    watcher.wait(None)?;
    drain(reader)?;

    steps.say("The handler of SIGIO adds 1 to an eventfd. A loop waits for that with epoll.\n")?;

    steps.say(format_args!(
        "{EVENTS} events, and the handler runs for each:"
    ))?;
    for _ in 0..EVENTS {
        post(writer)?;
        // The library's handler leaves that to the next wait: one run is enough.
        sigio.thread_unblock()?;
    }
    let count = counter.value()?;
    steps.check(
        count == EVENTS,
        format_args!("  the eventfd stands at {count}"),
    )?;
    told_once(&mut steps, &mut watcher, token, reader, &counter)?;

    steps.say(format_args!(
        "\n{EVENTS} events while SIGIO is blocked, as it is while its handler runs:"
    ))?;
    sigio.thread_block()?;
    for _ in 0..EVENTS {
        post(writer)?;
    }
    let pending = process::is_pending(Signal::SIGIO)?;
    steps.check(pending, "  SIGIO is pending, once: it is not queued")?;
    sigio.thread_unblock()?;
    let count = counter.value()?;
    steps.check(
        count == 1,
        format_args!("  unblocked: the handler runs; the eventfd stands at {count}"),
    )?;
    told_once(&mut steps, &mut watcher, token, reader, &counter)?;

    steps.say("\nSo a notification says that there is something to read, never how much: read until EAGAIN.")?;
    Ok(steps.end())
}

/// Waits: one report stands for all events, and after that there is none.
fn told_once(
    steps: &mut Steps,
    watcher: &mut Watcher,
    token: evq::Token,
    reader: &evq::Queue,
    counter: &Counter,
) -> anyhow::Result<()> {
    let told = watcher.wait(None)?;
    let left = counter.value()?;
    steps.check(
        told == [token] && left == 0,
        format_args!("  the loop is told once; one read has taken the count, {left} left"),
    )?;
    let read = drain(reader)?;
    steps.check(
        read == EVENTS,
        format_args!("  read until EAGAIN: {read} events"),
    )?;
    let more = watcher.wait(Some(Duration::ZERO))?;
    steps.check(more.is_empty(), "  and there is no second report")?;
    Ok(())
}
