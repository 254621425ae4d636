// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernel memory of one more open file: ours, and an input device's.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::Context as _;
use nix::fcntl::{fcntl, FcntlArg};
use nix::sys::resource::{getrlimit, setrlimit, Resource};

use super::peer::evdev;

/// Files opened for each measurement.
const FILES: usize = 800;

/// Measurements of each of the two.
pub(super) const ROUNDS: usize = 4;

/// Bytes for each open file, round by round.
pub(super) struct PerFile {
    pub(super) ours: Vec<f64>,
    /// Nothing if there are no input devices.
    pub(super) evdev: Vec<f64>,
}

/// Bytes in slabs now.
fn slab() -> anyhow::Result<f64> {
    // Each processor keeps what it has changed to itself for a while.
    fs::write("/proc/sys/vm/stat_refresh", "1").context("writing /proc/sys/vm/stat_refresh")?;
    let text = fs::read_to_string("/proc/meminfo").context("reading /proc/meminfo")?;
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("Slab:"))
        .and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.context("/proc/meminfo has no Slab line")? * 1024.0)
}

/// Opens [`FILES`] of one kind and keeps them.
fn grow(path: &Path, kept: &mut Vec<OwnedFd>) -> anyhow::Result<f64> {
    let before = slab()?;
    for _ in 0..FILES {
        let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        kept.push(file.into());
    }
    Ok((slab()? - before) / FILES as f64)
}

/// Measures both, in turns. All files stay open until the end: what is freed
/// in between would be found again by the next.
pub(super) fn measure() -> anyhow::Result<PerFile> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("asking for RLIMIT_NOFILE")?;
    let wanted = (2 * ROUNDS * FILES + 256) as u64;
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted))
        .with_context(|| format!("raising RLIMIT_NOFILE to {wanted} (are you root?)"))?;
    let queue = Path::new(evq::device::DEFAULT_PATH);
    let input = evdev::create();
    let mut kept = Vec::new();
    // So that the table of descriptors does not grow while it is measured.
    let first = File::open(queue).with_context(|| format!("opening {}", queue.display()))?;
    let last = fcntl(&first, FcntlArg::F_DUPFD_CLOEXEC(wanted as i32 - 1))
        .context("growing the table of descriptors")?;
    nix::unistd::close(last).context("closing a descriptor")?;
    let mut found = PerFile {
        ours: Vec::new(),
        evdev: Vec::new(),
    };
    for _ in 0..ROUNDS {
        found.ours.push(grow(queue, &mut kept)?);
        if let Ok((_uinput, node)) = &input {
            found.evdev.push(grow(node, &mut kept)?);
        }
    }
    Ok(found)
}
