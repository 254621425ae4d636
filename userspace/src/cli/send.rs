// SPDX-License-Identifier: MIT OR Apache-2.0
//! `send`: posts events, from the arguments or from lines on standard input.

use std::io;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use evq::device::{self, BATCH};
use evq::via::Kind;
use evq::{Event, Options, Queue, StopSignals, Token, Watcher};
use nix::errno::Errno;

use super::exit::{Exit, ENDING};
use super::hex;
use super::kind::{Code, Type};
use super::script::Script;
use crate::cli::tell::tell;

/// Post events to a queue.
///
/// With --type and --code: that event, --count times. Without them: one event
/// per line of standard input, `TYPE CODE [HEXDATA]`, where TYPE and CODE are
/// numbers (decimal, or hex with 0x) or names such as EV_KEY and KEY_A, HEXDATA
/// is up to 32 bytes, and # starts a comment. A bad line ends it with status 2;
/// the lines before it were posted. Says on standard error how many events were
/// posted.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The queue.
    #[arg(long, value_name = "PATH", default_value = device::DEFAULT_PATH)]
    device: PathBuf,

    /// The event's type: a number from 0 to 65535, or a name such as EV_KEY.
    #[arg(long = "type", value_name = "TYPE", requires = "code")]
    type_: Option<Type>,

    /// The event's code: a number from 0 to 65535, or a name such as KEY_A, which
    /// has its type with it.
    #[arg(long, value_name = "CODE")]
    code: Option<Code>,

    /// The payload, up to 32 bytes.
    #[arg(long, value_name = "HEX", value_parser = payload, default_value = "", requires = "code")]
    data: Payload,

    /// How many times.
    #[arg(long, value_name = "N", default_value = "1", value_parser = hex::at_least::<0>, requires = "code")]
    count: u64,

    /// How many per second; as fast as possible without it.
    #[arg(long, value_name = "N", value_parser = rate, requires = "code")]
    rate: Option<NonZeroU64>,
}

#[derive(Clone, Debug)]
struct Payload(Vec<u8>);

fn rate(text: &str) -> Result<NonZeroU64, String> {
    let rate = hex::at_least::<1>(text)?;
    NonZeroU64::new(rate).ok_or_else(|| "give a number from 1 on".into())
}

fn payload(text: &str) -> Result<Payload, String> {
    hex::decode(text).map(Payload).map_err(|wrong| wrong.what)
}

/// Type and code of the event that the arguments name, if they name one.
fn numbers(args: &Args) -> Result<Option<(u16, u16)>, String> {
    let Some(code) = args.code else {
        return Ok(None);
    };
    let type_ = args.type_.or_else(|| code.type_().map(Type::from));
    let type_ = type_.ok_or("--code is a number: give --type too, or the name of a code")?;
    let code = code.of(type_).map_err(|wrong| format!("--code: {wrong}"))?;
    Ok(Some((type_.number(), code)))
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let numbers = match numbers(args) {
        Ok(numbers) => numbers,
        Err(wrong) => {
            tell!("{wrong}");
            return Ok(Exit::BadInput);
        }
    };
    // From here on a signal ends this between two batches, with the count told.
    let stop = StopSignals::new(&ENDING)?;
    let mut watcher = Watcher::new(Kind::Poll)?;
    let stop_token = watcher.also(&stop, "the signalfd")?;
    let queue = Options::new().read(false).write(true).open(&args.device)?;
    let mut sender = Sender {
        queue,
        stop,
        stop_token,
        watcher,
        posted: 0,
    };
    let result = match numbers {
        Some((type_, code)) => {
            let event = Event::new(type_, code, &args.data.0).context("the payload is too long")?;
            sender.repeat(event, args.count, args.rate)
        }
        None => sender.script(),
    };
    let (posted, name) = (sender.posted, sender.queue.name());
    tell!(
        "posted {posted} {} to {name}",
        if posted == 1 { "event" } else { "events" }
    );
    result
}

struct Sender {
    queue: Queue,
    stop: StopSignals,
    stop_token: Token,
    watcher: Watcher,
    posted: u64,
}

impl Sender {
    fn repeat(
        &mut self,
        event: Event,
        count: u64,
        rate: Option<NonZeroU64>,
    ) -> anyhow::Result<Exit> {
        let batch = [event; BATCH];
        let start = Instant::now();
        while self.posted < count {
            let due = rate.map_or(count, |rate| due(start.elapsed(), rate).min(count));
            let now = due.saturating_sub(self.posted).min(BATCH as u64) as usize;
            self.post(&batch[..now])?;
            let pause = match rate {
                Some(rate) if self.posted == due && due < count => {
                    at(due, rate).saturating_sub(start.elapsed())
                }
                _ => Duration::ZERO,
            };
            if let Some(exit) = self.pause(Some(pause))?.1 {
                return Ok(exit);
            }
        }
        Ok(Exit::Done)
    }

    fn script(&mut self) -> anyhow::Result<Exit> {
        let input = io::stdin();
        let token = self.watcher.also(&input, "standard input")?;
        let (mut script, mut events) = (Script::default(), Vec::new());
        let mut piece = [0; 8192];
        loop {
            let (ready, exit) = self.pause(None)?;
            if let Some(exit) = exit {
                return Ok(exit);
            }
            if !ready.contains(&token) {
                continue;
            }
            // Not through the buffer of std, whose content poll cannot see.
            let count = match nix::unistd::read(&input, &mut piece) {
                Ok(count) => count,
                Err(Errno::EINTR | Errno::EAGAIN) => continue,
                Err(errno) => return Err(errno).context("cannot read standard input"),
            };
            let parsed = match count {
                0 => script.finish(&mut events),
                _ => script.feed(&piece[..count], &mut events),
            };
            self.post(&events)?;
            events.clear();
            if let Err(bad) = parsed {
                tell!("standard input, {bad}; the lines before it were posted");
                return Ok(Exit::BadInput);
            }
            if count == 0 {
                return Ok(Exit::Done);
            }
        }
    }

    fn post(&mut self, events: &[Event]) -> anyhow::Result<()> {
        let (posted, result) = match self.queue.post(events) {
            Ok(posted) => (posted, Ok(())),
            Err((posted, error)) => (posted, Err(error.into())),
        };
        self.posted += posted as u64;
        result
    }

    /// Waits until something is to be done, and says so if that is to end.
    fn pause(&mut self, limit: Option<Duration>) -> anyhow::Result<(Vec<Token>, Option<Exit>)> {
        let ready = self.watcher.wait(limit)?;
        let stop = if ready.contains(&self.stop_token) {
            self.stop.next()?
        } else {
            None
        };
        Ok((ready, stop.map(Exit::Signal)))
    }
}

/// How many events are due after this time: the first at once.
fn due(elapsed: Duration, rate: NonZeroU64) -> u64 {
    let due = elapsed.as_nanos() * u128::from(rate.get()) / 1_000_000_000 + 1;
    u64::try_from(due).unwrap_or(u64::MAX)
}

/// When event number `index`, from 0, is due.
fn at(index: u64, rate: NonZeroU64) -> Duration {
    let ns = u128::from(index) * 1_000_000_000 / u128::from(rate.get());
    Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_due_when_its_time_has_come() {
        let rate = NonZeroU64::new(3).unwrap();
        assert_eq!(due(Duration::ZERO, rate), 1);
        for index in 1..1000 {
            // Rounding may cost one nanosecond.
            let time = at(index, rate) + Duration::from_nanos(1);
            assert_eq!(due(time, rate), index + 1);
        }
    }
}
