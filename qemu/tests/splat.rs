// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's checkers are checked: what they have to find, in a module that
//! does it on purpose, fails the run. On the debug kernel; `make prove` has it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use evq_vm::klog::scan;

/// What `evq_splat` does in one run, and what the kernel then says. Lockdep looks
/// no further once it or KASAN has found something: so it comes before KASAN, and
/// its second kind in a run of its own.
const RUNS: &[&[(&str, &str)]] = &[
    &[
        ("sleep", "sleeping function called from invalid context"),
        ("bounds", "UBSAN: array-index-out-of-bounds"),
        (
            "lock-order",
            "possible circular locking dependency detected",
        ),
        ("use-after-free", "BUG: KASAN: slab-use-after-free"),
        ("leak", "unreferenced object 0x"),
    ],
    &[("lock-nesting", "BUG: Invalid wait context")],
];

fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate is a folder of the checkout")
}

/// The module, built for the debug kernel.
fn module() -> String {
    let built = Command::new(checkout().join("qemu/module"))
        .arg("debug")
        .output()
        .expect("qemu/module starts");
    assert!(built.status.success(), "{built:?}");
    let folder = String::from_utf8(built.stdout).expect("a path");
    format!("{}/evq_splat.ko", folder.trim())
}

#[test]
#[ignore = "needs the debug kernel, make prove has it"]
fn what_the_checkers_find_fails_the_run() {
    let module = module();
    for kinds in RUNS {
        let script: String = kinds
            .iter()
            .map(|(kind, _)| format!("insmod /evq_splat.ko kind={kind} && rmmod evq_splat && "))
            .collect();
        let output = Command::new(checkout().join("qemu/run"))
            .args(["--kernel", "debug", "--no-evq", "--smp", "1", "--file"])
            .arg(format!("{module}:/evq_splat.ko"))
            .args(["--", "sh", "-c", &format!("{script} exit 0")])
            .stdin(Stdio::null())
            .output()
            .expect("qemu/run starts");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(204), "{kinds:?}: {text}");
        assert!(text.contains("the command itself: exit status 0"), "{text}");
        let log = text
            .lines()
            .find_map(|line| line.strip_prefix("evq-vm: all of it: "))
            .unwrap_or_else(|| panic!("no kernel log: {text}"));
        let log = fs::read_to_string(log).unwrap_or_else(|error| panic!("{log}: {error}"));
        let found = scan(&log);
        for (kind, wanted) in *kinds {
            assert!(
                found.iter().any(|finding| finding.text.contains(wanted)),
                "{kind}: no {wanted:?} among {found:?}"
            );
        }
    }
}
