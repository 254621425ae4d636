// SPDX-License-Identifier: MIT OR Apache-2.0
//! One look at a queue and at all that have it open.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::cli::tell::printable;

/// The number of an open file of a queue, which it keeps wherever its descriptors
/// go.
pub(super) type FileNumber = u64;

/// An open file, as `/proc/PID/fdinfo` tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Subscriber {
    /// The first process that has it, and its descriptor there.
    pub(super) pid: u32,
    pub(super) fd: u32,
    pub(super) command: String,
    /// The event that it reads next.
    pub(super) next: u64,
    pub(super) behind: u64,
    pub(super) delivered: u64,
    pub(super) lost: u64,
    pub(super) skipped: u64,
    /// For how long the oldest event that it has not read has been waiting; not
    /// in fdinfo.
    pub(super) age_ns: u64,
}

/// Those that have the device with this number open for reading, but for this
/// process. What may not be looked at, or goes meanwhile, is left out.
pub(super) fn subscribers(rdev: u64) -> HashMap<FileNumber, Subscriber> {
    let mut found = HashMap::new();
    for process in numbers("/proc").filter(|pid| *pid != std::process::id()) {
        let folder = format!("/proc/{process}");
        for fd in numbers(format!("{folder}/fd")) {
            let node = fs::metadata(format!("{folder}/fd/{fd}"));
            if !node.is_ok_and(|node| node.rdev() == rdev) {
                continue;
            }
            let Ok(info) = fs::read_to_string(format!("{folder}/fdinfo/{fd}")) else {
                continue;
            };
            if let Some((file, subscriber)) = parse(&info, process, fd) {
                found.entry(file).or_insert(subscriber);
            }
        }
    }
    found
}

/// The entries of a folder that are numbers; none if it cannot be read.
fn numbers(folder: impl AsRef<Path>) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn parse(info: &str, pid: u32, fd: u32) -> Option<(FileNumber, Subscriber)> {
    let field = |name: &str| {
        let mut lines = info.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"))?;
        value.parse::<u64>().ok()
    };
    let command = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let next = field("evq-next")?;
    let subscriber = Subscriber {
        pid,
        fd,
        command: printable(command.trim_end()).into_owned(),
        next,
        behind: field("evq-posted")?.saturating_add(1).saturating_sub(next),
        delivered: field("evq-delivered")?,
        lost: field("evq-lost")?,
        skipped: field("evq-skipped")?,
        age_ns: 0,
    };
    Some((field("evq-file")?, subscriber))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "pos:\t0\nflags:\t0100000\nevq-capacity:\t64\nevq-flags:\t0x0\n\
        evq-posted:\t90\nevq-overwritten:\t26\nevq-refused:\t0\nevq-subscribers:\t2\n\
        evq-wakeups:\t5\nevq-signals:\t0\nevq-file:\t7\nevq-next:\t81\nevq-delivered:\t70\nevq-lost:\t9\n\
        evq-skipped:\t1\n";

    #[test]
    fn fdinfo_is_understood() {
        let (file, found) = parse(INFO, 1, 3).unwrap();
        assert_eq!((file, found.pid, found.fd), (7, 1, 3));
        let numbers = (found.behind, found.delivered, found.lost, found.skipped);
        assert_eq!(numbers, (10, 70, 9, 1));
        // Of a file that is open for writing only it tells less.
        let (short, _) = INFO.split_once("evq-posted").unwrap();
        assert_eq!(parse(short, 1, 3), None);
    }
}
