// SPDX-License-Identifier: MIT OR Apache-2.0
//! The signals that the program was started with as ignored.
//!
//! Rust's start-up code ignores SIGPIPE before `main`, after which nothing tells
//! whether it was ignored before. So this looks earlier: the C library calls the
//! functions in `.init_array` before it calls the start-up code.

use std::sync::atomic::{AtomicU64, Ordering};

use evq::Ignored;

static AT_START: AtomicU64 = AtomicU64::new(0);

extern "C" fn look() {
    AT_START.store(Ignored::now().mask(), Ordering::Relaxed);
}

#[used]
// SAFETY: The section holds addresses of C functions, which the C library calls
// once each, with arguments that this one does not read. Nothing of Rust's
// standard library has been set up then, and `look` uses nothing of it.
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

/// What programs that this one starts have to ignore, too.
pub(super) fn ignored() -> Ignored {
    Ignored::from_mask(AT_START.load(Ordering::Relaxed))
}
