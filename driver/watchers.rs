// SPDX-License-Identifier: GPL-2.0

//! Those who want to be told of events, and how they are told.
//!
//! Most wait together, and are told at each post. Those that want fewer wake-ups wait apart, and a
//! thread of the kernel tells them (see [`moderator`](crate::moderator)).

use crate::{
    filter::Interest,
    glue::{
        fasync::{
            Band,
            FasyncList, //
        },
        irq_work::Handler,
        trace,
        wait::{
            mask,
            WaitQueue, //
        },
        work::{
            DelayedWork,
            Task, //
        },
    },
    moderator::Moderator,
    queue::{
        now_ns,
        SharedRing, //
    },
};
use kernel::{
    prelude::*,
    static_lock_class,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        barrier::smp_mb, //
    },
};

/// What is told: the ring, and whether there will be anything more in it.
#[pin_data]
pub(crate) struct News {
    ring: SharedRing,
    #[pin]
    moderator: Moderator,
    retired: Atomic<bool>,
    instance: u64,
    wakeups: Atomic<u64>,
    signals: Atomic<u64>,
}

impl News {
    /// The ring, for reading.
    #[inline]
    pub(crate) fn ring(&self) -> &SharedRing {
        &self.ring
    }

    /// Those that want fewer wake-ups.
    pub(crate) fn moderator(&self) -> &Moderator {
        &self.moderator
    }

    /// Whether the queue has been retired.
    pub(crate) fn retired(&self) -> bool {
        self.retired.load(Acquire)
    }

    /// Tells the queue from all others.
    pub(crate) fn instance(&self) -> u64 {
        self.instance
    }

    /// How often those who waited were woken.
    pub(crate) fn wakeups(&self) -> u64 {
        self.wakeups.load(Relaxed)
    }

    /// How often those who had asked for signals were signalled.
    pub(crate) fn signals(&self) -> u64 {
        self.signals.load(Relaxed)
    }

    /// Tells all who wait at these two.
    fn tell(&self, wait: &WaitQueue, fasync: &FasyncList) {
        // What there is to tell comes before the looks at who is there.
        smp_mb();
        let (woken, signalled) = (wait.is_waited_on(), fasync.is_armed());
        if !woken && !signalled {
            return;
        }
        let (events, band) = if self.retired() {
            (mask::ENDED, Band::Hup)
        } else {
            (mask::IN, Band::In)
        };
        if woken {
            self.wakeups.fetch_add(1, Relaxed);
            wait.wake_all(events);
        }
        if signalled {
            self.signals.fetch_add(1, Relaxed);
            fasync.kill(band);
        }
        trace::notify(self.instance, woken, signalled);
    }
}

impl Task for News {
    /// Tells those that want fewer wake-ups.
    fn run(work: &DelayedWork<Self>) {
        let back_ns = work.moderator.run(&work.ring, work.retired(), |selection| {
            work.tell(selection.wait_queue(), selection.fasync_list());
        });
        match back_ns {
            Some(0) => work.queue_now(),
            Some(time_ns) => work.queue_after(time_ns.saturating_sub(now_ns())),
            None => {}
        }
    }
}

/// Those who want to be told.
#[pin_data]
pub(crate) struct Watchers {
    #[pin]
    wait: WaitQueue,
    #[pin]
    fasync: FasyncList,
    /// Whether those that want fewer wake-ups have to be looked at.
    look: Atomic<bool>,
    #[pin]
    news: DelayedWork<News>,
}

impl Watchers {
    /// Creates an initialiser for nobody yet, and this ring to tell them of.
    pub(crate) fn new(ring: SharedRing, instance: u64) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            wait <- WaitQueue::new(c"evq", static_lock_class!()),
            fasync <- FasyncList::new(),
            look: Atomic::new(false),
            news <- DelayedWork::new::<Error>(pin_init!(News {
                ring,
                moderator <- Moderator::new(),
                retired: Atomic::new(false),
                instance,
                wakeups: Atomic::new(0),
                signals: Atomic::new(0),
            }? Error)),
        })
    }

    /// Where those who want to be told at each post sleep and poll.
    pub(crate) fn wait_queue(&self) -> &WaitQueue {
        &self.wait
    }

    /// Where those who want to be signalled at each post are listed.
    pub(crate) fn fasync_list(&self) -> &FasyncList {
        &self.fasync
    }

    /// What they are told.
    #[inline]
    pub(crate) fn news(&self) -> &News {
        &self.news
    }

    /// Tells all who want to know that `newest` and perhaps others of these kinds are there, also
    /// those who have been told and have not read yet (P2, F1).
    ///
    /// Context as for [`Handler::run`].
    pub(crate) fn tell(&self, events: Interest, newest: u64) {
        // Begins with a full barrier, for the look at the moderator as well.
        self.news.tell(&self.wait, &self.fasync);
        if self.news.moderator.might_tell(events, newest) {
            self.news.queue_now();
        }
    }

    /// Has those that want fewer wake-ups looked at, although nothing may have been posted.
    ///
    /// Context as for [`Handler::run`].
    pub(crate) fn moderate(&self) {
        self.news.queue_now();
    }

    /// Whether there is anybody to tell that `newest` and perhaps others of these kinds are there,
    /// for those who cannot [`Watchers::tell`] and ask for a [`Handler::run`] instead.
    pub(crate) fn would_tell(&self, events: Interest, newest: u64) -> bool {
        // The events come before the looks at who is there.
        smp_mb();
        let look = self.news.moderator.might_tell(events, newest);
        if look {
            self.look.store(true, Relaxed);
        }
        look || self.wait.is_waited_on() || self.fasync.is_armed()
    }

    /// There will be nothing more.
    pub(crate) fn retire(&self) {
        self.news.retired.store(true, Release);
        self.look.store(self.news.moderator.is_used(), Relaxed);
    }
}

impl Handler for Watchers {
    /// Tells everybody, once for all posts before it.
    fn run(&self) {
        self.news.tell(&self.wait, &self.fasync);
        if self.look.xchg(false, Relaxed) {
            self.news.queue_now();
        }
    }
}
