// SPDX-License-Identifier: GPL-2.0

//! Which of the subscribers that want fewer wake-ups are due.
//!
//! Each event is looked at once for all of them: [`Roster::scan`] goes along the ring, and who wants
//! an event follows from its source and type alone, which is remembered for the kinds of event that
//! come often. What has to be done for an event is then a few words of bits for each 64
//! subscribers, and a count for those that want it and do not have enough yet.
//!
//! A subscriber is in one of four states:
//!
//! - *idle*: nobody waits for it;
//! - *counting*: what it wants is counted as the scan goes along;
//! - *enough*: it has as much as it wants to be woken for, and is due at each further wanted event;
//! - *behind*: its own place is before that of the scan, and it is counted for by itself up to there.
//!
//! Each step is bounded (Q11), so that the lock that protects all this is held for a short time.
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
        Memory,
        Ring, //
    },
    walk::until,
};
use core::mem::MaybeUninit;

/// Events, or filters, that one step looks at.
pub(crate) const STEP: usize = 256;

/// Subscribers of one [`Group`]: the bits of a word.
pub(crate) const GROUP: usize = 64;

/// Kinds of event for which it is remembered who wants them.
///
/// Not more than a word has bits.
const KINDS: usize = 32;

/// Events that are copied out of the ring at once (1 KiB of the stack).
const BATCH: usize = 16;

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

/// What one subscriber wants, and how much of it is there.
pub(crate) struct Slot {
    filter: Filter,
    wakeup: Wakeup,
    /// Where its next read began when it was last looked at: what is counted comes from there on.
    base: u64,
    /// Up to where it has been counted, while it is behind.
    end: u64,
    /// Wanted events that were counted, the time of the first and the number of the last.
    found: u64,
    first_ns: u64,
    last: u64,
    /// The newest event that had been looked at when it was last notified.
    notified: u64,
}

impl Slot {
    /// One that wants everything at once.
    pub(crate) fn new() -> Self {
        Self {
            filter: Filter::default(),
            wakeup: Wakeup::EACH,
            base: 0,
            end: 0,
            found: 0,
            first_ns: 0,
            last: 0,
            notified: 0,
        }
    }

    fn restart(&mut self, next: u64) {
        self.base = next;
        self.end = next;
        self.found = 0;
        self.last = 0;
    }

    fn count(&mut self, event: &Event) {
        if self.found == 0 {
            self.first_ns = event.time_ns;
        }
        self.found = self.found.saturating_add(1);
        self.last = event.seq;
    }

    fn has_enough(&self) -> bool {
        self.found >= self.wakeup.events
    }

    /// Whether it has something that it has not been notified of.
    fn has_news(&self) -> bool {
        self.found > 0 && self.last > self.notified
    }

    fn due_ns(&self) -> u64 {
        self.first_ns.saturating_add(self.wakeup.max_delay_ns)
    }
}

/// The states of the subscribers of one group, a bit for each.
#[derive(Clone, Copy, Default)]
pub(crate) struct Bits {
    used: u64,
    counting: u64,
    enough: u64,
    behind: u64,
    /// Something that it wants has come: it is to be notified.
    due: u64,
    /// It has made a call since it was last notified.
    active: u64,
    /// It has been notified of the end of the queue.
    ended: u64,
    /// Who wants each of the known kinds.
    wants: [u64; KINDS],
}

impl Bits {
    fn waiting(&self) -> u64 {
        self.counting | self.enough | self.behind
    }

    /// Takes one out of every state.
    fn idle(&mut self, bit: u64) {
        self.counting &= !bit;
        self.enough &= !bit;
        self.behind &= !bit;
        self.due &= !bit;
    }
}

/// Up to [`GROUP`] subscribers.
pub(crate) trait Group {
    /// Their states, and what is known of each.
    fn parts(&mut self) -> (&mut Bits, &mut [Slot]);
}

/// The bits that one finds with [`Roster::next`].
#[derive(Clone, Copy)]
pub(crate) enum Pick {
    /// Due, and has made a call since it was last notified.
    Active,
    /// Due, and has not.
    Passive,
    /// Counted for by itself.
    Behind,
    /// Not notified of the end of the queue.
    NotEnded,
}

impl Pick {
    fn bits(self, bits: &Bits) -> u64 {
        match self {
            Self::Active => bits.due & bits.active,
            Self::Passive => bits.due & !bits.active,
            Self::Behind => bits.behind,
            Self::NotEnded => bits.used & !bits.ended,
        }
    }
}

/// A kind of event.
#[derive(Clone, Copy)]
struct Kind {
    source: u32,
    kind: u16,
    known: bool,
    /// Subscribers, from the first on, of which it is known whether they want it.
    asked: usize,
}

/// What is known of all of them together.
pub(crate) struct Roster {
    /// The next event to be looked at.
    scan: u64,
    /// When the first delay ends, or earlier.
    due_ns: Option<u64>,
    kinds: [Kind; KINDS],
}

/// The group and the bit of a subscriber.
fn place<G: Group>(groups: &mut [G], index: usize) -> Option<(&mut Bits, &mut Slot, u64)> {
    let (bits, slots) = groups.get_mut(index / GROUP)?.parts();
    let slot = slots.get_mut(index % GROUP)?;
    Some((bits, slot, 1u64.wrapping_shl((index % GROUP) as u32)))
}

/// The indices of the bits of `word`.
fn ones(mut word: u64) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let index = word.trailing_zeros();
        word &= word.wrapping_sub(1);
        (index < u64::BITS).then_some(index as usize)
    })
}

impl Roster {
    /// Nobody yet.
    pub(crate) fn new() -> Self {
        let unknown = Kind {
            source: 0,
            kind: 0,
            known: false,
            asked: 0,
        };
        Self {
            scan: 1,
            due_ns: None,
            kinds: [unknown; KINDS],
        }
    }

    /// Where there is room for one more; [`None`] if a group has to be added.
    pub(crate) fn vacancy<G: Group>(groups: &mut [G]) -> Option<usize> {
        groups.iter_mut().enumerate().find_map(|(at, group)| {
            let free = group.parts().0.used.trailing_ones() as usize;
            (free < GROUP).then_some(at.saturating_mul(GROUP).saturating_add(free))
        })
    }

    /// Takes in a new subscriber, which has a slot already.
    pub(crate) fn add<G: Group>(&mut self, groups: &mut [G], index: usize) {
        if let Some((bits, slot, bit)) = place(groups, index) {
            bits.used |= bit;
            bits.ended &= !bit;
            *slot = Slot::new();
        }
        self.change(groups, index, Filter::default(), Wakeup::EACH);
    }

    /// Forgets a subscriber.
    pub(crate) fn remove<G: Group>(&mut self, groups: &mut [G], index: usize) {
        if let Some((bits, _, bit)) = place(groups, index) {
            bits.idle(bit);
            bits.used &= !bit;
            bits.active &= !bit;
        }
    }

    /// What a subscriber wants.
    pub(crate) fn wishes<G: Group>(groups: &mut [G], index: usize) -> Option<(Filter, Wakeup)> {
        let (_, slot, _) = place(groups, index)?;
        Some((slot.filter, slot.wakeup))
    }

    /// Changes what a subscriber wants; it is idle until its next call.
    pub(crate) fn change<G: Group>(
        &mut self,
        groups: &mut [G],
        index: usize,
        filter: Filter,
        wakeup: Wakeup,
    ) {
        let Some((bits, slot, bit)) = place(groups, index) else {
            return;
        };
        slot.filter = filter;
        slot.wakeup = wakeup;
        slot.notified = 0;
        bits.idle(bit);
        for (kind, wants) in self.kinds.iter().zip(&mut bits.wants) {
            // The others will be asked.
            if kind.asked > index {
                *wants &= !bit;
                *wants |= if kind.is_wanted_by(slot) { bit } else { 0 };
            }
        }
    }

    /// A subscriber has made a call: its next read begins at `next`, and `waiting` says whether it
    /// sleeps, polls or is armed.
    pub(crate) fn called<G: Group>(
        &mut self,
        groups: &mut [G],
        index: usize,
        next: u64,
        waiting: bool,
    ) {
        let Some((bits, slot, bit)) = place(groups, index) else {
            return;
        };
        if bits.used & bit == 0 {
            return;
        }
        bits.active |= bit;
        if !waiting {
            bits.idle(bit);
        } else if slot.base != next || bits.waiting() & bit == 0 {
            self.restart(bits, slot, bit, next);
        }
    }

    /// Begins to count anew.
    fn restart(&self, bits: &mut Bits, slot: &mut Slot, bit: u64, next: u64) {
        bits.idle(bit);
        slot.restart(next);
        if next < self.scan {
            bits.behind |= bit;
        } else {
            bits.counting |= bit;
        }
    }

    /// Leaves out the events up to `end` if there is nobody to look at them for: who waits from now
    /// on begins behind them, or is counted for by itself.
    pub(crate) fn leave_out<G: Group>(&mut self, groups: &mut [G], end: u64) {
        let nobody = groups.iter_mut().all(|group| {
            let (bits, _) = group.parts();
            bits.counting | bits.enough == 0
        });
        if nobody {
            self.scan = self.scan.max(end.saturating_add(1));
        }
    }

    /// Looks at events up to `end` for all, [`STEP`] at the most. Returns whether there are more.
    pub(crate) fn scan<G: Group, M: Memory>(
        &mut self,
        groups: &mut [G],
        ring: &Ring<M>,
        end: u64,
    ) -> bool {
        let mut left = STEP;
        // Kinds of which one more changes nothing: whoever wants them is due already.
        let mut settled: u32 = 0;
        while self.scan <= end {
            let count = left.min(BATCH).min(until(self.scan, end));
            let mut room = [const { MaybeUninit::<Record>::uninit() }; BATCH];
            let mut records = BorrowedBuf::new(&mut room);
            ring.read(self.scan, 0, &mut records, count);
            if records.len() == 0 {
                return left == 0;
            }
            for event in records.filled().iter().map(Event::from_words) {
                let Some(kind) = self.ask(groups, &event, &mut left) else {
                    return true;
                };
                if settled & 1u32.wrapping_shl(kind as u32) == 0 && self.enter(groups, kind, &event)
                {
                    settled |= 1u32.wrapping_shl(kind as u32);
                }
                self.scan = event.seq.saturating_add(1);
                left = left.saturating_sub(1);
            }
        }
        false
    }

    /// Finds out who wants events of this kind; [`None`] if `left` filters are not all of them.
    fn ask<G: Group>(
        &mut self,
        groups: &mut [G],
        event: &Event,
        left: &mut usize,
    ) -> Option<usize> {
        let hash = (event.source ^ u32::from(event.kind).rotate_left(16)).wrapping_mul(0x9e37_79b1);
        let at = (hash >> 27) as usize % KINDS;
        let kind = self.kinds.get_mut(at)?;
        if !kind.is_of(event) {
            *kind = Kind {
                source: event.source,
                kind: event.kind,
                known: true,
                asked: 0,
            };
        }
        while let Some((bits, slot, bit)) = place(groups, kind.asked) {
            if *left == 0 {
                return None;
            }
            *left = left.saturating_sub(1);
            let wants = bits.wants.get_mut(at)?;
            *wants &= !bit;
            *wants |= if kind.is_wanted_by(slot) { bit } else { 0 };
            kind.asked = kind.asked.saturating_add(1);
        }
        Some(at)
    }

    /// Enters an event for all who want its kind. Returns whether all of them are due now, so that
    /// the next one of this kind would change nothing.
    fn enter<G: Group>(&mut self, groups: &mut [G], kind: usize, event: &Event) -> bool {
        let mut all_due = true;
        for group in groups {
            let (bits, slots) = group.parts();
            let wants = bits.wants.get(kind).copied().unwrap_or(0);
            bits.due |= wants & bits.enough;
            all_due &= wants & bits.counting == 0;
            for at in ones(wants & bits.counting) {
                let Some(slot) = slots.get_mut(at).filter(|slot| slot.base <= event.seq) else {
                    continue;
                };
                slot.count(event);
                if slot.has_enough() {
                    let bit = 1u64.wrapping_shl(at as u32);
                    bits.counting &= !bit;
                    bits.enough |= bit;
                    bits.due |= bit;
                } else {
                    self.due_ns = earlier(self.due_ns, slot.due_ns());
                }
            }
        }
        all_due
    }

    /// Counts for a subscriber that is behind, [`STEP`] events at the most.
    pub(crate) fn catch_up<G: Group, M: Memory>(
        &mut self,
        groups: &mut [G],
        index: usize,
        ring: &Ring<M>,
    ) {
        let Some((bits, slot, bit)) = place(groups, index) else {
            return;
        };
        if bits.behind & bit == 0 {
            return;
        }
        let mut left = STEP;
        while slot.end < self.scan {
            if left == 0 {
                return;
            }
            let count = left
                .min(BATCH)
                .min(until(slot.end, self.scan.saturating_sub(1)));
            let mut room = [const { MaybeUninit::<Record>::uninit() }; BATCH];
            let mut records = BorrowedBuf::new(&mut room);
            ring.read(slot.end, 0, &mut records, count);
            if records.len() == 0 {
                break;
            }
            left = left.saturating_sub(records.len());
            for event in records.filled().iter().map(Event::from_words) {
                // A lapped one may have come to what the scan will count.
                if event.seq >= self.scan {
                    break;
                }
                slot.end = event.seq.saturating_add(1);
                if slot.filter.matches(&event) {
                    slot.count(&event);
                }
                if slot.has_enough() && slot.has_news() {
                    bits.behind &= !bit;
                    bits.enough |= bit;
                    bits.due |= bit;
                    return;
                }
            }
            if slot.end < ring.oldest(ring.newest()).min(self.scan) {
                slot.end = ring.oldest(ring.newest()).min(self.scan);
            }
        }
        bits.behind &= !bit;
        if slot.has_enough() {
            bits.enough |= bit;
        } else {
            bits.counting |= bit;
            if slot.has_news() {
                self.due_ns = earlier(self.due_ns, slot.due_ns());
            }
        }
    }

    /// When the first delay ends, or earlier.
    pub(crate) fn due_ns(&self) -> Option<u64> {
        self.due_ns
    }

    /// Forgets when the first delay ends, for [`Roster::expire`] to find out.
    pub(crate) fn start_expiring(&mut self) {
        self.due_ns = None;
    }

    /// Makes those of one group due whose delay has passed by `now_ns`.
    pub(crate) fn expire<G: Group>(&mut self, group: &mut G, now_ns: u64) {
        let (bits, slots) = group.parts();
        for at in ones(bits.counting) {
            let Some(slot) = slots.get(at).filter(|slot| slot.has_news()) else {
                continue;
            };
            if slot.due_ns() <= now_ns {
                let bit = 1u64.wrapping_shl(at as u32);
                bits.counting &= !bit;
                bits.enough |= bit;
                bits.due |= bit;
            } else {
                self.due_ns = earlier(self.due_ns, slot.due_ns());
            }
        }
    }

    /// Whether a subscriber that is due is to be notified now, given where its next read begins and
    /// whether it waits. Enters that it has been.
    pub(crate) fn decide<G: Group>(
        &mut self,
        groups: &mut [G],
        index: usize,
        next: u64,
        waiting: bool,
    ) -> bool {
        let Some((bits, slot, bit)) = place(groups, index) else {
            return false;
        };
        if bits.due & bit == 0 {
            return false;
        }
        bits.due &= !bit;
        if !waiting {
            bits.idle(bit);
            return false;
        }
        if slot.base != next {
            // It has read meanwhile, and perhaps this.
            self.restart(bits, slot, bit, next);
            return false;
        }
        slot.notified = self.scan.saturating_sub(1);
        bits.active &= !bit;
        true
    }

    /// Enters that a subscriber has been notified of the end of the queue.
    pub(crate) fn ended<G: Group>(groups: &mut [G], index: usize) {
        if let Some((bits, _, bit)) = place(groups, index) {
            bits.ended |= bit;
        }
    }

    /// The first of those that `pick` means, from the subscriber `from` on.
    pub(crate) fn next<G: Group>(groups: &mut [G], pick: Pick, from: usize) -> Option<usize> {
        let mut mask = u64::MAX.wrapping_shl((from % GROUP) as u32);
        for (at, group) in groups.iter_mut().enumerate().skip(from / GROUP) {
            let found = (pick.bits(group.parts().0) & mask).trailing_zeros();
            mask = u64::MAX;
            if found < u64::BITS {
                return Some(at.saturating_mul(GROUP).saturating_add(found as usize));
            }
        }
        None
    }

    /// The event from which on somebody could be due; [`None`] if nobody waits.
    pub(crate) fn look_at<G: Group>(&self, groups: &mut [G]) -> Option<u64> {
        let mut first: Option<u64> = None;
        let mut asked: usize = 0;
        for group in groups {
            let (bits, slots) = group.parts();
            if (bits.enough | bits.behind) != 0 || asked > STEP {
                return Some(self.scan);
            }
            for at in ones(bits.counting) {
                let slot = slots.get(at)?;
                let missing = match slot.found {
                    // The first one starts the clock.
                    0 => 1,
                    found => slot.wakeup.events.saturating_sub(found),
                };
                first = earlier(first, self.scan.saturating_add(missing.saturating_sub(1)));
                asked = asked.saturating_add(1);
            }
        }
        first
    }
}

impl Kind {
    fn is_of(&self, event: &Event) -> bool {
        self.known && self.source == event.source && self.kind == event.kind
    }

    fn is_wanted_by(&self, slot: &Slot) -> bool {
        slot.filter.matches(&Event {
            source: self.source,
            kind: self.kind,
            ..Event::default()
        })
    }
}

fn earlier(one: Option<u64>, other: u64) -> Option<u64> {
    Some(one.map_or(other, |one| one.min(other)))
}
