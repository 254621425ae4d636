// SPDX-License-Identifier: GPL-2.0

//! The differences between the kernel series that this source is built for.
//!
//! The only file that knows of them: `make lint` fails if another one tests the version. Kbuild
//! sets `linux_before="X.Y"` for each release that the kernel precedes. Each entry names the series
//! that need it and when it can be deleted; `docs/porting.md` says how to add one.

#![allow(dead_code, reason = "evq and evq_timer each use a part of it")]

use core::borrow::Borrow;
use kernel::{
    sync::barrier,
    ModuleMetadata,
    ThisModule, //
};

/// The module that the calling code belongs to; `M` is the type named in `module!`.
///
/// Before 7.3 it is an item of the crate root, since then a function of that type. Delete when no
/// kernel before 7.3 is supported, and call `kernel::module::this_module` instead.
pub(crate) const fn this_module<M: ModuleMetadata>() -> &'static ThisModule {
    #[cfg(linux_before = "7.3")]
    let module = &crate::THIS_MODULE;
    #[cfg(not(linux_before = "7.3"))]
    let module = kernel::module::this_module::<M>();
    module
}

/// The value of a module parameter.
///
/// Before 7.3 `module_parameters::NAME.value()` is a reference, since then it is the value. Delete
/// when no kernel before 7.3 is supported.
pub(crate) fn param<T: Copy>(value: impl Borrow<T>) -> T {
    *value.borrow()
}

/// Orders all memory accesses before it before all after it.
///
/// Before 7.3 each barrier is a function of its own, since then the kind is an argument. Delete the
/// first form when no kernel before 7.3 is supported; the same holds for the next two functions.
#[inline(always)]
pub(crate) fn smp_mb() {
    #[cfg(linux_before = "7.3")]
    barrier::smp_mb();
    #[cfg(not(linux_before = "7.3"))]
    barrier::smp_mb(barrier::Full);
}

/// Orders the loads before it before the loads after it.
#[inline(always)]
pub(crate) fn smp_rmb() {
    #[cfg(linux_before = "7.3")]
    barrier::smp_rmb();
    #[cfg(not(linux_before = "7.3"))]
    barrier::smp_mb(barrier::Read);
}

/// Orders the stores before it before the stores after it.
#[inline(always)]
pub(crate) fn smp_wmb() {
    #[cfg(linux_before = "7.3")]
    barrier::smp_wmb();
    #[cfg(not(linux_before = "7.3"))]
    barrier::smp_mb(barrier::Write);
}
