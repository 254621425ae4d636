// SPDX-License-Identifier: MIT OR Apache-2.0
//! Integration tests that run inside the VM.
