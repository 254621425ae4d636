// SPDX-License-Identifier: GPL-2.0

//! Plain loads and stores of a shared word, without a call.
//!
//! Up to Linux 7.3 each access to an [`Atomic`] calls a C function. For a record of eight words that is
//! most of the work.

use kernel::sync::atomic::Atomic;

/// `READ_ONCE()`.
#[inline(always)]
pub(crate) fn read_once(word: &Atomic<u64>) -> u64 {
    // SAFETY: The pointer is valid and aligned for as long as the reference. Others may write at
    // the same time; a volatile read is what `READ_ONCE()` is in the kernel's memory model.
    unsafe { word.as_ptr().read_volatile() }
}

/// `WRITE_ONCE()`.
#[inline(always)]
pub(crate) fn write_once(word: &Atomic<u64>, v: u64) {
    // SAFETY: As in `read_once`; an atomic may be written to through a shared reference.
    unsafe { word.as_ptr().write_volatile(v) }
}
