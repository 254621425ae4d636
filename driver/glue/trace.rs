// SPDX-License-Identifier: GPL-2.0

//! The tracepoints of `driver/trace.h`. Any context.

use super::ffi;

/// The event `first` and those after it, `count` in all, have been stored.
pub(crate) fn post(instance: u64, first: u64, count: usize) {
    // At most a batch.
    ffi::evq_trace_post(instance, first, count as u32)
}

/// Those who wait have been told: sleepers and pollers, those armed for signals.
pub(crate) fn notify(instance: u64, woken: bool, signalled: bool) {
    ffi::evq_trace_notify(instance, woken, signalled)
}

/// A read has copied `delivered` events and told of `lost`; the next one starts from `next`.
pub(crate) fn read(instance: u64, next: u64, delivered: u64, lost: u64) {
    ffi::evq_trace_read(instance, next, delivered, lost)
}
