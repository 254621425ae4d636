// SPDX-License-Identifier: MIT OR Apache-2.0
//! The library without a queue: pipes and sockets carry records as well.

mod carrier;
mod errors;
mod events;
mod mechanisms;
mod overflow;
mod sources;
