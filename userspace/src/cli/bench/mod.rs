// SPDX-License-Identifier: MIT OR Apache-2.0
//! `bench`: our device beside what a program would use instead.

mod clock;
mod drain;
mod latency;
mod machine;
mod memory;
mod peer;
mod ratios;
mod results;
mod run;
mod stats;
mod stretch;
mod subscribers;
mod throughput;

use std::path::PathBuf;

use serde::Serialize;

use super::exit::Exit;
use super::Format;
use crate::cli::tell::{print, tell};

/// Measure the queue beside a pipe, a socket, input devices and others.
///
/// Everything runs in rounds, one after the other in each, so that what
/// disturbs the machine disturbs all of them. Needs root, /dev/evq that nobody
/// else posts to, and uinput and evdev for the comparison with input devices.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How often everything is measured; the median is told.
    #[arg(long, value_name = "N", default_value_t = 15,
          value_parser = crate::cli::hex::within::<u16, 1, 65535>)]
    rounds: u16,

    /// Milliseconds that each throughput is measured for in a round.
    #[arg(long, value_name = "MS", default_value_t = 100,
          value_parser = crate::cli::hex::within::<u16, 1, 65535>)]
    time: u16,

    /// Wake-ups of each kind in a round.
    #[arg(long, value_name = "N", default_value_t = 100,
          value_parser = crate::cli::hex::within::<u16, 1, 65535>)]
    wakeups: u16,

    /// The file of the module evq_timer, for what needs a producer in the
    /// kernel; must not be loaded.
    #[arg(long, value_name = "FILE")]
    timer: Option<PathBuf>,

    /// Instead of all that: what `make profile` records.
    #[arg(long, hide = true)]
    stretches: bool,

    /// How to print: a table, or all there is to know.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Where the two sides run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Placement {
    /// Both on one processor.
    SameCpu,
    /// On one each.
    CrossCpu,
}

/// Ends the program: another of its threads is asleep until this one does what
/// it now cannot.
fn give_up(error: &anyhow::Error) -> ! {
    tell!("{error:#}");
    std::process::exit(1)
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    if args.stretches {
        stretch::all()?;
        return Ok(Exit::Done);
    }
    let results = run::all(args)?;
    let text = match args.format {
        Format::Json => format!("{}\n", serde_json::to_string_pretty(&results)?),
        Format::Text => results.to_string(),
    };
    print(&text)?;
    Ok(Exit::Done)
}
