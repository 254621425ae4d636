// SPDX-License-Identifier: MIT OR Apache-2.0
//! Limits, mechanisms and what helps with looking for faults.

use std::fs;
use std::path::Path;

use evq::via::Kind;
use evq::Watcher;
use nix::sys::resource::{getrlimit, rlim_t, Resource, RLIM_INFINITY};

use super::super::process;
use super::Finding;

pub(super) fn check() -> Vec<Finding> {
    let mut findings = vec![
        limit(
            "signal queue",
            Resource::RLIMIT_SIGPENDING,
            ("ulimit -i", 1024),
            &format!(" ({} used/limit of this user)", process::signal_queue()),
            "with --via rtsig, signals beyond it are made up for, which costs time",
        ),
        limit(
            "open files",
            Resource::RLIMIT_NOFILE,
            ("ulimit -n", 256),
            "",
            "each watched device takes two or three",
        ),
    ];
    findings.push(mechanisms());
    findings.extend(io_uring());
    findings.push(tracepoints());
    findings
}

fn limit(
    check: &'static str,
    resource: Resource,
    (command, wanted): (&str, rlim_t),
    more: &str,
    why: &str,
) -> Finding {
    match getrlimit(resource) {
        Ok((soft, _)) if soft >= wanted => {
            let soft = if soft == RLIM_INFINITY {
                "unlimited".into()
            } else {
                soft.to_string()
            };
            Finding::ok(check, format!("limit {soft}{more}"))
        }
        Ok((soft, _)) => Finding::warn(
            check,
            format!("limit {soft}{more}: {why}"),
            format!("{command} {wanted} (or limits.conf, or the unit's Limit…=)"),
        ),
        Err(errno) => Finding::warn(check, format!("getrlimit: {errno}"), "try as root"),
    }
}

/// Each mechanism, tried for real.
fn mechanisms() -> Finding {
    let failed: Vec<_> = Kind::ALL
        .iter()
        .filter_map(|&kind| Some(format!("{kind}: {}", Watcher::new(kind).err()?)))
        .collect();
    let all = Kind::ALL.len();
    if failed.is_empty() {
        return Finding::ok("mechanisms", format!("all {all} work"));
    }
    Finding::warn(
        "mechanisms",
        format!(
            "{} of {all} work; {}",
            all - failed.len(),
            failed.join("; ")
        ),
        "use one of the others (`evdev-client info --via` lists them)",
    )
}

/// Whether the administrator has switched it off; nothing where nobody can.
fn io_uring() -> Option<Finding> {
    let value = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?;
    Some(match value.trim() {
        "0" => Finding::ok("io_uring", "is allowed"),
        value => Finding::warn(
            "io_uring",
            format!("kernel.io_uring_disabled is {value}"),
            "for --via io-uring, as root: sysctl kernel.io_uring_disabled=0",
        ),
    })
}

fn tracepoints() -> Finding {
    let places = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
    let readable = |place: &&str| fs::read_dir(Path::new(place).join("events")).is_ok();
    match places.into_iter().find(readable) {
        Some(place) if Path::new(place).join("events/evq").exists() => {
            Finding::ok("tracepoints", format!("{place}/events/evq"))
        }
        Some(place) => Finding::warn(
            "tracepoints",
            format!("{place} has none of evq"),
            "load the module; if it is, its kernel was built without CONFIG_TRACEPOINTS",
        ),
        None => Finding::warn(
            "tracepoints",
            "tracefs cannot be looked at",
            "run this as root, or mount it: mount -t tracefs tracefs /sys/kernel/tracing; needed \
             for looking for faults only",
        ),
    }
}
