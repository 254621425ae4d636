// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boots a kernel in QEMU, runs a command in it and says what came of it.
