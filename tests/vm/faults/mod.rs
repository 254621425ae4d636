// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the world can do to the device: memory that runs out, calls that are
//! interrupted, processes that are stopped, processors that go away, a queue
//! that ends while everything is done to it; and that none of it leaves memory behind.

mod churn;
mod interrupted;
mod leaks;
mod memory;
mod pending;
mod processor;
mod stalled;
