// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether this user can open the queue, and input devices.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use evq::uapi::INFO_RETIRED;
use evq::{AnyDevice, Error, Options};

use super::Finding;

pub(super) fn check(path: &Path) -> Vec<Finding> {
    let name = path.display();
    let mut findings = Vec::new();
    match fs::metadata(path) {
        Ok(node) if node.file_type().is_char_device() => {
            let found = format!(
                "{name}: mode {:03o}, owner {}, group {}",
                node.mode() & 0o777,
                name_of("/etc/passwd", node.uid()),
                name_of("/etc/group", node.gid()),
            );
            findings.push(Finding::ok("device", found));
            findings.push(reading(path));
            findings.push(posting(path));
        }
        Ok(_) => {
            let todo = "give a queue with --device; what stands where its node belongs has to go \
                before the module is loaded again";
            let found = format!("{name} is no character device");
            findings.push(Finding::fail("device", found, todo));
        }
        Err(error) => findings.push(Finding::fail(
            "device",
            format!("{name}: {error}"),
            "load the module, which makes the node (in a container: hand the node in)",
        )),
    }
    findings.extend(input_devices());
    findings
}

fn reading(path: &Path) -> Finding {
    let queue = match Options::new().open(path) {
        Ok(queue) => queue,
        Err(error) => return refused("watching", error, Finding::fail),
    };
    match queue.info() {
        Ok(info) if info.flags & INFO_RETIRED != 0 => Finding::fail(
            "watching",
            format!("{} is retired: nothing more comes", queue.name()),
            "load the module that owns it again",
        ),
        Ok(info) => Finding::ok(
            "watching",
            format!(
                "works: {} events posted, capacity {}, interface version {}",
                info.posted, info.capacity, info.abi
            ),
        ),
        Err(error) => refused("watching", error, Finding::fail),
    }
}

fn posting(path: &Path) -> Finding {
    match Options::new().read(false).write(true).open(path) {
        Ok(_) => Finding::ok("posting", "works"),
        // Many only want to watch.
        Err(error) => refused("posting", error, Finding::warn),
    }
}

type Verdict = fn(&'static str, String, String) -> Finding;

/// What the library says has a remedy behind its semicolon.
fn refused(check: &'static str, error: Error, verdict: Verdict) -> Finding {
    let text = error.to_string();
    let (found, todo) = text
        .split_once("; ")
        .unwrap_or((&text, "try again as root"));
    verdict(check, found.into(), todo.into())
}

/// Nothing where there are none.
fn input_devices() -> Option<Finding> {
    let folder = fs::read_dir("/dev/input").ok()?;
    let nodes: Vec<_> = folder
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default();
            name.to_string_lossy().starts_with("event")
        })
        .collect();
    let readable = nodes.iter().filter(|node| AnyDevice::open(node).is_ok());
    match (readable.count(), nodes.len()) {
        (_, 0) => None,
        (readable, all) if readable == all => {
            Some(Finding::ok("input devices", format!("all {all} work")))
        }
        (readable, all) => Some(Finding::warn(
            "input devices",
            format!("{readable} of {all} can be watched"),
            "as root: usermod -aG input USER, then log in anew; needed for /dev/input only",
        )),
    }
}

/// The name that a file such as /etc/group gives to a number, or the number.
fn name_of(list: &str, id: u32) -> String {
    let list = fs::read_to_string(list).unwrap_or_default();
    let name = list.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| id.to_string())
}
