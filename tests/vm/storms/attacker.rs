// SPDX-License-Identifier: MIT OR Apache-2.0
//! W2, Q1, F3: what a user without rights can do with the access that it was
//! given, and what it cannot.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use evq::Match;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{getrlimit, setrlimit, Resource};
use nix::unistd::{getpid, setgid, setgroups, setpgid, setresuid, setuid, Gid, Pid, Uid};

use crate::support::calls;
use crate::support::device::*;
use crate::support::figure;
use crate::support::memory::{is_checked, slab};
use crate::support::process::{Child, Gate};
use crate::support::signals::*;
use crate::support::worker::Worker;

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

/// The time of a post of one event by a program, in nanoseconds: the best of ten
/// times ten, for others have this machine too.
fn post_ns(writer: &OwnedFd) -> u64 {
    const POSTS: u32 = 10;
    let record = bytes(&[record(1)]);
    let once = || {
        let start = Instant::now();
        for _ in 0..POSTS {
            nix::unistd::write(writer, &record).expect("write");
        }
        start.elapsed().as_nanos() as u64 / u64::from(POSTS)
    };
    (0..10).map(|_| once()).min().expect("ten of them")
}

/// What each file, watch or process that waits may cost a post, in posts that nobody
/// waits for. It is one for a signal, which is the most: this is to see that
/// it is the number of those who wait that counts, and not, say, its square.
const POSTS_MOST: u64 = 10;

/// Has somebody who may read, and nothing else, do `disturb`, which makes `count`
/// of something; what it returns stays until the end. Then others go on posting
/// and reading, and when it ends all is given back. Each may cost `most` bytes of
/// kernel memory, and make a post longer by [`POSTS_MOST`] posts: what it does cost
/// is said, and returned in nanoseconds for a post.
fn disturbed<T>(what: &str, count: usize, most: u64, disturb: impl FnOnce() -> T) -> u64 {
    let (probe, writer) = (open_nonblock(), open_rw());
    let before = info(&probe).subscribers;
    let alone = post_ns(&writer);
    let (ready, done) = (Gate::new(), Gate::new());
    let used = slab();
    let child = Child::fork(|| {
        setgroups(&[]).expect("setgroups");
        // Who may read: the group of the node.
        setgid(Gid::from_raw(0)).expect("setgid");
        setuid(Uid::from_raw(NOBODY)).expect("setuid");
        let _held = disturb();
        ready.open();
        done.wait();
    });
    ready.wait();
    let each = slab().saturating_sub(used) / count as u64;
    let cost = post_ns(&writer);
    assert!(!drain(&probe).is_empty(), "whoever was there goes on");
    done.open();
    child.success();
    assert_eq!(info(&probe).subscribers, before, "all is given back");
    assert!(
        each < most,
        "{what}: {each} bytes of kernel memory for each"
    );
    let longer = cost.saturating_sub(alone) / count as u64;
    assert!(
        longer < POSTS_MOST * alone,
        "{what}: a post takes {longer} ns more for each, {alone} ns without any"
    );
    figure(&format!(
        "attacker with {count} {what}: {each} bytes of kernel memory each, a post takes {} us, \
         {longer} ns more for each; alone {} us",
        cost / 1000,
        alone / 1000
    ));
    cost
}

/// Waiters that a post notifies itself, as `driver/queue.rs` has it.
const IN_PLACE_MAX: usize = 16;

/// Q4: has `disturb` make as many waiters as a post notifies itself, and then
/// `count` of them. A post must not take longer for it; but the machine has two
/// processors, and something else notifies the rest meanwhile.
fn costs_no_more<T>(what: &str, count: usize, disturb: impl Fn(usize) -> T) {
    const TIMES: u64 = 3;
    let few = disturbed(what, IN_PLACE_MAX, SMALL, || disturb(IN_PLACE_MAX));
    let many = disturbed(what, count, SMALL, || disturb(count));
    assert!(
        many < TIMES * few,
        "{what}: a post takes {many} ns beside {count}, {few} ns beside {IN_PLACE_MAX}"
    );
}

/// What an open file or a watch may cost; by far not all of it is the queue's.
const SMALL: u64 = 8192;

/// Open files that one user can have, as `driver/users.rs` has it.
const USER_MAX: usize = 1024;

/// Opens the queue until it is refused.
fn all_files() -> Vec<OwnedFd> {
    let mut files = Vec::new();
    loop {
        match try_open(DEVICE, OFlag::O_RDONLY) {
            Ok(fd) => files.push(fd),
            Err(errno) => {
                assert_eq!(errno, Errno::EMFILE, "after {} files", files.len());
                return files;
            }
        }
    }
}

fn watch(epoll: &Epoll, fd: impl AsFd) {
    let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
    epoll
        .add(fd, EpollEvent::new(flags, 0))
        .expect("EPOLL_CTL_ADD");
}

fn epoll() -> Epoll {
    Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("epoll_create1")
}

fn room_for_files() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("getrlimit");
    let room = SUBSCRIBERS_MAX as u64 + 100;
    setrlimit(Resource::RLIMIT_NOFILE, room, most.max(room)).expect("setrlimit");
}

/// Q1, Q4, Q10: somebody opens as many files as it can. It gets as far as the bound
/// for users, and what each costs is a small constant.
#[test]
fn a_user_with_all_files_it_can_have() {
    room_for_files();
    let count = USER_MAX;
    disturbed("files open", count, SMALL, || {
        let files = all_files();
        assert_eq!(files.len(), count);
        files
    });
    let some = |count| -> Vec<_> { (0..count).map(|_| open(OFlag::O_RDONLY)).collect() };
    costs_no_more("files armed", count, |count| {
        let files = some(count);
        files.iter().for_each(arm);
        files
    });
    costs_no_more("files in an epoll", count, |count| {
        let files = some(count);
        let epoll = epoll();
        files.iter().for_each(|fd| watch(&epoll, fd));
        (files, epoll)
    });
    // Q7: these wait for the moderator, not at the queue. To set one looks at all those that
    // are set, each with several locks: with checkers of locks, that takes minutes.
    let filters = if is_checked() { 500 } else { count };
    disturbed("files with a filter armed", filters, SMALL, || {
        let files: Vec<_> = (0..filters).map(|_| open(OFlag::O_RDONLY)).collect();
        for fd in &files {
            try_filter(fd, &[Match::types(0x100..=0x100)]).expect("EVQ_IOC_FILTER");
            arm(fd);
        }
        files
    });
}

/// Q4: the bound of the queue is one of files. How often one of them can be waited
/// for is for the kernel to bound, by `fs.epoll.max_user_watches` for each user.
#[test]
fn a_user_that_watches_one_file_many_times() {
    const COPIES: usize = 1000;
    const EPOLLS: usize = 20;
    room_for_files();
    costs_no_more("watches of one file", COPIES * EPOLLS, |count| {
        let fd = open(OFlag::O_RDONLY);
        let copies: Vec<_> = (0..COPIES.min(count))
            .map(|_| fd.try_clone().expect("dup"))
            .collect();
        let epolls: Vec<_> = (0..count / copies.len())
            .map(|_| {
                let epoll = epoll();
                copies.iter().for_each(|fd| watch(&epoll, fd));
                epoll
            })
            .collect();
        (copies, epolls)
    });
}

/// Q4: likewise how often it can be named in one poll, by RLIMIT_NOFILE for each thread.
#[test]
fn a_user_that_polls_one_file_many_times() {
    const TIMES: usize = 4000;
    room_for_files();
    costs_no_more("places in a poll", TIMES, |count| {
        let fd = open(OFlag::O_RDONLY);
        // So that it can see in /proc whether its own thread sleeps.
        set_dumpable(true).expect("PR_SET_DUMPABLE");
        // Nobody ends it but the end of the process.
        let poller = Worker::start(move || {
            let mut fds = vec![PollFd::new(fd.as_fd(), PollFlags::POLLPRI); count];
            poll(&mut fds, PollTimeout::NONE).expect("poll")
        });
        poller.until_blocked_in(calls::POLL);
        poller
    });
}

/// F3, Q4: likewise how many processes a signal goes to, by RLIMIT_NPROC.
#[test]
fn a_user_that_has_a_group_signalled() {
    const PROCESSES: usize = 50;
    // Nearly all of it is what a process is.
    const PROCESS: u64 = 1 << 20;
    disturbed("processes signalled", PROCESSES, PROCESS, || {
        setpgid(Pid::from_raw(0), Pid::from_raw(0)).expect("setpgid");
        let fd = open(OFlag::O_RDONLY);
        set_owner(&fd, -getpid().as_raw());
        set_async(&fd, true);
        // The child itself is one of them.
        let others: Vec<_> = (1..PROCESSES)
            .map(|_| Child::fork(|| Gate::new().wait()))
            .collect();
        (fd, others)
    });
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
