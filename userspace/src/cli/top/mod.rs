// SPDX-License-Identifier: MIT OR Apache-2.0
//! `top`: what happens on queues, and who does not keep up.

mod account;
mod age;
mod columns;
mod sample;
mod screen;

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::bail;
use evq::device::DEFAULT_PATH;
use evq::via::Kind;
use evq::{StopSignals, Token, Watcher};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};

use super::exit::{Exit, ENDING};
use super::reader::Reader;
use super::tell::print;
use super::wallclock::WallClock;
use super::watch::duration;
use account::Account;
use screen::Screen;

/// Show rates, fill and losses of queues, and of each of their subscribers.
///
/// A subscriber is an open file, shown with the first program that has it: of
/// other users only root sees them. `behind` is how many events it has not read yet; `pending` is how many of
/// them are overwritten already, which its next read tells of as lost; such a reader
/// is highlighted. `oldest` is for how long the first of them has been waiting
/// at this look, and what that was at half of all looks, and at 99 of 100 at most.
/// Keys: f freezes the picture, r starts the counts anew, q
/// ends it. A narrow terminal has fewer columns, and a low one says how many rows it
/// leaves out. Opening a queue for this makes one more subscriber, which is not
/// shown.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A queue; may be repeated.
    #[arg(long = "device", value_name = "PATH", default_value = DEFAULT_PATH)]
    devices: Vec<PathBuf>,

    /// Between two looks: seconds, or 500ms, 2m …
    #[arg(long, value_name = "TIME", default_value = "1", value_parser = duration)]
    interval: Duration,

    /// Print one line for each look and queue instead of a picture.
    #[arg(long, value_enum, value_name = "FORMAT")]
    stream: Option<Stream>,

    /// End after this many looks.
    #[arg(long, short = 'n', value_name = "N", value_parser = crate::cli::hex::at_least::<1>)]
    num_looks: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Stream {
    /// One JSON object per line.
    Json,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let stop = StopSignals::new(&ENDING)?;
    let mut watcher = Watcher::new(Kind::Poll)?;
    watcher.also(&stop, "the signalfd")?;
    let reader = match Reader::of_stdout()? {
        Some(reader) => Some((watcher.also(&reader, "standard output")?, reader)),
        None => None,
    };
    let accounts = args.devices.iter().map(|path| Account::open(path));
    let mut top = Top {
        args,
        stop,
        reader,
        watcher,
        accounts: accounts.collect::<anyhow::Result<_>>()?,
        wall: WallClock::new(),
        looks: 0,
    };
    if args.stream.is_some() {
        return top.stream();
    }
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        bail!("top draws on a terminal, and there is none: use --stream json");
    }
    let terminal = ratatui::try_init()?;
    let result = top.draw(Screen::new(terminal));
    ratatui::restore();
    result
}

struct Top<'a> {
    args: &'a Args,
    stop: StopSignals,
    /// Tells that the reader of what is printed has gone.
    reader: Option<(Token, Reader)>,
    watcher: Watcher,
    accounts: Vec<Account>,
    wall: WallClock,
    looks: u64,
}

impl Top<'_> {
    fn stream(&mut self) -> anyhow::Result<Exit> {
        loop {
            let due = self.due();
            let mut lines = String::new();
            for account in &mut self.accounts {
                let view = account.look()?;
                self.wall.check();
                lines += &self.wall.json_line(&view, view.time_ns);
                lines.push('\n');
            }
            print(&lines)?;
            if self.was_last() {
                return Ok(Exit::Done);
            }
            while Instant::now() < due {
                if let Some(exit) = self.wait(due)? {
                    return Ok(exit);
                }
            }
        }
    }

    fn draw(&mut self, mut screen: Screen) -> anyhow::Result<Exit> {
        self.watcher.also(io::stdin(), "standard input")?;
        let mut frozen = false;
        loop {
            let due = self.due();
            if !frozen {
                screen.views.clear();
                for account in &mut self.accounts {
                    screen.views.push(account.look()?);
                }
            }
            screen.draw(frozen)?;
            if self.was_last() {
                return Ok(Exit::Done);
            }
            while Instant::now() < due {
                if let Some(exit) = self.wait(due)? {
                    return Ok(exit);
                }
                // What has been read from the terminal is not in poll any more.
                while event::poll(Duration::ZERO)? {
                    match key(&event::read()?) {
                        Some(Key::End) => return Ok(Exit::Done),
                        Some(Key::Freeze) => frozen = !frozen,
                        Some(Key::Reset) => {
                            for account in &mut self.accounts {
                                account.reset();
                            }
                        }
                        None => {}
                    }
                    screen.draw(frozen)?;
                }
            }
        }
    }

    /// When to look again.
    fn due(&self) -> Instant {
        // Longer than anybody waits, and no limit of a clock.
        Instant::now() + self.args.interval.min(Duration::from_secs(86_400))
    }

    fn was_last(&mut self) -> bool {
        self.looks += 1;
        self.args.num_looks == Some(self.looks)
    }

    /// Until then at most: a key or a new size ends it early, a signal all.
    fn wait(&mut self, due: Instant) -> anyhow::Result<Option<Exit>> {
        let left = due.saturating_duration_since(Instant::now());
        let ready = self.watcher.wait(Some(left))?;
        if let Some(signal) = self.stop.next()? {
            return Ok(Some(Exit::Signal(signal)));
        }
        match &self.reader {
            Some((token, reader)) if ready.contains(token) => reader.gone().map(Some),
            _ => Ok(None),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Key {
    End,
    Freeze,
    Reset,
}

fn key(event: &Event) -> Option<Key> {
    let Event::Key(key) = event else {
        return None;
    };
    match key.code {
        _ if key.kind == KeyEventKind::Release => None,
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Key::End),
        KeyCode::Char('q') | KeyCode::Esc => Some(Key::End),
        KeyCode::Char('f' | ' ') => Some(Key::Freeze),
        KeyCode::Char('r') => Some(Key::Reset),
        _ => None,
    }
}
