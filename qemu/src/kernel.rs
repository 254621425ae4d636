// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where kernel, modules and client come from: the other tools of this
//! checkout, each of which does nothing when all is up to date.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{ensure, Context};

use crate::arch::Arch;

/// Modules of the project that are in the guest; those marked are loaded. The last
/// one is for the tests.
const MODULES: &[(&str, bool)] = &[
    ("evq.ko", true),
    ("evq_input.ko", true),
    ("evq_timer.ko", false),
    ("evq_nmi.ko", false),
];

/// Without it kmemleak finds next to nothing: pointers that are left in freed
/// memory keep what has leaked alive in its eyes.
const DEBUG_ARGUMENTS: &str = "slab_debug=FZU,kmalloc*";

/// Root of the checkout that this program was built from.
#[must_use]
pub fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate is a folder of the checkout")
}

/// Where the checkout's build results go.
#[must_use]
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| checkout().join("target"), PathBuf::from)
}

/// A kernel that can be booted.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The name that was asked for.
    pub name: String,
    /// The architecture that was asked for.
    pub arch: Arch,
    /// What QEMU boots.
    pub image: PathBuf,
    /// Tells it from others of the same release: what its folder is called.
    pub key: String,
    /// What `uname -r` says in it.
    pub release: String,
    /// Its own modules to load, in order.
    pub modules: Vec<PathBuf>,
    /// Image with symbols, where there is one.
    pub symbols: Option<PathBuf>,
    /// Busybox for its architecture, where this machine's own cannot run in it.
    pub busybox: Option<PathBuf>,
    /// What it needs on its command line.
    pub arguments: &'static str,
}

impl Kernel {
    /// Gets the kernel ready with `qemu/kernel NAME`. May take minutes the
    /// first time; its progress is on stderr.
    ///
    /// # Errors
    /// The tool failed, or a file that it has to leave is not there.
    pub fn prepare(arch: Arch, name: &str) -> anyhow::Result<Self> {
        let folder = match std::env::var_os("EVQ_KERNEL_DIR") {
            Some(folder) => PathBuf::from(folder),
            None => tool("kernel", arch, name)?,
        };
        let read = |file: &str| {
            let file = folder.join(file);
            fs::read_to_string(&file).with_context(|| {
                format!(
                    "reading {} (remove {} and try again)",
                    file.display(),
                    folder.display()
                )
            })
        };
        let modules = folder.join("modules");
        let symbols = folder.join("vmlinux");
        let busybox = folder.join("busybox");
        let kernel = Self {
            name: name.to_owned(),
            arch,
            image: folder.join("image"),
            key: folder
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            release: read("release")?.trim().to_owned(),
            modules: read("modules/load")?
                .split_whitespace()
                .map(|file| modules.join(file))
                .collect(),
            symbols: symbols.exists().then_some(symbols),
            busybox: busybox.exists().then_some(busybox),
            arguments: if name.starts_with("debug") {
                DEBUG_ARGUMENTS
            } else {
                ""
            },
        };
        for file in kernel.modules.iter().chain([&kernel.image]) {
            ensure!(
                file.exists(),
                "{} is missing: remove {} and try again",
                file.display(),
                folder.display()
            );
        }
        Ok(kernel)
    }
}

/// The project's own modules: paths, and whether to load each.
///
/// # Errors
/// They could not be built.
pub fn modules(kernel: &Kernel) -> anyhow::Result<Vec<(PathBuf, bool)>> {
    let folder = tool("module", kernel.arch, &kernel.name)?;
    let modules: Vec<(PathBuf, bool)> = MODULES
        .iter()
        .map(|(file, load)| (folder.join(file), *load))
        .filter(|(file, _)| file.exists())
        .collect();
    ensure!(
        modules.iter().any(|(file, _)| file.ends_with("evq.ko")),
        "qemu/module {} has left no evq.ko in {} (--no-evq runs without)",
        kernel.name,
        folder.display()
    );
    Ok(modules)
}

/// Builds evdev-client, linked statically, and returns where it is.
///
/// # Errors
/// It does not build.
pub fn client(arch: Arch) -> anyhow::Result<PathBuf> {
    program(arch, "evdev-client", "evdev-client")
}

/// The init of the guest. For this machine's architecture it was built beside
/// this program.
///
/// # Errors
/// It does not build.
pub fn init(arch: Arch) -> anyhow::Result<PathBuf> {
    if arch == Arch::host()? {
        let me = std::env::current_exe().context("finding the place of this program")?;
        return Ok(me.with_file_name("evq-init"));
    }
    program(arch, "evq-vm", "evq-init")
}

/// Builds a program for the guest.
fn program(arch: Arch, package: &str, name: &str) -> anyhow::Result<PathBuf> {
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--release", "--package", package])
        .args(["--bin", name])
        .args(["--target", arch.target(), "--manifest-path"])
        .arg(checkout().join("Cargo.toml"))
        .arg("--config")
        .arg(checkout().join("qemu/cargo-vm.toml"))
        // They would take the place of the flags in that file.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .with_context(|| {
            format!("running cargo to build {name} (is a Rust toolchain installed?)")
        })?;
    ensure!(
        status.success(),
        "building {name} for {arch} failed, see above (--no-evq runs without evdev-client)"
    );
    Ok(target().join(arch.target()).join("release").join(name))
}

/// Runs `qemu/TOOL NAME`; its one line on stdout is a folder.
fn tool(tool: &str, arch: Arch, name: &str) -> anyhow::Result<PathBuf> {
    let path = checkout().join("qemu").join(tool);
    let output = Command::new(&path)
        .arg(name)
        .env("EVQ_ARCH", arch.to_string())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("running {}", path.display()))?;
    ensure!(
        output.status.success(),
        "qemu/{tool} {name} failed, see above ({})",
        output.status
    );
    let text = String::from_utf8(output.stdout).context("the output is not UTF-8")?;
    let folder = PathBuf::from(text.trim_end_matches('\n'));
    ensure!(
        folder.is_dir(),
        "qemu/{tool} {name} should have printed one folder, and printed {text:?}"
    );
    Ok(folder)
}
