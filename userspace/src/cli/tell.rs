// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages for people, on standard error; and answers, on standard output.

use std::io::{self, Write as _};

use anyhow::Context as _;

pub(super) use super::printable::printable;

/// What could not be done, of whatever writes there.
pub(super) const PRINTING: &str = "cannot write to standard output";

/// Writes an answer to standard output, at once.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes());
    written.and_then(|()| stdout.flush()).context(PRINTING)
}

/// Says something on standard error, behind the name of the program. As one
/// write, so that what others say at the same time does not come in between.
/// Nobody listens any more: then there is nobody to tell either.
macro_rules! tell {
    ($($words:tt)*) => {
        $crate::cli::tell::line(format!($($words)*))
    };
}
pub(super) use tell;

pub(super) fn line(words: String) {
    let line = format!("evdev-client: {}\n", printable(&words));
    let _ = io::stderr().write_all(line.as_bytes());
}
