// SPDX-License-Identifier: GPL-2.0

// Posting events from a Rust module: the safe side of `evq.h`.
//
// Take it into a module, wherever that is, with
//
//     mod evq {
//         include!(concat!(env!("EVQ"), "/include/evq.rs"));
//     }
//
// and say `imports_ns: ["EVQ"]` in `module!`. `EVQ` is the folder of evq's source: `make module
// M=/your/module` sets it; in a build of your own, give `EVQ=/path/to/evq` to make. A module that
// uses this keeps evq loaded.
//
// (These are no doc comments, for an included file cannot have those of a module.)

use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    ffi::{
        c_char,
        c_int,
        c_uint,
        c_void, //
    },
    prelude::*,
    types::Opaque, //
};

#[repr(C)]
struct RawQueue(Opaque<c_void>);

unsafe extern "C" {
    safe fn evq_default() -> *mut RawQueue;
    fn evq_post(
        queue: *mut RawQueue,
        source: u32,
        kind: u16,
        code: u16,
        data: *const c_void,
        len: usize,
    ) -> c_int;
    fn evq_post_batch(
        queue: *mut RawQueue,
        source: u32,
        events: *const Event,
        count: usize,
    ) -> c_int;
    fn evq_queue_create(name: *const c_char, capacity: c_uint) -> *mut RawQueue;
    fn evq_queue_retire(queue: *mut RawQueue);
}

/// The source of events from kernel code, `EVQ_SOURCE` in C.
pub(crate) const fn source(class: u16, id: u16) -> u32 {
    0x8000_0000 | (class as u32 & 0x7fff) << 16 | id as u32
}

/// Most bytes of payload in an event, `EVQ_DATA_MAX` in C.
#[allow(
    dead_code,
    reason = "not every module that includes this file needs it"
)]
pub(crate) const DATA_MAX: usize = 32;

/// Most events in a batch, `EVQ_BATCH_MAX` in C.
#[allow(
    dead_code,
    reason = "not every module that includes this file needs it"
)]
pub(crate) const BATCH_MAX: usize = 64;

/// An event of a batch: `struct evq_event` in C, of which the queue stamps the rest.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(
    dead_code,
    reason = "not every module that includes this file posts batches"
)]
pub(crate) struct Event {
    seq: u64,
    time_ns: u64,
    source: u32,
    kind: u16,
    code: u16,
    lost: u32,
    len: u16,
    reserved: u16,
    data: [u8; DATA_MAX],
}

const _: () = assert!(core::mem::size_of::<Event>() == 64);

#[allow(
    dead_code,
    reason = "not every module that includes this file posts batches"
)]
impl Event {
    /// An event with this payload. Fails with `EINVAL` if that is longer than [`DATA_MAX`].
    pub(crate) fn new(kind: u16, code: u16, data: &[u8]) -> Result<Self> {
        let mut event = Self {
            seq: 0,
            time_ns: 0,
            source: 0,
            kind,
            code,
            lost: 0,
            len: data.len().try_into()?,
            reserved: 0,
            data: [0; DATA_MAX],
        };
        let room = event.data.get_mut(..data.len()).ok_or(EINVAL)?;
        room.copy_from_slice(data);
        Ok(event)
    }
}

/// A queue that can be posted to: the default one, or one of the module's own.
///
/// # Invariants
///
/// `raw` is a queue that has not been retired, and is retired when this is dropped if `owned`.
pub(crate) struct Queue {
    raw: *mut RawQueue,
    owned: bool,
}

// SAFETY: The functions of a queue may be called by any thread.
unsafe impl Send for Queue {}

// SAFETY: They serialise themselves.
unsafe impl Sync for Queue {}

impl Queue {
    /// The queue behind `/dev/evq`. Any context.
    pub(crate) fn default_queue() -> Self {
        // INVARIANT: The default queue lives as long as evq, which this module keeps loaded.
        Self {
            raw: evq_default(),
            owned: false,
        }
    }

    /// Makes the queue `/dev/evq-NAME`, which is retired when it is dropped.
    ///
    /// Process context. Fails with `EINVAL` for a bad name or a capacity that is not a power of
    /// two from 64 to 1048576, `EEXIST` if there is such a queue, `ENOMEM`.
    #[allow(
        dead_code,
        reason = "not every module that includes this file has its own queue"
    )]
    pub(crate) fn create(name: &CStr, capacity: u32) -> Result<Self> {
        // SAFETY: `name` ends with a NUL.
        let raw = from_err_ptr(unsafe { evq_queue_create(name.as_char_ptr(), capacity) })?;
        // INVARIANT: Just made.
        Ok(Self { raw, owned: true })
    }

    /// Posts one event; the errors are those of `evq_post` in `evq.h`.
    ///
    /// Any context except NMI, with any lock held; does not sleep.
    pub(crate) fn post(&self, source: u32, kind: u16, code: u16, data: &[u8]) -> Result {
        // SAFETY: The queue is valid by the type invariants, `data` is a slice.
        to_result(unsafe {
            evq_post(
                self.raw,
                source,
                kind,
                code,
                data.as_ptr().cast(),
                data.len(),
            )
        })
    }

    /// Posts up to [`BATCH_MAX`] events with consecutive numbers and one notification: all of them
    /// or, with the errors of `evq_post_batch` in `evq.h`, none.
    ///
    /// Any context except NMI, with any lock held; does not sleep.
    #[allow(
        dead_code,
        reason = "not every module that includes this file posts batches"
    )]
    pub(crate) fn post_batch(&self, source: u32, events: &[Event]) -> Result {
        // SAFETY: The queue is valid by the type invariants, `events` is a slice of what C calls
        // `struct evq_event`.
        to_result(unsafe { evq_post_batch(self.raw, source, events.as_ptr(), events.len()) })
    }
}

impl Drop for Queue {
    /// May sleep if the queue is the module's own.
    fn drop(&mut self) {
        if self.owned {
            // SAFETY: Made by `create`; nobody else can post to it any more.
            unsafe { evq_queue_retire(self.raw) };
        }
    }
}
