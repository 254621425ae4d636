// SPDX-License-Identifier: MIT OR Apache-2.0
//! Events from kernel code to programs, with nothing lost silently.
