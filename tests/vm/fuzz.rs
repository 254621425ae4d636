// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls that no program would make: random requests, flags, lengths and
//! pointers, good, bad and half bad, on everything that takes a descriptor
//! (M2). The kernel log and, in a debug kernel, KASAN and lockdep are the
//! judges; afterwards the queue has to work as before.
//!
//! The calls follow from a seed, up to the order in which the threads run:
//! `EVQ_MODEL_SEED=N` runs one seed, `EVQ_EFFORT=N` makes N times as many calls.

#![expect(
    clippy::multiple_unsafe_ops_per_block,
    reason = "each time one of several calls, all with the same arguments"
)]

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;

use io_uring::{opcode, types, IoUring};
use nix::fcntl::OFlag;
use nix::sys::epoll::{Epoll, EpollCreateFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::unistd::{getpgrp, getpid, gettid, pipe2};
use proptest::prelude::RngCore;
use proptest::test_runner::{RngAlgorithm, TestRng};

use crate::model::{rng, seeds};
use crate::support::device::*;
use crate::support::figure;
use crate::support::memory::{page, Pages};
use crate::support::modules::{load, Timer, Unloaded};
use crate::support::signals::*;
use crate::support::worker::Worker;

/// Calls of each thread in a usual run.
const CALLS: u64 = 4_000;
const THREADS: u64 = 2;

/// Calls between two changes of what is open.
const ROUND: u64 = 500;

/// Pages of a buffer, before one that cannot be touched.
const ROOM: usize = 4;

/// What the calls are made with.
struct Targets {
    /// Queues, in every way of opening; none of them ever waits.
    queues: Vec<OwnedFd>,
    pipe: [OwnedFd; 2],
    event: EventFd,
    /// An ordinary file, for calls that take two.
    file: std::fs::File,
    owned: Pages,
}

impl Targets {
    fn new() -> Self {
        let mut queues = Vec::new();
        for node in ["/dev/evq", "/dev/evq-timer"] {
            for access in [
                OFlag::O_RDONLY,
                OFlag::O_WRONLY,
                OFlag::O_RDWR,
                OFlag::O_RDWR,
            ] {
                let flags = access | OFlag::O_NONBLOCK;
                queues.push(
                    try_open(node, flags).unwrap_or_else(|errno| panic!("open {node}: {errno}")),
                );
            }
        }
        let (read, write) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).expect("pipe");
        let owned = Pages::new(ROOM + 1);
        owned.forbid(ROOM);
        Self {
            queues,
            pipe: [read, write],
            event: EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)
                .expect("eventfd"),
            file: std::fs::File::open("/proc/self/exe").expect("the program itself"),
            owned,
        }
    }
}

/// A thread that makes calls.
struct Fuzzer {
    targets: Targets,
    random: TestRng,
    ring: IoUring,
}

impl Fuzzer {
    fn below(&mut self, limit: u64) -> u64 {
        self.random.next_u64() % limit
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    fn queue(&mut self) -> RawFd {
        let at = self.below(self.targets.queues.len() as u64) as usize;
        self.targets.queues[at].as_raw_fd()
    }

    /// Mostly a queue.
    fn any_fd(&mut self) -> RawFd {
        match self.below(8) {
            0 => self.targets.pipe[0].as_raw_fd(),
            1 => self.targets.pipe[1].as_raw_fd(),
            2 => self.targets.file.as_raw_fd(),
            _ => self.queue(),
        }
    }

    /// An address that the kernel may write to as far as the page that is not
    /// there, or one that is good for nothing.
    fn pointer(&mut self) -> usize {
        let end = self.targets.owned.address(ROOM * page());
        match self.below(12) {
            0 => 0,
            1 => end,
            2 => end - self.below(200) as usize,
            3 => 0xffff_8880_0000_0000,
            4 => 0x8000_0000_0000_0000,
            5 => usize::MAX - 63,
            6 => end - (ROOM * page()) + self.below(page() as u64) as usize,
            _ => end - 64 * self.below(64) as usize,
        }
    }

    fn length(&mut self) -> usize {
        match self.below(10) {
            0 => 0,
            1 => self.random.next_u64() as usize,
            2 => isize::MAX as usize,
            3 => self.below(1 << 20) as usize,
            4 => self.below(200) as usize,
            _ => 64 * self.below(80) as usize,
        }
    }

    /// Small numbers, single bits, anything.
    fn word(&mut self) -> u64 {
        match self.below(4) {
            0 => self.below(16),
            1 => 1 << self.below(64),
            2 => u64::MAX << self.below(64),
            _ => self.random.next_u64(),
        }
    }

    fn vector(&mut self) -> Vec<libc::iovec> {
        let count = match self.below(6) {
            0 => 1024,
            _ => self.below(8),
        };
        (0..count)
            .map(|_| libc::iovec {
                iov_base: self.pointer() as *mut _,
                iov_len: self.length(),
            })
            .collect()
    }

    /// Puts something in the buffer: records that are good, or nearly so, or noise.
    fn prepare(&mut self) {
        let records = self.below(64);
        let mut all = Vec::new();
        for number in 0..records {
            let mut record = record(number);
            match self.below(30) {
                0 => record.len = self.random.next_u32() as u16,
                1 => record.reserved = self.random.next_u32() as u16,
                2 => self.random.fill_bytes(&mut record.data),
                _ => {}
            }
            all.extend(bytes(&[record]));
        }
        let start = ROOM * page() - all.len();
        self.targets.owned.fill(start, &all);
    }

    fn transfer(&mut self) -> bool {
        let (fd, at, len, flags) = (self.queue(), self.pointer(), self.length(), self.word());
        let offset = self.word() as libc::off_t;
        let vector = self.vector();
        let parts = vector.len() as i32;
        let flags = if self.below(2) == 0 { 0 } else { flags as i32 };
        // SAFETY: Whatever the kernel writes to is the thread's buffer, or it must refuse.
        let result = unsafe {
            match self.below(10) {
                0 | 1 => libc::read(fd, at as *mut _, len),
                2 | 3 => libc::write(fd, at as *const _, len),
                4 => libc::readv(fd, vector.as_ptr(), parts),
                5 => libc::writev(fd, vector.as_ptr(), parts),
                6 => libc::preadv2(
                    fd,
                    vector.as_ptr(),
                    parts,
                    self.pick(&[-1, 0, offset]),
                    flags,
                ),
                7 => libc::pwritev2(
                    fd,
                    vector.as_ptr(),
                    parts,
                    self.pick(&[-1, 0, offset]),
                    flags,
                ),
                8 => libc::pread(fd, at as *mut _, len, offset),
                _ => libc::pwrite(fd, at as *const _, len, offset),
            }
        };
        result >= 0
    }

    fn ioctl(&mut self) -> bool {
        let request = match self.below(8) {
            // Its own letter: numbers, sizes and directions that it has and has not.
            0..4 => {
                (self.below(4) << 30)
                    | self.pick(&[0, 1, 8, 16, 64, 127, 128, 129, 0x3fff]) << 16
                    | 0xe700
                    | self.below(6)
            }
            4 => 0xe700 | self.below(256) | self.below(1 << 16) << 16,
            5 => self.pick(&[libc::FIOASYNC, libc::FIONREAD, libc::FIOCLEX, 0x5460, 0x2]),
            // Not the letter X: these are for file systems, and freeze them. Nor FIONBIO, after
            // which a call could wait.
            _ => match u64::from(self.random.next_u32()) {
                request if (request >> 8) & 0xff == u64::from(b'X') => request ^ 0x100,
                libc::FIONBIO => 0,
                request => request,
            },
        };
        let (fd, at) = (self.queue(), self.pointer());
        // SAFETY: As in `transfer`.
        unsafe { libc::ioctl(fd, request, at) >= 0 }
    }

    fn fcntl(&mut self) -> bool {
        let (fd, value) = (self.queue(), self.word());
        // SAFETY: Numbers, or pointers as in `transfer`.
        let result = unsafe {
            match self.below(8) {
                0 | 1 => libc::fcntl(
                    fd,
                    libc::F_SETFL,
                    value as i32 | libc::O_NONBLOCK | self.pick(&[0, libc::O_ASYNC]),
                ),
                2 => {
                    // Nobody but this program, which has them blocked.
                    let me = getpid().as_raw();
                    let owner = self.pick(&[
                        0,
                        me,
                        gettid().as_raw(),
                        -getpgrp().as_raw(),
                        i32::MAX,
                        i32::MIN,
                    ]);
                    libc::fcntl(fd, libc::F_SETOWN, owner)
                }
                3 => {
                    let signals = [
                        0,
                        libc::SIGIO,
                        realtime(),
                        libc::SIGRTMAX(),
                        65,
                        -1,
                        i32::MAX,
                    ];
                    libc::fcntl(fd, F_SETSIG, self.pick(&signals))
                }
                4 => libc::fcntl(fd, F_GETOWN_EX, self.pointer()),
                // Not those that duplicate (their results would pile up), wait or make others wait, or
                // name a signal or an owner.
                _ => match value as i32 {
                    0 | 4 | 7 | 8 | 10 | 15 | 38 | 1030 => -1,
                    command => libc::fcntl(fd, command, self.pointer()),
                },
            }
        };
        result >= 0
    }

    fn map(&mut self) -> bool {
        let fd = self.queue();
        let len = self.pick(&[
            0,
            1,
            page(),
            2 * page(),
            3 * page(),
            usize::MAX - page(),
            1 << 30,
        ]);
        let offset = self.pick(&[0, 0, 0, page() as i64, 1, -4096, i64::MAX - 4095]);
        let access = self.below(8) as i32;
        let flags = match self.below(4) {
            0 => libc::MAP_PRIVATE,
            1 => libc::MAP_SHARED_VALIDATE | (self.word() as i32 & libc::MAP_SYNC),
            _ => {
                libc::MAP_SHARED
                    | self.pick(&[0, libc::MAP_POPULATE, libc::MAP_LOCKED, libc::MAP_NORESERVE])
            }
        };
        // SAFETY: At an address that the kernel chooses.
        let at = unsafe { libc::mmap(ptr::null_mut(), len, access, flags, fd, offset) };
        if at == libc::MAP_FAILED {
            return false;
        }
        let advice = self.below(26) as i32;
        let access = self.below(8) as i32;
        // SAFETY: Only this mapping, which nobody else knows of.
        unsafe { libc::madvise(at, len, advice) };
        // SAFETY: As above.
        unsafe { libc::mprotect(at, len.min(page()), access) };
        // A system call looks at it, which may fail.
        // SAFETY: As above; what it is written to is a pipe.
        unsafe { libc::write(self.targets.pipe[1].as_raw_fd(), at, len.min(2 * page())) };
        let longer = self.pick(&[len, len + page(), 1]);
        // SAFETY: As above.
        let moved = unsafe { libc::mremap(at, len, longer, libc::MREMAP_MAYMOVE) };
        let (at, len) = if moved == libc::MAP_FAILED {
            (at, len)
        } else {
            (moved, longer)
        };
        // SAFETY: As above.
        unsafe { libc::munmap(at, len) == 0 }
    }

    /// Calls that move data between two descriptors, or take only one.
    fn file(&mut self) -> bool {
        let (from, to) = match self.below(2) {
            0 => (self.queue(), self.any_fd()),
            _ => (self.any_fd(), self.queue()),
        };
        let (len, flags) = (self.length(), self.word());
        let (mut here, mut there) = (self.word() as libc::off_t, self.word() as libc::off_t);
        let none = || ptr::null_mut();
        let (here, there) = (
            self.pick(&[none(), &raw mut here]),
            self.pick(&[none(), &raw mut there]),
        );
        let mut poll = libc::pollfd {
            fd: from,
            events: flags as i16,
            revents: 0,
        };
        // SAFETY: Offsets of this function, pointers as in `transfer`; nothing here waits.
        let result = unsafe {
            match self.below(16) {
                0..3 => libc::splice(from, here, to, there, len, flags as u32),
                3 => libc::tee(from, to, len, flags as u32),
                4 | 5 => libc::sendfile(to, from, here, len),
                6 => {
                    libc::copy_file_range(from, here, to, there, len, self.pick(&[0, flags as u32]))
                }
                7 => libc::lseek(from, flags as i64, self.below(7) as i32) as isize,
                8 => libc::fallocate(self.queue(), flags as i32, 0, len as i64) as isize,
                9 => libc::ftruncate(self.queue(), len as i64) as isize,
                10 => libc::fsync(self.queue()) as isize,
                11 => libc::readahead(self.queue(), 0, len),
                12 => {
                    libc::posix_fadvise(self.queue(), 0, len as i64, self.below(8) as i32) as isize
                }
                13 => libc::flock(self.queue(), flags as i32 | libc::LOCK_NB) as isize,
                14 => {
                    libc::syscall(libc::SYS_getdents64, self.queue(), self.pointer(), len) as isize
                }
                _ => libc::poll(&raw mut poll, 1, 0) as isize,
            }
        };
        result >= 0
    }

    fn uring(&mut self) -> bool {
        let fd = types::Fd(self.queue());
        let (at, len) = (self.pointer(), self.length() as u32);
        let offset = self.pick(&[0, u64::MAX, 4096]);
        let event = types::Fd(self.targets.event.as_raw_fd());
        let entry = match self.below(9) {
            0 | 1 => opcode::Read::new(fd, at as *mut _, len)
                .offset(offset)
                .rw_flags(self.word() as i32)
                .build(),
            2 | 3 => opcode::Write::new(fd, at as *const _, len)
                .offset(offset)
                .rw_flags(self.word() as i32)
                .build(),
            4 => opcode::Read::new(fd, at as *mut _, len).build(),
            5 => opcode::PollAdd::new(fd, self.word() as u32)
                .multi(self.below(2) == 0)
                .build(),
            6 => opcode::PollAdd::new(event, 1).build(),
            7 => opcode::Fsync::new(fd).build(),
            _ => opcode::AsyncCancel::new(self.below(16)).build(),
        };
        let flags = io_uring::squeue::Flags::from_bits_truncate(self.word() as u8)
            - io_uring::squeue::Flags::FIXED_FILE;
        let entry = entry.flags(flags).user_data(self.below(16));
        // SAFETY: What it writes to is the buffer, which outlives the ring, or it must refuse.
        let queued = unsafe { self.ring.submission().push(&entry) };
        if queued.is_err() || self.below(4) == 0 {
            let _ = self.ring.submit();
        }
        self.ring
            .completion()
            .filter(|done| done.result() >= 0)
            .count()
            > 0
    }

    fn watch(&mut self, epoll: RawFd) -> bool {
        let mut event = libc::epoll_event {
            events: self.word() as u32,
            u64: 0,
        };
        let (fd, change) = (self.queue(), self.below(5) as i32);
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 16];
        // SAFETY: What these calls read and fill.
        unsafe {
            libc::epoll_ctl(epoll, change, fd, &raw mut event);
            libc::epoll_wait(epoll, events.as_mut_ptr(), 16, 0) > 0
        }
    }

    /// Makes that many calls; how many of each kind, and how many have succeeded.
    fn run(&mut self, calls: u64) -> Tally {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("epoll_create1");
        let epoll = epoll.0.as_raw_fd();
        let mut tally = Tally::default();
        for call in 0..calls {
            if call % 16 == 0 {
                self.prepare();
            }
            let (kind, done) = match self.below(16) {
                0..6 => ("read and write", self.transfer()),
                6..8 => ("ioctl", self.ioctl()),
                8..10 => ("fcntl", self.fcntl()),
                10 => ("mmap", self.map()),
                11..13 => ("of files", self.file()),
                13 | 14 => ("io_uring", self.uring()),
                _ => ("epoll", self.watch(epoll)),
            };
            let counts = tally.entry(kind).or_default();
            counts.0 += 1;
            counts.1 += u64::from(done);
        }
        tally
    }
}

/// Calls, and those that have succeeded.
type Tally = BTreeMap<&'static str, (u64, u64)>;

/// Makes random calls, and expects the queue to be what it was.
fn fuzz(seed: u64, tally: &mut Tally) {
    let signals = Signals::block();
    let mut random = rng(seed);
    for round in 0..(CALLS / ROUND) {
        let timer = Timer::load("own=64 rate=20000 burst=8");
        let workers: Vec<_> = (0..THREADS)
            .map(|_| {
                let mut seed = [0; 32];
                random.fill_bytes(&mut seed);
                let random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
                let targets = Targets::new();
                Worker::start(move || {
                    Fuzzer {
                        targets,
                        random,
                        ring: IoUring::new(16).expect("io_uring"),
                    }
                    .run(ROUND)
                })
            })
            .collect();
        // Every other time its queue ends under them.
        let timer = (round % 2 > 0).then_some(timer);
        for worker in workers {
            for (kind, (calls, done)) in worker.join() {
                let counts = tally.entry(kind).or_default();
                counts.0 += calls;
                counts.1 += done;
            }
        }
        drop(timer);
        signals.pending();
        let fd = open_nonblock();
        post(&fd, &[record(round)]);
        assert_eq!(
            numbers(&drain(&fd)),
            [round],
            "seed {seed}, after round {round}"
        );
    }
}

/// M2: nothing that a program passes does more than fail.
#[test]
fn random_calls_do_no_harm() {
    let _guard = Unloaded::new();
    load("evq", "capacity=64").expect("loading evq");
    let mut tally = Tally::new();
    let seeds = seeds(1);
    for seed in seeds.clone() {
        println!("fuzz: seed {seed}");
        fuzz(seed, &mut tally);
    }
    let of_each: Vec<_> = tally
        .iter()
        .map(|(kind, (calls, done))| {
            assert!(*done > 0, "none of {calls} {kind} calls has succeeded");
            format!("{kind} {calls} ({done} succeeded)")
        })
        .collect();
    figure(&format!(
        "random calls, seeds {seeds:?}: {}",
        of_each.join(", ")
    ));
}
