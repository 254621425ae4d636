// SPDX-License-Identifier: MIT OR Apache-2.0
//! Guest instructions for each of a few things, beside those of before.
//!
//! Under `-icount` a nanosecond of the guest is an instruction, and nothing
//! outside of it can disturb the count: what costs some percent more is seen.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::results::{Latency, Results, Throughput};

/// What a figure may grow by before it fails. The same build differs by less
/// than 1 % from run to run.
const TOLERANCE: f64 = 0.03;

/// The figures of one build of everything.
#[derive(Deserialize, Serialize, Debug, PartialEq)]
pub(crate) struct Instructions {
    /// What the figures depend on besides this repository: kernel, compilers,
    /// emulator.
    pub(crate) made_with: String,
    pub(crate) figures: BTreeMap<String, f64>,
}

impl Instructions {
    /// From the results of a run under `-icount`.
    pub(crate) fn new(results: &Results, made_with: String) -> Instructions {
        let mut figures = BTreeMap::new();
        let mut add = |name: &str, value: Option<f64>| {
            if let Some(value) = value {
                figures.insert(name.to_owned(), (value * 10.0).round() / 10.0);
            }
        };
        let throughput = |batch: usize, value: fn(&Throughput) -> f64| {
            let mut rows = results.throughput.iter();
            rows.find(|row| row.peer == "evq" && row.batch == batch && row.readers == 1)
                .map(value)
        };
        add("post, one", throughput(1, |row| row.producer_ns.median));
        add("post, of 64", throughput(64, |row| row.producer_ns.median));
        add("read, one", throughput(1, |row| row.consumer_ns.median));
        add("read, of 64", throughput(64, |row| row.consumer_ns.median));
        let mut drain = results.drain.iter();
        let mapped = drain.find(|row| row.peer == "evq-mapped" && row.producer == "program");
        add(
            "read, mapped",
            mapped.map(|row| 1e9 / row.events_per_s.median),
        );
        for state in ["awake", "filtered-out"] {
            let mut rows = results.post_cost.iter();
            let row = rows.find(|row| row.state == state && row.subscribers == 256);
            let name = format!("post, 256 subscribers {state}");
            add(&name, row.map(|row| row.nanos.median));
        }
        for mechanism in ["read", "epoll", "sigio"] {
            let ours = |row: &&Latency| row.peer == "evq" && row.mechanism == mechanism;
            let row = results.latency.iter().find(ours);
            let name = format!("wake-up by {mechanism}, median");
            add(&name, row.map(|row| row.due.p50 as f64));
        }
        Instructions { made_with, figures }
    }

    /// A table beside `before`, and whether nothing has become dearer. `None`
    /// if the two cannot be compared.
    pub(crate) fn beside(&self, before: &Instructions) -> Option<(String, bool)> {
        if self.made_with != before.made_with {
            return None;
        }
        let mut text = String::new();
        let mut good = true;
        for (name, was) in &before.figures {
            let Some(is) = self.figures.get(name) else {
                good = false;
                let _ = writeln!(text, "{name:34} {was:10.1}    missing");
                continue;
            };
            let change = is / was - 1.0;
            let verdict = if change > TOLERANCE {
                good = false;
                "dearer"
            } else if change < -TOLERANCE {
                "cheaper"
            } else {
                "ok"
            };
            let percent = change * 100.0;
            let _ = writeln!(
                text,
                "{name:34} {was:10.1} {is:10.1} {percent:+6.1} %  {verdict}"
            );
        }
        Some((text, good))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(made_with: &str, post: f64) -> Instructions {
        let figures = [("post".to_owned(), post), ("read".to_owned(), 100.0)];
        Instructions {
            made_with: made_with.to_owned(),
            figures: figures.into(),
        }
    }

    #[test]
    fn a_few_percent_more_are_noticed() {
        let before = figures("a", 200.0);
        for (post, good) in [(200.0, true), (205.0, true), (207.0, false), (100.0, true)] {
            let (text, found) = figures("a", post).beside(&before).expect("the same");
            assert_eq!(found, good, "{text}");
        }
    }

    #[test]
    fn a_figure_that_is_gone_is_noticed() {
        let mut after = figures("a", 200.0);
        after.figures.remove("read");
        let (text, good) = after.beside(&figures("a", 200.0)).expect("the same");
        assert!(!good && text.contains("missing"), "{text}");
    }

    #[test]
    fn what_was_made_with_something_else_is_not_compared() {
        assert_eq!(figures("a", 1.0).beside(&figures("b", 2.0)), None);
    }
}
