// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long events wait: the age of the oldest one that a subscriber has not
//! read yet, at each look, and percentiles of that over all looks.

use std::collections::HashMap;

use evq::{Event, Filled, Position, Queue};
use hdrhistogram::Histogram;
use serde::Serialize;

use super::sample::{FileNumber, Subscriber};

/// Ages at the looks so far, in nanoseconds. One that had read everything has
/// an age of 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Percentiles {
    pub(super) age_p50_ns: u64,
    pub(super) age_p99_ns: u64,
}

/// The ages of those that are there.
#[derive(Debug, Default)]
pub(super) struct Ages {
    of: HashMap<FileNumber, Histogram<u64>>,
}

impl Ages {
    /// Takes a look into account, and forgets those that have gone.
    pub(super) fn add(&mut self, subscribers: &HashMap<FileNumber, Subscriber>) {
        self.of.retain(|file, _| subscribers.contains_key(file));
        for (file, subscriber) in subscribers {
            let of = self.of.entry(*file).or_insert_with(histogram);
            // It grows as needed.
            let _ = of.record(subscriber.age_ns);
        }
    }

    pub(super) fn of(&self, file: FileNumber) -> Percentiles {
        self.of.get(&file).map(percentiles).unwrap_or_default()
    }

    /// Of all of them together.
    pub(super) fn of_all(&self) -> Percentiles {
        let mut all = histogram();
        for one in self.of.values() {
            // So does this.
            let _ = all.add(one);
        }
        percentiles(&all)
    }

    pub(super) fn clear(&mut self) {
        self.of.clear();
    }
}

/// Two digits are more than looks at some moments are worth.
fn histogram() -> Histogram<u64> {
    Histogram::new(2).expect("two digits are allowed")
}

fn percentiles(of: &Histogram<u64>) -> Percentiles {
    Percentiles {
        age_p50_ns: of.value_at_quantile(0.5),
        age_p99_ns: of.value_at_quantile(0.99),
    }
}

/// Fills in the ages at this time. `queue` does not block; where it stands does
/// not matter.
pub(super) fn fill_in(
    queue: &Queue,
    time_ns: u64,
    subscribers: &mut HashMap<FileNumber, Subscriber>,
) {
    // Many may wait for the same one.
    let mut posted = HashMap::new();
    for subscriber in subscribers.values_mut().filter(|one| one.behind > 0) {
        let next = subscriber.next;
        let then = *posted.entry(next).or_insert_with(|| time_of(queue, next));
        // It may have been posted since the look began.
        subscriber.age_ns = then.map_or(0, |then| time_ns.saturating_sub(then));
    }
}

/// When an event was posted; or the oldest that is kept, if it is overwritten.
fn time_of(queue: &Queue, seq: u64) -> Option<u64> {
    let _ = queue.seek(Position::Seq(seq)).ok()?;
    let mut event = [Event::default()];
    match queue.read(&mut event) {
        Ok(Filled::Records(_)) => Some(event[0].time_ns),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(file: FileNumber, age_ns: u64) -> (FileNumber, Subscriber) {
        let subscriber = Subscriber {
            age_ns,
            ..Subscriber::default()
        };
        (file, subscriber)
    }

    #[test]
    fn percentiles_are_over_looks_and_of_those_that_are_there() {
        let mut ages = Ages::default();
        for look in 0..100 {
            let age = if look < 98 { 0 } else { 1_000_000 };
            ages.add(&HashMap::from([one(3, age), one(4, 1000)]));
        }
        let [three, four] = [3, 4].map(|file| ages.of(file));
        assert_eq!(three.age_p50_ns, 0);
        assert!(
            (990_000..1_010_000).contains(&three.age_p99_ns),
            "{three:?}"
        );
        assert!((990..1010).contains(&four.age_p50_ns), "{four:?}");
        assert!(ages.of_all().age_p50_ns <= four.age_p50_ns);
        ages.add(&HashMap::from([one(4, 1000)]));
        assert_eq!(ages.of(3), Percentiles::default());
        ages.clear();
        assert_eq!(ages.of_all(), Percentiles::default());
    }
}
