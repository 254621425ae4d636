// SPDX-License-Identifier: MIT OR Apache-2.0
//! `evdev-client`: watches, sends and inspects events.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
