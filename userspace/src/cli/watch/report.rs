// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `watch` says of its sources on standard error.

use evq::{AnyDevice, AnySource, Queue, Watcher};

use super::source::Watched;
use crate::cli::tell::tell;

/// How many events have been posted that the next reads would tell of. None
/// if the queue does not say: this is for a summary on the way out.
fn unread(queue: &Queue) -> u64 {
    queue
        .info()
        .map_or(0, |info| (info.posted + 1).saturating_sub(info.next))
}

/// What is missing.
fn losses(watched: &Watched) -> String {
    let account = &watched.account;
    match &watched.device {
        // With it, the numbers add up to what was posted.
        Some(AnySource::Device(AnyDevice::Queue(queue))) if watched.filter.is_empty() => {
            match unread(queue) {
                0 => format!("lost {}", account.lost),
                unread => format!("lost {}, left unread {unread}", account.lost),
            }
        }
        // The device does not say how many events an overflow cost.
        Some(AnySource::Device(AnyDevice::Input(_))) => format!("overflows {}", account.overflows),
        _ if account.overflows > 0 => format!("overflows {}", account.overflows),
        _ => format!("lost {}", account.lost),
    }
}

/// One line per source, at the end.
pub(super) fn summary(all: &[Watched], why: &str) {
    for watched in all {
        let (name, delivered) = (watched.label(), watched.account.delivered);
        let losses = losses(watched);
        tell!("{name}: delivered {delivered}, {losses} ({why})");
    }
}

/// The same on request, with what it took.
pub(super) fn statistics(all: &[Watched], watcher: &Watcher) {
    for watched in all {
        let (name, account) = (watched.label(), &watched.account);
        let (delivered, wakeups) = (account.delivered, account.wakeups);
        let losses = losses(watched);
        let ended = match (&watched.device, &watched.awaited) {
            (Some(_), _) => "",
            (None, None) => ", has ended",
            (None, Some(_)) => ", waiting for it",
        };
        tell!("{name}: delivered {delivered}, {losses}, wake-ups {wakeups}{ended} (so far)");
    }
    signal_queue(watcher);
    tell!("watching {} sources via {}", all.len(), watcher.kind());
}

/// Whether signals were lost, and that events were not.
pub(super) fn signal_queue(watcher: &Watcher) {
    if watcher.overflows() > 0 {
        tell!(
            "the signal queue was full {} times (see `ulimit -i`); each time all \
             sources were read, so that nothing was missed for it",
            watcher.overflows()
        );
    }
}
