// SPDX-License-Identifier: MIT OR Apache-2.0
//! The contract, clause by clause, against the real module in a VM.
//!
//! One file per behaviour; each test names the clauses that it holds the
//! device to. The tests make system calls themselves, so that they judge the
//! device and not the library. They run one after the other (the runner sets
//! `RUST_TEST_THREADS=1`): signals and modules belong to the whole machine.
//!
//! Nothing waits for time to pass. Whoever has to be blocked is seen to be
//! blocked (`support::worker`), and the limits in here only turn a hang into a
//! failure.

mod support;

mod account;
mod batch;
mod bounded;
mod client;
mod daemon;
mod dates;
mod doctor;
mod examples;
mod explain;
mod fairness;
mod fanout;
mod fasync;
mod fault;
mod faults;
mod fuzz;
mod hotplug;
mod input;
mod interrupt;
mod lacking;
mod lapped;
mod limits;
mod mapped;
mod model;
mod module;
// The host can raise an NMI on x86 only.
#[cfg(target_arch = "x86_64")]
mod nmi;
mod observe;
mod owner;
mod permission;
mod poll;
mod read;
mod recording;
mod retire;
mod select;
mod share;
mod sources;
mod start;
mod storm;
mod storm_via;
mod storms;
mod timer;
mod top;
mod uring;
mod write;
