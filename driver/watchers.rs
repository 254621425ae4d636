// SPDX-License-Identifier: GPL-2.0

//! Those who want to be told of events, and how they are told.
//!
//! Most wait together, and are told at each post. Those that want fewer wake-ups wait apart, and a
//! thread of the kernel tells them (see [`moderator`](crate::moderator)).

use crate::{
    filter::Interest,
    glue::{
        compat::smp_mb,
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
        in_place_max,
        now_ns,
        SharedRing, //
    },
};
use kernel::{
    prelude::*,
    static_lock_class,
    sync::atomic::{
        Acquire,
        Atomic,
        Full,
        Relaxed,
        Release, //
    },
};

/// Nobody has asked the thread to wake those who wait together.
const NO_CROWD: u32 = 0;
/// A post is about to queue the thread.
const CROWD: u32 = 1;
/// The thread has been queued, and has not begun; or it had begun, and the post that asked since is
/// about to queue it.
const CROWD_QUEUED: u32 = 2;

/// What is told: the ring, and whether there will be anything more in it.
#[pin_data]
pub(crate) struct News {
    #[pin]
    wait: WaitQueue,
    #[pin]
    fasync: FasyncList,
    /// Whether too many wait together for a post to wake them: [`NO_CROWD`], [`CROWD`] or
    /// [`CROWD_QUEUED`].
    crowd: Atomic<u32>,
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

    /// Tells all who wait at these two; if that is not `in_place`, with interrupts on in between.
    ///
    /// In place: returns false if too many wait to be woken from here, and none was; those who are
    /// armed for signals are few and have been signalled.
    #[inline(always)]
    fn tell(&self, wait: &WaitQueue, fasync: &FasyncList, in_place: bool) -> bool {
        // What there is to tell comes before the looks at who is there.
        smp_mb();
        let (waited_on, armed) = (wait.is_waited_on(), fasync.is_armed());
        if !waited_on && !armed {
            return true;
        }
        self.tell_waiting(wait, fasync, in_place, (waited_on, armed))
    }

    /// As [`News::tell`], with somebody to wake, or to signal.
    #[inline(never)]
    fn tell_waiting(
        &self,
        wait: &WaitQueue,
        fasync: &FasyncList,
        in_place: bool,
        (mut woken, signalled): (bool, bool),
    ) -> bool {
        let (events, band) = if self.retired() {
            (mask::ENDED, Band::Hup)
        } else {
            (mask::IN, Band::In)
        };
        let mut all = true;
        if woken && in_place && self.crowd.load(Relaxed) == CROWD_QUEUED {
            // The thread has not begun its next walk, and so will wake all of them. It takes the
            // request with a full barrier, and one stands before this load: the waiters that it
            // wakes see what was posted. A post that took the lock of the wait queue here would
            // wait for each step of the walk under way.
            woken = false;
        }
        if woken {
            if in_place {
                all = wait.wake_few(events, in_place_max().max(1));
                woken = all;
            } else {
                wait.wake_all(events);
            }
            self.wakeups.fetch_add(u64::from(woken), Relaxed);
        }
        if signalled {
            self.signals.fetch_add(1, Relaxed);
            fasync.kill(band);
        }
        trace::notify(self.instance, woken, signalled);
        all
    }

    /// Wakes those who wait together and are too many for a post.
    fn wake_crowd(&self) {
        let events = if self.retired() {
            mask::ENDED
        } else {
            mask::IN
        };
        if self.wait.is_waited_on() {
            self.wakeups.fetch_add(1, Relaxed);
            self.wait.wake_all(events);
            trace::notify(self.instance, true, false);
        }
    }
}

impl Task for News {
    /// Tells those that want fewer wake-ups.
    fn run(work: &DelayedWork<Self>) {
        if work.crowd.xchg(NO_CROWD, Full) != NO_CROWD {
            work.wake_crowd();
        }
        let back_ns = work.moderator.run(&work.ring, work.retired(), |selection| {
            work.tell(selection.wait_queue(), selection.fasync_list(), false);
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
    /// Whether those that want fewer wake-ups have to be looked at.
    look: Atomic<bool>,
    #[pin]
    news: DelayedWork<News>,
}

impl Watchers {
    /// Creates an initialiser for nobody yet, and this ring to tell them of.
    ///
    /// The thread that tells those who are not told by a post has this name.
    pub(crate) fn new(
        name: &CStr,
        ring: SharedRing,
        instance: u64,
    ) -> impl PinInit<Self, Error> + '_ {
        try_pin_init!(Self {
            look: Atomic::new(false),
            news <- DelayedWork::new(name, try_pin_init!(News {
                wait <- WaitQueue::new(c"evq", static_lock_class!()),
                fasync <- FasyncList::new(),
                crowd: Atomic::new(NO_CROWD),
                ring,
                moderator <- Moderator::new(),
                retired: Atomic::new(false),
                instance,
                wakeups: Atomic::new(0),
                signals: Atomic::new(0),
            })),
        })
    }

    /// Where those who want to be told at each post sleep and poll.
    pub(crate) fn wait_queue(&self) -> &WaitQueue {
        &self.news.wait
    }

    /// Where those who want to be signalled at each post are listed.
    pub(crate) fn fasync_list(&self) -> &FasyncList {
        &self.news.fasync
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
        self.tell_in_place();
        if self.news.moderator.might_tell(events, newest) {
            self.news.queue_now();
        }
    }

    /// Tells those who wait together, or has the thread do it if they are many (Q4).
    #[inline(always)]
    fn tell_in_place(&self) {
        let news = &*self.news;
        if !news.tell(&news.wait, &news.fasync, true) {
            news.crowd.store(CROWD, Relaxed);
            self.news.queue_now();
            // From here on the thread comes whatever becomes of this caller. If it has come
            // already, there is nothing to note.
            let _ = news.crowd.cmpxchg(CROWD, CROWD_QUEUED, Full);
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
        look || self.news.wait.is_waited_on() || self.news.fasync.is_armed()
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
        self.tell_in_place();
        if self.look.xchg(false, Relaxed) {
            self.news.queue_now();
        }
    }
}
