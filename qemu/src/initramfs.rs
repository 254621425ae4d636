// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the guest finds when it comes up. It is small (a few megabytes) and
//! made anew for each run, so that there is nothing to go stale.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context};

use crate::cpio::Archive;
use crate::kernel::{self, Kernel};
use crate::wire::path;

/// The contents of one initramfs.
pub struct Initramfs {
    archive: Archive,
    load: String,
}

impl Initramfs {
    /// Busybox, which init gives all its names, init and vm-ctl.
    ///
    /// # Errors
    /// Busybox is not installed, or init does not build.
    pub fn new(kernel: &Kernel) -> anyhow::Result<Self> {
        let mut this = Self {
            archive: Archive::default(),
            load: String::new(),
        };
        this.archive.character("/dev/console", 0o600, 5, 1);
        for folder in [
            "/proc", "/sys", "/tmp", "/run", "/root", "/mnt", "/var", "/lib/evq",
        ] {
            this.archive.directory(folder);
        }
        let busybox = kernel
            .busybox
            .iter()
            .map(PathBuf::as_path)
            .chain(["/bin/busybox", "/usr/bin/busybox"].map(Path::new))
            .find(|path| path.exists())
            .context("there is no /bin/busybox: apt-get install busybox-static")?;
        this.program(busybox, "/bin/busybox")?;
        this.program(&kernel::init(kernel.arch)?, "/init")?;
        this.archive.symlink("/bin/vm-ctl", "/init");
        for link in ["/sbin", "/usr/bin", "/usr/sbin"] {
            this.archive.symlink(link, "/bin");
        }
        this.text(
            "/etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
        );
        this.text("/etc/group", "root:x:0:\nnogroup:x:65534:\n");
        this.text("/etc/profile", "PS1='evq:\\w\\$ '\n");
        Ok(this)
    }

    /// A file of the host, with its permissions.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn file(&mut self, source: &Path, target: &str) -> anyhow::Result<()> {
        let data = fs::read(source)
            .with_context(|| format!("reading {} for the guest", source.display()))?;
        let mode = fs::metadata(source)?.permissions().mode() & 0o7777;
        self.archive.file(target, mode, &data);
        Ok(())
    }

    /// The same for a program, which has to be linked statically.
    ///
    /// # Errors
    /// It cannot be read, or it needs libraries that the guest does not have.
    pub fn program(&mut self, source: &Path, target: &str) -> anyhow::Result<()> {
        let data = fs::read(source)
            .with_context(|| format!("reading {} for the guest", source.display()))?;
        ensure!(
            !needs_loader(&data),
            "{} is linked dynamically, and the guest has no libraries: build it with \
             --config qemu/cargo-vm.toml --target ARCH-unknown-linux-gnu and without RUSTFLAGS; \
             busybox comes from the package busybox-static",
            source.display()
        );
        self.archive.file(target, 0o755, &data);
        Ok(())
    }

    /// A module; with `load`, init loads it, in the order of the calls.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn module(&mut self, source: &Path, load: bool) -> anyhow::Result<()> {
        let Some(name) = source.file_name().and_then(OsStr::to_str) else {
            bail!("{} is no name of a module", source.display());
        };
        let target = format!("/lib/evq/{name}");
        self.file(source, &target)?;
        if load {
            self.load.push_str(&target);
            self.load.push('\n');
        }
        Ok(())
    }

    /// A text file.
    pub fn text(&mut self, target: &str, text: &str) {
        self.archive.file(target, 0o644, text.as_bytes());
    }

    /// Words, each ended by NUL.
    pub fn words<'a>(&mut self, target: &str, words: impl Iterator<Item = &'a OsStr>) {
        let mut bytes = Vec::new();
        for word in words {
            bytes.extend_from_slice(word.as_bytes());
            bytes.push(0);
        }
        self.archive.file(target, 0o644, &bytes);
    }

    /// Writes the archive to a file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(mut self, to: &Path) -> anyhow::Result<PathBuf> {
        let load = std::mem::take(&mut self.load);
        self.text(path::LOAD, &load);
        fs::write(to, self.archive.finish())
            .with_context(|| format!("writing the initramfs {}", to.display()))?;
        Ok(to.to_owned())
    }
}

/// Whether an ELF file names a dynamic loader (a PT_INTERP header).
fn needs_loader(elf: &[u8]) -> bool {
    const PT_INTERP: u32 = 3;
    let word = |at: usize, size: usize| -> Option<u64> {
        let mut bytes = [0; 8];
        bytes[..size].copy_from_slice(elf.get(at..at.checked_add(size)?)?);
        Some(u64::from_le_bytes(bytes))
    };
    let headers = || -> Option<bool> {
        // Offsets of Elf64_Ehdr: e_phoff 32, e_phentsize 54, e_phnum 56.
        let (start, size, count) = (word(32, 8)?, word(54, 2)?, word(56, 2)?);
        for index in 0..count {
            let at = usize::try_from(start.checked_add(size * index)?).ok()?;
            if word(at, 4)? == u64::from(PT_INTERP) {
                return Some(true);
            }
        }
        Some(false)
    };
    elf.starts_with(b"\x7fELF\x02") && headers().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dynamic_programs_are_told_from_static_ones() {
        // Tests run on the host are linked dynamically.
        let me = fs::read("/proc/self/exe").unwrap();
        assert_eq!(needs_loader(&me), cfg!(not(target_feature = "crt-static")));
        let busybox = fs::read("/bin/busybox").expect("apt-get install busybox-static");
        assert!(!needs_loader(&busybox));
        assert!(!needs_loader(b"#!/bin/sh\n"));
        assert!(!needs_loader(&me[..40]));
    }
}
