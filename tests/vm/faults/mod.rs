// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the world can do to the device: memory that runs out, calls that are
//! interrupted, processes that are stopped, processors that go away, a queue
//! that ends while everything is done to it.

mod churn;
mod interrupted;
mod memory;
mod processor;
mod stalled;
