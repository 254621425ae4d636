// SPDX-License-Identifier: GPL-2.0

//! Declarations of `helpers.c`.

use kernel::{
    bindings,
    ffi::{
        c_char,
        c_int,
        c_uint,
        c_ulong,
        c_void, //
    },
};

/// `struct evq_thread`.
#[repr(C)]
pub(super) struct Thread {
    _opaque: [u8; 0],
}

#[allow(
    improper_ctypes,
    reason = "without lockdep, lock_class_key in some structures has no fields; only pointers pass"
)]
unsafe extern "C" {
    pub(super) fn evq_helper_raw_spin_lock_init(
        lock: *mut bindings::raw_spinlock_t,
        name: *const c_char,
        key: *mut bindings::lock_class_key,
    );
    pub(super) fn evq_helper_raw_spin_lock_irqsave(lock: *mut bindings::raw_spinlock_t) -> c_ulong;
    pub(super) fn evq_helper_raw_spin_unlock_irqrestore(
        lock: *mut bindings::raw_spinlock_t,
        flags: c_ulong,
    );
    pub(super) fn evq_helper_init_irq_work(
        work: *mut bindings::irq_work,
        func: unsafe extern "C" fn(*mut bindings::irq_work),
    );
    pub(super) fn evq_helper_thread_create(
        name: *const c_char,
        func: unsafe extern "C" fn(*mut c_void),
        data: *mut c_void,
    ) -> *mut Thread;
    pub(super) fn evq_helper_thread_queue_now(thread: *mut Thread);
    pub(super) fn evq_helper_thread_queue_after(thread: *mut Thread, delay_ns: u64);
    pub(super) fn evq_helper_thread_destroy(thread: *mut Thread);
    pub(super) fn evq_helper_wake_up_poll_few(
        wq: *mut bindings::wait_queue_head,
        mask: c_uint,
        most: c_uint,
    ) -> bool;
    pub(super) fn evq_helper_wake_up_poll_steps(
        wq: *mut bindings::wait_queue_head,
        mask: c_uint,
        step: c_uint,
    );
    pub(super) fn evq_helper_waitqueue_active(wq: *mut bindings::wait_queue_head) -> bool;
    pub(super) fn evq_helper_copy_to_iter_nofault(
        from: *const c_void,
        bytes: usize,
        to: *mut bindings::iov_iter,
    ) -> usize;
    pub(super) fn evq_helper_file_set_nowait(file: *mut bindings::file);
    pub(super) fn evq_helper_iocb_nowait(iocb: *const bindings::kiocb) -> bool;
    pub(super) safe static EVQ_FMODE_READ: c_uint;
    pub(super) safe static EVQ_FMODE_WRITE: c_uint;
    pub(super) fn evq_helper_vfree(pages: *mut c_void);
    pub(super) fn evq_helper_remap_vmalloc_range(
        vma: *mut bindings::vm_area_struct,
        pages: *mut c_void,
    ) -> c_int;

    pub(super) safe fn evq_trace_post(instance: u64, first: u64, count: c_uint);
    pub(super) safe fn evq_trace_notify(instance: u64, woken: bool, signalled: bool);
    pub(super) safe fn evq_trace_read(instance: u64, next: u64, delivered: u64, lost: u64);
    pub(super) safe fn evq_helper_vmalloc_user(bytes: usize) -> *mut c_void;
    pub(super) safe fn evq_helper_preemptible() -> bool;
    pub(super) safe fn evq_helper_in_nmi() -> bool;
    pub(super) safe fn evq_helper_cond_resched();
    pub(super) safe fn evq_helper_signal_pending() -> bool;
    pub(super) safe fn evq_helper_accountable_uid() -> c_uint;
    pub(super) safe fn evq_helper_is_above_limits() -> bool;
}
