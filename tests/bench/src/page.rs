// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page: tables in Markdown, with the plots between them.

use std::fmt::{self, Write as _};

use crate::results::{Results, Summary};

/// All of it.
pub(crate) fn page(results: &Results) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write(results, &mut text);
    text
}

fn write(results: &Results, text: &mut String) -> fmt::Result {
    let machine = &results.machine;
    writeln!(text, "# What the bench has found\n")?;
    writeln!(
        text,
        "Made by `make bench`, which runs `evdev-client {}` in the VM. Guest: Linux {}, {}, {} \
         processors, {} MiB, clock {}.{}\n",
        results.command,
        machine.kernel,
        machine.processor,
        machine.processors,
        machine.memory_mib,
        machine.clock,
        machine
            .host
            .as_ref()
            .map(|host| format!(" Host: {host}."))
            .unwrap_or_default(),
    )?;
    writeln!(
        text,
        "Medians of the rounds; in brackets the middle half of them. Everything was measured in \
         each round, one thing after the other.\n"
    )?;
    writeln!(text, "## Ratios\n")?;
    writeln!(
        text,
        "| figure | where | ours | peer | unit | ratio | held to | |"
    )?;
    writeln!(text, "|---|---|---:|---:|---|---:|---|---|")?;
    for ratio in &results.ratios {
        writeln!(
            text,
            "| `{}` | {} | {:.0} | {:.0} | {} | {:.2} [{:.2}–{:.2}] | {} | {} |",
            ratio.figure,
            ratio.placement.as_deref().unwrap_or(""),
            ratio.ours,
            ratio.peer,
            ratio.unit,
            ratio.ratio,
            ratio.low,
            ratio.high,
            ratio.held_to,
            if ratio.met { "met" } else { "**missed**" },
        )?;
    }
    writeln!(text, "\n## Wake-up latency\n")?;
    writeln!(
        text,
        "From when an event was due until its reader had it (open loop, so coordinated omission is \
         in it), in µs.\n"
    )?;
    writeln!(text, "![wake-up latency](wakeup.svg)\n")?;
    writeln!(
        text,
        "| peer | mechanism | where | p50 | p90 | p99 | p99.9 | max |"
    )?;
    writeln!(text, "|---|---|---|---:|---:|---:|---:|---:|")?;
    for row in &results.latency {
        write!(
            text,
            "| {} | {} | {} |",
            row.peer, row.mechanism, row.placement
        )?;
        for micros in row.due.micros() {
            write!(text, " {micros:.1} |")?;
        }
        writeln!(text)?;
    }
    writeln!(text, "\n## Throughput\n")?;
    writeln!(text, "![throughput](throughput.svg)\n")?;
    writeln!(
        text,
        "| peer | where | batch | readers | records/s | post, ns of CPU a record | read, ns of CPU a record |"
    )?;
    writeln!(text, "|---|---|---:|---:|---:|---:|---:|")?;
    for row in &results.throughput {
        writeln!(
            text,
            "| {} | {} | {} | {} | {} | {:.0} | {:.0} |",
            row.peer,
            row.placement,
            row.batch,
            row.readers,
            spread(row.events_per_s),
            row.producer_ns.median,
            row.consumer_ns.median,
        )?;
    }
    writeln!(text, "\n## Reading what is there already\n")?;
    writeln!(text, "| peer | posted by | records/s |")?;
    writeln!(text, "|---|---|---:|")?;
    for row in &results.drain {
        let rate = spread(row.events_per_s);
        writeln!(text, "| {} | {} | {rate} |", row.peer, row.producer)?;
    }
    writeln!(text, "\n## One post, by subscribers\n")?;
    writeln!(text, "![cost of a post](subscribers.svg)\n")?;
    writeln!(text, "| what they do | subscribers | ns |")?;
    writeln!(text, "|---|---:|---:|")?;
    for row in &results.post_cost {
        let nanos = spread(row.nanos);
        writeln!(text, "| {} | {} | {nanos} |", row.state, row.subscribers)?;
    }
    writeln!(text, "\n## Kernel memory of one more open file\n")?;
    writeln!(text, "| peer | bytes |")?;
    writeln!(text, "|---|---:|")?;
    for row in &results.memory {
        writeln!(text, "| {} | {} |", row.peer, spread(row.bytes))?;
    }
    for skipped in &results.skipped {
        writeln!(text, "\nLeft out: {}: {}", skipped.peer, skipped.why)?;
    }
    Ok(())
}

fn spread(summary: Summary) -> String {
    format!(
        "{:.0} [{:.0}–{:.0}]",
        summary.median, summary.low, summary.high
    )
}
