// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line: one file per command.

#[cfg(feature = "bench")]
mod bench;
mod convert;
#[cfg(feature = "daemon")]
mod daemon;
mod decode;
mod describe;
mod doctor;
mod examples;
mod exit;
mod explain;
mod filter;
mod hex;
mod info;
#[cfg(feature = "daemon")]
mod inherited;
mod json;
mod kind;
mod manual;
mod output;
mod printable;
mod process;
mod reader;
mod record;
mod replay;
mod row;
mod script;
mod secret;
mod send;
mod start;
mod tell;
#[cfg(feature = "top")]
mod top;
mod wallclock;
mod watch;
mod whose;

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use evq::recording;
use nix::errno::Errno;

use exit::Exit;
use tell::{tell, PRINTING};

/// Watches, sends, records and inspects the events of /dev/evq and of input devices.
#[derive(Debug, Parser)]
#[command(name = "evdev-client", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Watch(watch::Args),
    Send(send::Args),
    Info(info::Args),
    #[cfg(feature = "top")]
    Top(top::Args),
    Doctor(doctor::Args),
    Record(record::Args),
    Replay(replay::Args),
    Convert(convert::Args),
    #[cfg(feature = "daemon")]
    Daemon(daemon::Args),
    Explain(explain::Args),
    Manual(manual::Args),
    #[cfg(feature = "bench")]
    Bench(bench::Args),
}

impl Command {
    /// Runs for long, starts no programs, and has no loop that waits for children.
    fn leaves_children_alone(&self) -> bool {
        match self {
            Command::Record(_) | Command::Replay(_) | Command::Send(_) => true,
            #[cfg(feature = "top")]
            Command::Top(_) => true,
            _ => false,
        }
    }
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

pub(crate) fn main() -> ExitCode {
    let exit = run().unwrap_or_else(|error| {
        // A reader that has seen enough is no failure (C6).
        if is_broken_pipe(&error) {
            return Exit::Done;
        }
        tell!("{error:#}");
        Exit::Failed
    });
    exit.code()
}

fn run() -> anyhow::Result<Exit> {
    let mut command = examples::attach(Cli::command());
    let matches = command.try_get_matches_from_mut(std::env::args_os());
    let parsed = matches.and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed.map_err(|wrong| wrong.format(&mut command)) {
        Ok(cli) => cli,
        Err(answer) if !answer.use_stderr() => return print_answer(&answer),
        Err(wrong) => wrong.exit(),
    };
    if std::process::id() == 1 && cli.command.leaves_children_alone() {
        process::leave_children_to_kernel()?;
    }
    match cli.command {
        Command::Watch(args) => watch::run(&args),
        Command::Send(args) => send::run(&args),
        Command::Info(args) => info::run(&args),
        #[cfg(feature = "top")]
        Command::Top(args) => top::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Record(args) => record::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Convert(args) => convert::run(&args),
        #[cfg(feature = "daemon")]
        Command::Daemon(args) => daemon::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Manual(args) => manual::run(&args),
        #[cfg(feature = "bench")]
        Command::Bench(args) => bench::run(&args),
    }
}

/// Prints the help or the version.
fn print_answer(answer: &clap::Error) -> anyhow::Result<Exit> {
    let printed = answer.print().and_then(|()| io::stdout().flush());
    printed.context(PRINTING)?;
    Ok(Exit::Done)
}

/// Whether a device could not be opened because there is none, or none any more.
fn is_absent(error: &anyhow::Error) -> bool {
    let errno = error.downcast_ref().and_then(evq::Error::errno);
    matches!(errno, Some(Errno::ENOENT | Errno::ENODEV | Errno::ENXIO))
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = match error.downcast_ref() {
        Some(recording::Error::Io { why, .. }) => Some(why),
        _ => error.downcast_ref::<io::Error>(),
    };
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn arguments_are_consistent() {
        super::Cli::command().debug_assert();
    }
}
