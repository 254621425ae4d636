// SPDX-License-Identifier: GPL-2.0

//! What Linux lacks in Rust, one file each, written so that each could move into the kernel crate.
//! [`compat`] has the differences between kernel series.
//!
//! The `unsafe` blocks of the driver are in this folder and in `capi.rs`; `uapi.rs` adds the marker
//! traits of its structures. The rest is safe code.

pub(crate) mod borrowed_buf;
pub(crate) mod compat;
pub(crate) mod context;
pub(crate) mod fasync;
mod ffi;
pub(crate) mod iov;
pub(crate) mod irq_lock;
pub(crate) mod irq_work;
pub(crate) mod mapping;
pub(crate) mod miscdevice;
pub(crate) mod trace;
pub(crate) mod wait;
pub(crate) mod word;
pub(crate) mod work;
