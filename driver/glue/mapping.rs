// SPDX-License-Identifier: GPL-2.0

//! Memory of a driver that programs can map to look at.
//!
//! C headers: [`include/linux/vmalloc.h`](srctree/include/linux/vmalloc.h),
//! [`include/linux/mm.h`](srctree/include/linux/mm.h)

use super::ffi;
use core::{
    ffi::c_void,
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    error::to_result,
    mm::virt::VmaNew,
    page::PAGE_SIZE,
    prelude::*, //
};

/// A page with a header of type `H`, and behind it an array of `T`, in memory of whole pages.
///
/// Programs may be given it to read, all of it: whatever is written there is published. Padding
/// inside `H` and `T` stays zero as long as nobody writes a whole `H` or `T` after the start.
///
/// # Invariants
///
/// `pages` came from `vmalloc_user`. It holds an initialised `H`, and from `PAGE_SIZE` on `len`
/// initialised `T`.
pub(crate) struct MappableArray<H, T> {
    pages: NonNull<c_void>,
    len: usize,
    _phantom: PhantomData<(H, T)>,
}

// SAFETY: It owns its contents.
unsafe impl<H: Send, T: Send> Send for MappableArray<H, T> {}

// SAFETY: It hands out shared references only.
unsafe impl<H: Sync, T: Sync> Sync for MappableArray<H, T> {}

impl<H, T> MappableArray<H, T> {
    /// Fits in its page, is aligned there, and needs no destructor; the same for the array.
    const PLAIN: () = {
        assert!(size_of::<H>() <= PAGE_SIZE && align_of::<H>() <= PAGE_SIZE);
        assert!(align_of::<T>() <= PAGE_SIZE);
        assert!(!core::mem::needs_drop::<H>() && !core::mem::needs_drop::<T>());
    };

    /// Makes one with `len` elements. May sleep; fails with `ENOMEM`.
    pub(crate) fn new(header: H, len: usize, element: impl Fn() -> T) -> Result<Self> {
        const { Self::PLAIN };
        let bytes = size_of::<T>()
            .checked_mul(len)
            .and_then(|bytes| bytes.checked_add(PAGE_SIZE))
            .ok_or(ENOMEM)?;
        let pages = NonNull::new(ffi::evq_helper_vmalloc_user(bytes)).ok_or(ENOMEM)?;
        // SAFETY: `H` fits in the first page, which is valid for writes and aligned.
        unsafe { pages.cast::<H>().write(header) };
        // SAFETY: The memory is longer than a page.
        let elements = unsafe { pages.byte_add(PAGE_SIZE) }.cast::<T>();
        for i in 0..len {
            // SAFETY: There is room for `len` of them.
            unsafe { elements.add(i).write(element()) };
        }
        // INVARIANT: All has been initialised.
        Ok(Self {
            pages,
            len,
            _phantom: PhantomData,
        })
    }

    /// What the first page begins with.
    #[inline]
    pub(crate) fn header(&self) -> &H {
        // SAFETY: By the type invariants.
        unsafe { self.pages.cast::<H>().as_ref() }
    }

    /// What follows from the second page on.
    #[inline]
    pub(crate) fn elements(&self) -> &[T] {
        // SAFETY: By the type invariants.
        unsafe {
            let first = self.pages.byte_add(PAGE_SIZE).cast::<T>();
            core::slice::from_raw_parts(first.as_ptr(), self.len)
        }
    }

    /// Maps it, or the part that `vma` asks for, for reading only.
    ///
    /// Process context, from an `mmap` operation. The pages live until both `self` and the mapping
    /// are gone. Fails with `EPERM` if `vma` is to be writable, `EINVAL` if it reaches beyond the
    /// end, `ENOMEM`.
    pub(crate) fn map_read_only(&self, vma: &VmaNew) -> Result {
        // For good, so that mprotect cannot make it writable later.
        vma.try_clear_maywrite().map_err(|_| EPERM)?;
        // An old program may have all its memory executable; others cannot make it so.
        let _ = vma.try_clear_mayexec();
        // SAFETY: The area is being set up, and the memory came from `vmalloc_user`; how much of it
        // there is is checked there.
        to_result(unsafe { ffi::evq_helper_remap_vmalloc_range(vma.as_ptr(), self.pages.as_ptr()) })
    }
}

impl<H, T> Drop for MappableArray<H, T> {
    /// Must not run in an interrupt.
    fn drop(&mut self) {
        // SAFETY: Came from `vmalloc_user`, by the type invariants. Pages that are still mapped
        // keep themselves alive.
        unsafe { ffi::evq_helper_vfree(self.pages.as_ptr()) };
    }
}
