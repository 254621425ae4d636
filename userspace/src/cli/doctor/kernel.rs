// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether this kernel has the module, or could get it.

use std::fs;
use std::path::Path;

use super::Finding;

/// The oldest kernel whose Rust interfaces the module knows.
const OLDEST: (u32, u32) = (7, 0);

pub(super) fn check() -> Vec<Finding> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    let loaded = Path::new("/sys/module/evq").exists();
    let mut findings = vec![version(release, loaded)];
    if loaded {
        findings.push(Finding::ok("module", "evq is loaded"));
    } else {
        findings.push(missing(release));
        findings.extend(configuration(release));
    }
    findings
}

fn version(release: &str, loaded: bool) -> Finding {
    let found = format!("Linux {release}");
    let mut numbers = release.split(['.', '-']).map(|part| part.parse().ok());
    let version = numbers.next().flatten().zip(numbers.next().flatten());
    match version {
        Some(version) if version < OLDEST && !loaded => {
            let (major, minor) = OLDEST;
            let todo = format!("boot Linux {major}.{minor} or newer, with CONFIG_RUST=y");
            Finding::fail("kernel", found, todo)
        }
        _ => Finding::ok("kernel", found),
    }
}

/// Whether the module could be loaded as it is.
fn missing(release: &str) -> Finding {
    let list = format!("/lib/modules/{release}/modules.dep");
    let installed = fs::read_to_string(&list).is_ok_and(|list| {
        list.lines().any(|line| {
            let path = line.split(':').next().unwrap_or_default();
            let file = path.rsplit('/').next().unwrap_or_default();
            // evq.ko, evq.ko.xz, evq.ko.zst
            file == "evq.ko" || file.starts_with("evq.ko.")
        })
    });
    if installed {
        let todo = "as root: modprobe evq";
        Finding::fail("module", "evq is installed and not loaded", todo)
    } else {
        Finding::fail(
            "module",
            format!("evq is not loaded, and {list} does not list it"),
            "build it for this kernel (`make module`) and load it as root (`insmod evq.ko`), or \
             install its package",
        )
    }
}

/// Whether the module could be built; nothing if the kernel does not say.
fn configuration(release: &str) -> Option<Finding> {
    let places = [
        format!("/boot/config-{release}"),
        format!("/lib/modules/{release}/build/.config"),
        format!("/lib/modules/{release}/config"),
    ];
    let (place, config) = places
        .iter()
        .find_map(|place| Some((place, fs::read_to_string(place).ok()?)))?;
    let lacking: Vec<_> = ["CONFIG_MODULES=y", "CONFIG_RUST=y"]
        .into_iter()
        .filter(|option| !config.lines().any(|line| line == *option))
        .collect();
    Some(if lacking.is_empty() {
        Finding::ok("configuration", format!("{place} has CONFIG_RUST=y"))
    } else {
        Finding::fail(
            "configuration",
            format!("{place} lacks {}", lacking.join(", ")),
            "boot a kernel that has it, such as Debian's or Ubuntu's own",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn old_kernels_are_told_from_new_ones() {
        for (release, loaded, level) in [
            ("6.18.3-amd64", false, Level::Fail),
            ("6.18.3-amd64", true, Level::Ok),
            ("7.0.0-12-generic", false, Level::Ok),
            ("7.2-rc1", false, Level::Ok),
            ("10.0.1", false, Level::Ok),
            ("", false, Level::Ok),
        ] {
            assert_eq!(version(release, loaded).level, level, "{release}");
        }
    }
}
