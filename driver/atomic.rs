// SPDX-License-Identifier: GPL-2.0

//! The words and barriers of the ring, in the terms of the kernel's memory model (LKMM).
//!
//! `ring.rs` takes them from its sibling of this name, so that the host can give it others.

use super::glue::{
    compat::{
        smp_rmb,
        smp_wmb, //
    },
    word::{
        read_once,
        write_once, //
    },
};
use kernel::sync::atomic::{
    Acquire,
    Atomic,
    Release, //
};

/// A word that writers and readers share.
#[repr(transparent)]
pub(crate) struct Word(Atomic<u64>);

impl Word {
    /// A word with the value `v`.
    pub(crate) const fn new(v: u64) -> Self {
        Self(Atomic::new(v))
    }

    /// Reads without ordering.
    #[inline(always)]
    pub(crate) fn load(&self) -> u64 {
        read_once(&self.0)
    }

    /// Reads before all that follows.
    #[inline(always)]
    pub(crate) fn load_acquire(&self) -> u64 {
        self.0.load(Acquire)
    }

    /// Writes without ordering.
    #[inline(always)]
    pub(crate) fn store(&self, v: u64) {
        write_once(&self.0, v);
    }

    /// Writes after all that precedes.
    #[inline(always)]
    pub(crate) fn store_release(&self, v: u64) {
        self.0.store(v, Release);
    }
}

/// Orders the mark of a busy slot before the new payload.
#[inline(always)]
pub(crate) fn publish_busy() {
    smp_wmb();
}

/// Orders the copy of a payload before the second look at its sequence number.
#[inline(always)]
pub(crate) fn payload_read() {
    smp_rmb();
}
