// SPDX-License-Identifier: GPL-2.0

//! Work that is put off to a thread of the kernel, now or later.
//!
//! What [`kernel::workqueue`] of Linux 7.3 does not do: its work cannot be waited for, so that a
//! module could be unloaded while its function runs. Here the destructor waits.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use super::ffi;
use core::ops::Deref;
use kernel::{
    bindings,
    prelude::*,
    types::Opaque, //
};

/// What a [`DelayedWork`] does when its turn comes.
pub(crate) trait Task: Send + Sync + Sized + 'static {
    /// Does the work, in process context; may sleep. Never runs twice at the same time.
    fn run(work: &DelayedWork<Self>);
}

/// A value together with the work on it.
///
/// # Invariants
///
/// `work` is an initialised `delayed_work` whose function is [`DelayedWork::run`], and it is the
/// first field.
#[repr(C)]
#[pin_data(PinnedDrop)]
pub(crate) struct DelayedWork<T: Task> {
    #[pin]
    work: Opaque<bindings::delayed_work>,
    #[pin]
    task: T,
}

// SAFETY: A `delayed_work` may be queued and waited for on any thread.
unsafe impl<T: Task> Send for DelayedWork<T> {}

// SAFETY: It may be queued on several CPUs at once; the task is `Sync`.
unsafe impl<T: Task> Sync for DelayedWork<T> {}

impl<T: Task> DelayedWork<T> {
    /// Creates an initialiser for work on `task`.
    pub(crate) fn new<E>(task: impl PinInit<T, E>) -> impl PinInit<Self, E>
    where
        E: From<core::convert::Infallible>,
    {
        // INVARIANT: The work is initialised with its function.
        pin_init!(Self {
            work <- Opaque::ffi_init(|slot| {
                // SAFETY: `slot` is valid for writes and will not move.
                unsafe { ffi::evq_helper_init_delayed_work(slot, Self::run) }
            }),
            task <- task,
        }? E)
    }

    /// Asks for the work to be done at once, whatever was asked for before.
    ///
    /// Not in NMI, nor with a lock held that a wake-up takes. Whatever was written before this
    /// call is seen by a run that follows it.
    pub(crate) fn queue_now(&self) {
        // SAFETY: Initialised by the type invariants; the destructor waits for a run.
        unsafe { ffi::evq_helper_queue_work_now(self.work.get()) };
    }

    /// Asks for the work to be done in `delay_ns` or up to two ticks later, unless it has been
    /// asked for already. Context as for [`DelayedWork::queue_now`].
    pub(crate) fn queue_after(&self, delay_ns: u64) {
        // SAFETY: As above.
        unsafe { ffi::evq_helper_queue_work_after(self.work.get(), delay_ns) };
    }

    /// # Safety
    ///
    /// `work` must be the first field of a live `DelayedWork<T>`.
    unsafe extern "C" fn run(work: *mut bindings::work_struct) {
        // SAFETY: By the safety requirement; the `work_struct` is the first field of the
        // `delayed_work`, and that of this.
        T::run(unsafe { &*work.cast::<Self>() });
    }
}

impl<T: Task> Deref for DelayedWork<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.task
    }
}

#[pinned_drop]
impl<T: Task> PinnedDrop for DelayedWork<T> {
    /// May sleep: waits for a run that is under way, and takes back one that is asked for.
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Initialised by the type invariants. Nobody else can queue it any more, for that
        // takes a reference; if it queues itself, that is taken back too.
        unsafe { ffi::evq_helper_cancel_work_sync(self.work.get()) };
    }
}
