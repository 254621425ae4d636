// SPDX-License-Identifier: MIT OR Apache-2.0
//! Posts, reads and wake-ups, each between two system calls that whoever
//! records the guest's instructions can tell from all others.
//!
//! What is executed from [`begin`] to [`end`] is one stretch. Standard output
//! says which there are, in their order: `stretches COUNT EVENTS NAME`, where
//! EVENTS is what one of them has of them.

use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use evq::via::Kind;
use evq::Watcher;
use nix::unistd::{getpid, getppid};

use super::clock::{self, Cpus};
use super::latency::Wait;
use super::peer::{Peer, Taker, BATCH};
use crate::cli::tell::print;

/// Stretches of each kind; what comes before is a warm-up.
const WARM_UP: usize = 16;
const COUNT: usize = 15;

/// Between two wake-ups: the reader has long fallen asleep again.
const PAUSE: Duration = Duration::from_millis(1);

/// A stretch begins. The system call is an empty one that nothing else here needs.
fn begin(number: usize) {
    if number >= WARM_UP {
        let _ = getppid();
    }
}

/// It ends; another of those.
fn end(number: usize) {
    if number >= WARM_UP {
        let _ = getpid();
    }
}

/// All kinds, while the host records. The guest has one processor.
pub(super) fn all() -> anyhow::Result<()> {
    clock::bind(Cpus::find()?.first)?;
    record("on")?;
    let mut told = Vec::new();
    for (post, what) in [(true, "post"), (false, "read")] {
        for peer in [Peer::Evq, Peer::Pipe] {
            flow(peer, post)?;
            told.push((BATCH, format!("{what} of {BATCH}, {}", peer.name())));
        }
    }
    let epoll = Wait::Via(Kind::Epoll);
    let sigio = Wait::Via(Kind::Sigio);
    for (peer, wait) in [
        (Peer::Evq, Wait::Read),
        (Peer::Pipe, Wait::Read),
        (Peer::Evq, epoll),
        (Peer::Pipe, epoll),
        (Peer::Evq, sigio),
    ] {
        wake_up(peer, wait)?;
        told.push((1, format!("wake-up by {}, {}", wait.name(), peer.name())));
    }
    record("off")?;
    for (events, name) in told {
        print(&format!("stretches {COUNT} {events} {name}\n"))?;
    }
    Ok(())
}

/// Posts a batch and takes it, again and again: `post` and `read` say which is
/// a stretch.
fn flow(peer: Peer, post: bool) -> anyhow::Result<()> {
    let mut link = peer.open(1)?;
    let taker = link.takers.first_mut().context("no reader")?;
    for number in 0..WARM_UP + COUNT {
        if post {
            begin(number);
        }
        link.poster.post(BATCH)?;
        if post {
            end(number);
        } else {
            begin(number);
        }
        let taken = taker.take()?;
        if !post {
            end(number);
        }
        anyhow::ensure!(taken == BATCH, "took {taken} records of {BATCH}");
    }
    Ok(())
}

/// From the post of one event until a sleeping reader has it in hand.
fn wake_up(peer: Peer, wait: Wait) -> anyhow::Result<()> {
    let link = peer.open(1)?;
    let mut poster = link.poster;
    let mut taker = link.takers.into_iter().next().context("no reader")?;
    let mut watcher = match wait {
        Wait::Read => None,
        Wait::Via(kind) => {
            let mut watcher = Watcher::new(kind)?;
            watcher.arm(taker.fd(), "what is recorded")?;
            Some(watcher)
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..WARM_UP + COUNT {
                std::thread::sleep(PAUSE);
                begin(number);
                if let Err(error) = poster.post(1) {
                    super::give_up(&error);
                }
            }
        });
        let mut number = 0;
        while number < WARM_UP + COUNT {
            if let Some(watcher) = &mut watcher {
                if watcher.wait(None)?.is_empty() {
                    continue;
                }
            }
            number += drain(taker.as_mut(), number, watcher.is_some())?;
        }
        Ok(())
    })
}

/// Takes the event, and if there is a watcher to wait with, looks for another one.
fn drain(taker: &mut dyn Taker, number: usize, until_empty: bool) -> anyhow::Result<usize> {
    let mut all = 0;
    loop {
        let taken = taker.take()?;
        if taken > 0 {
            end(number);
        }
        all += taken;
        if taken == 0 || !until_empty {
            return Ok(all);
        }
    }
}

/// Asks the host to record the instructions of the guest, or to leave off.
fn record(on: &str) -> anyhow::Result<()> {
    let status = Command::new("vm-ctl").args(["trace", on]).status();
    let status = status.context("running vm-ctl, which guests of qemu/run have")?;
    anyhow::ensure!(status.success(), "vm-ctl trace {on}: {status}");
    Ok(())
}
