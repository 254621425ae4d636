// SPDX-License-Identifier: GPL-2.0

//! Work that is put off to a context where wake-ups and signals are legal.
//!
//! C header: [`include/linux/irq_work.h`](srctree/include/linux/irq_work.h)

use super::ffi;
use core::ops::Deref;
use kernel::{
    bindings,
    prelude::*,
    types::Opaque, //
};

/// What an [`IrqWork`] does when its turn comes.
///
/// `'static`, for pinned memory whose destructor is never run stays, but what it borrows would not.
pub(crate) trait Handler: Send + Sync + 'static {
    /// Does the work.
    ///
    /// Runs in hard-interrupt context, or in a thread of its own on `PREEMPT_RT`: must not sleep,
    /// may take a `spinlock_t` with interrupts off.
    fn run(&self);
}

/// A value together with the work that can be asked for from any context.
///
/// # Invariants
///
/// `work` is an initialised `irq_work` whose function is [`IrqWork::run`], and it is the first
/// field.
#[repr(C)]
#[pin_data(PinnedDrop)]
pub(crate) struct IrqWork<H: Handler> {
    #[pin]
    work: Opaque<bindings::irq_work>,
    #[pin]
    handler: H,
}

// SAFETY: An `irq_work` may be queued and waited for on any thread.
unsafe impl<H: Handler> Send for IrqWork<H> {}

// SAFETY: `irq_work_queue` may be called from several CPUs at once; the handler is `Sync`.
unsafe impl<H: Handler> Sync for IrqWork<H> {}

impl<H: Handler> IrqWork<H> {
    /// Creates an initialiser for work on `handler`.
    pub(crate) fn new<E>(handler: impl PinInit<H, E>) -> impl PinInit<Self, E>
    where
        E: From<core::convert::Infallible>,
    {
        // INVARIANT: The work is initialised with its function.
        pin_init!(Self {
            work <- Opaque::ffi_init(|slot| {
                // SAFETY: `slot` is valid for writes and will not move.
                unsafe { ffi::evq_helper_init_irq_work(slot, Self::run) }
            }),
            handler <- handler,
        }? E)
    }

    /// Asks for the work to be done soon on this CPU.
    ///
    /// Any context, NMI too. Asked for again before it has begun, it is done once; whatever was
    /// written before this call is seen by the run that follows it.
    pub(crate) fn queue(&self) {
        // SAFETY: Initialised by the type invariants; the destructor waits for a run that is
        // pending.
        unsafe { bindings::irq_work_queue(self.work.get()) };
    }

    /// # Safety
    ///
    /// `work` must be the first field of a live `IrqWork<H>`.
    unsafe extern "C" fn run(work: *mut bindings::irq_work) {
        // SAFETY: By the safety requirement; `repr(C)` puts the first field at the beginning.
        let this = unsafe { &*work.cast::<Self>() };
        this.handler.run();
    }
}

impl<H: Handler> Deref for IrqWork<H> {
    type Target = H;

    fn deref(&self) -> &H {
        &self.handler
    }
}

#[pinned_drop]
impl<H: Handler> PinnedDrop for IrqWork<H> {
    /// May sleep: waits for a run that is pending or under way.
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Initialised by the type invariants. Nobody can queue it any more, for that takes
        // a reference.
        unsafe { bindings::irq_work_sync(self.work.get()) };
    }
}
