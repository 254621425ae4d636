// SPDX-License-Identifier: GPL-2.0

//! A queue: its writers, and when those who want to be told are told.

use crate::{
    atomic::Word,
    event::Event,
    filter::Interest,
    glue::{
        context,
        irq_lock::IrqLock,
        irq_work::{
            Handler,
            IrqWork, //
        },
        mapping::MappableArray,
        trace, //
    },
    ring::{
        Memory,
        Ring,
        Slot,
        Writer, //
    },
    uapi::MapHeader,
    users::{
        User,
        Users, //
    },
    watchers::{
        News,
        Watchers, //
    },
};
use core::ops::Deref;
use kernel::{
    new_mutex,
    prelude::*,
    static_lock_class,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex, //
    },
    time::{
        ClockSource,
        Monotonic, //
    },
};

/// Most events that are posted in one go (W3): bounds the time that interrupts are off.
pub(crate) const BATCH_MAX: usize = 64;

/// Fewest events that a ring holds: a batch must not overwrite itself.
pub(crate) const CAPACITY_MIN: u32 = BATCH_MAX as u32;

/// Most events that a ring holds: 64 MiB.
pub(crate) const CAPACITY_MAX: u32 = 1 << 20;

/// Most open files of one queue.
///
/// A post walks over those that wait, and the kernel over those that are armed whenever one is
/// added or removed: without a bound, any program that may read could slow down all producers.
pub(crate) const SUBSCRIBERS_MAX: u64 = 4096;

/// Most open files that a post itself notifies (Q4). A file that begins to wait after as many others
/// is notified by the moderator's thread.
pub(crate) const IN_PLACE_MAX: u32 = 16;

/// As many as that, or fewer if the parameter `in_place_max` says so.
static IN_PLACE: Atomic<u32> = Atomic::new(IN_PLACE_MAX);

/// Sets how many open files, and waiters of these, a post notifies itself: not more than
/// [`IN_PLACE_MAX`]. Called when the module is loaded.
pub(crate) fn set_in_place(most: u32) {
    IN_PLACE.store(most.min(IN_PLACE_MAX), Relaxed);
}

/// How many open files, and waiters of these, a post notifies itself. Any context.
#[inline]
pub(crate) fn in_place_max() -> u32 {
    IN_PLACE.load(Relaxed)
}

/// The ring, in memory that programs can map: what `include/uapi/evq.h` says of `mmap`.
pub(crate) type SharedRing = Ring<MappableArray<MapHeader, Slot>>;

impl Memory for MappableArray<MapHeader, Slot> {
    fn newest(&self) -> &Word {
        &self.header().newest
    }

    fn slots(&self) -> &[Slot] {
        self.elements()
    }
}

/// Where everybody is told from, after a post.
#[derive(Clone, Copy)]
pub(crate) enum Notify {
    /// From here: the caller is in process context and holds nothing.
    Here,
    /// From here if the caller certainly holds no spin lock, else from an `irq_work`.
    WhenLegal,
}

impl Notify {
    /// Whether everybody may be told from here, with no lock of the queue held (Q5).
    ///
    /// What the callers of a producer hold is not known here, and a wake-up takes locks; so where
    /// they might hold a spin lock, it is put off to an `irq_work` (Q4).
    fn is_legal_here(self) -> bool {
        match self {
            Self::Here => true,
            Self::WhenLegal => context::holds_no_spin_lock(),
        }
    }
}

/// A queue of events.
#[pin_data]
pub(crate) struct Queue {
    /// Taken for good when the queue is retired, so that nothing is posted after that.
    #[pin]
    writer: IrqLock<Option<Writer>>,
    #[pin]
    watchers: IrqWork<Watchers>,
    /// How many open files are notified in place. Held by a subscriber to decide where it waits.
    #[pin]
    choosing: Mutex<u32>,
    #[pin]
    users: Users,
    refused: Atomic<u64>,
    subscribers: Atomic<u64>,
    /// Files that have been opened so far.
    opened: Atomic<u64>,
}

impl Queue {
    /// Makes a queue that keeps the last `capacity` events, and whose thread has this name.
    ///
    /// Process context. Fails with `EINVAL` if `capacity` is not a power of two from
    /// [`CAPACITY_MIN`] to [`CAPACITY_MAX`], `ENOMEM` if there is not that much memory.
    pub(crate) fn new(name: &CStr, capacity: u32) -> Result<Arc<Self>> {
        if !(CAPACITY_MIN..=CAPACITY_MAX).contains(&capacity) {
            return Err(EINVAL);
        }
        let instance = context::random_id();
        let header = MapHeader::new(capacity, instance);
        let memory = MappableArray::new(header, capacity as usize, Slot::new)?;
        let (ring, writer) = Ring::new(memory).ok_or(EINVAL)?;
        Arc::pin_init(
            try_pin_init!(Self {
                writer <- IrqLock::new(Some(writer), c"evq_writer", static_lock_class!()),
                watchers <- IrqWork::new::<Error>(Watchers::new(name, ring, instance)),
                choosing <- new_mutex!(0, "evq_choosing"),
                users <- Users::new(),
                refused: Atomic::new(0),
                subscribers: Atomic::new(0),
                opened: Atomic::new(0),
            }),
            GFP_KERNEL,
        )
    }

    /// The ring, for reading.
    #[inline]
    pub(crate) fn ring(&self) -> &SharedRing {
        self.news().ring()
    }

    /// Those who want to be told.
    pub(crate) fn watchers(&self) -> &Watchers {
        &self.watchers
    }

    /// What they are told.
    #[inline]
    pub(crate) fn news(&self) -> &News {
        self.watchers.news()
    }

    /// Whether the queue has been retired.
    ///
    /// Once this is true, nothing more will be posted, and all that was posted can be read.
    pub(crate) fn retired(&self) -> bool {
        self.news().retired()
    }

    /// How many open files are notified in place. Held by a subscriber to decide where it waits.
    /// Process context.
    pub(crate) fn choosing(&self) -> &Mutex<u32> {
        &self.choosing
    }

    /// Counts `count` events as refused, and returns why.
    pub(crate) fn refuse(&self, count: usize, why: Error) -> Error {
        self.refused.fetch_add(count as u64, Relaxed);
        why
    }

    /// Events that were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// How many open files the queue has.
    pub(crate) fn subscribers(&self) -> u64 {
        self.subscribers.load(Relaxed)
    }

    /// Posts up to [`BATCH_MAX`] events with consecutive sequence numbers and tells everybody once.
    ///
    /// `notify` says where from.
    ///
    /// Any context except NMI, where it is refused; allocates nothing and does not sleep. Either
    /// all events are posted or none: fails with `EBUSY` in NMI, `EINVAL` if there are too many,
    /// `ENODEV` if the queue has been retired, `EOVERFLOW` if the sequence numbers are used up. All
    /// that fail are counted in [`Queue::refused`]. The iterator is run with interrupts off.
    pub(crate) fn post(
        &self,
        events: impl ExactSizeIterator<Item = Event>,
        notify: Notify,
    ) -> Result {
        let count = events.len();
        let stored = match notify {
            Notify::WhenLegal if context::in_nmi() => Err(EBUSY),
            Notify::Here | Notify::WhenLegal => self.store(events),
        };
        let (newest, kinds) = stored.map_err(|err| self.refuse(count, err))?;
        let first = newest.wrapping_sub(count as u64).wrapping_add(1);
        trace::post(self.news().instance(), first, count);
        if notify.is_legal_here() {
            self.watchers.tell(kinds, newest);
        } else if self.watchers.would_tell(kinds, newest) {
            self.watchers.queue();
        }
        Ok(())
    }

    /// Returns the number of the newest event, and the kinds of all.
    fn store(&self, events: impl ExactSizeIterator<Item = Event>) -> Result<(u64, Interest)> {
        if events.len() > BATCH_MAX {
            return Err(EINVAL);
        }
        self.writer.with(|writer| {
            let writer = writer.as_mut().ok_or(ENODEV)?;
            // With the lock held, so that times are in the order of the sequence numbers.
            let time_ns = now_ns();
            let mut kinds = Interest::NOTHING;
            let stamped = events.map(|event| {
                kinds = kinds.or(Interest::of(&event));
                Event { time_ns, ..event }
            });
            let newest = self.ring().post(writer, stamped).ok_or(EOVERFLOW)?;
            Ok((newest, kinds))
        })
    }

    /// Ends the queue: nothing can be posted from now on, and everybody is told.
    ///
    /// Any context except NMI.
    pub(crate) fn retire(&self) {
        self.writer.with(|writer| *writer = None);
        self.watchers.retire();
        if Notify::WhenLegal.is_legal_here() {
            self.watchers.run();
        } else {
            self.watchers.queue();
        }
    }
}

/// A queue, counted as one of its open files.
pub(crate) struct Subscription {
    queue: Arc<Queue>,
    number: u64,
    user: User,
}

impl Subscription {
    /// Fails with `EBUSY` if there are [`SUBSCRIBERS_MAX`] already, or as [`Users::take`] does.
    ///
    /// Process context, may sleep.
    pub(crate) fn new(queue: &Arc<Queue>) -> Result<Self> {
        let user = queue.users.take()?;
        let subscription = Self {
            queue: queue.clone(),
            number: queue.opened.fetch_add(1, Relaxed).wrapping_add(1),
            user,
        };
        if queue.subscribers.fetch_add(1, Relaxed) >= SUBSCRIBERS_MAX {
            return Err(EBUSY);
        }
        Ok(subscription)
    }

    /// What no other open file of the queue has, or has had.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

impl Deref for Subscription {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        &self.queue
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.queue.users.give_back(self.user);
        self.queue.subscribers.fetch_add(u64::MAX, Relaxed);
    }
}

/// CLOCK_MONOTONIC, in nanoseconds.
pub(crate) fn now_ns() -> u64 {
    // Not negative: the clock starts at 0 when the machine boots.
    Monotonic::ktime_get() as u64
}
