// SPDX-License-Identifier: GPL-2.0
//! Random sequences of posts, reads and seeks against a model that keeps everything (Q2, Q3).

use crate::account::{post_all, ring_after, Subscriber};
use crate::event::Event;
use crate::ring::Memory as _;
use proptest::prelude::*;

/// What can be done to a ring with several subscribers.
#[derive(Clone, Debug)]
enum Step {
    Post(u8),
    Read { who: usize, most: usize },
    Seek { who: usize, back: u8 },
    Open { divisor: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..20u8).prop_map(Step::Post),
        (0..8usize, 1..30usize).prop_map(|(who, most)| Step::Read { who, most }),
        (0..8usize, 0..40u8).prop_map(|(who, back)| Step::Seek { who, back }),
        (1..5u64).prop_map(|divisor| Step::Open { divisor }),
    ]
}

/// How many events there have been before: none, some, or nearly as many as there
/// can ever be.
fn start() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        any::<u64>().prop_map(|n| n.min(LAST)),
        (0..300u64).prop_map(|left| LAST - left),
    ]
}

/// The last number: behind it there has to be one for the cursor.
const LAST: u64 = u64::MAX - 1;

/// What the next read from `next` must give: the number, if events from `first` to `posted` have
/// been there, and `capacity` of them are kept.
fn model_read(next: u64, first: u64, posted: u64, capacity: u64) -> Option<u64> {
    let oldest = (posted + 1).saturating_sub(capacity).max(first);
    Some(next.max(oldest)).filter(|seq| *seq <= posted)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn accounts_are_exact_for_every_subscriber(
        log_capacity in 0..6u32,
        start in start(),
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let capacity = 1usize << log_capacity;
        let (ring, mut writer) = ring_after(capacity, start);
        let (first, mut posted) = (start + 1, start);
        let mut subscribers = vec![Subscriber::at(first)];
        for step in steps {
            match step {
                // In one go, or not at all.
                Step::Post(n) => {
                    let newest = posted.checked_add(n.into()).filter(|newest| *newest <= LAST);
                    let numbers = posted + 1..newest.unwrap_or(posted) + 1;
                    prop_assert_eq!(post_all(&ring, &mut writer, numbers), Some(newest.unwrap_or(posted)));
                    if newest.is_none() {
                        let too_many = vec![Event::default(); n.into()];
                        prop_assert_eq!(ring.post(&mut writer, too_many.into_iter()), None);
                    }
                    posted = newest.unwrap_or(posted);
                },
                Step::Read { who, most } => {
                    let who = who % subscribers.len();
                    let subscriber = &mut subscribers[who];
                    let next = subscriber.cursor.next();
                    let expected = model_read(next, first, posted, capacity as u64);
                    prop_assert_eq!(ring.has(next), expected.is_some());
                    let there = expected.map_or(0, |seq| posted + 1 - seq);
                    let count = there.min(most as u64);
                    prop_assert_eq!(subscriber.take_all(&ring, most) as u64, count);
                    if let Some(seq) = expected {
                        prop_assert_eq!(subscriber.cursor.next(), seq + count);
                    }
                }
                Step::Seek { who, back } => {
                    let who = who % subscribers.len();
                    let target = (posted + 1).saturating_sub(u64::from(back)).max(first);
                    subscribers[who] = Subscriber::at(target);
                }
                Step::Open { divisor } => {
                    subscribers.push(Subscriber::filtered(posted + 1, divisor));
                }
            }
            prop_assert_eq!(ring.newest(), posted);
            // What a reader of the mapping goes by.
            prop_assert_eq!(ring.memory().newest().load_acquire(), posted);
        }
        for mut subscriber in subscribers {
            while subscriber.take(&ring) {}
            subscriber.assert_settled(posted);
        }
    }
}
