// SPDX-License-Identifier: MIT OR Apache-2.0
//! The part of the results that is shown; what is not is skipped.

use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct Results {
    pub(crate) command: String,
    pub(crate) machine: Machine,
    pub(crate) ratios: Vec<Ratio>,
    pub(crate) throughput: Vec<Throughput>,
    pub(crate) latency: Vec<Latency>,
    pub(crate) drain: Vec<Drain>,
    pub(crate) post_cost: Vec<PostCost>,
    pub(crate) memory: Vec<Memory>,
    pub(crate) skipped: Vec<Skipped>,
}

#[derive(Deserialize)]
pub(crate) struct Machine {
    pub(crate) kernel: String,
    pub(crate) processor: String,
    pub(crate) processors: usize,
    pub(crate) memory_mib: u64,
    pub(crate) clock: String,
    pub(crate) host: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Ratio {
    pub(crate) figure: String,
    pub(crate) ours: f64,
    pub(crate) peer: f64,
    pub(crate) ratio: f64,
    pub(crate) unit: String,
    pub(crate) placement: Option<String>,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) held_to: String,
    pub(crate) met: bool,
}

/// A median, with a quarter of the rounds below `low` and one above `high`.
#[derive(Clone, Copy, Deserialize)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

#[derive(Deserialize)]
pub(crate) struct Throughput {
    pub(crate) peer: String,
    pub(crate) placement: String,
    pub(crate) batch: usize,
    pub(crate) readers: usize,
    pub(crate) events_per_s: Summary,
    pub(crate) producer_ns: Summary,
    pub(crate) consumer_ns: Summary,
}

#[derive(Deserialize)]
pub(crate) struct Latency {
    pub(crate) peer: String,
    pub(crate) mechanism: String,
    pub(crate) placement: String,
    pub(crate) due: Percentiles,
}

#[derive(Clone, Copy, Deserialize)]
pub(crate) struct Percentiles {
    pub(crate) p50: u64,
    pub(crate) p90: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
    pub(crate) max: u64,
}

impl Percentiles {
    /// In microseconds, the smallest first.
    pub(crate) fn micros(self) -> [f64; 5] {
        [self.p50, self.p90, self.p99, self.p999, self.max].map(|nanos| nanos as f64 / 1e3)
    }
}

#[derive(Deserialize)]
pub(crate) struct Drain {
    pub(crate) peer: String,
    pub(crate) producer: String,
    pub(crate) events_per_s: Summary,
}

#[derive(Deserialize)]
pub(crate) struct PostCost {
    pub(crate) state: String,
    pub(crate) subscribers: usize,
    pub(crate) nanos: Summary,
}

#[derive(Deserialize)]
pub(crate) struct Memory {
    pub(crate) peer: String,
    pub(crate) bytes: Summary,
}

#[derive(Deserialize)]
pub(crate) struct Skipped {
    pub(crate) peer: String,
    pub(crate) why: String,
}
