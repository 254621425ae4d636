// SPDX-License-Identifier: MIT OR Apache-2.0
//! How fast a reader takes what is there already: the reader's side alone.

use std::ffi::CString;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use evq::{device, Queue};
use nix::kmod::{delete_module, finit_module, DeleteModuleFlags, ModuleInitFlags};

use super::clock::{self, Cpus};
use super::peer::{Link, Peer, BATCH};

/// Records that wait for the reader; a ring of the usual size holds twice that.
const BACKLOG: usize = 2048;

/// So many of them are read before it counts: what has been loaded or run since
/// the last time has left caches, and an emulator its translations, cold.
const WARM_UP: usize = 512;

/// Where the records come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Producer {
    /// The peer's own, as everywhere else.
    Own,
    /// Kernel code: `evq_timer` for our device, the BPF program for its ring
    /// buffer.
    Kernel,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) peer: Peer,
    pub(super) producer: Producer,
}

impl Case {
    /// Records a second. `timer` is the file of `evq_timer`.
    pub(super) fn run(self, cpus: Cpus, timer: Option<&Path>) -> anyhow::Result<f64> {
        const TIMES: usize = 16;
        clock::bind(cpus.first)?;
        let mut link = self.peer.open(1)?;
        let (mut time, mut records) = (Duration::ZERO, 0);
        for _ in 0..TIMES {
            match timer {
                Some(timer) if self.producer == Producer::Kernel && self.peer.is_queue() => {
                    post_by_timer(timer)?;
                }
                _ => post(&mut link)?,
            }
            let [taker] = &mut link.takers[..] else {
                anyhow::bail!("one reader was asked for");
            };
            let mut taken = 0;
            while taken < WARM_UP {
                taken += taker.take()?;
            }
            records += BACKLOG - taken;
            let start = Instant::now();
            while taken < BACKLOG {
                taken += taker.take()?;
            }
            time += start.elapsed();
        }
        Ok(records as f64 / time.as_secs_f64())
    }
}

fn post(link: &mut Link) -> anyhow::Result<()> {
    for _ in 0..BACKLOG / BATCH {
        link.poster.post(BATCH)?;
    }
    Ok(())
}

/// Has the module post all of it in one interrupt.
fn post_by_timer(file: &Path) -> anyhow::Result<()> {
    let queue = Queue::open(device::DEFAULT_PATH)?;
    let goal = queue.info()?.posted + BACKLOG as u64;
    let module = File::open(file).with_context(|| format!("opening {}", file.display()))?;
    let parameters = CString::new(format!("rate=10000 burst={BACKLOG} count={BACKLOG}"))?;
    finit_module(&module, &parameters, ModuleInitFlags::empty())
        .with_context(|| format!("loading {} (is it loaded already?)", file.display()))?;
    let deadline = Instant::now() + Duration::from_secs(60);
    while queue.info()?.posted < goal {
        anyhow::ensure!(
            Instant::now() < deadline,
            "evq_timer has not posted {BACKLOG} events within a minute"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    delete_module(c"evq_timer", DeleteModuleFlags::O_NONBLOCK).context("unloading evq_timer")
}
