// SPDX-License-Identifier: MIT OR Apache-2.0
//! `qemu/run`: from the options to the exit status.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{stderr, stdin, stdout};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::accel;
use crate::arch::Arch;
use crate::cache::Cache;
use crate::gdb;
use crate::initramfs::Initramfs;
use crate::kernel::{self, Kernel};
use crate::machine::{run_folder, Accel, Hardware};
use crate::options::Options;
use crate::session::{self, CommandLimit, Limits, Outcome};
use crate::stdio::{Notice, Stdio};
use crate::terminal;
use crate::verdict::Verdict;
use crate::wire::path;

/// Lines of the kernel log that a failure shows.
const LOG_TAIL: usize = 20;

/// Where `--cargo` puts the program.
const SHIPPED: &str = "/lib/evq/cargo";

/// Does all of it. Blocks until the machine is gone.
///
/// # Errors
/// The machine could not be set up or started. All else is in the exit status.
pub fn run(options: &Options) -> anyhow::Result<u8> {
    terminal::block_size_signal()?;
    let cache = Cache::open()?;
    let arch = options.arch.map_or_else(Arch::host, Ok)?;
    let kernel = Kernel::prepare(arch, &options.kernel)?;
    let folder = run_folder(&kernel::target().join("vm"))?;
    let (accel, smp) = if options.icount {
        (Accel::Tcg, 1)
    } else {
        (accel::choose(&kernel, &cache, &folder)?, options.smp)
    };
    let size = terminal::size();

    // A debug kernel can have the release of a fast one.
    let clock = if options.icount { "-icount" } else { "" };
    let measured = format!("boot-{}-{accel}-{smp}{clock}", kernel.key);
    let usual = cache
        .get(&measured)
        .and_then(|text| text.trim().parse().ok())
        .map(Duration::from_millis);
    let limits = Limits {
        boot: usual.map_or(Duration::from_secs(180), |usual| {
            (usual * 10).max(Duration::from_secs(30))
        }),
        command: match (options.timeout, size) {
            (Some(limit), _) => CommandLimit::Fixed(limit),
            (None, Some(_)) => CommandLimit::None,
            (None, None) => CommandLimit::Scaled(120, Duration::from_secs(300)),
        },
    };
    let modules = modules(options, &kernel)?;
    let initramfs =
        initramfs(options, &kernel, &modules, size)?.write(&folder.join("initramfs.cpio"))?;
    let hardware = Hardware {
        arch,
        image: kernel.image.clone(),
        initramfs,
        append: format!("{} {}", kernel.arguments, options.append),
        smp,
        memory: options.memory,
        accel,
        icount: options.icount,
        trace: options.trace.clone(),
        gdb: options.gdb.then(|| folder.join("gdb.sock")),
        messages: folder.join("qemu.log"),
    };
    let log = folder.join("kernel.log");
    let files: Vec<PathBuf> = modules.into_iter().map(|(file, _)| file).collect();
    let mut on_sections = |sections: &[_]| match &hardware.gdb {
        Some(socket) => gdb::offer(&kernel, &files, socket, sections, &folder),
        None => Ok(()),
    };
    let mut outcome = session::run(&hardware, limits, stdio(size), &log, &mut on_sections)?;
    if outcome.boot.is_none() && outcome.interrupted.is_none() {
        // Nothing of ours has run, so that this says nothing about it, and input is
        // read for a command only: none is missing the second time. Seen
        // about once in a hundred boots under TCG with two CPUs: one of them
        // meets the int3 of a code patch that the other has just taken away.
        let first = folder.join("kernel-first.log");
        fs::rename(&log, &first).with_context(|| format!("keeping {}", log.display()))?;
        eprintln!(
            "evq-vm: the guest ended before its init spoke ({}); starting it once more",
            first.display()
        );
        outcome = session::run(&hardware, limits, stdio(size), &log, &mut on_sections)?;
    }
    // It can be large, and the replay makes it again.
    fs::remove_file(&hardware.initramfs)
        .with_context(|| format!("removing {}", hardware.initramfs.display()))?;
    if let Some(boot) = outcome.boot {
        cache.set(&measured, &boot.as_millis().to_string())?;
    }
    match outcome.interrupted {
        // By convention: SIGPIPE, and what Ctrl-C gives.
        Some(Notice::OutputClosed) => Ok(141),
        Some(Notice::Escape | Notice::OutputComplete) => {
            eprintln!("\nevq-vm: ended by Ctrl-A x");
            Ok(130)
        }
        None => Ok(judge(&outcome, &log)),
    }
}

/// Our own standard streams, for the command.
fn stdio(size: Option<(u16, u16)>) -> Stdio {
    Stdio {
        input: Box::new(stdin()),
        out: Box::new(stdout()),
        err: Box::new(stderr()),
        raw: size.is_some(),
    }
}

/// Prints what is to be said about a failure, and gives the exit status.
fn judge(outcome: &Outcome, log: &Path) -> u8 {
    let verdict = Verdict::of(&outcome.seen);
    let code = verdict.exit_code();
    if verdict.failures.is_empty() {
        return code;
    }
    for failure in &verdict.failures {
        eprintln!("evq-vm: FAILED ({}): {failure}", failure.exit_code());
    }
    if let Some(status) = verdict.status {
        eprintln!("evq-vm: the command itself: {status}");
    }
    let lines: Vec<&str> = outcome.log.lines().collect();
    eprintln!("evq-vm: the end of the kernel log:");
    for line in &lines[lines.len().saturating_sub(LOG_TAIL)..] {
        eprintln!("    {line}");
    }
    eprintln!("evq-vm: all of it: {}", log.display());
    eprintln!("replay: {}", replay());
    code
}

/// The modules on top of the kernel's own, and whether to load each.
fn modules(options: &Options, kernel: &Kernel) -> anyhow::Result<Vec<(PathBuf, bool)>> {
    let mut modules = Vec::new();
    if !options.no_evq {
        modules = kernel::modules(kernel)?;
    }
    modules.extend(options.modules.iter().map(|module| (module.clone(), true)));
    Ok(modules)
}

fn initramfs(
    options: &Options,
    kernel: &Kernel,
    modules: &[(PathBuf, bool)],
    size: Option<(u16, u16)>,
) -> anyhow::Result<Initramfs> {
    let mut initramfs = Initramfs::new(kernel)?;
    for module in &kernel.modules {
        initramfs.module(module, true)?;
    }
    for (module, load) in modules {
        initramfs.module(module, *load)?;
    }
    if !options.no_evq {
        initramfs.program(&kernel::client(kernel.arch)?, "/bin/evdev-client")?;
    }
    for (source, target) in &options.files {
        initramfs.file(source, target)?;
    }
    let mut argv = options.command.clone();
    if options.cargo {
        ship(&mut initramfs, &mut argv)?;
    }
    if argv.is_empty() {
        argv.extend(["/bin/sh", "-l"].map(OsString::from));
    }
    initramfs.words(path::ARGV, argv.iter().map(OsString::as_os_str));
    let environment = environment(options.cargo);
    initramfs.words(path::ENV, environment.iter().map(OsString::as_os_str));
    initramfs.text(
        path::STDIO,
        &size.map_or("pipe\n".into(), |(rows, columns)| {
            format!("tty {rows} {columns}\n")
        }),
    );
    Ok(initramfs)
}

/// Puts the program that the command names into the guest.
fn ship(initramfs: &mut Initramfs, argv: &mut [OsString]) -> anyhow::Result<()> {
    let program = argv.first_mut().context("--cargo needs a program")?;
    let source = PathBuf::from(&*program);
    let name = source
        .file_name()
        .and_then(OsStr::to_str)
        .with_context(|| format!("--cargo needs the path of a program, not {program:?}"))?;
    let target = format!("{SHIPPED}/{name}");
    initramfs.program(&source, &target)?;
    *program = target.into();
    for example in examples(&source)? {
        let name = example.file_name().unwrap_or_default().to_string_lossy();
        initramfs.program(&example, &format!("{SHIPPED}/{name}"))?;
    }
    Ok(())
}

/// The programs that cargo has built for a test to run: a test is
/// `BUILD/deps/NAME-HASH`, and they are `BUILD/example-NAME`.
fn examples(test: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let Some(deps) = test.parent().filter(|folder| folder.ends_with("deps")) else {
        return Ok(Vec::new());
    };
    let build = deps.join("..");
    let reading = || format!("looking for examples in {}", build.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(&build).with_context(reading)? {
        let path = entry.with_context(reading)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // Beside each is a list of what it was made of, NAME.d.
        if name.starts_with("example-") && path.extension().is_none() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// `NAME=VALUE` for the command.
fn environment(cargo: bool) -> Vec<OsString> {
    let mut all: Vec<OsString> = ["PATH=/bin", "HOME=/root", "USER=root"]
        .map(Into::into)
        .into();
    if cargo {
        all.push("RUST_TEST_THREADS=1".into());
    }
    let mut term = false;
    for (name, value) in std::env::vars_os() {
        let text = name.as_bytes();
        // The places are those of the host.
        let host_only = [
            &b"EVQ_CACHE"[..],
            b"EVQ_KERNEL",
            b"EVQ_KERNEL_DIR",
            b"EVQ_ACCEL",
            b"EVQ_ARCH",
        ];
        let passed = text.starts_with(b"EVQ_")
            || (text.starts_with(b"RUST_") && !(cargo && text == b"RUST_TEST_THREADS"))
            || [&b"TERM"[..], b"NO_COLOR", b"COLUMNS"].contains(&text);
        if passed && !host_only.contains(&text) {
            term |= text == b"TERM";
            all.push(OsString::from_vec([text, b"=", value.as_bytes()].concat()));
        }
    }
    if !term {
        all.push("TERM=linux".into());
    }
    all
}

/// The command line of this run, to be pasted into a shell.
fn replay() -> String {
    let mut words = Vec::new();
    for name in [
        "EVQ_ACCEL",
        "EVQ_ARCH",
        "EVQ_KERNEL",
        "EVQ_KERNEL_DIR",
        "EVQ_CACHE",
    ] {
        if let Some(value) = std::env::var_os(name) {
            words.push(format!("{name}={}", quote(&value)));
        }
    }
    words.push(quote(kernel::checkout().join("qemu/run").as_os_str()));
    words.extend(std::env::args_os().skip(1).map(|word| quote(&word)));
    words.join(" ")
}

fn quote(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    let plain = |char: char| char.is_ascii_alphanumeric() || "-_+=./:,@%".contains(char);
    if !text.is_empty() && text.chars().all(plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_quoted_words_as_they_were() {
        for word in [
            "plain-1.0",
            "",
            "two words",
            "it's",
            "a\nb",
            "$HOME `x` \"y\" \\",
        ] {
            let script = format!("printf %s {}", quote(OsStr::new(word)));
            let output = std::process::Command::new("sh")
                .args(["-c", &script])
                .output()
                .unwrap();
            assert_eq!(output.stdout, word.as_bytes(), "{script}");
        }
        assert_eq!(quote(OsStr::new("plain-1.0")), "plain-1.0");
    }
}
