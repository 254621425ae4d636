// SPDX-License-Identifier: MIT OR Apache-2.0
//! `daemon`: rules from a file, which start programs, append to files or log.

mod append;
mod config;
mod device;
mod hook;
mod http;
mod journal;
mod log;
mod metrics;
mod request;
mod rule;
mod serve;
mod service;
mod shape;

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::ValueEnum;
use evq::via::Kind;
use tracing::level_filters::LevelFilter;

use super::exit::Exit;
use crate::cli::printable::printable;
use crate::cli::tell::{print, tell};
use config::Config;

/// Do something about events, as a configuration file says.
///
/// The file has rules: which events, and whether to run a program for each, to
/// append it to a file or to log it. A program runs with the event in its
/// environment (EVQ_DEVICE, EVQ_SEQ, EVQ_TIME_NS, EVQ_TIME, EVQ_BOOT_ID,
/// EVQ_SOURCE, EVQ_TYPE, EVQ_CODE, EVQ_LOST, EVQ_DATA, EVQ_TEXT, EVQ_VALUE,
/// EVQ_HIDDEN), never through a shell. Which keys of a keyboard are pressed is
/// hidden unless a rule has show_keys = true or names a code.
/// While as many programs run as may, or a file cannot be appended to, no more
/// events are read: they wait in the queue, and what that cannot hold is
/// counted as lost.
///
/// SIGHUP reads the file again, and keeps the old rules if it is bad. SIGTERM
/// and SIGINT have it finish what was posted before, and end. SIGUSR1 logs
/// statistics. A signal that was ignored when the daemon was started stays
/// ignored, in the programs that it starts too.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration, in TOML.
    #[arg(long, value_name = "FILE", default_value = "/etc/evq/daemon.toml")]
    config: PathBuf,

    /// Check the configuration and end.
    #[arg(long)]
    check: bool,

    /// How to be told when to read.
    #[arg(long, value_name = "MECHANISM", default_value = Kind::Sigio.name(), value_parser = super::watch::kinds())]
    via: Kind,

    /// How to log, on standard error.
    #[arg(long, value_enum, default_value = "text")]
    log_format: LogFormat,

    /// How much to log.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: LevelFilter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let config = match Config::read(&args.config) {
        Ok(config) => config,
        Err(error) => {
            tell!("{error}");
            return Ok(Exit::BadInput);
        }
    };
    if args.check {
        print(&format!(
            "{}: {} devices, {} rules\n",
            printable(&args.config.display().to_string()),
            config.devices.len(),
            config.rules.len()
        ))?;
        return Ok(Exit::Done);
    }
    if !args.via.drains() {
        anyhow::bail!(
            "the daemon cannot work by {}: it waits for more than one thing; use another mechanism",
            args.via
        );
    }
    log(args);
    serve::run(&args.config, args.via, config)
}

fn log(args: &Args) {
    // The journal has its own clock.
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let kind = match (args.log_format, journal || !colour) {
        (LogFormat::Json, _) => log::Kind::Json,
        (LogFormat::Text, true) => log::Kind::Plain,
        (LogFormat::Text, false) => log::Kind::Coloured,
    };
    let builder = tracing_subscriber::fmt()
        .with_writer(move || log::Entries {
            to: std::io::stderr(),
            kind,
        })
        .with_target(false)
        .with_max_level(args.log_level);
    match (args.log_format, journal) {
        (LogFormat::Json, _) => builder.json().flatten_event(true).init(),
        (LogFormat::Text, true) => builder.with_ansi(false).without_time().init(),
        (LogFormat::Text, false) => builder.with_ansi(colour).init(),
    }
}
