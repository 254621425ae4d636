// SPDX-License-Identifier: GPL-2.0
//! Q7, Q8, Q10, Q11: who is notified, beside a model that counts everything anew
//! each time; and how much is looked at for how many.

use proptest::prelude::*;

use crate::account::{event, ring_after, TestRing};
use crate::event::Event;
use crate::filter::{Filter, Rule};
use crate::ring::Writer;
use crate::roster::{Bits, Group, Pick, Roster, Slot, Wakeup, GROUP, STEP};

#[derive(Default)]
struct TestGroup {
    bits: Bits,
    slots: Vec<Slot>,
}

impl Group for TestGroup {
    fn parts(&mut self) -> (&mut Bits, &mut [Slot]) {
        (&mut self.bits, &mut self.slots)
    }
}

/// Lets the types from `first` to `last` through.
fn types(first: u16, last: u16) -> Filter {
    let mut filter = Filter::default();
    let rule = Rule::new(0, 0, first, last).expect("there are such events");
    filter.add(rule).expect("the first rule");
    filter
}

struct Subscriber {
    filter: Filter,
    wakeup: Wakeup,
    next: u64,
    waiting: bool,
    /// The newest event when it was last notified.
    notified: u64,
}

struct Queue {
    ring: TestRing,
    writer: Writer,
    roster: Roster,
    groups: Vec<TestGroup>,
    subscribers: Vec<Subscriber>,
    /// What was posted, by its number less 1.
    posted: Vec<Event>,
}

impl Queue {
    fn new(capacity: usize) -> Self {
        let (ring, writer) = ring_after(capacity, 0);
        Self {
            ring,
            writer,
            roster: Roster::new(),
            groups: Vec::new(),
            subscribers: Vec::new(),
            posted: Vec::new(),
        }
    }

    fn add(&mut self, filter: Filter, wakeup: Wakeup) {
        let index = Roster::vacancy(&mut self.groups).unwrap_or_else(|| {
            self.groups.push(TestGroup::default());
            (self.groups.len() - 1) * GROUP
        });
        assert_eq!(index, self.subscribers.len());
        self.groups[index / GROUP].slots.push(Slot::new());
        self.roster.add(&mut self.groups, index);
        self.roster.change(&mut self.groups, index, filter, wakeup);
        self.subscribers.push(Subscriber {
            filter,
            wakeup,
            next: self.newest() + 1,
            waiting: false,
            notified: 0,
        });
    }

    fn newest(&self) -> u64 {
        self.posted.len() as u64
    }

    fn post(&mut self, kind: u16) {
        let number = self.newest() + 1;
        let event = Event {
            kind,
            source: 9,
            time_ns: number,
            ..event(number)
        };
        self.ring
            .post(&mut self.writer, std::iter::once(event))
            .expect("there are numbers left");
        self.posted.push(Event {
            seq: number,
            ..event
        });
    }

    fn called(&mut self, index: usize) {
        let Subscriber { next, waiting, .. } = self.subscribers[index];
        self.roster.called(&mut self.groups, index, next, waiting);
    }

    /// Whether it has to be notified at the time `now`.
    fn is_due(&self, subscriber: &Subscriber, now: u64) -> bool {
        let wanted: Vec<&Event> = self.posted[subscriber.next as usize - 1..]
            .iter()
            .filter(|event| subscriber.filter.matches(event))
            .collect();
        let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else {
            return false;
        };
        let enough = wanted.len() as u64 >= subscriber.wakeup.events
            || first.time_ns + subscriber.wakeup.max_delay_ns <= now;
        subscriber.waiting && enough && last.seq > subscriber.notified
    }

    /// Turns at the time `now` until there is nothing more to do; who was notified.
    fn turns(&mut self, now: u64) -> Vec<usize> {
        let mut notified = Vec::new();
        let newest = self.newest();
        loop {
            let groups = &mut self.groups;
            while self.roster.scan(groups, &self.ring, newest) {}
            let mut from = 0;
            while let Some(index) = Roster::next(groups, Pick::Behind, from) {
                self.roster.catch_up(groups, index, &self.ring);
                from = index + 1;
            }
            if self.roster.due_ns().is_some_and(|due| due <= now) {
                self.roster.start_expiring();
                for group in groups.iter_mut() {
                    self.roster.expire(group, now);
                }
            }
            for pick in [Pick::Active, Pick::Passive] {
                while let Some(index) = Roster::next(groups, pick, 0) {
                    let Subscriber { next, waiting, .. } = self.subscribers[index];
                    if self.roster.decide(groups, index, next, waiting) {
                        notified.push(index);
                    }
                }
            }
            if Roster::next(groups, Pick::Behind, 0).is_none() {
                break;
            }
        }
        notified.sort_unstable();
        notified
    }

    /// Turns, and expects those to be notified that the model says.
    fn check(&mut self, now: u64) {
        let expected: Vec<usize> = (0..self.subscribers.len())
            .filter(|index| self.is_due(&self.subscribers[*index], now))
            .collect();
        let notified = self.turns(now);
        assert_eq!(notified, expected, "of {} events", self.newest());
        for index in notified {
            self.subscribers[index].notified = self.newest();
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Post(u16),
    /// Waits, or stops waiting.
    Wait(usize, bool),
    /// Reads up to this many events; the second says whether the moderator has
    /// already learned of it at its next turn.
    Read(usize, u64, bool),
    SeekBack(usize, u64),
    Turn,
    Later,
}

const SUBSCRIBERS: usize = 6;

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4u16).prop_map(Step::Post),
        3 => (0..SUBSCRIBERS, prop::bool::weighted(0.8)).prop_map(|(i, on)| Step::Wait(i, on)),
        3 => (0..SUBSCRIBERS, 1..6u64, any::<bool>()).prop_map(|(i, n, on)| Step::Read(i, n, on)),
        1 => (0..SUBSCRIBERS, 1..6u64).prop_map(|(i, n)| Step::SeekBack(i, n)),
        4 => Just(Step::Turn),
        1 => Just(Step::Later),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn moderation_notifies_exactly_who_is_due(
        wishes in prop::collection::vec((0..4u16, 0..3u16, 1..4u64), SUBSCRIBERS),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut queue = Queue::new(256);
        for (first, width, events) in wishes {
            let max_delay_ns = if events == 1 { 0 } else { 1_000_000 };
            queue.add(types(first, first + width), Wakeup { events, max_delay_ns });
        }
        let mut now = 0;
        for step in steps {
            match step {
                Step::Post(kind) => queue.post(kind),
                Step::Wait(index, on) => {
                    queue.subscribers[index].waiting = on;
                    queue.called(index);
                }
                Step::Read(index, count, known) => {
                    let newest = queue.newest();
                    let subscriber = &mut queue.subscribers[index];
                    subscriber.next = (subscriber.next + count).min(newest + 1);
                    if known {
                        queue.called(index);
                    }
                }
                Step::SeekBack(index, count) => {
                    let subscriber = &mut queue.subscribers[index];
                    subscriber.next = subscriber.next.saturating_sub(count).max(1);
                    queue.called(index);
                }
                Step::Turn => queue.check(now),
                Step::Later => now += 1_000_000,
            }
        }
        // Whatever has not been said so far is said now.
        for index in 0..SUBSCRIBERS {
            queue.called(index);
        }
        queue.check(now);
        queue.check(now + 2_000_000);
    }
}

/// Q10: an event costs as much for many subscribers as for few: who wants it has
/// been found out by then.
#[test]
fn scan_asks_each_filter_once_for_a_kind() {
    let mut queue = Queue::new(1024);
    for _ in 0..4096 {
        queue.add(types(5, 5), Wakeup::EACH);
    }
    queue.subscribers[0].waiting = true;
    queue.called(0);
    for _ in 0..512 {
        queue.post(7);
    }
    let mut steps = 1;
    while queue.roster.scan(&mut queue.groups, &queue.ring, 512) {
        steps += 1;
    }
    assert_eq!(steps, (4096 + 512) / STEP, "each filter and event once");
    for _ in 0..STEP - 1 {
        queue.post(7);
    }
    let newest = queue.newest();
    assert!(!queue.roster.scan(&mut queue.groups, &queue.ring, newest));
}

/// Q11: what one subscriber has behind it is counted in steps.
#[test]
fn catching_up_is_bounded() {
    let mut queue = Queue::new(4096);
    queue.add(types(5, 5), Wakeup::EACH);
    for _ in 0..10 * STEP {
        queue.post(7);
    }
    queue.post(5);
    let newest = queue.newest();
    queue.roster.leave_out(&mut queue.groups, newest);
    queue.subscribers[0].next = 1;
    queue.subscribers[0].waiting = true;
    queue.called(0);
    for _ in 0..10 {
        queue.roster.catch_up(&mut queue.groups, 0, &queue.ring);
        assert_eq!(Roster::next(&mut queue.groups, Pick::Active, 0), None);
    }
    queue.roster.catch_up(&mut queue.groups, 0, &queue.ring);
    assert_eq!(Roster::next(&mut queue.groups, Pick::Active, 0), Some(0));
    assert_eq!(queue.turns(0), [0]);
}

/// Q10: those that make no calls are told from those that do.
#[test]
fn who_reads_is_active_again() {
    let mut queue = Queue::new(64);
    for _ in 0..2 {
        queue.add(types(5, 5), Wakeup::EACH);
    }
    for index in 0..2 {
        queue.subscribers[index].waiting = true;
        queue.called(index);
    }
    queue.post(5);
    assert_eq!(queue.turns(0), [0, 1]);
    queue.subscribers[1].next = 2;
    queue.called(1);
    queue.post(5);
    let newest = queue.newest();
    assert!(!queue.roster.scan(&mut queue.groups, &queue.ring, newest));
    assert_eq!(Roster::next(&mut queue.groups, Pick::Active, 0), Some(1));
    assert_eq!(Roster::next(&mut queue.groups, Pick::Passive, 0), Some(0));
}

/// The look of a producer: at which event somebody could be due.
#[test]
fn look_at_is_where_somebody_could_be_due() {
    let mut queue = Queue::new(64);
    queue.add(
        types(5, 5),
        Wakeup {
            events: 4,
            max_delay_ns: 1 << 40,
        },
    );
    assert_eq!(
        queue.roster.look_at(&mut queue.groups),
        None,
        "nobody waits"
    );
    queue.subscribers[0].waiting = true;
    queue.called(0);
    assert_eq!(
        queue.roster.look_at(&mut queue.groups),
        Some(1),
        "the first starts the clock"
    );
    queue.post(5);
    assert!(queue.turns(0).is_empty());
    assert_eq!(
        queue.roster.look_at(&mut queue.groups),
        Some(4),
        "three are missing"
    );
    for _ in 0..3 {
        queue.post(5);
    }
    assert_eq!(queue.turns(0), [0]);
    assert_eq!(
        queue.roster.look_at(&mut queue.groups),
        Some(5),
        "at each from now on"
    );
}

/// A place that is free is taken again, with nothing left of who had it before.
#[test]
fn a_place_is_taken_again() {
    let mut queue = Queue::new(64);
    for _ in 0..GROUP + 1 {
        queue.add(types(5, 5), Wakeup::EACH);
        let index = queue.subscribers.len() - 1;
        queue.subscribers[index].waiting = true;
        queue.called(index);
    }
    queue.post(5);
    let all: Vec<usize> = (0..=GROUP).collect();
    assert_eq!(queue.turns(0), all);
    assert_eq!(Roster::vacancy(&mut queue.groups), Some(GROUP + 1));
    queue.post(5);
    queue.roster.remove(&mut queue.groups, 3);
    assert_eq!(queue.turns(0), [&all[..3], &all[4..]].concat());
    assert_eq!(Roster::vacancy(&mut queue.groups), Some(3));
    queue.roster.add(&mut queue.groups, 3);
    let (filter, wakeup) = Roster::wishes(&mut queue.groups, 3).expect("it is there");
    assert!(filter.is_open());
    assert_eq!((wakeup.events, wakeup.max_delay_ns), (1, 0));
    queue.subscribers[3].next = queue.newest() + 1;
    queue.called(3);
    queue.post(7);
    assert_eq!(queue.turns(0), [3], "it wants everything");
}

/// P3: each is notified of the end once.
#[test]
fn the_end_is_told_once() {
    let mut queue = Queue::new(64);
    for _ in 0..3 {
        queue.add(types(5, 5), Wakeup::EACH);
    }
    let mut told = Vec::new();
    while let Some(index) = Roster::next(&mut queue.groups, Pick::NotEnded, 0) {
        Roster::ended(&mut queue.groups, index);
        told.push(index);
    }
    assert_eq!(told, [0, 1, 2]);
}
