// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that nothing points to any more, on a kernel that looks for it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::thread;
use std::time::Duration;

use anyhow::Context;

const FILE: &str = "/sys/kernel/debug/kmemleak";

/// What is younger than 5 seconds is never reported.
const AGE: Duration = Duration::from_secs(6);

/// Writes what has leaked into the kernel log, where it fails the run like any
/// other complaint. Takes seconds on a kernel with kmemleak, no time elsewhere.
pub(crate) fn report() -> anyhow::Result<()> {
    if !fs::exists(FILE).with_context(|| format!("looking for {FILE} in the guest"))? {
        return Ok(());
    }
    thread::sleep(AGE);
    // The first scan takes checksums: an object that changes is in use.
    for _ in 0..2 {
        // Fails if kmemleak has given up, which would hide all that follows.
        fs::write(FILE, "scan")
            .with_context(|| format!("having kmemleak scan the guest, by writing to {FILE}"))?;
    }
    let report =
        fs::read_to_string(FILE).with_context(|| format!("reading {FILE} in the guest"))?;
    let mut log = OpenOptions::new()
        .write(true)
        .open("/dev/kmsg")
        .context("opening /dev/kmsg in the guest")?;
    for line in report.lines() {
        log.write_all(format!("<4>{line}\n").as_bytes())
            .context("writing to /dev/kmsg in the guest")?;
    }
    Ok(())
}
