// SPDX-License-Identifier: GPL-2.0
//! The words and barriers of the ring, as loom explores them, with mutants.

use loom::sync::atomic::{fence, AtomicU64, Ordering};
use std::sync::atomic::AtomicUsize;

/// One thing that the ring relies on, taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Nothing is.
    None,
    /// Reads that must come before what follows do not have to.
    NoAcquire,
    /// Writes that must come after what precedes do not have to.
    NoRelease,
    /// The mark of a busy slot may come after the new payload.
    NoPublishBusy,
    /// The look at the number may come before the copy.
    NoPayloadRead,
}

impl Mutant {
    /// All but [`Mutant::None`].
    pub(crate) const ALL: [Self; 4] = [
        Self::NoAcquire,
        Self::NoRelease,
        Self::NoPublishBusy,
        Self::NoPayloadRead,
    ];

    pub(crate) fn set(self) {
        CURRENT.store(self as usize, std::sync::atomic::Ordering::SeqCst);
    }

    fn is_set(self) -> bool {
        CURRENT.load(std::sync::atomic::Ordering::SeqCst) == self as usize
    }
}

/// Not loom's: it does not change while a model runs.
static CURRENT: AtomicUsize = AtomicUsize::new(Mutant::None as usize);

pub(crate) struct Word(AtomicU64);

impl Word {
    pub(crate) fn new(v: u64) -> Self {
        Self(AtomicU64::new(v))
    }

    pub(crate) fn load(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn load_acquire(&self) -> u64 {
        self.0.load(if Mutant::NoAcquire.is_set() {
            Ordering::Relaxed
        } else {
            Ordering::Acquire
        })
    }

    pub(crate) fn store(&self, v: u64) {
        self.0.store(v, Ordering::Relaxed);
    }

    pub(crate) fn store_release(&self, v: u64) {
        let ordering = if Mutant::NoRelease.is_set() {
            Ordering::Relaxed
        } else {
            Ordering::Release
        };
        self.0.store(v, ordering);
    }
}

pub(crate) fn publish_busy() {
    if !Mutant::NoPublishBusy.is_set() {
        fence(Ordering::Release);
    }
}

pub(crate) fn payload_read() {
    if !Mutant::NoPayloadRead.is_set() {
        fence(Ordering::Acquire);
    }
}
