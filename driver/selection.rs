// SPDX-License-Identifier: GPL-2.0

//! Subscribers that want fewer wake-ups: only for some events, or only for many at once.
//!
//! They wait apart from the others. A producer does no more for them than one look at whether any
//! of them might want to know; if so, the [`Moderator`], a thread of the kernel, finds out who has
//! to be told, and comes back when a delay has passed.

use crate::{
    filter::{
        Filter,
        Interest, //
    },
    glue::{
        compat::smp_mb,
        fasync::FasyncList,
        wait::WaitQueue,
        word::read_once, //
    },
    queue::{
        now_ns,
        SharedRing, //
    },
};
use kernel::{
    new_mutex, new_spinlock,
    prelude::*,
    static_lock_class,
    sync::{
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        },
        Arc,
        Mutex,
        SpinLock, //
    },
};

/// Selections that are told in one go.
const CHUNK: usize = 16;

/// When a subscriber wants to be woken.
#[derive(Clone, Copy)]
pub(crate) struct Wakeup {
    /// When this many wanted events are there.
    pub(crate) events: u64,
    /// Or when the first of them is this old.
    pub(crate) max_delay_ns: u64,
}

impl Wakeup {
    /// At each event.
    pub(crate) const EACH: Self = Self {
        events: 1,
        max_delay_ns: 0,
    };
}

/// What one subscriber wants, and where it waits.
#[pin_data]
pub(crate) struct Selection {
    #[pin]
    wait: WaitQueue,
    #[pin]
    fasync: FasyncList,
    /// The number that its next read starts from.
    next: Atomic<u64>,
    #[pin]
    state: SpinLock<State>,
}

struct State {
    filter: Filter,
    wakeup: Wakeup,
    /// The newest event when it was last told.
    told: u64,
    told_of_end: bool,
    count: Count,
}

/// How many wanted events there are from `base` up to before `end`.
#[derive(Clone, Copy, Default)]
struct Count {
    base: u64,
    end: u64,
    found: u64,
    first_ns: u64,
}

/// What is to be done for a selection.
enum Verdict {
    Tell,
    /// Look again once this event is there, or at this time.
    Wait {
        seq: u64,
        time_ns: Option<u64>,
    },
}

impl Selection {
    /// One that wants everything at once, for a subscriber whose next read starts from `next`.
    pub(crate) fn new(next: u64) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                wait <- WaitQueue::new(c"evq_selection", static_lock_class!()),
                fasync <- FasyncList::new(),
                next: Atomic::new(next),
                state <- new_spinlock!(State {
                    filter: Filter::default(),
                    wakeup: Wakeup::EACH,
                    told: 0,
                    told_of_end: false,
                    count: Count::default(),
                }, "evq_selection"),
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

    /// What it wants.
    pub(crate) fn filter(&self) -> Filter {
        self.state.lock().filter
    }

    /// The subscriber has read up to before `next`.
    pub(crate) fn read_to(&self, next: u64) {
        self.next.store(next, Relaxed);
    }

    /// Decides, as things stand.
    fn look(&self, ring: &SharedRing, retired: bool) -> Verdict {
        if !self.wait.is_waited_on() && !self.fasync.is_armed() {
            // Whoever waits later says so.
            return Verdict::Wait {
                seq: u64::MAX,
                time_ns: None,
            };
        }
        let next = self.next.load(Relaxed);
        let mut state = self.state.lock();
        let newest = ring.newest();
        let ended = retired && !state.told_of_end;
        if !ended && newest <= state.told {
            return Verdict::Wait {
                seq: newest.saturating_add(1),
                time_ns: None,
            };
        }
        let (filter, wakeup) = (state.filter, state.wakeup);
        let count = &mut state.count;
        if count.base != next {
            *count = Count {
                base: next,
                end: next,
                ..Count::default()
            };
        }
        while count.found < wakeup.events {
            let Some(event) = ring.first(count.end) else {
                break;
            };
            if filter.matches(&event) {
                if count.found == 0 {
                    count.first_ns = event.time_ns;
                }
                count.found = count.found.saturating_add(1);
            }
            count.end = event.seq.saturating_add(1);
        }
        let due_ns = count.first_ns.saturating_add(wakeup.max_delay_ns);
        let enough = count.found >= wakeup.events || (count.found > 0 && due_ns <= now_ns());
        if enough || ended {
            state.told = newest;
            state.told_of_end = retired;
            return Verdict::Tell;
        }
        let missing = wakeup.events.saturating_sub(count.found);
        match count.found {
            // The first one starts the clock.
            0 => Verdict::Wait {
                seq: count.end,
                time_ns: None,
            },
            _ => Verdict::Wait {
                seq: count.end.saturating_add(missing).saturating_sub(1),
                time_ns: Some(due_ns),
            },
        }
    }
}

/// All selections of a queue.
#[pin_data]
pub(crate) struct Moderator {
    #[pin]
    selections: Mutex<KVec<Arc<Selection>>>,
    /// What the filters of all of them want together.
    types: Atomic<u64>,
    sources: Atomic<u64>,
    /// The event from which on somebody has to be looked at.
    look_at: Atomic<u64>,
}

impl Moderator {
    /// Creates an initialiser for a queue without selections.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            selections <- new_mutex!(KVec::new(), "evq_selections"),
            types: Atomic::new(0),
            sources: Atomic::new(0),
            look_at: Atomic::new(u64::MAX),
        })
    }

    /// Whether somebody might have to be told of `events`, of which `newest` is the last.
    ///
    /// A full barrier must stand between the store of the events and this. Any context.
    pub(crate) fn might_tell(&self, events: Interest, newest: u64) -> bool {
        let wanted = Interest {
            types: read_once(&self.types),
            sources: read_once(&self.sources),
        };
        wanted.meets(events) && newest >= read_once(&self.look_at)
    }

    /// Whether there are any selections.
    pub(crate) fn is_used(&self) -> bool {
        self.types.load(Relaxed) != 0
    }

    /// Somebody waits from now on, and will look for itself after this.
    pub(crate) fn expect(&self) {
        self.look_at.store(0, Relaxed);
        // The store comes before the look at the ring; pairs with the barrier of the producers.
        smp_mb();
    }

    /// Takes a new selection in. Process context, may sleep; fails with `ENOMEM`.
    pub(crate) fn add(&self, selection: &Arc<Selection>) -> Result {
        let mut selections = self.selections.lock();
        selections.push(selection.clone(), GFP_KERNEL_ACCOUNT)?;
        self.publish(&selections);
        Ok(())
    }

    /// Forgets a selection. Process context, may sleep.
    pub(crate) fn remove(&self, selection: &Arc<Selection>) {
        let mut selections = self.selections.lock();
        selections.retain(|other| !Arc::ptr_eq(other, selection));
        self.publish(&selections);
    }

    /// Changes what a selection wants, from its next event on. Process context, may sleep.
    pub(crate) fn change(
        &self,
        selection: &Selection,
        filter: Option<Filter>,
        wakeup: Option<Wakeup>,
    ) {
        let selections = self.selections.lock();
        {
            let mut state = selection.state.lock();
            state.filter = filter.unwrap_or(state.filter);
            state.wakeup = wakeup.unwrap_or(state.wakeup);
            state.told = 0;
            state.count = Count::default();
        }
        self.publish(&selections);
    }

    fn publish(&self, selections: &[Arc<Selection>]) {
        let wanted = selections
            .iter()
            .map(|selection| selection.filter().interest())
            .fold(Interest::NOTHING, Interest::or);
        self.types.store(wanted.types, Relaxed);
        self.sources.store(wanted.sources, Relaxed);
        self.expect();
    }

    /// Tells those who are to be told; the time at which to come back, if any (0: at once).
    ///
    /// Process context; wakes with nothing held (Q5).
    pub(crate) fn run(
        &self,
        ring: &SharedRing,
        retired: bool,
        tell: impl Fn(&Selection),
    ) -> Option<u64> {
        // Those who wait from here on lower it again.
        self.look_at.store(u64::MAX, Relaxed);
        smp_mb();
        let mut due: [Option<Arc<Selection>>; CHUNK] = [const { None }; CHUNK];
        let mut free = due.iter_mut();
        let mut all_seen = true;
        let mut look_at = u64::MAX;
        let mut back_ns: Option<u64> = None;
        for selection in self.selections.lock().iter() {
            if free.len() == 0 {
                all_seen = false;
                break;
            }
            match selection.look(ring, retired) {
                Verdict::Tell => {
                    if let Some(slot) = free.next() {
                        *slot = Some(selection.clone());
                    }
                    look_at = look_at.min(ring.newest().saturating_add(1));
                }
                Verdict::Wait { seq, time_ns } => {
                    look_at = look_at.min(seq);
                    back_ns = match (back_ns, time_ns) {
                        (Some(a), Some(b)) => Some(a.min(b)),
                        (a, b) => a.or(b),
                    };
                }
            }
        }
        for selection in due.iter().flatten() {
            tell(selection);
        }
        self.lower(look_at);
        // A producer that came meanwhile saw that nobody had to be looked at.
        smp_mb();
        let missed = ring.newest() >= self.look_at.load(Relaxed);
        if all_seen && !missed {
            back_ns
        } else {
            Some(0)
        }
    }

    fn lower(&self, seq: u64) {
        let mut now = self.look_at.load(Relaxed);
        while seq < now {
            match self.look_at.cmpxchg(now, seq, Full) {
                Ok(_) => return,
                Err(other) => now = other,
            }
        }
    }
}
