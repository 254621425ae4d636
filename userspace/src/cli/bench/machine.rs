// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the figures were measured on.

use std::time::Duration;

use serde::Serialize;

/// The machine, as it describes itself.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    kernel: String,
    /// Says `QEMU TCG CPU` where the processor is emulated.
    processor: String,
    processors: usize,
    memory_mib: u64,
    clock: String,
    /// Whether nothing else was running when it began.
    quiet: bool,
    /// What the one who started it tells of the host, in `EVQ_BENCH_HOST`.
    host: Option<String>,
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Clock ticks that all processors were doing something, and that they were not.
fn ticks() -> (u64, u64) {
    let stat = read("/proc/stat");
    let mut fields = stat.lines().next().unwrap_or_default().split_whitespace();
    fields.next();
    let ticks: Vec<u64> = fields.filter_map(|field| field.parse().ok()).collect();
    // user nice system idle iowait ...
    let idle = ticks.iter().skip(3).take(2).sum();
    (ticks.iter().sum::<u64>() - idle, idle)
}

/// Waits until the others have come to rest: a machine that has just been
/// booted does this and that for some seconds. Gives up after a minute.
fn wait_until_quiet() -> bool {
    const LOOK: Duration = Duration::from_millis(500);
    for _ in 0..120 {
        let (busy, idle) = ticks();
        std::thread::sleep(LOOK);
        let (busy_then, idle_then) = ticks();
        if (busy_then - busy) * 20 <= idle_then - idle {
            return true;
        }
    }
    false
}

impl Machine {
    pub(super) fn this() -> Machine {
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
        let model = model.and_then(|line| line.split_once(": "));
        let meminfo = read("/proc/meminfo");
        let total = meminfo.split_whitespace().nth(1);
        Machine {
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            processor: model.map_or("unknown", |(_, name)| name).to_owned(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: total.and_then(|kib| kib.parse().ok()).unwrap_or(0_u64) / 1024,
            clock: read("/sys/devices/system/clocksource/clocksource0/current_clocksource")
                .trim()
                .to_owned(),
            quiet: wait_until_quiet(),
            host: std::env::var("EVQ_BENCH_HOST").ok(),
        }
    }
}
