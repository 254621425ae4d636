// SPDX-License-Identifier: MIT OR Apache-2.0
//! A signal in the gap: after a program has looked for something to do, before
//! it sleeps.
//!
//! Each program stops in the gap, and goes on when the event is there and its
//! signal has been sent. So nothing here depends on time: a program that is
//! seen asleep after that sleeps for good, for all that could wake it up has
//! happened.

use anyhow::bail;
use evq::via::Kind;

use super::program::{be, Program, Running, Said};
use super::{Place, Steps};
use crate::cli::exit::Exit;

/// A signal that comes just before the program goes to sleep: a handler with
/// select misses it, and what does not.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,

    /// Be one of the programs.
    #[arg(long = "be", hide = true)]
    program: Option<Program>,
}

/// In the order in which they are shown, with what closes the gap.
const PROGRAMS: &[(Program, &str)] = &[
    (
        Program::Broken,
        "a handler sets a flag; the flag is looked at, then select sleeps",
    ),
    (
        Program::Right(Kind::Pselect),
        "SIGIO is blocked but for the sleep, and so ends the sleep",
    ),
    (
        Program::Right(Kind::Signalfd),
        "SIGIO is blocked, and readable from a descriptor until it is read",
    ),
    (
        Program::Right(Kind::Sigio),
        "a handler writes to an eventfd, which stays readable",
    ),
    (
        Program::Right(Kind::SelfPipe),
        "a handler writes to a pipe, which stays readable",
    ),
];

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    if let Some(program) = args.program {
        return be(program);
    }
    let mut steps = Steps::default();
    steps.say(
        "Each of these programs sleeps until there is a request (a socket) or an event (SIGIO says\n\
         so). It has looked: there is neither. Before it goes to sleep, an event is posted and SIGIO\n\
         sent. Then it goes on.",
    )?;
    for &(program, how) in PROGRAMS {
        steps.say(format_args!("\n{program:<10}{how}"))?;
        show(&mut steps, program, &args.place)?;
    }
    Ok(steps.end())
}

fn show(steps: &mut Steps, program: Program, place: &Place) -> anyhow::Result<()> {
    let mut running = Running::start(program, place)?;
    let Said::Gap = running.listen()? else {
        bail!("the program {program} did not stop in the gap");
    };
    running.post()?;
    running.request()?;
    let Said::Waits { flag } = running.listen()? else {
        bail!("the program {program} did not go to sleep");
    };
    let outcome = running.outcome()?;
    let broken = matches!(program, Program::Broken);
    if let Some(said) = outcome {
        let right = !broken && matches!(said, Said::Told(1));
        steps.check(right, "          did not sleep, read the event")?;
        return Ok(());
    }
    steps.check(broken, "          HUNG: asleep, and the event is not read")?;
    if broken {
        steps.check(
            flag,
            "          its handler has run, in vain: the flag is set",
        )?;
        running.request()?;
        steps.check(
            matches!(running.listen()?, Said::Told(1)),
            "          a request wakes it up, and only now it reads the event",
        )?;
    }
    Ok(())
}
