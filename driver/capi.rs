// SPDX-License-Identifier: GPL-2.0

//! The kernel API: what `include/evq.h` declares and `export.c` exports.

use crate::{
    event::{
        Event,
        EVENT_SIZE,
        SOURCE_KERNEL, //
    },
    published::Published,
    queue::Notify, //
};
use kernel::{
    error::from_result,
    ffi::{
        c_char,
        c_int,
        c_uint,
        c_void, //
    },
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Release, //
    },
};

/// The queue of this module, while it is loaded.
static DEFAULT: Atomic<*const Published> = Atomic::new(core::ptr::null());

/// Owns the default queue, and lets other modules find it.
///
/// # Invariants
///
/// `DEFAULT` points to the queue in here, which does not move.
pub(crate) struct DefaultQueue(#[expect(dead_code, reason = "owned")] KBox<Published>);

impl DefaultQueue {
    /// Makes `published` the default queue. Called once, when the module is loaded.
    ///
    /// Cannot fail, for it is published already.
    pub(crate) fn new(published: KBox<Published>) -> Self {
        // INVARIANT: What is in a box stays where it is.
        DEFAULT.store(&*published, Release);
        Self(published)
    }
}

impl Drop for DefaultQueue {
    fn drop(&mut self) {
        // Nobody asks for it any more: whoever uses the symbols keeps this module loaded.
        DEFAULT.store(core::ptr::null(), Release);
    }
}

/// # Safety
///
/// `queue` must be null, or have been returned by [`evq_default`] or [`evq_queue_create`] and not
/// been retired.
unsafe fn published<'a>(queue: *const Published) -> Result<&'a Published> {
    // SAFETY: By the safety requirement.
    unsafe { queue.as_ref() }.ok_or(ENODEV)
}

/// The default queue; see `include/evq.h`.
#[no_mangle]
pub(crate) extern "C" fn evq_default() -> *const Published {
    DEFAULT.load(Acquire)
}

/// Posts one event; see `include/evq.h`.
///
/// # Safety
///
/// `queue` as for [`published`]; `data` null or valid for reading `len` bytes.
#[no_mangle]
pub(crate) unsafe extern "C" fn evq_post(
    queue: *const Published,
    source: u32,
    kind: u16,
    code: u16,
    data: *const c_void,
    len: usize,
) -> c_int {
    from_result(|| {
        // SAFETY: By the safety requirement.
        let queue = unsafe { published(queue) }?.queue();
        // SAFETY: By the safety requirement.
        let event = unsafe { slice(data.cast::<u8>(), len) }
            .and_then(|data| Event::new(source | SOURCE_KERNEL, kind, code, data));
        let event = event.ok_or_else(|| queue.refuse(1, EINVAL))?;
        queue.post(core::iter::once(event), Notify::WhenLegal)?;
        Ok(0)
    })
}

/// Posts several events in one go; see `include/evq.h`.
///
/// # Safety
///
/// `queue` as for [`published`]; `events` null or valid for reading `count` records.
#[no_mangle]
pub(crate) unsafe extern "C" fn evq_post_batch(
    queue: *const Published,
    source: u32,
    events: *const c_void,
    count: usize,
) -> c_int {
    from_result(|| {
        // SAFETY: By the safety requirement.
        let queue = unsafe { published(queue) }?.queue();
        // SAFETY: By the safety requirement.
        let records = unsafe { slice(events.cast::<[u8; EVENT_SIZE]>(), count) }
            .filter(|records| records.iter().all(Event::is_valid))
            .ok_or_else(|| queue.refuse(count, EINVAL))?;
        let events = records
            .iter()
            .map(|record| Event::from_valid(record, source | SOURCE_KERNEL));
        queue.post(events, Notify::WhenLegal)?;
        Ok(0)
    })
}

/// Makes another queue; see `include/evq.h`.
///
/// # Safety
///
/// `name` must be null or a string that ends with a NUL.
#[no_mangle]
pub(crate) unsafe extern "C" fn evq_queue_create(
    name: *const c_char,
    capacity: c_uint,
) -> *mut Published {
    let create = || {
        if name.is_null() {
            return Err(EINVAL);
        }
        // SAFETY: By the safety requirement.
        let name = unsafe { CStr::from_char_ptr(name) };
        Published::additional(name, capacity)
    };
    match create() {
        Ok(queue) => KBox::into_raw(queue),
        Err(err) => err.to_ptr(),
    }
}

/// Ends a queue; see `include/evq.h`.
///
/// # Safety
///
/// `queue` must be null, an error pointer or what [`evq_queue_create`] returned; nobody may post to
/// it any more.
#[no_mangle]
pub(crate) unsafe extern "C" fn evq_queue_retire(queue: *mut Published) {
    if let Ok(queue) = kernel::error::from_err_ptr(queue) {
        if !queue.is_null() {
            // SAFETY: It came out of a box in `evq_queue_create`, and is given back once.
            drop(unsafe { KBox::from_raw(queue) });
        }
    }
}

/// # Safety
///
/// `data` must be null or valid for reading `len` elements during `'a`.
unsafe fn slice<'a, T>(data: *const T, len: usize) -> Option<&'a [T]> {
    match (data.is_null(), len) {
        (_, 0) => Some(&[]),
        (true, _) => None,
        // SAFETY: By the safety requirement; every `T` here is made of bytes.
        (false, len) => Some(unsafe { core::slice::from_raw_parts(data, len) }),
    }
}
