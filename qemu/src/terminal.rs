// SPDX-License-Identifier: MIT OR Apache-2.0
//! The user's terminal, for a command that runs on one.

use std::io::{stdin, stdout, IsTerminal};
use std::thread;

use anyhow::Context;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::termios::{cfmakeraw, tcgetattr, tcsetattr, SetArg, Termios};
use terminal_size::{terminal_size, Height, Width};

/// Rows and columns, where input and output are one terminal.
#[must_use]
pub fn size() -> Option<(u16, u16)> {
    if !stdin().is_terminal() || !stdout().is_terminal() {
        return None;
    }
    Some(terminal_size().map_or((24, 80), |(Width(columns), Height(rows))| (rows, columns)))
}

/// Raw mode until it is dropped.
pub struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Every key goes to the guest from now on.
    ///
    /// # Errors
    /// Standard input is no terminal.
    pub fn enter() -> anyhow::Result<Self> {
        let before = tcgetattr(stdin()).context("asking for the modes of the terminal")?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(stdin(), SetArg::TCSANOW, &raw).context("setting the terminal to raw mode")?;
        Ok(Self { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // A terminal that has gone needs no modes.
        let _ = tcsetattr(stdin(), SetArg::TCSANOW, &self.before);
    }
}

/// Keeps SIGWINCH for [`watch_size`]. Has to be called before any thread is
/// started: a thread that does not block the signal would swallow it.
///
/// # Errors
/// The signal cannot be blocked.
pub fn block_size_signal() -> anyhow::Result<()> {
    size_signal().thread_block().context("blocking SIGWINCH")
}

/// Calls `changed` with rows and columns whenever the size changes.
pub fn watch_size(changed: impl Fn(u16, u16) + Send + 'static) {
    thread::spawn(move || {
        while size_signal().wait().is_ok() {
            if let Some((rows, columns)) = size() {
                changed(rows, columns);
            }
        }
    });
}

fn size_signal() -> SigSet {
    SigSet::from(Signal::SIGWINCH)
}
