// SPDX-License-Identifier: MIT OR Apache-2.0
//! C7: a mechanism that this system lacks, or forbids.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use nix::errno::Errno;

use crate::support::client::{client, Watch};
use crate::support::device::*;

const SWITCH: &str = "/proc/sys/kernel/io_uring_disabled";

/// `kernel.io_uring_disabled`: 1, only for those with the right to it; 2, for
/// nobody. Put back on drop.
struct Switch {
    before: String,
}

impl Switch {
    fn set(to: &str) -> Self {
        let before = fs::read_to_string(SWITCH).expect(SWITCH);
        fs::write(SWITCH, to).expect(SWITCH);
        Self { before }
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        fs::write(SWITCH, &self.before).expect(SWITCH);
    }
}

/// Has a program run by root go without the right that io_uring may need.
fn without_the_right(command: &mut Command) {
    const CAP_SYS_ADMIN: libc::c_ulong = 21;
    let drop_it = || {
        // SAFETY: takes integers. What is not in the bounding set is not in the
        // sets of a program that is started.
        let done = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, CAP_SYS_ADMIN) };
        Ok(Errno::result(done).map(drop)?)
    };
    // SAFETY: One system call, between fork and exec.
    unsafe { command.pre_exec(drop_it) };
}

/// What `change` has taken away is explained, `info --via` says so of it and of
/// nothing else, and the default works.
fn check(change: fn(&mut Command)) {
    let run = |arguments: &[&str]| -> Output {
        let mut command = client(arguments);
        change(&mut command);
        command.output().expect("starting evdev-client")
    };
    let refused = run(&["watch", "--via", "io-uring"]);
    let errors = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success(), "{refused:?}");
    // What was tried, why it failed, what to do.
    for wanted in [
        "io-uring",
        "set up a ring",
        "io_uring_disabled",
        "use epoll",
    ] {
        assert!(errors.contains(wanted), "{wanted:?} in {errors:?}");
    }

    let listed = run(&["info", "--via"]);
    assert!(listed.status.success(), "{listed:?}");
    let list = String::from_utf8_lossy(&listed.stdout);
    for kind in evq::via::Kind::ALL {
        let line = list
            .lines()
            .find(|line| line.split(' ').next() == Some(kind.name()))
            .unwrap_or_else(|| panic!("{kind} in {list}"));
        let lacking = kind.name() == "io-uring";
        assert_eq!(line.contains("io_uring_disabled"), lacking, "{line}");
        assert_eq!(line.contains(" works"), !lacking, "{line}");
        let limits = kind.limits().unwrap_or_default();
        assert!(line.contains(limits), "{limits:?} in {line:?}");
    }

    let watch = Watch::start_with(&["--num-events", "1"], change);
    post(open_rw(), &[record(1)]);
    let ended = watch.end();
    assert_eq!((ended.code(), ended.lines.len()), (0, 1), "{ended:?}");
}

/// C7: the administrator has switched io_uring off.
#[test]
fn io_uring_that_is_switched_off_is_explained() {
    let _switch = Switch::set("2");
    check(|_| ());
}

/// C7: it is there, but not for this user.
#[test]
fn a_lack_of_permission_for_io_uring_is_explained() {
    let _switch = Switch::set("1");
    check(without_the_right);
}
