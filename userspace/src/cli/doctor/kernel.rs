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
        let root = Path::new("/");
        findings.push(missing(root, release));
        findings.extend(configuration(release));
        findings.extend(signatures(root));
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

/// Whether the module could be loaded as it is, or how one gets it.
fn missing(root: &Path, release: &str) -> Finding {
    let modules = format!("/lib/modules/{release}");
    let list = format!("{modules}/modules.dep");
    let under = |path: &str| root.join(path.trim_start_matches('/'));
    let installed = fs::read_to_string(under(&list)).is_ok_and(|list| {
        list.lines().any(|line| {
            let path = line.split(':').next().unwrap_or_default();
            let file = path.rsplit('/').next().unwrap_or_default();
            // evq.ko, evq.ko.xz, evq.ko.zst
            file == "evq.ko" || file.starts_with("evq.ko.")
        })
    });
    if installed {
        let todo = "as root: modprobe evq";
        return Finding::fail("module", "evq is installed and not loaded", todo);
    }
    let found = format!("evq is not loaded, and {list} does not list it");
    let todo = if !under("/var/lib/dkms/evq").exists() {
        "install the package evq-dkms, which builds it for this kernel, and as root: modprobe \
         evq; or from the source: `make module`, and as root: insmod evq.ko"
            .into()
    } else if !under(&modules).join("build/include").exists() {
        format!(
            "evq-dkms is there and needs the kernel's headers, as root: \
             apt-get install linux-headers-{release}"
        )
    } else {
        format!(
            "evq-dkms has not built it for this kernel, as root: dkms autoinstall -k {release}; if \
             that fails, /var/lib/dkms/evq/*/build/make.log says why"
        )
    };
    Finding::fail("module", found, todo)
}

/// Whether modules need a signature that the kernel knows; nothing if not.
fn signatures(root: &Path) -> Option<Finding> {
    let lockdown = fs::read_to_string(root.join("sys/kernel/security/lockdown")).ok()?;
    (!lockdown.contains("[none]")).then(|| {
        Finding::warn(
            "signatures",
            "the kernel is locked down (Secure Boot): it loads signed modules only",
            "DKMS signs what it builds; as root, once: mokutil --import /var/lib/dkms/mok.pub, then \
             boot and confirm the key",
        )
    })
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

    /// A root with these files, and what `missing` says to do there.
    fn todo(files: &[(&str, &str)]) -> String {
        let root = tempfile::TempDir::new().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        missing(root.path(), "7.2.12-test").todo.unwrap()
    }

    #[test]
    fn says_how_to_get_the_module() {
        const DEP: &str = "lib/modules/7.2.12-test/modules.dep";
        const DKMS: (&str, &str) = ("var/lib/dkms/evq/1/source/dkms.conf", "");
        const HEADERS: (&str, &str) = ("lib/modules/7.2.12-test/build/include/x", "");
        let other = (DEP, "kernel/my_evq.ko:\nkernel/x.ko: updates/evq.ko\n");
        for (files, wanted) in [
            (vec![], "package evq-dkms"),
            (vec![other, HEADERS], "package evq-dkms"),
            (vec![DKMS], "install linux-headers-7.2.12-test"),
            (
                vec![DKMS, HEADERS, other],
                "dkms autoinstall -k 7.2.12-test",
            ),
            (vec![(DEP, "updates/dkms/evq.ko.xz:\n")], "modprobe evq"),
        ] {
            let todo = todo(&files);
            assert!(todo.contains(wanted), "{files:?}: {todo}");
        }
    }

    #[test]
    fn a_locked_kernel_wants_signatures() {
        let root = tempfile::TempDir::new().unwrap();
        assert!(signatures(root.path()).is_none());
        let folder = root.path().join("sys/kernel/security");
        fs::create_dir_all(&folder).unwrap();
        for (state, wanted) in [
            ("[none] integrity confidentiality\n", None),
            ("none [integrity] confidentiality\n", Some(Level::Warn)),
        ] {
            fs::write(folder.join("lockdown"), state).unwrap();
            assert_eq!(signatures(root.path()).map(|found| found.level), wanted);
        }
    }
}
