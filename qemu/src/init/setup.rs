// SPDX-License-Identifier: MIT OR Apache-2.0
//! File systems, modules, the kernel log, the reset at the end.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::Context;
use evq_vm::wire::{path, Report, LOG_END};
use nix::errno::Errno;
use nix::kmod::{finit_module, ModuleInitFlags};
use nix::mount::{mount, MsFlags};
use nix::sys::reboot::{reboot, RebootMode};

use crate::read;

/// What the control port needs.
pub(crate) fn mount_first() -> anyhow::Result<()> {
    must_mount("devtmpfs", "/dev", "mode=0755")?;
    must_mount("proc", "/proc", "")
}

/// What a command may expect of a Linux system.
pub(crate) fn mount_rest() -> anyhow::Result<()> {
    must_mount("sysfs", "/sys", "")?;
    must_mount("devpts", "/dev/pts", "mode=0620,ptmxmode=0666")?;
    must_mount("tmpfs", "/dev/shm", "mode=1777")?;
    must_mount("tmpfs", "/tmp", "mode=1777")?;
    must_mount("tmpfs", "/run", "mode=0755")?;
    // Not in every kernel.
    for (kind, at) in [
        ("debugfs", "/sys/kernel/debug"),
        ("tracefs", "/sys/kernel/tracing"),
        ("mqueue", "/dev/mqueue"),
    ] {
        match try_mount(kind, at, "") {
            Ok(()) | Err(Errno::ENODEV | Errno::ENOENT) => {}
            Err(errno) => anyhow::bail!("mounting {kind} on {at} in the guest: {errno}"),
        }
    }
    for (name, target) in [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "fd/0"),
        ("/dev/stdout", "fd/1"),
        ("/dev/stderr", "fd/2"),
    ] {
        symlink(target, name).with_context(|| format!("linking {name} in the guest"))?;
    }
    nix::unistd::sethostname("evq").context("setting the guest's host name")
}

fn must_mount(kind: &str, at: &str, options: &str) -> anyhow::Result<()> {
    try_mount(kind, at, options).with_context(|| {
        format!("mounting {kind} on {at} in the guest (is it configured into this kernel?)")
    })
}

fn try_mount(kind: &str, at: &str, options: &str) -> Result<(), Errno> {
    if !Path::new(at).exists() {
        // Below sysfs this fails, and mount then says ENOENT.
        let _ = fs::create_dir_all(at);
    }
    mount(Some(kind), at, Some(kind), MsFlags::empty(), Some(options))
}

/// /proc/sys/kernel/tainted.
pub(crate) fn taint() -> anyhow::Result<u64> {
    let file = "/proc/sys/kernel/tainted";
    let text = read(file)?;
    text.trim()
        .parse()
        .with_context(|| format!("{file} in the guest holds {text:?}"))
}

/// Gives busybox the names of its commands. Its list is known to itself alone, and the
/// host cannot run the busybox of another architecture.
pub(crate) fn install_commands() -> anyhow::Result<()> {
    let status = std::process::Command::new("/bin/busybox")
        .args(["--install", "-s", "/bin"])
        .status()
        .context("running /bin/busybox in the guest (is it for this processor?)")?;
    anyhow::ensure!(
        status.success(),
        "busybox --install -s /bin in the guest: {status}"
    );
    Ok(())
}

/// Loads what the host has listed, in its order.
pub(crate) fn load_modules() -> anyhow::Result<()> {
    let none = CString::default();
    for module in read(path::LOAD)?.lines() {
        let file = File::open(module).with_context(|| format!("opening {module} in the guest"))?;
        match finit_module(&file, &none, ModuleInitFlags::empty()) {
            Ok(()) => {}
            Err(errno) => anyhow::bail!(
                "loading {module} in the guest: {errno}; the kernel log says why \
                 (built for another kernel, a module before it missing, or its init failed)"
            ),
        }
    }
    Ok(())
}

/// Where the sections of the project's modules are.
pub(crate) fn sections() -> Vec<Report> {
    let mut sections = Vec::new();
    for module in fs::read_dir("/sys/module").into_iter().flatten().flatten() {
        let module = module.file_name().to_string_lossy().into_owned();
        if !module.starts_with("evq") {
            continue;
        }
        let folder = format!("/sys/module/{module}/sections");
        for section in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = section.file_name().to_string_lossy().into_owned();
            if let Ok(address) = fs::read_to_string(section.path()) {
                sections.push(Report::Section {
                    module: module.clone(),
                    name,
                    address: address.trim().to_owned(),
                });
            }
        }
    }
    sections
}

/// Writes the last line into the kernel log.
pub(crate) fn end_log() -> anyhow::Result<()> {
    let mut log = OpenOptions::new()
        .write(true)
        .open("/dev/kmsg")
        .context("opening /dev/kmsg in the guest")?;
    log.write_all(format!("<5>{LOG_END}\n").as_bytes())
        .context("writing to /dev/kmsg in the guest")
}

/// Resets the machine; QEMU ends, it was told not to boot again.
pub(crate) fn reset() -> ! {
    nix::unistd::sync();
    let error = match reboot(RebootMode::RB_AUTOBOOT) {
        Ok(never) => match never {},
        Err(errno) => errno,
    };
    // The host's time limit ends the machine now.
    eprintln!("evq-init: reboot: {error}");
    loop {
        std::thread::park();
    }
}
