// SPDX-License-Identifier: GPL-2.0

//! Copying records to and from a program when a part of its buffer is bad.
//!
//! C header: [`include/linux/uio.h`](srctree/include/linux/uio.h)

use super::ffi;
use core::mem::MaybeUninit;
use kernel::{
    bindings,
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    transmute::AsBytes, //
};

/// Copies records while no page fault may be taken, so that a lock may be held.
pub(crate) trait IovIterDestExt {
    /// Faults in up to `bytes` of what follows, and returns how much of it is there.
    ///
    /// May sleep for as long as the program's memory takes; call it with nothing held. What it
    /// says can be out of date when it returns.
    fn fault_in(&self, bytes: usize) -> usize;

    /// Copies as many whole records as can be copied without a page fault.
    ///
    /// Returns their number. The position is behind the last whole record that was copied; of the
    /// next one, some bytes may have been written to the program's buffer. Does not sleep.
    fn copy_records_nofault<R: AsBytes>(&mut self, records: &[R]) -> usize;
}

impl IovIterDestExt for IovIterDest<'_> {
    fn fault_in(&self, bytes: usize) -> usize {
        let bytes = bytes.min(self.len());
        let iter = core::ptr::from_ref(self).cast::<bindings::iov_iter>();
        // SAFETY: `IovIterDest` is a transparent wrapper around a valid `iov_iter`, which
        // `fault_in_iov_iter_writeable` only reads.
        bytes.saturating_sub(unsafe { bindings::fault_in_iov_iter_writeable(iter, bytes) })
    }

    fn copy_records_nofault<R: AsBytes>(&mut self, records: &[R]) -> usize {
        let bytes = records.as_bytes();
        // SAFETY: `bytes` is a valid slice, and the iterator is valid for writing by its type
        // invariants.
        let copied = unsafe {
            ffi::evq_helper_copy_to_iter_nofault(bytes.as_ptr().cast(), bytes.len(), self.as_raw())
        };
        let partial = copied.checked_rem(size_of::<R>()).unwrap_or(0);
        if partial > 0 {
            // SAFETY: Goes back by less than the copy above went forward.
            unsafe { bindings::iov_iter_revert(self.as_raw(), partial) };
        }
        copied.checked_div(size_of::<R>()).unwrap_or(0)
    }
}

/// Copies records from a program's buffer.
pub(crate) trait IovIterSourceExt {
    /// Copies into `room`, whose length is a multiple of `record` bytes, and returns the part that
    /// was filled: all of it, or every record before the first byte that cannot be read, and
    /// perhaps a part of the next one.
    ///
    /// A single copy does not tell that exactly. An architecture may report fewer bytes than it
    /// could have copied before a fault: arm64 copies 64 bytes at a time and reports none of those
    /// that it faulted in.
    ///
    /// May sleep.
    fn copy_records<'a>(&mut self, room: &'a mut [MaybeUninit<u8>], record: usize) -> &'a [u8];
}

impl IovIterSourceExt for IovIterSource<'_> {
    #[inline(always)]
    fn copy_records<'a>(&mut self, room: &'a mut [MaybeUninit<u8>], record: usize) -> &'a [u8] {
        let mut filled = self.copy_from_iter_raw(room).len();
        if filled < room.len() {
            filled = copy_to_the_fault(self, room, filled, record);
        }
        let filled = room.get(..filled).unwrap_or_default();
        // SAFETY: The copies above have initialised these bytes, one after the other.
        unsafe { core::slice::from_raw_parts(filled.as_ptr().cast(), filled.len()) }
    }
}

/// Goes on behind the `filled` bytes of `room` that a copy has reported before a fault, a record at
/// a time. Returns how many bytes are filled in the end.
#[cold]
fn copy_to_the_fault(
    src: &mut IovIterSource<'_>,
    room: &mut [MaybeUninit<u8>],
    mut filled: usize,
    record: usize,
) -> usize {
    while filled < room.len() {
        // Up to the end of the record: these bytes are read if all of them can be.
        let rest = record.saturating_sub(filled.checked_rem(record).unwrap_or(0));
        let Some(next) = room.get_mut(filled..filled.saturating_add(rest)) else {
            break;
        };
        let copied = src.copy_from_iter_raw(next).len();
        filled = filled.saturating_add(copied);
        if copied == 0 || copied < rest {
            break;
        }
    }
    filled
}
