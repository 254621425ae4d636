// SPDX-License-Identifier: GPL-2.0

//! Work that is put off to a thread of the kernel, now or later.
//!
//! The thread has a name, so that an administrator can see it, pin it to processors and give it a
//! priority. [`kernel::workqueue`] of Linux 7.3 has neither that nor a way to wait for work, without
//! which a module could be unloaded while its function runs. Here the destructor waits.
//!
//! C header: [`include/linux/kthread.h`](srctree/include/linux/kthread.h)

use super::ffi;
use core::{
    ffi::c_void,
    marker::PhantomPinned,
    ops::Deref,
    ptr::NonNull, //
};
use kernel::prelude::*;

/// What a [`DelayedWork`] does when its turn comes.
pub(crate) trait Task: Send + Sync + Sized + 'static {
    /// Does the work, in process context; may sleep. Never runs twice at the same time.
    fn run(work: &DelayedWork<Self>);
}

/// A value together with the work on it, and the thread that does it.
///
/// # Invariants
///
/// `thread` came from `evq_helper_thread_create`, with [`DelayedWork::run`] and the address of this.
#[pin_data(PinnedDrop)]
pub(crate) struct DelayedWork<T: Task> {
    #[pin]
    task: T,
    thread: NonNull<ffi::Thread>,
    #[pin]
    _pin: PhantomPinned,
}

// SAFETY: Work may be queued and waited for on any thread; the task is `Send`.
unsafe impl<T: Task> Send for DelayedWork<T> {}

// SAFETY: It may be queued on several CPUs at once; the task is `Sync`.
unsafe impl<T: Task> Sync for DelayedWork<T> {}

impl<T: Task> DelayedWork<T> {
    /// Creates an initialiser for work on `task`, to be done by a thread of this name.
    ///
    /// Process context, may sleep. Fails as `task` does, or with `ENOMEM`.
    pub(crate) fn new<'a>(
        name: &'a CStr,
        task: impl PinInit<T, Error> + 'a,
    ) -> impl PinInit<Self, Error> + 'a {
        // INVARIANT: The thread is made for this, which does not move.
        try_pin_init!(&this in Self {
            task <- task,
            thread: {
                // SAFETY: The name is a string. The thread runs nothing before it is asked to, and
                // by then this has been initialised.
                let thread = unsafe {
                    ffi::evq_helper_thread_create(
                        name.as_char_ptr(),
                        Self::run,
                        this.as_ptr().cast(),
                    )
                };
                NonNull::new(thread).ok_or(ENOMEM)?
            },
            _pin: PhantomPinned,
        })
    }

    /// Asks for the work to be done at once, whatever was asked for before.
    ///
    /// Not in NMI, nor with a lock held that a wake-up takes. Whatever was written before this
    /// call is seen by a run that follows it.
    pub(crate) fn queue_now(&self) {
        // SAFETY: Valid by the type invariants; the destructor waits for a run.
        unsafe { ffi::evq_helper_thread_queue_now(self.thread.as_ptr()) };
    }

    /// Asks for the work to be done in `delay_ns` or up to two ticks later, unless it has been
    /// asked for already. Context as for [`DelayedWork::queue_now`].
    pub(crate) fn queue_after(&self, delay_ns: u64) {
        // SAFETY: As above.
        unsafe { ffi::evq_helper_thread_queue_after(self.thread.as_ptr(), delay_ns) };
    }

    /// # Safety
    ///
    /// `work` must be a live `DelayedWork<T>`.
    unsafe extern "C" fn run(work: *mut c_void) {
        // SAFETY: By the safety requirement.
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
    /// May sleep: waits for a run that is under way, takes back one that is asked for, and ends the
    /// thread. Must not run in that thread.
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Valid by the type invariants. Nobody else can queue work any more, for that takes
        // a reference; if it queues itself, that is taken back too.
        unsafe { ffi::evq_helper_thread_destroy(self.thread.as_ptr()) };
    }
}
