// SPDX-License-Identifier: GPL-2.0
//! The ring of the driver, built and tested on the host from the same source.
//!
//! `driver/ring.rs` takes its words and barriers from a sibling named `atomic`; here that is the
//! memory model of Rust, in the kernel it is that of the kernel.

#![cfg(test)]
#![expect(
    clippy::duplicate_mod,
    reason = "the ring is there twice: over real atomics, and over those of a model checker"
)]

mod atomic;
#[path = "../../../driver/event.rs"]
mod event;
#[path = "../../../driver/filter.rs"]
mod filter;
#[path = "../../../driver/ring.rs"]
mod ring;
#[path = "../../../driver/roster.rs"]
mod roster;
#[path = "../../../driver/walk.rs"]
mod walk;
#[path = "../../../driver/glue"]
mod glue {
    pub(crate) mod borrowed_buf;
}

mod account;
mod buffer;
// Miri cannot switch stacks, as loom does, nor run a compiler.
#[cfg(not(miri))]
mod exhaustive;
#[cfg(not(miri))]
mod header;
#[cfg(not(miri))]
mod interest;
// A random sequence takes it a minute.
#[cfg(not(miri))]
mod model;
#[cfg(not(miri))]
mod moderation;
mod passing;
mod threads;
mod unit;
