// SPDX-License-Identifier: MIT OR Apache-2.0
//! PID 1 of the guest: gets the machine ready, runs the command, reports how
//! it ended and resets the machine. Called as `vm-ctl` it is the tool that
//! asks the host for key presses.

mod command;
mod control;
mod leaks;
mod setup;
mod vm_ctl;

use std::fs;
use std::panic;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use evq_vm::wire::{self, Report};

use crate::control::Control;

fn main() -> ExitCode {
    let name = std::env::args_os().next().unwrap_or_default();
    if Path::new(&name)
        .file_name()
        .is_some_and(|name| name == "vm-ctl")
    {
        return vm_ctl::main();
    }
    if std::process::id() != 1 {
        eprintln!("evq-init: this is for PID 1 of a machine that qemu/run has booted");
        return ExitCode::FAILURE;
    }
    // PID 1 must not end: the kernel would panic, and that hides why.
    match panic::catch_unwind(run) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => give_up(&format!("{error:#}")),
        Err(_) => give_up("the guest's init panicked, see the kernel log"),
    }
    setup::reset()
}

fn run() -> anyhow::Result<()> {
    setup::mount_first()?;
    let control = Control::open()?;
    control.send(&Report::Hello(wire::VERSION))?;
    control.send(&Report::Tainted {
        after: false,
        value: setup::taint()?,
    })?;
    setup::mount_rest()?;
    setup::install_commands()?;
    setup::load_modules()?;
    for section in setup::sections() {
        control.send(&section)?;
    }
    control.serve()?;
    let bye = control.bye();
    let ended = command::run(&control)?;
    leaks::report()?;
    control.send(&Report::Status(ended.status))?;
    control.send(&Report::Tainted {
        after: true,
        value: setup::taint()?,
    })?;
    setup::end_log()?;
    control.send(&Report::Done {
        out: ended.out,
        err: ended.err,
    })?;
    // What is under way in a device when the machine is reset is lost.
    bye.recv()
        .context("waiting for the host to have all output")
}

fn give_up(text: &str) {
    let sent = Control::open().and_then(|control| control.send(&Report::Failed(text.into())));
    if let Err(error) = sent {
        eprintln!("evq-init: {text}; and the host could not be told: {error:#}");
    }
}

fn read(path: &str) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {path} in the guest"))
}
