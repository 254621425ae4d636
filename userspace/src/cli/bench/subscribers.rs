// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a post costs its producer, by how many others have the queue open and
//! what they are doing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use serde::Serialize;

use super::clock::{self, Cpus};
use super::peer::{evq, Poster, Taker};

/// How many there are.
pub(super) const COUNTS: [usize; 6] = [0, 1, 4, 16, 64, 256];

/// What the others do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    /// They read, and are not waiting while it is posted.
    Awake,
    /// They never read, and are lapped.
    NeverReading,
    /// Each is in an epoll set, which already says that there is something.
    InEpoll,
    /// The same, but nothing that is posted concerns them.
    FilteredOut,
    /// Each waits in a read, in a thread of its own.
    Asleep,
}

impl State {
    pub(super) const ALL: [State; 5] = [
        State::Awake,
        State::NeverReading,
        State::InEpoll,
        State::FilteredOut,
        State::Asleep,
    ];
}

/// Processor time of a post of one record, in nanoseconds.
pub(super) fn post_cost(state: State, count: usize, cpus: Cpus) -> anyhow::Result<f64> {
    let mut poster = evq::poster()?;
    let mut subscribers = Vec::new();
    for _ in 0..count {
        subscribers.push(evq::Subscriber::open()?);
    }
    clock::bind(cpus.first)?;
    match state {
        State::Awake => {
            let mut buffers = subscribers;
            posts(&mut poster, || {
                // All that was posted since: one read each.
                for subscriber in &mut buffers {
                    subscriber.take()?;
                }
                Ok(())
            })
        }
        State::NeverReading => posts(&mut poster, || Ok(())),
        State::InEpoll | State::FilteredOut => {
            if state == State::FilteredOut {
                for subscriber in &subscribers {
                    subscriber.filter_out()?;
                }
            }
            let set = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context("making an epoll set")?;
            for subscriber in &subscribers {
                set.add(subscriber.fd(), EpollEvent::new(EpollFlags::EPOLLIN, 0))
                    .context("watching the queue")?;
            }
            posts(&mut poster, || Ok(()))
        }
        State::Asleep => wake_all(&mut poster, subscribers, cpus),
    }
}

/// Posts as many as a read takes at once, a few times; `between` is not counted.
fn posts(
    poster: &mut dyn Poster,
    mut between: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<f64> {
    const TIMES: usize = 32;
    let mut spent = 0;
    // The first time is a warm-up.
    for time in 0..=TIMES {
        let before = clock::cpu_time();
        for _ in 0..super::peer::BATCH {
            poster.post(1)?;
        }
        if time > 0 {
            spent += clock::cpu_time() - before;
        }
        between()?;
    }
    Ok(spent as f64 / (TIMES * super::peer::BATCH) as f64)
}

/// Posts when everybody has fallen asleep, a few times.
fn wake_all(
    poster: &mut dyn Poster,
    subscribers: Vec<evq::Subscriber>,
    cpus: Cpus,
) -> anyhow::Result<f64> {
    const TIMES: u64 = 6;
    let count = subscribers.len() as u64;
    let reads = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for mut subscriber in subscribers {
            let (reads, stop) = (&reads, &stop);
            scope.spawn(move || {
                let bound = clock::bind(cpus.second.unwrap_or(cpus.first));
                while bound.is_ok() && !stop.load(Ordering::Acquire) {
                    if let Err(error) = subscriber.take() {
                        super::give_up(&error);
                    }
                    reads.fetch_add(1, Ordering::AcqRel);
                }
            });
        }
        let mut spent = 0;
        for time in 0..=TIMES {
            // There is no telling from outside that a thread is in the read; it
            // takes nothing but some instructions to get there.
            while reads.load(Ordering::Acquire) < count * time {
                std::thread::yield_now();
            }
            std::thread::sleep(Duration::from_millis(2));
            if time == TIMES {
                stop.store(true, Ordering::Release);
            }
            let before = clock::cpu_time();
            if let Err(error) = poster.post(1) {
                super::give_up(&error);
            }
            if time > 0 {
                spent += clock::cpu_time() - before;
            }
        }
        Ok(spent as f64 / TIMES as f64)
    })
}
