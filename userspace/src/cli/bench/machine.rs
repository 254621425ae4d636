// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the figures were measured on.

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
    /// What the one who started it tells of the host, in `EVQ_BENCH_HOST`.
    host: Option<String>,
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
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
            host: std::env::var("EVQ_BENCH_HOST").ok(),
        }
    }
}
