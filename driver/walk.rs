// SPDX-License-Identifier: GPL-2.0

//! The way of a cursor past events that its subscriber does not want.
//!
//! Each walk has an end, the newest event when the call began: a call that followed the newest one
//! would not return while producers are faster than it (Q11).
//!
//! This file knows nothing of the kernel, so that the same source is built and tested on the host.

use super::{
    event::{
        Event,
        Record, //
    },
    filter::Filter,
    glue::borrowed_buf::BorrowedBuf,
    ring::{
        Cursor,
        Memory,
        Ring, //
    },
};
use core::mem::MaybeUninit;

/// Events that are copied out of the ring at once (1 KiB of the stack).
const BATCH: usize = 16;

/// Where a walk has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Before a wanted event.
    Wanted,
    /// Behind the last event that it was to look at.
    End,
    /// After as many events as it was to look at in one go.
    Budget,
}

/// Moves `cursor` past the events up to `end` that `filter` does not let through, `most` of them
/// at the most.
///
/// Looks at no more events than there are from the cursor up to `end`. If all of them have been
/// overwritten, those that it does look at come after `end`.
pub(crate) fn pass_unwanted<M: Memory>(
    cursor: &mut Cursor,
    ring: &Ring<M>,
    filter: &Filter,
    end: u64,
    most: usize,
) -> Stop {
    let mut left = most;
    while left > 0 {
        let count = left.min(BATCH).min(until(cursor.next(), end));
        let mut room = [const { MaybeUninit::<Record>::uninit() }; BATCH];
        let mut records = BorrowedBuf::new(&mut room);
        ring.read(cursor.next(), 0, &mut records, count);
        if records.len() == 0 {
            return Stop::End;
        }
        for record in records.filled() {
            let event = Event::from_words(record);
            if filter.matches(&event) {
                return Stop::Wanted;
            }
            cursor.skip(event.seq);
        }
        left = left.saturating_sub(records.len());
    }
    Stop::Budget
}

/// How many events there are from `next` up to `end`.
pub(crate) fn until(next: u64, end: u64) -> usize {
    let count = end.saturating_add(1).saturating_sub(next);
    usize::try_from(count).unwrap_or(usize::MAX)
}
