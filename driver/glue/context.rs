// SPDX-License-Identifier: GPL-2.0

//! Questions about the context that the code runs in.
//!
//! C headers: [`include/linux/preempt.h`](srctree/include/linux/preempt.h),
//! [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h),
//! [`include/linux/user_namespace.h`](srctree/include/linux/user_namespace.h)

use super::ffi;
use kernel::{
    bindings,
    prelude::*, //
};

/// Whether the caller could be preempted, and so may take any kind of spin lock.
///
/// False in every interrupt, with interrupts off and under a spin lock; also always false on a
/// kernel that does not count preemption (`CONFIG_PREEMPT_COUNT`).
pub(crate) fn preemptible() -> bool {
    ffi::evq_helper_preemptible()
}

/// Whether the caller runs in an NMI, where no lock may be taken.
pub(crate) fn in_nmi() -> bool {
    ffi::evq_helper_in_nmi()
}

/// Whether the caller may wake others and send signals without further knowledge of its callers.
///
/// A lock that is held must not become the outer one of those that a wake-up takes. On a kernel
/// that is not `PREEMPT_RT`, whoever can be preempted holds no spin lock; on `PREEMPT_RT` it may
/// well hold one, so that nothing is known.
pub(crate) fn holds_no_spin_lock() -> bool {
    !cfg!(CONFIG_PREEMPT_RT) && preemptible()
}

/// A random number that is not 0. Any context.
pub(crate) fn random_id() -> u64 {
    // SAFETY: Just an FFI call.
    unsafe { bindings::get_random_u64() }.max(1)
}

/// Lets others run if it is their turn.
pub(crate) fn cond_resched() {
    ffi::evq_helper_cond_resched()
}

/// The id of the user who answers for the current task, in the initial user namespace: its own, or
/// if it is in a user namespace, that of who made the outermost one.
pub(crate) fn accountable_uid() -> u32 {
    ffi::evq_helper_accountable_uid()
}

/// Whether limits for users do not apply to the current task: it has `CAP_SYS_RESOURCE` in the
/// initial user namespace.
pub(crate) fn is_above_limits() -> bool {
    ffi::evq_helper_is_above_limits()
}

/// Whether the current task has a signal to handle.
fn signal_pending() -> bool {
    ffi::evq_helper_signal_pending()
}

/// What a call that takes long does from time to time: fails with `ERESTARTSYS` if the current task
/// has a signal to handle, and lets others run.
///
/// Process context with no spin lock held. Leaves the state of the task alone, so that a condition
/// of a wait may use it.
pub(crate) fn go_on() -> Result {
    if signal_pending() {
        return Err(ERESTARTSYS);
    }
    cond_resched();
    Ok(())
}
