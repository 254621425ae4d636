// SPDX-License-Identifier: MIT OR Apache-2.0
//! Time, and the processor that a thread runs on.

use std::time::Duration;

use anyhow::Context as _;
use nix::sched::{sched_getaffinity, sched_setaffinity, CpuSet};
use nix::time::{clock_gettime, clock_nanosleep, ClockId, ClockNanosleepFlags};
use nix::unistd::Pid;

/// `CLOCK_MONOTONIC`, in nanoseconds.
pub(super) fn now() -> u64 {
    nanos(ClockId::CLOCK_MONOTONIC)
}

/// Nanoseconds that the calling thread has run, kernel code included.
pub(super) fn cpu_time() -> u64 {
    nanos(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

fn nanos(clock: ClockId) -> u64 {
    // Cannot fail for these two clocks; neither is ever negative.
    clock_gettime(clock).map_or(0, |time| Duration::from(time).as_nanos() as u64)
}

/// Sleeps until shortly before `at` (as [`now`] counts), then spins: a timer
/// alone would be later than what is measured takes.
pub(super) fn wait_until(at: u64) {
    const SPIN: u64 = 200_000;
    let sleep_until = Duration::from_nanos(at.saturating_sub(SPIN));
    // One that ends early makes the loop spin longer.
    let _ = clock_nanosleep(
        ClockId::CLOCK_MONOTONIC,
        ClockNanosleepFlags::TIMER_ABSTIME,
        &sleep_until.into(),
    );
    while now() < at {
        std::hint::spin_loop();
    }
}

/// The processors that this program may use, at most two of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cpus {
    /// Where the producer runs.
    pub(super) first: usize,
    /// Another one.
    pub(super) second: Option<usize>,
}

impl Cpus {
    /// Looks which there are. To be asked before a thread is bound.
    pub(super) fn find() -> anyhow::Result<Cpus> {
        let set = sched_getaffinity(Pid::from_raw(0)).context("asking for the processors")?;
        let mut usable = (0..CpuSet::count()).filter(|&cpu| set.is_set(cpu).unwrap_or(false));
        Ok(Cpus {
            first: usable.next().context("no processor to run on")?,
            second: usable.next(),
        })
    }
}

/// Binds the calling thread to one processor.
pub(super) fn bind(cpu: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &set)
        .with_context(|| format!("binding a thread to processor {cpu}"))
}
