// SPDX-License-Identifier: GPL-2.0

//! A buffer that is filled item by item, and not cleared first.
//!
//! This file knows nothing of the kernel, so that the same source is built and tested on the host.

use core::{
    cell::Cell,
    mem::MaybeUninit,
    slice, //
};

/// Room for some items, the first of which are there.
///
/// # Invariants
///
/// The first `len` items are initialised.
pub(crate) struct BorrowedBuf<'a, T: Copy> {
    room: &'a mut [MaybeUninit<T>],
    len: usize,
}

impl<'a, T: Copy> BorrowedBuf<'a, T> {
    /// Nothing yet, in `room`.
    #[inline(always)]
    pub(crate) fn new(room: &'a mut [MaybeUninit<T>]) -> Self {
        // INVARIANT: There is no first item.
        Self { room, len: 0 }
    }

    /// How many items there are.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Appends `items`, as many as there is room for.
    #[inline(always)]
    pub(crate) fn extend(&mut self, items: impl Iterator<Item = T>) {
        let free = self.room.get_mut(self.len..).unwrap_or_default();
        let mut count: usize = 0;
        for (free, item) in free.iter_mut().zip(items) {
            free.write(item);
            count = count.wrapping_add(1);
        }
        // INVARIANT: They are initialised.
        self.len = self.len.wrapping_add(count);
    }

    /// Drops `count` items from the one at `index` on, or as many as there are, and closes the gap.
    #[inline(never)]
    pub(crate) fn remove(&mut self, index: usize, count: usize) {
        let items = Cell::from_mut(self.filled_mut()).as_slice_of_cells();
        let gap = items.get(index..).unwrap_or_default();
        let behind = gap.get(count..).unwrap_or_default();
        for (to, from) in gap.iter().zip(behind) {
            to.set(from.get());
        }
        let dropped = gap.len().wrapping_sub(behind.len());
        // INVARIANT: Not more than before.
        self.len = self.len.wrapping_sub(dropped);
    }

    /// The items.
    #[inline(always)]
    pub(crate) fn filled(&self) -> &[T] {
        // SAFETY: By the invariant; they were appended, so that there is room for as many.
        unsafe { slice::from_raw_parts(self.room.as_ptr().cast(), self.len) }
    }

    /// The items, for changing them.
    #[inline(always)]
    pub(crate) fn filled_mut(&mut self) -> &mut [T] {
        // SAFETY: As in `filled`.
        unsafe { slice::from_raw_parts_mut(self.room.as_mut_ptr().cast(), self.len) }
    }
}
