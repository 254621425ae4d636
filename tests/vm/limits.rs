// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a subscriber costs, how many there can be, and what it takes to be one.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{fcntl, FcntlArg, OFlag};
use nix::sched::{unshare, CloneFlags};
use nix::sys::resource::{getrlimit, setrlimit, Resource};
use nix::unistd::{setgid, setgroups, setuid, Gid, Uid};

use crate::support::device::*;
use crate::support::memory::{is_checked, slab};
use crate::support::modules::{load, Unloaded};
use crate::support::process::{Child, Gate};

/// Open files of one queue, as `driver/queue.rs` has it.
const SUBSCRIBERS_MAX: usize = 4096;

/// Bytes of kernel memory that a subscriber may cost: its file, and a cursor. (It is
/// 300 or so, and up to 1,800 where objects have red zones and are kept for a while.)
fn cost_max() -> u64 {
    if is_checked() {
        4096
    } else {
        512
    }
}

/// Q1: a subscriber costs a small constant of memory; there is a bound to their
/// number, for each costs the producers time; and the bound is no trap: those
/// who are there go on, and a close makes room.
#[test]
fn subscribers_are_cheap_and_bounded() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("getrlimit");
    let wanted = SUBSCRIBERS_MAX as u64 + 100;
    setrlimit(Resource::RLIMIT_NOFILE, wanted, most.max(wanted)).expect("setrlimit");
    let probe = open_nonblock();
    let before = slab();
    let others = info(&probe).subscribers as usize;
    let mut all: Vec<_> = (others..SUBSCRIBERS_MAX)
        .map(|_| open(OFlag::O_RDONLY))
        .collect();
    let cost = slab().saturating_sub(before) / all.len() as u64;
    assert!(
        cost <= cost_max(),
        "{cost} bytes of kernel memory for each subscriber"
    );
    assert_eq!(info(&probe).subscribers as usize, SUBSCRIBERS_MAX);
    assert_eq!(try_open(DEVICE, OFlag::O_RDONLY).err(), Some(Errno::EBUSY));
    assert_eq!(
        info(&probe).subscribers as usize,
        SUBSCRIBERS_MAX,
        "a refusal is not counted"
    );

    post(&probe, &[record(1)]);
    for fd in all.iter().step_by(500).chain([&probe]) {
        assert_eq!(numbers(&read(fd, 4).expect("one event")), [1]);
    }
    drop(all.pop());
    drop(open(OFlag::O_RDONLY));
    drop(all);
    assert_eq!(info(&probe).subscribers as usize, others);
}

/// Opens the queue until it is refused; the files, and why.
fn as_many_as_possible() -> (Vec<OwnedFd>, Errno) {
    let mut files = Vec::new();
    loop {
        match try_open(DEVICE, OFlag::O_RDONLY) {
            Ok(fd) => files.push(fd),
            Err(errno) => return (files, errno),
        }
    }
}

/// A user without rights who may read the queue.
fn become_user(uid: u32) {
    setgroups(&[]).expect("setgroups");
    setgid(Gid::from_raw(0)).expect("setgid");
    setuid(Uid::from_raw(uid)).expect("setuid");
}

/// Q10: a user has a part of the places of a queue only, so that others find one;
/// the administrator says how large it is. A user namespace makes no difference.
#[test]
fn user_with_all_its_places_leaves_some_for_others() {
    const USER_MAX: usize = 50;
    let _guard = Unloaded::new();
    load("evq", &format!("user_max={USER_MAX}")).expect("loading evq");
    let of_root: Vec<_> = (0..USER_MAX + 10).map(|_| open_rw()).collect();
    let (ready, done) = (Gate::new(), Gate::new());
    let first = Child::fork(|| {
        become_user(65534);
        let (mut files, errno) = as_many_as_possible();
        assert_eq!((files.len(), errno), (USER_MAX, Errno::EMFILE));
        files.pop();
        files.push(open(OFlag::O_RDONLY));
        // A copy is the same open file.
        let copy = files[0].try_clone().expect("dup");
        Child::fork(|| {
            unshare(CloneFlags::CLONE_NEWUSER).expect("a user namespace");
            let (more, errno) = as_many_as_possible();
            assert_eq!((more.len(), errno), (0, Errno::EMFILE));
        })
        .success();
        ready.open();
        done.wait();
        drop(copy);
    });
    ready.wait();
    Child::fork(|| {
        become_user(65533);
        let (files, errno) = as_many_as_possible();
        assert_eq!((files.len(), errno), (USER_MAX, Errno::EMFILE));
    })
    .success();
    done.open();
    first.success();
    Child::fork(|| {
        become_user(65534);
        assert_eq!(as_many_as_possible().0.len(), USER_MAX, "all is given back");
    })
    .success();
    assert_eq!(info(&of_root[0]).subscribers as usize, of_root.len());
}

/// W2: watching needs the file open for reading; when and how often something
/// is posted is already something to watch.
#[test]
fn a_file_open_for_writing_only_learns_nothing() {
    let writer = open(OFlag::O_WRONLY);
    post(&writer, &[record(1)]);
    let told = fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_ASYNC));
    assert_eq!(told, Err(Errno::EBADF));
    let mut on = 1;
    // SAFETY: FIOASYNC reads an integer.
    let result = unsafe { libc::ioctl(writer.as_raw_fd(), libc::FIOASYNC, &raw mut on) };
    assert_eq!(Errno::result(result), Err(Errno::EBADF));
    let zero = SeekArg {
        whence: 1,
        reserved: 0,
        seq: 0,
    };
    assert_eq!(try_seek(&writer, zero), Err(Errno::EBADF));
    assert_eq!(read(&writer, 1), Err(Errno::EBADF));

    let known = info(open_rw());
    let told = info(&writer);
    assert!(known.posted > 0);
    assert_eq!((told.abi, told.capacity), (known.abi, known.capacity));
    let rest = [
        told.posted,
        told.oldest,
        told.next,
        told.delivered,
        told.lost,
        told.overwritten,
        told.refused,
        told.instance,
        u64::from(told.subscribers),
    ];
    assert_eq!(rest, [0; 9]);
}

/// The number that tells a queue from the one that had its name before.
#[test]
fn an_instance_is_one_queue() {
    let [one, same] = [open_rw(), open_rw()].map(|fd| info(fd).instance);
    assert_ne!(one, 0);
    assert_eq!(one, same);
    drop(crate::support::modules::Unloaded::new());
    assert_ne!(
        info(open_rw()).instance,
        one,
        "after the module was loaded again"
    );
}
