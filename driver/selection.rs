// SPDX-License-Identifier: GPL-2.0

//! Subscribers that a thread of the kernel notifies: those that want fewer wake-ups, only for some
//! events or only for many at once, and those that have begun to wait when many others did already.
//!
//! They wait apart from the others, each at a [`Selection`] of its own. The
//! [`moderator`](crate::moderator) finds out when they have to be notified.

use crate::{
    filter::Filter,
    glue::{
        fasync::FasyncList,
        wait::WaitQueue, //
    },
};
use kernel::{
    new_spinlock,
    prelude::*,
    static_lock_class,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        SpinLock, //
    },
};

/// What one subscriber wants, and where it waits.
#[pin_data]
pub(crate) struct Selection {
    #[pin]
    wait: WaitQueue,
    #[pin]
    fasync: FasyncList,
    /// The number that its next read starts from.
    next: Atomic<u64>,
    /// Which of the moderator's subscribers it is; fixed before anybody can wait.
    index: Atomic<usize>,
    /// Whether its subscriber has asked for it, rather than come after too many others.
    chosen: bool,
    #[pin]
    filter: SpinLock<Filter>,
}

impl Selection {
    /// One that wants everything at once, for a subscriber whose next read starts from `next`;
    /// `chosen` says whether that may be changed.
    pub(crate) fn new(next: u64, chosen: bool) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                wait <- WaitQueue::new(c"evq_selection", static_lock_class!()),
                fasync <- FasyncList::new(),
                next: Atomic::new(next),
                index: Atomic::new(0),
                chosen,
                filter <- new_spinlock!(Filter::default(), "evq_filter"),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Where the subscriber sleeps and polls.
    pub(crate) fn wait_queue(&self) -> &WaitQueue {
        &self.wait
    }

    /// Where the subscriber is listed for signals.
    pub(crate) fn fasync_list(&self) -> &FasyncList {
        &self.fasync
    }

    /// Whether it sleeps, polls or is armed.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.wait.is_waited_on() || self.fasync.is_armed()
    }

    /// What it wants.
    pub(crate) fn filter(&self) -> Filter {
        *self.filter.lock()
    }

    /// Changes what it wants.
    pub(crate) fn set_filter(&self, filter: Filter) {
        *self.filter.lock() = filter;
    }

    /// The number that its next read starts from.
    pub(crate) fn next(&self) -> u64 {
        self.next.load(Relaxed)
    }

    /// The subscriber has read up to before `next`.
    pub(crate) fn read_to(&self, next: u64) {
        self.next.store(next, Relaxed);
    }

    /// Whether its subscriber has asked for it, and may change what it wants.
    pub(crate) fn is_chosen(&self) -> bool {
        self.chosen
    }

    /// Which of the moderator's subscribers it is.
    pub(crate) fn index(&self) -> usize {
        self.index.load(Relaxed)
    }

    /// Says which it is. Called once, before anybody else has it.
    pub(crate) fn set_index(&self, index: usize) {
        self.index.store(index, Relaxed);
    }
}
