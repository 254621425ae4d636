// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ring of the driver, built and tested on the host.
