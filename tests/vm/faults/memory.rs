// SPDX-License-Identifier: MIT OR Apache-2.0
//! M2: memory that runs out, at each point where it can. What fails says ENOMEM
//! and has changed nothing; what can do without succeeds. That nothing leaks is
//! what kmemleak looks for at the end of the run.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use evq::Match;
use nix::errno::Errno;
use nix::fcntl::{fcntl, FcntlArg, OFlag};
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::mman::{mmap, munmap, MapFlags, ProtFlags};
use nix::sys::select::{select, FdSet};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::unistd::getpid;

use crate::support::device::*;
use crate::support::figure;
use crate::support::inject::Injector;
use crate::support::memory::page;
use crate::support::modules::{is_loaded, load, unload, Image, KernelLog, Unloaded};
use crate::support::signals::*;

const NO_MEMORY: &[Errno] = &[Errno::ENOMEM];

/// It takes an event and gives it back.
fn works(path: &str) {
    let fd = try_open(path, OFlag::O_RDWR | OFlag::O_NONBLOCK)
        .unwrap_or_else(|errno| panic!("opening {path}: {errno}"));
    post(&fd, &[record(7)]);
    assert_eq!(
        drain(&fd)
            .iter()
            .filter(|event| event.type_ == 0x100)
            .map(number)
            .collect::<Vec<_>>(),
        [7],
        "{path}"
    );
}

/// So many loads that fail without a word of the module have not got as far as
/// its initialisation.
const SILENT: u32 = 8;

/// Loads a module with each of its own allocations failing once. A load that
/// fails leaves neither module nor node, and the next one works. `complaint` is
/// what it says in the log where its queue cannot be made.
///
/// Backwards, from the last one on: the hundreds before the module's own are
/// those of the loader, which takes a second for each of them in here.
fn load_fails_cleanly(name: &str, parameters: &str, node: &str, complaint: &str) {
    let injector = Injector::new();
    let image = Image::new(name, parameters);
    let works_and_unloads = || {
        works(node);
        unload(name).unwrap_or_else(|errno| panic!("unloading {name}: {errno}"));
        assert!(!Path::new(node).exists(), "{node} without {name}");
    };
    let (loaded, all) = injector.count(|| image.load());
    loaded.unwrap_or_else(|errno| panic!("loading {name}: {errno}"));
    works_and_unloads();
    let (mut failed, mut complaints, mut silent) = (0, 0, 0);
    for n in (1..=all).rev() {
        let log = KernelLog::from_now();
        let (result, injected) = injector.fail(n, || image.load());
        failed += u32::from(injected);
        match result {
            Ok(()) => works_and_unloads(),
            Err(errno) => {
                assert_eq!(errno, Errno::ENOMEM, "{name}, allocation {n} of {all}");
                assert!(!is_loaded(name), "{name} after a load that failed");
                assert!(!Path::new(node).exists(), "{node} after a load that failed");
                if log.text().contains(complaint) {
                    complaints += 1;
                    silent = 0;
                } else {
                    silent += 1;
                }
            }
        }
        if complaints > 0 && silent >= SILENT {
            break;
        }
    }
    assert!(
        complaints > 0,
        "none of the {all} allocations was of {name} itself"
    );
    figure(&format!(
        "loading {name}: {failed} of {all} allocations have failed, {complaints} of them its own"
    ));
    image
        .load()
        .unwrap_or_else(|errno| panic!("loading {name}: {errno}"));
    works_and_unloads();
}

/// M1, M2: the module itself.
#[test]
#[ignore = "needs fault injection, make prove has it"]
fn loading_the_module() {
    let _guard = Unloaded::new();
    load_fails_cleanly(
        "evq",
        "capacity=64",
        DEVICE,
        "/dev/evq with capacity=64 cannot be made",
    );
}

/// M1, M2: a queue of its own for a producer in Rust.
#[test]
#[ignore = "needs fault injection, make prove has it"]
fn loading_the_timer_with_a_queue() {
    load_fails_cleanly(
        "evq_timer",
        "own=64 rate=1 count=1",
        "/dev/evq-timer",
        "cannot make /dev/evq-timer",
    );
}

/// M1, M2: the same in C.
#[test]
#[ignore = "needs fault injection, make prove has it"]
fn loading_the_input_producer_with_a_queue() {
    let _guard = Unloaded::new();
    load("evq", "").expect("loading evq");
    load_fails_cleanly(
        "evq_input",
        "own=64",
        "/dev/evq-input",
        "cannot make /dev/evq-input",
    );
}

/// Q1, M2: an open that fails is no subscriber.
#[test]
#[ignore = "needs fault injection, make prove has it"]
fn opening() {
    let injector = Injector::new();
    let probe = open_nonblock();
    let before = info(&probe).subscribers;
    let points = injector.sweep(
        "open",
        NO_MEMORY,
        || (),
        |()| try_open(DEVICE, OFlag::O_RDWR | OFlag::O_NONBLOCK),
        |(), result| {
            let opened = u32::from(result.is_ok());
            assert_eq!(info(&probe).subscribers, before + opened);
            drop(result);
            works(DEVICE);
        },
    );
    assert!(points >= 2, "a file and a subscriber, not {points}");
    assert_eq!(info(&probe).subscribers, before);
}

fn owned() -> OwnedFd {
    let fd = open_nonblock();
    set_owner(&fd, getpid().as_raw());
    set_signal(&fd, realtime());
    fd
}

/// F1, F2, M2: what cannot be armed says so, and is not.
#[test]
#[ignore = "needs fault injection, make prove has it"]
fn arming() {
    let signals = Signals::block();
    let injector = Injector::new();
    let writer = open_nonblock();
    let check = |fd: OwnedFd, done: bool| {
        assert_eq!(status_flags(&fd).contains(OFlag::O_ASYNC), done);
        post(&writer, &[record(1)]);
        let expected: &[i32] = if done { &[realtime()] } else { &[] };
        assert_eq!(signals.pending_numbers(), expected);
    };
    let flags = OFlag::O_NONBLOCK | OFlag::O_ASYNC;
    let points = injector.sweep(
        "F_SETFL O_ASYNC",
        NO_MEMORY,
        owned,
        |fd| fcntl(&*fd, FcntlArg::F_SETFL(flags)),
        |fd, result| check(fd, result.is_ok()),
    );
    assert!(points >= 1, "an entry of the list");
    let on = 1;
    let points = injector.sweep(
        "FIOASYNC",
        NO_MEMORY,
        owned,
        |fd| raw_ioctl(&*fd, libc::FIOASYNC, &raw const on as usize),
        |fd, result| check(fd, result.is_ok()),
    );
    assert!(points >= 1, "an entry of the list");
}

/// F3, M2: an owner that cannot be kept is refused.
#[test]
#[ignore = "needs fault injection, make prove has it"]
fn owning() {
    let pid = getpid().as_raw();
    Injector::new().sweep(
        "F_SETOWN",
        NO_MEMORY,
        open_nonblock,
        |fd| {
            // SAFETY: A command with a number.
            Errno::result(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETOWN, pid) })
        },
        |fd, result| assert_eq!(owner(&fd).pid, if result.is_ok() { pid } else { 0 }),
    );
}

/// P1, M2: poll and select say ENOMEM, and work the next time.
#[test]
#[ignore = "needs fault injection, make prove has it"]
fn polling() {
    let injector = Injector::new();
    let fd = open_nonblock();
    post(&fd, &[record(1)]);
    // More than poll and select keep on their stacks. They opened too late for the event.
    let others: Vec<_> = (0..200).map(|_| open(OFlag::O_RDONLY)).collect();
    let all: Vec<&OwnedFd> = std::iter::once(&fd).chain(&others).collect();
    let points = injector.sweep(
        "poll of 201 files",
        NO_MEMORY,
        || -> Vec<PollFd<'_>> {
            all.iter()
                .map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN))
                .collect()
        },
        |fds| poll(fds, PollTimeout::ZERO),
        |_, result| assert!(matches!(result, Ok(1) | Err(_)), "{result:?}"),
    );
    assert!(points >= 1, "poll of 201 files allocates");
    injector.sweep(
        "select of 201 files",
        NO_MEMORY,
        || {
            let mut set = FdSet::new();
            for fd in &all {
                set.insert(fd.as_fd());
            }
            set
        },
        |set| select(None, set, None, None, &mut TimeVal::seconds(0)),
        |_, result| assert!(matches!(result, Ok(1) | Err(_)), "{result:?}"),
    );
}

/// P2, M2: an item that cannot be added is not there, and can be added later.
#[test]
#[ignore = "needs fault injection, make prove has it"]
fn adding_to_an_epoll() {
    let fd = open_nonblock();
    post(&fd, &[record(1)]);
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("epoll_create1");
    let points = Injector::new().sweep(
        "EPOLL_CTL_ADD",
        NO_MEMORY,
        || (),
        |()| epoll.add(&fd, EpollEvent::new(EpollFlags::EPOLLIN, 1)),
        |(), result| {
            let mut events = [EpollEvent::empty(); 2];
            let ready = epoll.wait(&mut events, EpollTimeout::ZERO);
            assert_eq!(ready, Ok(usize::from(result.is_ok())));
            if result.is_ok() {
                epoll.delete(&fd).expect("EPOLL_CTL_DEL");
            }
        },
    );
    assert!(points >= 2, "an item and its wait entry, not {points}");
}

/// W1, M2: a write that finds no memory has posted nothing of the batch that
/// needed it, and says how much it has posted before.
#[test]
#[ignore = "needs fault injection, make prove has it"]
fn writing() {
    const RECORDS: usize = 64 * 3 + 1;
    let writer = open(OFlag::O_WRONLY);
    let reader = open_nonblock();
    let records: Vec<Event> = (0..RECORDS as u64).map(record).collect();
    let bytes = bytes(&records);
    let mut short = Vec::new();
    let points = Injector::new().sweep(
        "write of 193 records",
        NO_MEMORY,
        || (),
        |()| nix::unistd::write(&writer, &bytes),
        |(), result| {
            let written = result.unwrap_or(0) / EVENT_SIZE;
            let expected: Vec<u64> = (0..written as u64).collect();
            assert_eq!(numbers(&drain(&reader)), expected, "after {result:?}");
            if written < RECORDS {
                short.push(written);
            }
        },
    );
    assert!(points >= 4, "memory for each of 4 batches, not {points}");
    assert_eq!(short, [0, 64, 128, 192], "a batch each");
}

/// M2: a mapping that cannot be made is none, and can be made later.
#[test]
#[ignore = "needs fault injection, make prove has it"]
fn mapping() {
    let fd = open_nonblock();
    let length = std::num::NonZeroUsize::new(page()).expect("a page");
    let points = Injector::new().sweep(
        "mmap of a page",
        NO_MEMORY,
        || (),
        |()| {
            // SAFETY: The kernel chooses an address that is free.
            unsafe {
                mmap(
                    None,
                    length,
                    ProtFlags::PROT_READ,
                    MapFlags::MAP_SHARED,
                    &fd,
                    0,
                )
            }
        },
        |(), result| {
            if let Ok(start) = result {
                // SAFETY: Just mapped, and nobody holds a reference into it.
                unsafe { munmap(start, page()) }.expect("munmap");
            }
        },
    );
    assert!(points >= 1, "an area of memory, at least");
}

/// R4, M2: reading takes no memory of the kernel's, nor do asking and seeking:
/// so there is nothing in them that could fail.
#[test]
#[ignore = "needs fault injection, make prove has it"]
fn reading_asking_and_seeking_allocate_nothing() {
    let injector = Injector::new();
    let fd = open_nonblock();
    let mut buffer = vec![0xa5; 100 * EVENT_SIZE];
    let read = injector.sweep(
        "read of 70 records",
        &[],
        || post_numbers(&fd, 0..70),
        |()| nix::unistd::read(&fd, &mut buffer),
        |(), result| assert_eq!(result, Ok(70 * EVENT_SIZE)),
    );
    let asked = injector.sweep("EVQ_IOC_INFO", &[], || (), |()| Ok(info(&fd)), |(), _| ());
    let sought = injector.sweep(
        "EVQ_IOC_SEEK",
        &[],
        || (),
        |()| Ok(seek_oldest(&fd)),
        |(), _| (),
    );
    assert_eq!((read, asked, sought), (0, 0, 0));
}

/// Q7, Q8, M2: a choice that finds no memory is none: everything is delivered,
/// and the same can be asked for again.
#[test]
#[ignore = "needs fault injection, make prove has it"]
fn choosing() {
    let injector = Injector::new();
    let writer = open(OFlag::O_WRONLY);
    let rules = [Match::types(1..=1)];
    let points = injector.sweep(
        "EVQ_IOC_FILTER",
        NO_MEMORY,
        open_nonblock,
        |fd| try_filter(&*fd, &rules),
        |fd, result| {
            // Of another type.
            post(&writer, &[record(1)]);
            let expected: &[u64] = if result.is_ok() { &[] } else { &[1] };
            assert_eq!(numbers(&drain(&fd)), expected);
            assert_eq!(try_filter(&fd, &[]), Ok(()), "after {result:?}");
            post(&writer, &[record(2)]);
            assert_eq!(numbers(&drain(&fd)), [2]);
        },
    );
    assert!(points >= 1, "a place of its own to wait at");
    let points = injector.sweep(
        "EVQ_IOC_WAKEUP",
        NO_MEMORY,
        open_nonblock,
        |fd| try_wakeup(&*fd, 2, 1),
        |fd, result| {
            assert_eq!(try_wakeup(&fd, 1, 0), Ok(()), "after {result:?}");
            post(&writer, &[record(1)]);
            assert_eq!(numbers(&drain(&fd)), [1]);
        },
    );
    assert!(points >= 1, "a place of its own to wait at");
}
