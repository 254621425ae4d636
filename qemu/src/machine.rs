// SPDX-License-Identifier: MIT OR Apache-2.0
//! The QEMU process and what connects us to it: socket pairs, which
//! need no names and end with the process.

use std::fmt;
use std::fs::{self, File};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::Context;
use nix::fcntl::{fcntl, FcntlArg, FdFlag};
use nix::sys::signal::Signal;

use crate::arch::Arch;
use crate::wire::VIRTIO_PORT;

/// What executes the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// The processor.
    Kvm,
    /// QEMU's translator.
    Tcg,
}

impl fmt::Display for Accel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        })
    }
}

/// A nanosecond for each instruction; the calendar does not come from the host.
const ICOUNT: &[&str] = &[
    "-icount",
    "shift=0,sleep=off",
    "-rtc",
    "base=2024-01-01T00:00:00,clock=vm",
];

/// What to boot and how.
#[derive(Clone, Debug)]
pub struct Hardware {
    /// Its architecture.
    pub arch: Arch,
    /// Kernel image.
    pub image: PathBuf,
    /// Its initramfs.
    pub initramfs: PathBuf,
    /// More kernel arguments.
    pub append: String,
    /// Virtual processors.
    pub smp: u32,
    /// MiB.
    pub memory: u32,
    /// KVM or TCG.
    pub accel: Accel,
    /// Whether the clock counts instructions; TCG and one processor only.
    pub icount: bool,
    /// Where instructions go that are recorded; without it QEMU's own messages.
    pub trace: Option<PathBuf>,
    /// Socket for gdb, which QEMU makes.
    pub gdb: Option<PathBuf>,
    /// Where QEMU's own messages go.
    pub messages: PathBuf,
}

/// A running machine. Dropping it ends it.
pub struct Machine {
    child: Child,
    messages: PathBuf,
    /// The console, [`Arch::console`]: the kernel log.
    pub log: UnixStream,
    /// ttyS1: the command's stdio, see [`crate::wire`].
    pub data: UnixStream,
    /// The virtio port for the same.
    pub fast_data: UnixStream,
    /// ttyS2: control, see [`crate::wire`].
    pub control: UnixStream,
    /// QMP.
    pub monitor: UnixStream,
}

impl Machine {
    /// Starts QEMU. To be called from a thread that lives as long as the
    /// machine: the kernel kills QEMU when that thread ends.
    ///
    /// # Errors
    /// No sockets, or QEMU is not installed.
    pub fn start(hardware: &Hardware) -> anyhow::Result<Self> {
        let pair = || UnixStream::pair().context("making a socket pair for QEMU");
        let (log, log_end) = pair()?;
        let (data, data_end) = pair()?;
        let (fast_data, fast_data_end) = pair()?;
        let (control, control_end) = pair()?;
        let (monitor, monitor_end) = pair()?;

        let mut command = Command::new(hardware.arch.qemu());
        command
            .args([
                "-nodefaults",
                "-no-user-config",
                "-display",
                "none",
                "-no-reboot",
            ])
            .args(["-m", &hardware.memory.to_string()])
            .args(["-smp", &hardware.smp.to_string()])
            .args(processor(hardware.arch, hardware.accel))
            .args(if hardware.icount { ICOUNT } else { &[] })
            .arg("-kernel")
            .arg(&hardware.image)
            .arg("-initrd")
            .arg(&hardware.initramfs)
            .args(["-append", &kernel_arguments(hardware)]);
        for (name, end) in [
            ("log", &log_end),
            ("data", &data_end),
            ("control", &control_end),
        ] {
            command.args([
                "-chardev",
                &format!("socket,id={name},fd={}", end.as_raw_fd()),
            ]);
        }
        command.args(ports(hardware.arch));
        command
            .args([
                "-chardev",
                &format!("socket,id=monitor,fd={}", monitor_end.as_raw_fd()),
            ])
            .args(["-mon", "chardev=monitor,mode=control"]);
        command
            .arg("-chardev")
            .arg(format!("socket,id=fast,fd={}", fast_data_end.as_raw_fd()))
            .args(["-device", "virtio-serial-pci", "-device"])
            .arg(format!("virtserialport,chardev=fast,name={VIRTIO_PORT}"));
        if let Some(file) = &hardware.trace {
            command.arg("-D").arg(file);
        }
        if let Some(socket) = &hardware.gdb {
            command
                .args([
                    "-chardev",
                    &format!("socket,id=gdb,server=on,wait=off,path={}", socket.display()),
                ])
                .args(["-gdb", "chardev:gdb"]);
        }
        let messages = File::create(&hardware.messages)
            .with_context(|| format!("creating {}", hardware.messages.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(messages.try_clone()?)
            .stderr(messages)
            // Ctrl-C is for us: QEMU in our process group would end unasked.
            .process_group(0);

        let ends = [
            &log_end,
            &data_end,
            &fast_data_end,
            &control_end,
            &monitor_end,
        ]
        .map(AsRawFd::as_raw_fd);
        // SAFETY: between fork and exec only fcntl and prctl are called, which
        // are async-signal-safe; nothing is allocated and no lock is taken.
        unsafe { command.pre_exec(move || prepare_child(&ends)) };
        let child = command.spawn().with_context(|| {
            let arch = hardware.arch;
            format!(
                "starting {} (apt-get install {})",
                arch.qemu(),
                arch.qemu_package()
            )
        })?;
        Ok(Self {
            child,
            messages: hardware.messages.clone(),
            log,
            data,
            fast_data,
            control,
            monitor,
        })
    }

    /// Ends the machine at once.
    pub fn kill(&mut self) {
        // It fails only for a process that has ended and was waited for.
        let _ = self.child.kill();
    }

    /// Waits for QEMU to end. Blocks.
    ///
    /// # Errors
    /// That of the system call.
    pub fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        self.child.wait().context("waiting for QEMU")
    }

    /// What QEMU itself has said so far.
    #[must_use]
    pub fn messages(&self) -> String {
        fs::read_to_string(&self.messages)
            .unwrap_or_default()
            .trim()
            .to_owned()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}

fn prepare_child(ends: &[RawFd]) -> std::io::Result<()> {
    for end in ends {
        // SAFETY: the parent keeps the sockets open until spawn returns.
        let end = unsafe { BorrowedFd::borrow_raw(*end) };
        fcntl(end, FcntlArg::F_SETFD(FdFlag::empty()))?;
    }
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    Ok(())
}

/// The machine and its processors.
fn processor(arch: Arch, accel: Accel) -> &'static [&'static str] {
    match (arch, accel) {
        (Arch::Amd64, Accel::Kvm) => &["-machine", "pc", "-accel", "kvm", "-cpu", "host"],
        (Arch::Amd64, Accel::Tcg) => &["-machine", "pc", "-accel", "tcg", "-cpu", "max"],
        (Arch::Arm64, Accel::Kvm) => &[
            "-machine",
            "virt,gic-version=max",
            "-accel",
            "kvm",
            "-cpu",
            "host",
        ],
        // Pointer authentication as the architecture defines it costs half of the time.
        (Arch::Arm64, Accel::Tcg) => &[
            "-machine",
            "virt",
            "-accel",
            "tcg",
            "-cpu",
            "max,pauth-impdef=on",
        ],
    }
}

/// The serial ports: the console for the log, ttyS1 for data, ttyS2 for control.
/// The arm64 machine has one port, no ISA bus and no keyboard controller: the
/// other ports and a keyboard are PCI devices there.
fn ports(arch: Arch) -> &'static [&'static str] {
    match arch {
        Arch::Amd64 => &[
            "-serial",
            "chardev:log",
            "-serial",
            "chardev:data",
            "-serial",
            "chardev:control",
        ],
        Arch::Arm64 => &[
            "-serial",
            "chardev:log",
            "-chardev",
            "null,id=unused",
            "-device",
            "pci-serial,chardev=unused",
            "-device",
            "pci-serial,chardev=data",
            "-device",
            "pci-serial,chardev=control",
            "-device",
            "virtio-keyboard-pci",
        ],
    }
}

fn kernel_arguments(hardware: &Hardware) -> String {
    // A log that loses nothing, whatever level the command sets; a panic that ends the machine
    // instead of hanging it (and an oops is one); nothing that waits for hardware.
    let mut arguments = format!(
        "console={} ignore_loglevel printk.devkmsg=on oops=panic panic=-1 rdinit=/init \
         8250.nr_uarts=4 sysrq_always_enabled=1 mitigations=off",
        hardware.arch.console()
    );
    if hardware.arch == Arch::Amd64 {
        arguments.push_str(" reboot=t");
    }
    if hardware.gdb.is_some() || hardware.icount {
        arguments.push_str(" nokaslr");
    }
    if hardware.icount {
        // Nothing by chance, no calibration of a clock against another, and no
        // tests of ciphers that run for seconds beside the command.
        arguments.push_str(" norandmaps cryptomgr.notests");
        if hardware.arch == Arch::Amd64 {
            arguments.push_str(" tsc_early_khz=1000000 tsc=reliable");
        }
    }
    if !hardware.append.is_empty() {
        arguments.push(' ');
        arguments.push_str(&hardware.append);
    }
    arguments
}

/// The first line that QEMU prints for `--version`.
///
/// # Errors
/// QEMU is not installed.
pub fn qemu_version(arch: Arch) -> anyhow::Result<String> {
    let output = Command::new(arch.qemu())
        .arg("--version")
        .output()
        .with_context(|| {
            format!(
                "running {} --version (apt-get install {})",
                arch.qemu(),
                arch.qemu_package()
            )
        })?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// A folder for one run, below `target/vm`; `target/vm/last` points to it.
/// Older ones are removed, except for the newest few.
///
/// # Errors
/// It cannot be made.
pub fn run_folder(base: &Path) -> anyhow::Result<PathBuf> {
    const KEPT: usize = 30;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |time| time.as_millis());
    let folder = base.join(format!("{now}-{}", std::process::id()));
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let draft = base.join(format!("last.{}", std::process::id()));
    // A convenience only: the folder is printed as well.
    let _ = std::os::unix::fs::symlink(&folder, &draft)
        .and_then(|()| fs::rename(&draft, base.join("last")));
    let mut folders: Vec<PathBuf> = fs::read_dir(base)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir() && !path.is_symlink())
        .collect();
    folders.sort();
    for old in folders.iter().rev().skip(KEPT) {
        let _ = fs::remove_dir_all(old);
    }
    Ok(folder)
}
