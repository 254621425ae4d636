// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program behind `qemu/run`.

use std::process::ExitCode;

use clap::Parser;
use evq_vm::options::Options;
use evq_vm::run::run;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(code) => code.into(),
        Err(error) => {
            eprintln!("evq-vm: FAILED (200): {error:#}");
            200.into()
        }
    }
}
