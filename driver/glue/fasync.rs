// SPDX-License-Identifier: GPL-2.0

//! The list of open files that want a signal (`O_ASYNC`, `FIOASYNC`).
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! C source: [`fs/fcntl.c`](srctree/fs/fcntl.c)

use super::compat::smp_mb;
use core::marker::PhantomPinned;
use kernel::{
    bindings,
    error::to_result,
    ffi::c_int,
    prelude::*,
    types::Opaque, //
};

/// Why a signal is sent: `si_code` of the signal, if the owner chose one with `F_SETSIG`.
///
/// Only values from `POLL_IN` to `POLL_HUP` exist: `send_sigio` stops the kernel on any other, an
/// `EPOLL*` mask for example, which is why this is no integer.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Band {
    /// Data is there to be read.
    In = bindings::POLL_IN,
    /// The device is gone.
    Hup = bindings::POLL_HUP,
}

/// A list of `struct fasync_struct`, one for each open file that is armed.
///
/// # Invariants
///
/// - `head` is a list that only `fasync_helper` changes.
/// - Each entry belongs to a file whose operations keep this list alive until they have taken the
///   entry off again (see [`miscdevice`](super::miscdevice)).
#[pin_data]
pub(crate) struct FasyncList {
    #[pin]
    head: Opaque<*mut bindings::fasync_struct>,
    #[pin]
    _pin: PhantomPinned,
}

// SAFETY: The list is protected by locks of its own in `fs/fcntl.c`.
unsafe impl Send for FasyncList {}

// SAFETY: As above.
unsafe impl Sync for FasyncList {}

impl FasyncList {
    /// Creates an initialiser for an empty list.
    pub(crate) fn new() -> impl PinInit<Self> {
        // INVARIANT: An empty list is a null pointer.
        pin_init!(Self {
            head <- Opaque::ffi_init(|slot: *mut *mut bindings::fasync_struct| {
                // SAFETY: `slot` is valid for writes.
                unsafe { slot.write(core::ptr::null_mut()) }
            }),
            _pin: PhantomPinned,
        })
    }

    /// Puts `file` on the list, or takes it off if `on` is false.
    ///
    /// `fd` is what the owner finds in `si_fd`. Sets or clears `FASYNC` in the flags of the file.
    /// Process context, may sleep. Fails with `ENOMEM` if `on`, never otherwise.
    ///
    /// Whoever reads the state of the device after this returned with `on` set will either see
    /// what was published before a call of [`FasyncList::is_armed`], or that call sees `file`.
    ///
    /// # Safety
    ///
    /// - `file` must be valid; it may be on its way out, without a reference left.
    /// - The list must outlive the entry: whoever puts `file` on it must take it off before the list
    ///   is gone, at the latest when the file is released.
    pub(super) unsafe fn set(&self, fd: c_int, file: *mut bindings::file, on: bool) -> Result {
        // SAFETY: `file` is valid, `head` is a list by the type invariants.
        let ret = unsafe { bindings::fasync_helper(fd, file, c_int::from(on), self.head.get()) };
        // Pairs with the one before `is_armed`.
        smp_mb();
        // Positive says that the list changed, which is nobody's business.
        to_result(ret.min(0))
    }

    /// Whether any file is on the list.
    ///
    /// If it says no, whoever comes later sees what the caller has published before a full barrier
    /// ([`smp_mb`]) that stands before this, and pairs with the one in [`FasyncList::set`]; so there
    /// is nobody to signal. Any context.
    pub(crate) fn is_armed(&self) -> bool {
        // SAFETY: `head` is valid for reads by the type invariants. It changes under us, and only
        // whether it is null matters.
        !unsafe { self.head.get().read_volatile() }.is_null()
    }

    /// Sends `SIGIO`, or the signal chosen by `F_SETSIG`, to the owner of each file on the list.
    ///
    /// Must not be called with a `raw_spinlock_t` held, nor from hard interrupts on `PREEMPT_RT`:
    /// takes an `rwlock_t` with interrupts off. Does not sleep otherwise.
    pub(crate) fn kill(&self, band: Band) {
        // SAFETY: `head` is a list by the type invariants; entries are freed by RCU.
        unsafe {
            bindings::kill_fasync(
                self.head.get(),
                bindings::SIGIO as c_int,
                band as u32 as c_int,
            )
        };
    }
}
