// SPDX-License-Identifier: GPL-2.0

//! A wait queue for readers and pollers.
//!
//! Unlike [`CondVar`], it needs no lock around the condition, its waiters are not exclusive (a
//! waiter that takes a signal cannot swallow somebody else's wake-up) and a wake-up carries its
//! key, so that pollers which asked for something else stay asleep.
//!
//! C header: [`include/linux/wait.h`](srctree/include/linux/wait.h)
//!
//! [`CondVar`]: kernel::sync::CondVar

use super::ffi;
use core::marker::PhantomPinned;
use kernel::{
    bindings,
    ffi::{
        c_int,
        c_uint, //
    },
    prelude::*,
    sync::LockClassKey,
    types::Opaque, //
};

/// Waiters that are woken with the lock of the queue held.
const STEP: c_uint = 64;

/// Event masks of poll and epoll, as in `include/uapi/linux/eventpoll.h`.
///
/// The bindings have none of them: in C they are casts.
pub(crate) mod mask {
    /// There is data to read.
    pub(crate) const IN: u32 = 0x0001 | 0x0040;
    /// Writing will not block.
    pub(crate) const OUT: u32 = 0x0004 | 0x0100;
    /// The device has failed.
    pub(crate) const ERR: u32 = 0x0008;
    /// The device is gone.
    pub(crate) const HUP: u32 = 0x0010;
    /// There will be nothing more.
    pub(crate) const ENDED: u32 = IN | OUT | ERR | HUP;
}

/// A `wait_queue_head_t`.
///
/// # Invariants
///
/// `head` is initialised.
#[pin_data]
pub(crate) struct WaitQueue {
    #[pin]
    head: Opaque<bindings::wait_queue_head>,
    #[pin]
    _pin: PhantomPinned,
}

// SAFETY: A wait queue has a lock of its own.
unsafe impl Send for WaitQueue {}

// SAFETY: As above.
unsafe impl Sync for WaitQueue {}

impl WaitQueue {
    /// Creates an initialiser for a wait queue without waiters.
    pub(crate) fn new(name: &'static CStr, key: Pin<&'static LockClassKey>) -> impl PinInit<Self> {
        // INVARIANT: Initialised here.
        pin_init!(Self {
            head <- Opaque::ffi_init(|slot| {
                // SAFETY: `slot` is valid for writes, name and key live for ever.
                unsafe {
                    bindings::__init_waitqueue_head(slot, name.as_char_ptr(), key.as_ptr())
                }
            }),
            _pin: PhantomPinned,
        })
    }

    /// The raw wait queue, for `poll_wait`.
    pub(super) fn as_raw(&self) -> *mut bindings::wait_queue_head {
        self.head.get()
    }

    /// Sleeps until `condition` is true.
    ///
    /// The condition is evaluated after the caller has been put on the queue, so that a wake-up
    /// which follows a change is never missed; it must not sleep. Process context. Fails with
    /// `ERESTARTSYS` if a signal is pending and the condition is not true.
    pub(crate) fn wait_interruptible(&self, mut condition: impl FnMut() -> bool) -> Result {
        if condition() {
            return Ok(());
        }
        let entry = Opaque::<bindings::wait_queue_entry>::uninit();
        // SAFETY: `entry` is valid for writes.
        unsafe { bindings::init_wait_entry(entry.get(), 0) };
        let result = loop {
            // SAFETY: Queue and entry are initialised, and the entry does not move before it is
            // taken off below.
            let interrupted = unsafe {
                bindings::prepare_to_wait_event(
                    self.head.get(),
                    entry.get(),
                    bindings::TASK_INTERRUPTIBLE as c_int,
                )
            };
            if condition() {
                break Ok(());
            }
            if interrupted != 0 {
                break Err(ERESTARTSYS);
            }
            // SAFETY: Process context, by the requirement on the caller.
            unsafe { bindings::schedule() };
            // Whoever has woken us has taken the entry off; if that was for good, it need not go on
            // again.
            if condition() {
                break Ok(());
            }
        };
        // SAFETY: As above; takes the entry off if it is still on, and the task is running again.
        unsafe { bindings::finish_wait(self.head.get(), entry.get()) };
        result
    }

    /// Whether anybody sleeps or polls here.
    ///
    /// If it says no, whoever comes later sees what the caller has published before a full barrier
    /// ([`smp_mb`]) that stands before this; so there is nobody to wake. Any context.
    ///
    /// That barrier pairs with the one that a waiter passes between putting itself on the queue and
    /// looking at its condition, in `prepare_to_wait_event` and `poll_wait`.
    ///
    /// [`smp_mb`]: super::compat::smp_mb
    pub(crate) fn is_waited_on(&self) -> bool {
        // SAFETY: Initialised by the type invariants.
        unsafe { ffi::evq_helper_waitqueue_active(self.head.get()) }
    }

    /// Wakes every sleeper, and every poller that asked for one of `events` (see [`mask`]), unless
    /// there are more than `most` entries here: then nobody. Returns whether it did.
    ///
    /// All of them, exclusive or not: each waits on behalf of another file. Takes a `spinlock_t`
    /// with interrupts off: not with a `raw_spinlock_t` held, nor from hard interrupts on
    /// `PREEMPT_RT`. Does not sleep otherwise.
    pub(crate) fn wake_few(&self, events: u32, most: u32) -> bool {
        // SAFETY: Initialised by the type invariants.
        unsafe { ffi::evq_helper_wake_up_poll_few(self.head.get(), events as c_uint, most) }
    }

    /// As [`WaitQueue::wake_few`], whatever their number: the lock is held for a bounded number of
    /// them at a time.
    ///
    /// Process context; lets others run in between. Who begins to wait meanwhile may be left out:
    /// it looks at its condition after that.
    pub(crate) fn wake_all(&self, events: u32) {
        // SAFETY: Initialised by the type invariants.
        unsafe { ffi::evq_helper_wake_up_poll_steps(self.head.get(), events as c_uint, STEP) };
    }
}
