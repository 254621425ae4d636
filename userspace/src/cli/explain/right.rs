// SPDX-License-Identifier: MIT OR Apache-2.0
//! The same program as in `broken.rs`, with one of the library's mechanisms.

use evq::via::Kind;
use evq::{Queue, Watcher};

use super::drain;
use super::program::Parent;

/// Reads events when it is told to and requests when there are some, until it
/// has read an event.
pub(super) fn run(kind: Kind, queue: &Queue, parent: &Parent) -> anyhow::Result<()> {
    let mut watcher = Watcher::new(kind)?;
    let events = watcher.arm(queue, queue.name())?;
    let requests = watcher.also(parent, "the requests")?;
    let mut gap = Some(());
    loop {
        for token in watcher.wait(None)? {
            if token == requests {
                parent.request()?;
            } else if token == events {
                match drain(queue)? {
                    0 => {}
                    some => return parent.told(some),
                }
            }
        }
        if gap.take().is_some() {
            parent.gap()?;
            parent.waits(false)?;
        }
    }
}
