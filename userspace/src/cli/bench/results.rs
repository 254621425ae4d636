// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was found: for programs as JSON, for people as tables.

use std::fmt;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::machine::Machine;
use super::ratios::Ratio;
use super::stats::Summary;
use super::subscribers::State;
use super::Placement;

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Results {
    /// Of this form.
    pub(super) v: u32,
    /// The command, without the program's path.
    pub(super) command: String,
    pub(super) machine: Machine,
    pub(super) ratios: Vec<Ratio>,
    pub(super) throughput: Vec<Throughput>,
    pub(super) latency: Vec<Latency>,
    pub(super) drain: Vec<Drain>,
    pub(super) post_cost: Vec<PostCost>,
    pub(super) memory: Vec<Memory>,
    pub(super) skipped: Vec<Skipped>,
}

/// Records a second, from a post to all readers.
#[derive(Debug, Serialize)]
pub(super) struct Throughput {
    pub(super) peer: &'static str,
    pub(super) placement: Placement,
    pub(super) batch: usize,
    pub(super) readers: usize,
    pub(super) events_per_s: Summary,
    /// Processor time of a post, for each record.
    pub(super) producer_ns: Summary,
    /// Processor time of a read, for each record and reader.
    pub(super) consumer_ns: Summary,
}

/// Wake-ups, in nanoseconds.
#[derive(Debug, Serialize)]
pub(super) struct Latency {
    pub(super) peer: &'static str,
    pub(super) mechanism: &'static str,
    pub(super) placement: Placement,
    /// From when the event was due: coordinated omission is in it.
    pub(super) due: Percentiles,
    /// From when its post began.
    pub(super) post: Percentiles,
    /// Processor time of the reader for each event.
    pub(super) consumer_ns: Summary,
}

/// Records a second that a reader takes when they are there already.
#[derive(Debug, Serialize)]
pub(super) struct Drain {
    pub(super) peer: &'static str,
    /// Who has posted them.
    pub(super) producer: &'static str,
    pub(super) events_per_s: Summary,
}

/// Processor time of one post, in nanoseconds.
#[derive(Debug, Serialize)]
pub(super) struct PostCost {
    /// What the subscribers do.
    pub(super) state: State,
    pub(super) subscribers: usize,
    pub(super) nanos: Summary,
}

/// Kernel memory for each open file.
#[derive(Debug, Serialize)]
pub(super) struct Memory {
    pub(super) peer: &'static str,
    pub(super) bytes: Summary,
}

/// Of all rounds together.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Percentiles {
    pub(super) count: u64,
    pub(super) p50: u64,
    pub(super) p90: u64,
    pub(super) p99: u64,
    pub(super) p999: u64,
    pub(super) max: u64,
}

impl Percentiles {
    pub(super) fn of(histogram: &Histogram<u64>) -> Percentiles {
        Percentiles {
            count: histogram.len(),
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            max: histogram.max(),
        }
    }
}

/// What could not be measured here.
#[derive(Debug, Serialize)]
pub(super) struct Skipped {
    pub(super) peer: &'static str,
    pub(super) why: String,
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Placement::SameCpu => "same cpu",
            Placement::CrossCpu => "cross cpu",
        })
    }
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<28} {:<9} {:>11} {:>11} {:>7} {:>15}  held to",
            "ratio", "", "ours", "peer", "", "middle half"
        )?;
        for ratio in &self.ratios {
            writeln!(f, "{ratio}")?;
        }
        writeln!(
            f,
            "\n{:<12} {:<9} {:>5} {:>7} {:>12} {:>11} {:>11}",
            "throughput", "", "batch", "readers", "events/s", "post ns", "take ns"
        )?;
        for row in &self.throughput {
            writeln!(
                f,
                "{:<12} {:<9} {:>5} {:>7} {:>12.0} {:>11.0} {:>11.0}",
                row.peer,
                row.placement,
                row.batch,
                row.readers,
                row.events_per_s.median,
                row.producer_ns.median,
                row.consumer_ns.median,
            )?;
        }
        writeln!(
            f,
            "\n{:<12} {:<13} {:<9} {:>9} {:>9} {:>9} {:>9} {:>9} (µs)",
            "wake-up", "", "", "p50", "p90", "p99", "p99.9", "max"
        )?;
        for row in &self.latency {
            write!(
                f,
                "{:<12} {:<13} {:<9}",
                row.peer, row.mechanism, row.placement
            )?;
            let due = row.due;
            for nanos in [due.p50, due.p90, due.p99, due.p999, due.max] {
                write!(f, " {:>9.1}", nanos as f64 / 1e3)?;
            }
            writeln!(f)?;
        }
        writeln!(
            f,
            "\n{:<12} {:<9} {:>12}",
            "backlog", "posted by", "events/s"
        )?;
        for row in &self.drain {
            let rate = row.events_per_s.median;
            writeln!(f, "{:<12} {:<9} {rate:>12.0}", row.peer, row.producer)?;
        }
        writeln!(f, "\n{:<14} {:>11} {:>9}", "post", "subscribers", "ns")?;
        for row in &self.post_cost {
            let (state, nanos) = (format!("{:?}", row.state), row.nanos.median);
            writeln!(f, "{state:<14} {:>11} {nanos:>9.0}", row.subscribers)?;
        }
        writeln!(f, "\n{:<14} {:>11}", "open file", "bytes")?;
        for row in &self.memory {
            writeln!(f, "{:<14} {:>11.0}", row.peer, row.bytes.median)?;
        }
        for skipped in &self.skipped {
            writeln!(f, "left out: {}: {}", skipped.peer, skipped.why)?;
        }
        Ok(())
    }
}
