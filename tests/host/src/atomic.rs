// SPDX-License-Identifier: GPL-2.0
//! The words and barriers of the ring, in the terms of Rust's memory model.
//!
//! The names are those of `driver/atomic.rs`. The barriers of the kernel order less than these
//! (`smp_wmb` stores only, `smp_rmb` loads only), which is all that the ring relies on.

use std::cell::Cell;
use std::sync::atomic::{fence, AtomicU64, Ordering};

pub(crate) struct Word(AtomicU64);

impl Word {
    pub(crate) const fn new(v: u64) -> Self {
        Self(AtomicU64::new(v))
    }

    pub(crate) fn load(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn load_acquire(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn store(&self, v: u64) {
        self.0.store(v, Ordering::Relaxed);
    }

    pub(crate) fn store_release(&self, v: u64) {
        self.0.store(v, Ordering::Release);
    }
}

pub(crate) fn publish_busy() {
    fence(Ordering::Release);
}

pub(crate) fn payload_read() {
    fence(Ordering::Acquire);
    if let Some(mut meanwhile) = MEANWHILE.take() {
        meanwhile();
        MEANWHILE.set(Some(meanwhile));
    }
}

thread_local! {
    static MEANWHILE: Cell<Option<Box<dyn FnMut()>>> = const { Cell::new(None) };
}

/// From now on, `run` runs in each read of this thread, between the copy and the
/// look at the numbers.
pub(crate) fn meanwhile(run: impl FnMut() + 'static) {
    MEANWHILE.set(Some(Box::new(run)));
}
