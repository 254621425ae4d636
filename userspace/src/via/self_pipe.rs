// SPDX-License-Identifier: MIT OR Apache-2.0
//! `self-pipe`: as `sigio`, with a pipe in place of the eventfd. What one did
//! before there were eventfds; a full pipe is a wake-up like any other.

use super::bridge::Slot;
use super::sigio::HandlerWake;
use super::woken::Woken;
use crate::error::Result;

pub(super) fn new() -> Result<Woken<HandlerWake<true>>> {
    Woken::new(HandlerWake::new(Slot::pipe()?)?)
}
