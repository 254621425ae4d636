// SPDX-License-Identifier: GPL-2.0

//! A lock that code in hard interrupts may take.
//!
//! [`SpinLock`] leaves interrupts on: an interrupt that takes a lock which its own CPU holds waits
//! for ever. [`IrqLock`] turns them off while it is held, and it is a `raw_spinlock_t`, which does
//! not sleep on `PREEMPT_RT` either. The data is reached through a closure rather than a guard:
//! two guards dropped out of order would turn interrupts on while one lock is still held.
//!
//! C header: [`include/linux/spinlock.h`](srctree/include/linux/spinlock.h)
//!
//! [`SpinLock`]: kernel::sync::SpinLock

use super::ffi;
use core::{
    cell::UnsafeCell,
    marker::PhantomPinned, //
};
use kernel::{
    bindings,
    prelude::*,
    sync::LockClassKey,
    types::Opaque, //
};

/// A value that is only reached with interrupts off and a raw spin lock held.
///
/// # Invariants
///
/// `lock` is an initialised `raw_spinlock_t`, and `data` is only accessed while it is held.
#[pin_data]
pub(crate) struct IrqLock<T> {
    #[pin]
    lock: Opaque<bindings::raw_spinlock_t>,
    data: UnsafeCell<T>,
    #[pin]
    _pin: PhantomPinned,
}

// SAFETY: Moving the lock between threads moves the data, nothing else in it is bound to a thread.
unsafe impl<T: Send> Send for IrqLock<T> {}

// SAFETY: The lock hands out the data to one CPU at a time.
unsafe impl<T: Send> Sync for IrqLock<T> {}

impl<T> IrqLock<T> {
    /// Creates an initialiser for a lock around `data`.
    pub(crate) fn new(
        data: T,
        name: &'static CStr,
        key: Pin<&'static LockClassKey>,
    ) -> impl PinInit<Self> {
        // INVARIANT: The lock is initialised, and nobody can have reached the data before.
        pin_init!(Self {
            lock <- Opaque::ffi_init(|slot| {
                // SAFETY: `slot` is valid for writes and will not move; name and key live for ever.
                unsafe {
                    ffi::evq_helper_raw_spin_lock_init(slot, name.as_char_ptr(), key.as_ptr())
                }
            }),
            data: UnsafeCell::new(data),
            _pin: PhantomPinned,
        })
    }

    /// Runs `f` with the data, interrupts off and the lock held.
    ///
    /// Any context except NMI. `f` must be short, must not sleep and must not come back to the same
    /// lock.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: Initialised by the type invariants.
        let flags = unsafe { ffi::evq_helper_raw_spin_lock_irqsave(self.lock.get()) };
        // SAFETY: The lock is held, so that nobody else has a reference to the data.
        let result = f(unsafe { &mut *self.data.get() });
        // SAFETY: This CPU has taken the lock above, with these flags. Nothing unwinds in the
        // kernel, so that no path leaves the lock held.
        unsafe { ffi::evq_helper_raw_spin_unlock_irqrestore(self.lock.get(), flags) };
        result
    }
}
