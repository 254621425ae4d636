// SPDX-License-Identifier: MIT OR Apache-2.0
//! W2, Q1, F3: what a user without rights can do with the access that it was
//! given, and what it cannot.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::resource::{getrlimit, setrlimit, Resource};
use nix::unistd::{getpid, setgid, setgroups, setresuid, setuid, Gid, Uid};

use crate::support::device::*;
use crate::support::figure;
use crate::support::process::{Child, Gate};
use crate::support::signals::*;

const NOBODY: u32 = 65534;

/// Open files of one queue, as `driver/queue.rs` has it.
const SUBSCRIBERS_MAX: usize = 4096;

/// Gives up all rights but what is in files that are open.
fn become_nobody() {
    setgroups(&[]).expect("setgroups");
    setgid(Gid::from_raw(NOBODY)).expect("setgid");
    setuid(Uid::from_raw(NOBODY)).expect("setuid");
}

fn as_nobody(run: impl FnOnce()) {
    Child::fork(|| {
        become_nobody();
        run();
    })
    .success();
}

/// W1, W2: whoever may write is named as who it is, whatever source it claims.
#[test]
fn a_kernel_source_cannot_be_forged() {
    let reader = open_nonblock();
    let writer = open(OFlag::O_WRONLY);
    let child = Child::fork(|| {
        become_nobody();
        for source in [0x8000_0000, 0x8001_0000, 0x8002_0000, 0xffff_ffff, 1] {
            post(
                &writer,
                &[Event {
                    source,
                    seq: 1,
                    time_ns: u64::MAX,
                    lost: 7,
                    ..record(1)
                }],
            );
        }
    });
    let pid = child.pid().as_raw() as u32;
    child.success();
    let events = drain(&reader);
    assert_eq!(events.len(), 5);
    for event in events {
        assert_eq!((event.source, event.lost), (pid, 0));
        assert!(event.time_ns < u64::MAX);
    }
}

/// W2: each access is what was given and no more.
#[test]
fn access_is_what_was_given() {
    let (reading, writing) = (
        open(OFlag::O_RDONLY | OFlag::O_NONBLOCK),
        open(OFlag::O_WRONLY),
    );
    as_nobody(|| {
        assert_eq!(
            nix::unistd::write(&reading, &bytes(&[record(1)])),
            Err(Errno::EBADF)
        );
        assert_eq!(read(&writing, 1), Err(Errno::EBADF));
        // To open it once more by its descriptor needs the same right again.
        for fd in [&reading, &writing] {
            let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(fd));
            for flags in [OFlag::O_RDONLY, OFlag::O_WRONLY, OFlag::O_RDWR] {
                assert_eq!(
                    try_open(&path, flags).err(),
                    Some(Errno::EACCES),
                    "{flags:?}"
                );
            }
        }
    });
}

/// F3: a signal reaches only those whom the one that armed may signal, as with
/// `kill(2)`.
#[test]
fn nobody_cannot_have_root_signalled() {
    let signals = Signals::block();
    let root = getpid().as_raw();
    let (armed, control, writer) = (open_nonblock(), open_nonblock(), open_rw());
    as_nobody(|| {
        for owner in [root, -nix::unistd::getpgrp().as_raw()] {
            set_owner(&armed, owner);
            set_signal(&armed, realtime());
            set_async(&armed, true);
            post(&writer, &[record(1)]);
        }
    });
    post(&writer, &[record(2)]);
    assert!(status_flags(&armed).contains(OFlag::O_ASYNC), "it is armed");
    assert_eq!(signals.pending_numbers(), [], "root was told by nobody");
    arm(&control);
    post(&writer, &[record(3)]);
    assert_eq!(signals.pending_numbers(), [realtime()], "by itself, it is");
}

/// F3: who may be signalled is asked for each signal, not when it was armed: a
/// process that has become another user's meanwhile is left alone.
#[test]
fn a_process_that_has_become_root_is_not_signalled_any_more() {
    Child::fork(|| {
        let signals = Signals::block();
        let (armed, writer) = (open_nonblock(), open_rw());
        let (nobody, root) = (Uid::from_raw(NOBODY), Uid::from_raw(0));
        setresuid(nobody, nobody, root).expect("setresuid");
        arm(&armed);
        post(&writer, &[record(1)]);
        assert_eq!(signals.pending_numbers(), [realtime()], "still nobody");
        setresuid(root, root, root).expect("the saved user is root");
        post(&writer, &[record(2)]);
        assert_eq!(signals.pending_numbers(), []);
    })
    .success();
}

/// The mean time of a post of one event by a program, in nanoseconds.
fn post_ns(writer: &OwnedFd) -> u64 {
    const POSTS: u32 = 100;
    let record = bytes(&[record(1)]);
    let start = Instant::now();
    for _ in 0..POSTS {
        nix::unistd::write(writer, &record).expect("write");
    }
    start.elapsed().as_nanos() as u64 / u64::from(POSTS)
}

/// What a user does to be told of each post through each of its files.
type Nuisance = fn(&[OwnedFd]) -> Option<Epoll>;

fn nothing(_: &[OwnedFd]) -> Option<Epoll> {
    None
}

fn arm_all(files: &[OwnedFd]) -> Option<Epoll> {
    files.iter().for_each(arm);
    None
}

fn poll_all(files: &[OwnedFd]) -> Option<Epoll> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("epoll_create1");
    let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
    for fd in files {
        epoll
            .add(fd.as_fd(), EpollEvent::new(flags, 0))
            .expect("EPOLL_CTL_ADD");
    }
    Some(epoll)
}

/// Kernel memory in slabs, in bytes.
fn slab() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").expect("/proc/meminfo");
    let line = text.lines().find_map(|line| line.strip_prefix("Slab:"));
    let kib = line
        .and_then(|line| line.split_whitespace().next())
        .expect("a number");
    kib.parse::<u64>().expect("a number") * 1024
}

/// Q1, Q4: a user that may read opens as much as it can, and has itself told of
/// everything. It gets no further than the bound of the queue, each file costs
/// little memory, others go on posting, and when it ends all of it is given
/// back. What a post costs meanwhile is said, not judged: it is a time.
#[test]
fn a_user_with_all_files_it_can_have() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("getrlimit");
    let room = SUBSCRIBERS_MAX as u64 + 100;
    setrlimit(Resource::RLIMIT_NOFILE, room, most.max(room)).expect("setrlimit");
    let (probe, writer) = (open_nonblock(), open_rw());
    let before = info(&probe).subscribers as usize;
    let alone = post_ns(&writer);
    let kinds: [(&str, Nuisance); 3] =
        [("open", nothing), ("armed", arm_all), ("polled", poll_all)];
    for (name, disturb) in kinds {
        let (ready, done) = (Gate::new(), Gate::new());
        let used = slab();
        let child = Child::fork(|| {
            setgroups(&[]).expect("setgroups");
            // Who may read: the group of the node.
            setgid(Gid::from_raw(0)).expect("setgid");
            setuid(Uid::from_raw(NOBODY)).expect("setuid");
            let mut files = Vec::new();
            let refused = loop {
                match try_open(DEVICE, OFlag::O_RDONLY) {
                    Ok(fd) => files.push(fd),
                    Err(errno) => break errno,
                }
            };
            assert_eq!(
                (files.len(), refused),
                (SUBSCRIBERS_MAX - before, Errno::EBUSY)
            );
            let _watch = disturb(&files);
            ready.open();
            done.wait();
        });
        ready.wait();
        let each = slab().saturating_sub(used) / (SUBSCRIBERS_MAX - before) as u64;
        let cost = post_ns(&writer);
        assert!(!drain(&probe).is_empty(), "whoever was there goes on");
        done.open();
        child.success();
        assert_eq!(
            info(&probe).subscribers as usize,
            before,
            "all is given back"
        );
        assert!(
            each < 8192,
            "{name}: {each} bytes of kernel memory for each file"
        );
        figure(&format!(
            "attacker with {SUBSCRIBERS_MAX} files {name}: {each} bytes of kernel memory each, \
             a post takes {} us, {} ns more for each file; alone {} us",
            cost / 1000,
            cost.saturating_sub(alone) / SUBSCRIBERS_MAX as u64,
            alone / 1000
        ));
    }
}

/// Out of descriptors: the open that fails is no subscriber.
#[test]
fn without_a_descriptor_left_there_is_no_subscriber() {
    let probe = open_nonblock();
    let before = info(&probe).subscribers;
    Child::fork(|| {
        setrlimit(Resource::RLIMIT_NOFILE, 20, 20).expect("setrlimit");
        let mut files = Vec::new();
        let refused = loop {
            match try_open(DEVICE, OFlag::O_RDONLY) {
                Ok(fd) => files.push(fd),
                Err(errno) => break errno,
            }
        };
        assert_eq!(refused, Errno::EMFILE);
        assert_eq!(
            info(&probe).subscribers as usize,
            before as usize + files.len()
        );
    })
    .success();
    assert_eq!(info(&probe).subscribers, before);
}
