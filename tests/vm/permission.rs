// SPDX-License-Identifier: MIT OR Apache-2.0
//! W2: who may open the device.

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::stat;
use nix::unistd::{setgid, setgroups, setuid, Gid, Uid};

use crate::support::device::*;
use crate::support::process::Child;

const NOBODY: u32 = 65534;

/// W2: the node belongs to root and its group; others have no access.
#[test]
fn the_node_gives_nothing_to_others() {
    let node = stat(DEVICE).expect("stat of the device");
    assert_eq!(node.st_mode & libc::S_IFMT, libc::S_IFCHR);
    assert_eq!(node.st_mode & 0o7777, 0o660);
    assert_eq!((node.st_uid, node.st_gid), (0, 0));
}

fn as_nobody(group: u32, run: impl FnOnce()) {
    Child::fork(|| {
        setgroups(&[]).expect("setgroups");
        setgid(Gid::from_raw(group)).expect("setgid");
        setuid(Uid::from_raw(NOBODY)).expect("setuid");
        run();
    })
    .success();
}

/// W2: another user gets EACCES for each way to open it.
#[test]
fn another_user_is_refused() {
    as_nobody(NOBODY, || {
        for flags in [OFlag::O_RDONLY, OFlag::O_WRONLY, OFlag::O_RDWR] {
            assert_eq!(
                try_open(DEVICE, flags).err(),
                Some(Errno::EACCES),
                "{flags:?}"
            );
        }
    });
}

/// W2: the group is how an administrator gives access without root.
#[test]
fn a_member_of_the_group_may_do_everything() {
    as_nobody(0, || {
        let fd = open_nonblock();
        post(&fd, &[record(1)]);
        assert_eq!(numbers(&drain(&fd)), [1]);
    });
}

/// W2: what counts is how it was opened: a descriptor can be handed on.
#[test]
fn a_descriptor_works_for_whoever_has_it() {
    let fd = open_nonblock();
    as_nobody(NOBODY, || post(&fd, &[record(1)]));
    assert_eq!(numbers(&drain(&fd)), [1]);
}
