// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line of `qemu/run`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::arch::Arch;
use crate::verdict::EXIT_CODES;

/// Boots a kernel in QEMU with the project's modules and evdev-client, runs
/// COMMAND in it (a shell without one) and returns its exit status
#[derive(Clone, Debug, Parser)]
#[command(name = "qemu/run", after_long_help = after_help(), max_term_width = 100)]
pub struct Options {
    /// Kernel: stock, rt, 16k, tiny or debug, with a series if wanted (stock-7.2), or the
    /// directory of a kernel tree that was built
    #[arg(long, value_name = "NAME", default_value = "stock", env = "EVQ_KERNEL")]
    pub kernel: String,

    /// Architecture of the guest, amd64 or arm64; by default that of this machine
    #[arg(long, value_name = "ARCH", env = "EVQ_ARCH", value_parser = parse_arch)]
    pub arch: Option<Arch>,

    /// Puts a file of the host into the guest; may be repeated
    #[arg(long = "file", value_name = "SRC:DST", value_parser = parse_file)]
    pub files: Vec<(PathBuf, String)>,

    /// Loads one more module, after the project's own; may be repeated
    #[arg(long = "module", value_name = "FILE")]
    pub modules: Vec<PathBuf>,

    /// Virtual processors
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub smp: u32,

    /// Memory of the guest in MiB
    #[arg(long, value_name = "MB", default_value_t = 512)]
    pub memory: u32,

    /// More arguments for the kernel, separated by spaces
    #[arg(
        long,
        value_name = "ARGS",
        default_value = "",
        allow_hyphen_values = true
    )]
    pub append: String,

    /// Seconds that COMMAND may take; without it 120 times what booting has
    /// taken, at least 300 seconds, and no limit for a command on a terminal
    #[arg(long, value_name = "S", env = "EVQ_TIMEOUT", value_parser = parse_seconds)]
    pub timeout: Option<Duration>,

    /// COMMAND is a program of the host (a test binary): ships it, and the
    /// programs example-* of the same build, and runs it with RUST_TEST_THREADS=1
    #[arg(long, requires = "command")]
    pub cargo: bool,

    /// Counts instructions instead of time: one processor, emulated, whose clock
    /// goes on by a nanosecond with each instruction, and so the same for the
    /// same work whatever else the host does
    #[arg(long, conflicts_with = "smp")]
    pub icount: bool,

    /// Where each instruction of the guest goes, a line each, while it is
    /// recorded (vm-ctl trace on|off)
    #[arg(long, value_name = "FILE", requires = "icount")]
    pub trace: Option<PathBuf>,

    /// Leaves out the project's modules and evdev-client
    #[arg(long)]
    pub no_evq: bool,

    /// Opens a socket for gdb and, when the modules are loaded, writes a script
    /// for gdb with their symbols and says how to use it
    #[arg(long)]
    pub gdb: bool,

    /// What to run in the guest, with its arguments; they arrive exactly
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<OsString>,
}

fn after_help() -> String {
    format!(
        "Exit status:\n{EXIT_CODES}\n\
         Environment:\n  \
         EVQ_ACCEL=tcg|kvm  do not find out what works\n  \
         EVQ_CACHE=DIR      where kernels and measurements are kept (~/.cache/evq)\n  \
         EVQ_KERNEL_DIR=DIR a kernel as qemu/kernel leaves it; that is not called then\n  \
         EVQ_*, RUST_*, TERM, NO_COLOR, COLUMNS are passed on to COMMAND\n\n\
         In the guest, vm-ctl presses keys of the emulated keyboard (vm-ctl --help).\n\
         On a terminal, Ctrl-A x ends the machine."
    )
}

/// An empty variable is as good as none.
fn parse_arch(text: &str) -> Result<Arch, String> {
    if text.is_empty() {
        return Arch::host().map_err(|error| error.to_string());
    }
    text.parse()
}

fn parse_file(text: &str) -> Result<(PathBuf, String), String> {
    match text.rsplit_once(':') {
        Some((source, target)) if !source.is_empty() && target.starts_with('/') => {
            Ok((source.into(), target.into()))
        }
        _ => Err("wanted SRC:DST with an absolute DST, such as ./data:/tmp/data".into()),
    }
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>().map(Duration::try_from_secs_f64) {
        Ok(Ok(limit)) if !limit.is_zero() => Ok(limit),
        _ => Err("wanted a number of seconds above 0".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Options::command().debug_assert();
    }

    #[test]
    fn the_command_keeps_its_own_options() {
        let options = Options::parse_from(["run", "--smp", "1", "ls", "-l", "--smp"]);
        assert_eq!(options.smp, 1);
        assert_eq!(options.command, ["ls", "-l", "--smp"]);
    }

    #[test]
    fn instructions_are_recorded_only_where_they_are_counted() {
        assert!(Options::try_parse_from(["run", "--trace", "file", "true"]).is_err());
        assert!(Options::try_parse_from(["run", "--icount", "--trace", "file", "true"]).is_ok());
    }

    #[test]
    fn files_need_an_absolute_target() {
        assert!(parse_file("a:b").is_err());
        assert!(parse_file("/a").is_err());
        assert_eq!(parse_file("a:b:/c").unwrap(), ("a:b".into(), "/c".into()));
    }
}
