// SPDX-License-Identifier: GPL-2.0

//! Questions about the context that the code runs in.
//!
//! C headers: [`include/linux/preempt.h`](srctree/include/linux/preempt.h),
//! [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h)

use super::ffi;

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

/// Lets others run if it is their turn. May sleep.
pub(crate) fn cond_resched() {
    ffi::evq_helper_cond_resched()
}

/// Whether the current task has a signal to handle.
pub(crate) fn signal_pending() -> bool {
    ffi::evq_helper_signal_pending()
}
