// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boots a kernel in QEMU, runs one command in it and gives one verdict.
//!
//! The way of a run through this crate: [`options`] (what is asked for) →
//! [`kernel`] (where it comes from) → [`initramfs`] (what the guest finds) →
//! [`accel`] (KVM or TCG) → [`machine`] (the QEMU process and its sockets) →
//! [`session`] (everything until the machine is gone) → [`verdict`], with the
//! help of [`klog`]. The guest's side is the binary `evq-init`; [`wire`] is
//! what the two say to one another.

pub mod accel;
pub mod arch;
pub mod cache;
pub mod cpio;
pub mod gdb;
pub mod initramfs;
pub mod kernel;
pub mod klog;
pub mod machine;
pub mod options;
pub mod qmp;
pub mod run;
pub mod session;
pub mod stdio;
pub mod terminal;
pub mod verdict;
pub mod wire;
