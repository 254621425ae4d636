// SPDX-License-Identifier: MIT OR Apache-2.0
//! How many records a second go from a post to all readers.
//!
//! On one processor, one thread posts a batch and takes it, again and again:
//! what posting and taking cost together, without a scheduler in between. On
//! two, a producer and a consumer run side by side, the consumer sleeping when
//! it has caught up.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::clock::{self, Cpus};
use super::peer::{Link, Peer, Taker};
use super::Placement;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) peer: Peer,
    /// Records in one post.
    pub(super) batch: usize,
    /// Readers, each of which gets every record.
    pub(super) readers: usize,
    pub(super) placement: Placement,
}

/// What one round gave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Records that have reached every reader, for each second.
    pub(super) events_per_s: f64,
    /// Processor time of posting, for each record.
    pub(super) producer_ns: f64,
    /// Processor time of taking, for each record and reader.
    pub(super) consumer_ns: f64,
}

impl Case {
    /// Runs for about `time`.
    pub(super) fn run(self, cpus: Cpus, time: Duration) -> anyhow::Result<Sample> {
        let link = self.peer.open(self.readers)?;
        match (self.placement, cpus.second) {
            (Placement::CrossCpu, Some(second)) => {
                side_by_side(link, self.batch, (cpus.first, second), time)
            }
            _ => in_turns(link, self.batch, cpus.first, time),
        }
    }
}

/// Takes until `count` records have come.
fn take_all(taker: &mut dyn Taker, count: usize) -> anyhow::Result<()> {
    let mut taken = 0;
    while taken < count {
        taken += taker.take()?;
    }
    Ok(())
}

fn in_turns(mut link: Link, batch: usize, cpu: usize, time: Duration) -> anyhow::Result<Sample> {
    clock::bind(cpu)?;
    turns(&mut link, batch, time / 8)?;
    let rate = turns(&mut link, batch, time)?;
    // Looking at the clock between the two would be a part of the whole.
    let share = share_of_posts(&mut link, batch)?;
    let each = 1e9 / rate;
    Ok(Sample {
        events_per_s: rate,
        producer_ns: each * share,
        consumer_ns: each * (1.0 - share) / link.takers.len() as f64,
    })
}

/// Posts a batch and takes it for about `time`; gives records for each second.
fn turns(link: &mut Link, batch: usize, time: Duration) -> anyhow::Result<f64> {
    /// Between looks at the clock.
    const TURNS: usize = 16;
    let start = Instant::now();
    let mut count = 0;
    loop {
        for _ in 0..TURNS {
            link.poster.post(batch)?;
            for taker in &mut link.takers {
                take_all(taker.as_mut(), batch)?;
            }
        }
        count += TURNS * batch;
        let elapsed = start.elapsed();
        if elapsed >= time {
            return Ok(count as f64 / elapsed.as_secs_f64());
        }
    }
}

/// Which part of the time is the posts'.
fn share_of_posts(link: &mut Link, batch: usize) -> anyhow::Result<f64> {
    const TURNS: usize = 1024;
    let (mut posting, mut taking) = (0, 0);
    for _ in 0..TURNS {
        let start = clock::now();
        link.poster.post(batch)?;
        let between = clock::now();
        for taker in &mut link.takers {
            take_all(taker.as_mut(), batch)?;
        }
        posting += between - start;
        taking += clock::now() - between;
    }
    Ok(posting as f64 / (posting + taking) as f64)
}

/// What producer and consumer know of each other.
#[derive(Default)]
struct Shared {
    posted: AtomicU64,
    /// By the slowest reader.
    taken: AtomicU64,
    /// The producer's last word: nothing more will be posted.
    stop: AtomicBool,
    failed: AtomicBool,
}

/// Tells the other side that this one has ended without being done.
struct Failing<'s>(&'s Shared, bool);

impl Drop for Failing<'_> {
    fn drop(&mut self) {
        if self.1 {
            self.0.failed.store(true, Ordering::Release);
        }
    }
}

fn side_by_side(
    link: Link,
    batch: usize,
    (first, second): (usize, usize),
    time: Duration,
) -> anyhow::Result<Sample> {
    let Link {
        mut poster,
        mut takers,
        window,
    } = link;
    let readers = takers.len() as f64;
    let shared = Shared::default();
    let start = Instant::now();
    let (producer, consumer) = std::thread::scope(|scope| {
        let shared = &shared;
        let consumer = scope.spawn(move || -> anyhow::Result<(f64, u64)> {
            let mut failing = Failing(shared, true);
            clock::bind(second)?;
            let before = clock::cpu_time();
            consume(&mut takers, shared)?;
            failing.1 = false;
            Ok((start.elapsed().as_secs_f64(), clock::cpu_time() - before))
        });
        let mut producer = move || -> anyhow::Result<u64> {
            clock::bind(first)?;
            let before = clock::cpu_time();
            let mut posted: u64 = 0;
            let mut last = false;
            while !last {
                last = start.elapsed() >= time;
                while window.is_some_and(|window| {
                    posted + batch as u64 - shared.taken.load(Ordering::Acquire) > window as u64
                }) {
                    if shared.failed.load(Ordering::Acquire) {
                        return Ok(0);
                    }
                    std::hint::spin_loop();
                }
                posted += batch as u64;
                shared.posted.store(posted, Ordering::Release);
                // Before the last post, which wakes the consumer.
                shared.stop.store(last, Ordering::Release);
                poster.post(batch)?;
            }
            Ok(clock::cpu_time() - before)
        };
        let producer = producer().unwrap_or_else(|error| super::give_up(&error));
        let consumer = consumer
            .join()
            .unwrap_or_else(|_| Err(anyhow::anyhow!("the consumer's thread has panicked")));
        (producer, consumer)
    });
    let (seconds, consumer_time) = consumer?;
    let count = shared.posted.load(Ordering::Relaxed) as f64;
    Ok(Sample {
        events_per_s: count / seconds,
        producer_ns: producer as f64 / count,
        consumer_ns: consumer_time as f64 / count / readers,
    })
}

/// Takes from all takers what the producer posts, until it stops.
fn consume(takers: &mut [Box<dyn Taker>], shared: &Shared) -> anyhow::Result<()> {
    let mut counts = vec![0_u64; takers.len()];
    loop {
        // In this order: once it has stopped, the count is the last one. It is
        // made before the post, so that a taker waits at most for what comes.
        let stop = shared.stop.load(Ordering::Acquire);
        let goal = shared.posted.load(Ordering::Acquire);
        for (taker, count) in takers.iter_mut().zip(&mut counts) {
            while *count < goal {
                *count += taker.take()? as u64;
            }
        }
        let slowest = counts.iter().copied().min().unwrap_or(0);
        shared.taken.store(slowest, Ordering::Release);
        if stop {
            return Ok(());
        }
        // The last post may have been the last one taken, and not have been known as that before.
        // If it is still not, it is yet to come.
        if slowest == goal && !shared.stop.load(Ordering::Acquire) {
            // Sleep in the first; what wakes it is for the others as well.
            counts[0] += takers[0].take()? as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::BorrowedFd;

    use super::*;

    /// The last record, posted while the consumer is on its way to take it.
    struct Last<'s>(&'s Shared, usize);

    impl Taker for Last<'_> {
        fn take(&mut self) -> anyhow::Result<usize> {
            self.0.stop.store(true, Ordering::Release);
            let count = std::mem::take(&mut self.1);
            anyhow::ensure!(count > 0, "waits for a record that nobody posts");
            Ok(count)
        }

        fn fd(&self) -> BorrowedFd<'_> {
            unreachable!("nobody polls it")
        }
    }

    #[test]
    fn the_last_record_may_come_between_two_looks() {
        let shared: &'static Shared = Box::leak(Box::default());
        shared.posted.store(1, Ordering::Release);
        consume(&mut [Box::new(Last(shared, 1))], shared).unwrap();
        assert_eq!(shared.taken.load(Ordering::Acquire), 1);
    }
}
