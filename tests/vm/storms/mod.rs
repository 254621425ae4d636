// SPDX-License-Identifier: MIT OR Apache-2.0
//! All kinds of producers and subscribers at once, and those who mean harm.

mod attacker;
mod mixed;
