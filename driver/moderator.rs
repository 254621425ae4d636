// SPDX-License-Identifier: GPL-2.0

//! The moderator notifies the subscribers that want fewer wake-ups.
//!
//! A producer does no more for them than one look at whether any of them might want to know; if so,
//! the moderator, a thread of the kernel, takes a turn. It looks at each event once for all of them
//! (see [`roster`](crate::roster)), notifies those that are due, and comes back when a delay has
//! passed.
//!
//! A turn is fair (Q10): it notifies every subscriber that has read, polled or waited since it was
//! last notified, and of the others a few, going round. So those that never read are notified in
//! their turn, and none of them keeps a reader waiting.

use crate::{
    filter::{
        Filter,
        Interest, //
    },
    glue::{
        compat::smp_mb,
        context,
        word::read_once, //
    },
    queue::{
        now_ns,
        SharedRing,
        SUBSCRIBERS_MAX, //
    },
    roster::{
        Bits,
        Group,
        Pick,
        Roster,
        Slot,
        Wakeup,
        GROUP, //
    },
    selection::Selection,
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        },
        Arc,
        Mutex, //
    },
};

/// Selections that are notified in one go.
const CHUNK: usize = 16;

/// Subscribers that have made no call since they were last notified, and are notified in one turn
/// all the same.
const PASSIVE: usize = 16;

/// Steps along the ring in one turn (see [`crate::roster::STEP`]): then those that are due are
/// notified before it goes on.
const SCAN_STEPS: usize = 16;

/// Words of a bit for each subscriber.
const WORDS: usize = (SUBSCRIBERS_MAX as usize).div_ceil(GROUP);

/// The selections of a group.
struct Members {
    bits: Bits,
    slots: KVec<Slot>,
    selections: KVec<Option<Arc<Selection>>>,
}

impl Group for Members {
    fn parts(&mut self) -> (&mut Bits, &mut [Slot]) {
        (&mut self.bits, &mut self.slots)
    }
}

/// All selections of a queue.
struct Table {
    groups: KVec<Members>,
    roster: Roster,
    /// How many filters have each bit of their [`Interest`].
    types: [u16; 64],
    sources: [u16; 64],
    /// Where the round of those that make no calls goes on.
    turn: usize,
}

impl Table {
    /// Makes room for one more, and returns where. Fails with `ENOMEM`.
    fn reserve(&mut self) -> Result<usize> {
        let index = match Roster::vacancy(&mut self.groups) {
            Some(index) => index,
            None => {
                let members = Members {
                    bits: Bits::default(),
                    slots: KVec::new(),
                    selections: KVec::new(),
                };
                self.groups.push(members, GFP_KERNEL_ACCOUNT)?;
                self.groups.len().saturating_sub(1).saturating_mul(GROUP)
            }
        };
        let group = self.groups.get_mut(index / GROUP).ok_or(ENOMEM)?;
        let at = index % GROUP;
        while group.slots.len() <= at {
            group.slots.push(Slot::new(), GFP_KERNEL_ACCOUNT)?;
        }
        while group.selections.len() <= at {
            group.selections.push(None, GFP_KERNEL_ACCOUNT)?;
        }
        Ok(index)
    }

    fn selection(&self, index: usize) -> Option<&Arc<Selection>> {
        let group = self.groups.get(index / GROUP)?;
        group.selections.get(index % GROUP)?.as_ref()
    }

    fn count_interest(&mut self, interest: Interest, by: u16) {
        for (counts, bits) in [
            (&mut self.types, interest.types),
            (&mut self.sources, interest.sources),
        ] {
            for (count, at) in counts.iter_mut().zip(0..) {
                if bits & 1u64.wrapping_shl(at) != 0 {
                    *count = count.wrapping_add(by);
                }
            }
        }
    }

    /// What the filters of all of them want together.
    fn interest(&self) -> Interest {
        let any = |counts: &[u16; 64]| {
            counts
                .iter()
                .rev()
                .fold(0u64, |bits, count| bits << 1 | u64::from(*count != 0))
        };
        Interest {
            types: any(&self.types),
            sources: any(&self.sources),
        }
    }

    /// A subscriber has made a call.
    fn called(&mut self, index: usize) {
        let Some(selection) = self.selection(index).cloned() else {
            return;
        };
        let waiting = selection.is_waited_for();
        self.roster
            .called(&mut self.groups, index, selection.next(), waiting);
    }

    /// Finds out whether the subscriber is to be notified that is due.
    fn decide(&mut self, index: usize) -> Option<Arc<Selection>> {
        let selection = self.selection(index)?.clone();
        let waiting = selection.is_waited_for();
        self.roster
            .decide(&mut self.groups, index, selection.next(), waiting)
            .then_some(selection)
    }
}

/// Notifies the subscribers of a queue that want fewer wake-ups.
#[pin_data]
pub(crate) struct Moderator {
    #[pin]
    table: Mutex<Table>,
    /// What the filters of all of them want together.
    types: Atomic<u64>,
    sources: Atomic<u64>,
    /// The event from which on somebody has to be looked at.
    look_at: Atomic<u64>,
    /// Who has made a call since the last turn, a bit for each.
    called: [Atomic<u64>; WORDS],
}

impl Moderator {
    /// Creates an initialiser for a queue without selections.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            table <- new_mutex!(
                Table {
                    groups: KVec::new(),
                    roster: Roster::new(),
                    types: [0; 64],
                    sources: [0; 64],
                    turn: 0,
                },
                "evq_selections"
            ),
            types: Atomic::new(0),
            sources: Atomic::new(0),
            look_at: Atomic::new(u64::MAX),
            called: [const { Atomic::new(0) }; WORDS],
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

    /// This one waits from now on, and will look for itself after this.
    ///
    /// The moderator either finds it waiting in its next turn, or finds its call here in the one
    /// after that; and a producer either sees that there has to be one, or has posted what this one
    /// will see when it looks.
    #[inline(never)]
    pub(crate) fn expect(&self, selection: &Selection) {
        self.note_call(selection);
        self.look_at.store(0, Relaxed);
        // The stores come before the look at the ring; pairs with the barriers of the producers and
        // of the moderator.
        smp_mb();
    }

    /// This one has made a call. Any context.
    #[inline(never)]
    pub(crate) fn note_call(&self, selection: &Selection) {
        let index = selection.index();
        let Some(word) = self.called.get(index / GROUP) else {
            return;
        };
        let bit = 1u64.wrapping_shl((index % GROUP) as u32);
        let mut now = read_once(word);
        while now & bit == 0 {
            match word.cmpxchg(now, now | bit, Full) {
                Ok(_) => return,
                Err(other) => now = other,
            }
        }
    }

    /// Takes a new selection in. Process context, may sleep; fails with `ENOMEM`.
    pub(crate) fn add(&self, selection: &Arc<Selection>) -> Result {
        let mut table = self.table.lock();
        let table = &mut *table;
        let index = table.reserve()?;
        let group = table.groups.get_mut(index / GROUP).ok_or(ENOMEM)?;
        let place = group.selections.get_mut(index % GROUP).ok_or(ENOMEM)?;
        *place = Some(selection.clone());
        selection.set_index(index);
        table.roster.add(&mut table.groups, index);
        table.count_interest(Filter::default().interest(), 1);
        self.publish(table);
        Ok(())
    }

    /// Forgets a selection. Process context, may sleep.
    pub(crate) fn remove(&self, selection: &Arc<Selection>) {
        let mut table = self.table.lock();
        let table = &mut *table;
        let index = selection.index();
        if let Some((filter, _)) = Roster::wishes(&mut table.groups, index) {
            table.count_interest(filter.interest(), u16::MAX);
        }
        table.roster.remove(&mut table.groups, index);
        if let Some(group) = table.groups.get_mut(index / GROUP) {
            if let Some(place) = group.selections.get_mut(index % GROUP) {
                *place = None;
            }
        }
        self.publish(table);
    }

    /// Changes what a selection wants, from its next event on. Process context, may sleep.
    pub(crate) fn change(
        &self,
        selection: &Selection,
        filter: Option<Filter>,
        wakeup: Option<Wakeup>,
    ) {
        {
            let mut table = self.table.lock();
            let table = &mut *table;
            let index = selection.index();
            let Some(before) = Roster::wishes(&mut table.groups, index) else {
                return;
            };
            let (filter, wakeup) = (filter.unwrap_or(before.0), wakeup.unwrap_or(before.1));
            table.count_interest(before.0.interest(), u16::MAX);
            table.count_interest(filter.interest(), 1);
            table
                .roster
                .change(&mut table.groups, index, filter, wakeup);
            selection.set_filter(filter);
            self.publish(table);
        }
        self.expect(selection);
    }

    fn publish(&self, table: &Table) {
        let wanted = table.interest();
        self.types.store(wanted.types, Relaxed);
        self.sources.store(wanted.sources, Relaxed);
    }

    /// One turn: notifies those that are due; the time at which to come back, if any (0: at once).
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
        {
            let mut table = self.table.lock();
            let table = &mut *table;
            table.roster.leave_out(&mut table.groups, ring.newest());
        }
        self.take_calls();
        self.scan(ring);
        self.catch_up(ring);
        self.expire();
        self.notify(Pick::Active, usize::MAX, 0, &tell);
        let turn = self.table.lock().turn;
        let next = self
            .notify(Pick::Passive, PASSIVE, turn, &tell)
            .or_else(|| self.notify(Pick::Passive, PASSIVE, 0, &tell));
        self.table.lock().turn = next.unwrap_or(0);
        if retired {
            self.end(&tell);
        }
        self.come_back(ring)
    }

    /// Enters all calls since the last turn.
    fn take_calls(&self) {
        for (word, at) in self.called.iter().zip(0usize..) {
            if read_once(word) == 0 {
                continue;
            }
            let mut calls = word.xchg(0, Full);
            let mut table = self.table.lock();
            while calls != 0 {
                let bit = calls.trailing_zeros() as usize;
                calls &= calls.wrapping_sub(1);
                table.called(at.saturating_mul(GROUP).saturating_add(bit));
            }
        }
    }

    /// Looks at what has been posted since the last turn, or a part of it.
    fn scan(&self, ring: &SharedRing) {
        let end = ring.newest();
        for _ in 0..SCAN_STEPS {
            let more = {
                let mut table = self.table.lock();
                let table = &mut *table;
                table.roster.scan(&mut table.groups, ring, end)
            };
            if !more {
                break;
            }
            context::cond_resched();
        }
    }

    /// A step for each of those that are counted for by themselves.
    fn catch_up(&self, ring: &SharedRing) {
        let mut from = 0;
        loop {
            {
                let mut table = self.table.lock();
                let table = &mut *table;
                let Some(index) = Roster::next(&mut table.groups, Pick::Behind, from) else {
                    return;
                };
                from = index.saturating_add(1);
                match table.selection(index).map(|one| one.is_waited_for()) {
                    Some(true) => table.roster.catch_up(&mut table.groups, index, ring),
                    // It says so when it waits again.
                    _ => table.called(index),
                }
            }
            context::cond_resched();
        }
    }

    /// Finds those whose delay has passed.
    fn expire(&self) {
        let now = now_ns();
        let groups = {
            let mut table = self.table.lock();
            if table.roster.due_ns().is_none_or(|due| due > now) {
                return;
            }
            table.roster.start_expiring();
            table.groups.len()
        };
        for at in 0..groups {
            let mut table = self.table.lock();
            let table = &mut *table;
            if let Some(group) = table.groups.get_mut(at) {
                table.roster.expire(group, now);
            }
        }
    }

    /// Notifies those that `pick` means, `most` of them at the most, from the subscriber `from` on.
    /// Returns where it has stopped, unless it has come to the end.
    fn notify(
        &self,
        pick: Pick,
        most: usize,
        mut from: usize,
        tell: &impl Fn(&Selection),
    ) -> Option<usize> {
        let mut left = most;
        loop {
            let mut due = [const { None }; CHUNK];
            let mut more = true;
            {
                let mut table = self.table.lock();
                let table = &mut *table;
                for place in due.iter_mut().take(left) {
                    let Some(index) = Roster::next(&mut table.groups, pick, from) else {
                        more = false;
                        break;
                    };
                    from = index.saturating_add(1);
                    *place = table.decide(index);
                }
            }
            for selection in due.iter().flatten() {
                tell(selection);
            }
            if !more {
                return None;
            }
            left = left.saturating_sub(CHUNK);
            if left == 0 {
                return Some(from);
            }
            context::cond_resched();
        }
    }

    /// Notifies everybody that the queue has ended.
    fn end(&self, tell: &impl Fn(&Selection)) {
        let mut from = 0;
        loop {
            let selection = {
                let mut table = self.table.lock();
                let table = &mut *table;
                let Some(index) = Roster::next(&mut table.groups, Pick::NotEnded, from) else {
                    return;
                };
                from = index.saturating_add(1);
                Roster::ended(&mut table.groups, index);
                table.selection(index).cloned()
            };
            if let Some(selection) = selection {
                tell(&selection);
            }
            context::cond_resched();
        }
    }

    /// When the next turn has to be, if nothing is posted before.
    fn come_back(&self, ring: &SharedRing) -> Option<u64> {
        let (look_at, at_once, due_ns) = {
            let mut table = self.table.lock();
            let table = &mut *table;
            let groups = &mut table.groups;
            let at_once = [Pick::Active, Pick::Passive, Pick::Behind]
                .into_iter()
                .any(|pick| Roster::next(groups, pick, 0).is_some());
            (table.roster.look_at(groups), at_once, table.roster.due_ns())
        };
        self.lower(look_at.unwrap_or(u64::MAX));
        // A producer that came meanwhile saw that nobody had to be looked at.
        smp_mb();
        if at_once || ring.newest() >= self.look_at.load(Relaxed) {
            Some(0)
        } else {
            due_ns
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
