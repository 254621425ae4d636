// SPDX-License-Identifier: MIT OR Apache-2.0
//! KVM or TCG. That /dev/kvm opens does not mean that a guest runs: on some
//! machines it spins for ever. So a guest is booted once, and the answer kept.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::path::Path;
use std::time::Duration;

use anyhow::bail;

use crate::arch::Arch;
use crate::cache::Cache;
use crate::initramfs::Initramfs;
use crate::kernel::Kernel;
use crate::machine::{qemu_version, Accel, Hardware};
use crate::session::{self, CommandLimit, Limits};
use crate::stdio::Stdio;
use crate::verdict::Verdict;
use crate::wire::path;

/// A guest under KVM comes up in a second or two.
const PROBE_LIMIT: Duration = Duration::from_secs(12);

/// Which to use for this kernel.
///
/// # Errors
/// `EVQ_ACCEL` is neither `tcg` nor `kvm`, or the probe cannot be made.
pub fn choose(kernel: &Kernel, cache: &Cache, folder: &Path) -> anyhow::Result<Accel> {
    if let Some(wanted) = std::env::var_os("EVQ_ACCEL").filter(|wanted| !wanted.is_empty()) {
        return match wanted.to_str() {
            Some("tcg") => Ok(Accel::Tcg),
            Some("kvm") => Ok(Accel::Kvm),
            _ => bail!("EVQ_ACCEL is {wanted:?}: it may be tcg or kvm"),
        };
    }
    // Another processor is emulated, whatever the machine has.
    if kernel.arch != Arch::host()? {
        return Ok(Accel::Tcg);
    }
    if OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .is_err()
    {
        return Ok(Accel::Tcg);
    }
    // The answer holds for this boot of the host, this kernel and this QEMU.
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let circumstances = format!("{}\n{}", boot.trim(), qemu_version(kernel.arch)?);
    let name = format!("accel-{}", kernel.release);
    let known = cache.get(&name);
    let known = known
        .as_deref()
        .and_then(|text| text.strip_prefix(&circumstances));
    match known.map(str::trim) {
        Some("kvm") => return Ok(Accel::Kvm),
        Some("tcg") => return Ok(Accel::Tcg),
        _ => {}
    }
    eprintln!("evq-vm: /dev/kvm is there; finding out whether a guest runs under it");
    let accel = match probe(kernel, folder) {
        Ok(()) => Accel::Kvm,
        Err(error) => {
            eprintln!("evq-vm: it does not ({error:#}): using TCG, which is slower");
            Accel::Tcg
        }
    };
    cache.set(&name, &format!("{circumstances}\n{accel}\n"))?;
    Ok(accel)
}

fn probe(kernel: &Kernel, folder: &Path) -> anyhow::Result<()> {
    let mut initramfs = Initramfs::new(kernel)?;
    initramfs.words(path::ARGV, [OsStr::new("/bin/true")].into_iter());
    initramfs.words(path::ENV, std::iter::empty());
    initramfs.text(path::STDIO, "pipe\n");
    let hardware = Hardware {
        arch: kernel.arch,
        image: kernel.image.clone(),
        initramfs: initramfs.write(&folder.join("probe.cpio"))?,
        append: String::new(),
        smp: 1,
        memory: 512,
        accel: Accel::Kvm,
        icount: false,
        trace: None,
        gdb: None,
        messages: folder.join("probe-qemu.log"),
    };
    let limits = Limits {
        boot: PROBE_LIMIT,
        command: CommandLimit::Fixed(PROBE_LIMIT),
    };
    let log = folder.join("probe-kernel.log");
    let outcome = session::run(&hardware, limits, Stdio::null(), &log, &mut |_| Ok(()))?;
    fs::remove_file(&hardware.initramfs)?;
    match Verdict::of(&outcome.seen).failures.first() {
        None => Ok(()),
        Some(failure) => bail!("{failure}"),
    }
}
