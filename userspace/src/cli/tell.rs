// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages for people, on standard error.

use std::io::{self, Write as _};

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
    let _ = io::stderr().write_all(format!("evdev-client: {words}\n").as_bytes());
}
