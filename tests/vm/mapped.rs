// SPDX-License-Identifier: MIT OR Apache-2.0
//! The mapped ring: who may map what and how, how long it lasts, and that a
//! reader of it has the same account as any other (Q1, Q2, Q3, Q6).

use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;

use evq::via::Kind;
use evq::{Filled, Mapped, Queue, Token, Watcher};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::mman::{mmap, mprotect, mremap, munmap, MRemapFlags, MapFlags, ProtFlags};

use crate::support::device::*;
use crate::support::memory::page;
use crate::support::modules::{self, Unloaded};
use crate::support::process::Child;
use crate::support::worker::Worker;

/// A mapping by the system call itself.
struct Mapping {
    start: NonNull<libc::c_void>,
    bytes: NonZeroUsize,
}

impl Mapping {
    fn new(
        fd: impl AsFd,
        bytes: usize,
        access: ProtFlags,
        flags: MapFlags,
        offset: usize,
    ) -> Result<Mapping, Errno> {
        let bytes = NonZeroUsize::new(bytes).expect("a length");
        // SAFETY: The kernel chooses an address that is free.
        let start = unsafe { mmap(None, bytes, access, flags, fd, offset as libc::off_t) }?;
        Ok(Mapping { start, bytes })
    }

    fn whole(fd: impl AsFd) -> Mapping {
        let bytes = whole(&fd);
        Mapping::new(fd, bytes, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, 0)
            .unwrap_or_else(|errno| panic!("mapping {bytes} bytes: {errno}"))
    }

    /// The word at `at` bytes from the beginning.
    fn word(&self, at: usize) -> u64 {
        assert!(at + 8 <= self.bytes.get() && at % 8 == 0);
        let word = self.start.as_ptr().wrapping_byte_add(at).cast::<u64>();
        // SAFETY: Within the mapping, aligned.
        unsafe { word.read_volatile() }
    }

    fn protect(&self, access: ProtFlags) -> Result<(), Errno> {
        // SAFETY: Nobody holds a reference into it.
        unsafe { mprotect(self.start, self.bytes.get(), access) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: The whole mapping, into which nobody holds a reference.
        let _ = unsafe { munmap(self.start, self.bytes.get()) };
    }
}

/// Bytes of the whole mapping of a queue.
fn whole(fd: impl AsFd) -> usize {
    page() + info(fd).capacity as usize * EVENT_SIZE
}

fn queue(fd: OwnedFd) -> Queue {
    Queue::from_fd(fd, DEVICE)
}

fn mapped(fd: OwnedFd) -> Mapped {
    Mapped::new(queue(fd)).expect("mapping the ring")
}

/// The header says what the ioctl says, and the slots hold what read returns.
#[test]
fn a_mapping_shows_what_read_returns() {
    let fd = open_nonblock();
    let map = Mapping::whole(&fd);
    post_numbers(&fd, 0..100);
    let info = info(&fd);
    assert_eq!(
        map.word(0),
        1 | u64::from(info.capacity) << 32,
        "abi, capacity"
    );
    assert_eq!(map.word(8), page() as u64, "offset, reserved");
    assert_eq!(map.word(16), info.instance);
    assert_eq!(map.word(64), info.posted, "newest");
    let rest = (24..64).step_by(8).chain((72..page()).step_by(8));
    assert!(
        rest.into_iter().all(|at| map.word(at) == 0),
        "nothing else is in the first page"
    );
    for event in drain(&fd) {
        let slot = (event.seq as usize & (info.capacity as usize - 1)) * EVENT_SIZE;
        let words = (0..8).map(|word| map.word(page() + slot + 8 * word));
        let bytes_there: Vec<u8> = words.flat_map(u64::to_ne_bytes).collect();
        assert_eq!(bytes_there, bytes(&[event]), "event {}", event.seq);
    }
}

/// Read-only for good: neither now nor by mprotect, shared or private.
#[test]
fn a_mapping_cannot_be_written_to() {
    let fd = open_rw();
    let bytes = whole(&fd);
    for flags in [MapFlags::MAP_SHARED, MapFlags::MAP_PRIVATE] {
        for access in [
            ProtFlags::PROT_WRITE,
            ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
        ] {
            let writable = Mapping::new(&fd, bytes, access, flags, 0);
            assert_eq!(
                writable.map(drop),
                Err(Errno::EPERM),
                "{flags:?} {access:?}"
            );
        }
        let map = Mapping::new(&fd, bytes, ProtFlags::PROT_READ, flags, 0).expect("for reading");
        for access in [ProtFlags::PROT_WRITE, ProtFlags::PROT_EXEC] {
            let later = map.protect(ProtFlags::PROT_READ | access);
            assert_eq!(later, Err(Errno::EACCES), "{flags:?}, later {access:?}");
        }
    }
}

/// W2: who may only post sees nothing.
#[test]
fn a_file_for_writing_only_maps_nothing() {
    let fd = open(OFlag::O_WRONLY);
    let bytes = whole(open_rw());
    let map = Mapping::new(&fd, bytes, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, 0);
    assert_eq!(map.map(drop), Err(Errno::EACCES));
}

#[test]
fn nothing_beyond_the_ring_can_be_mapped() {
    let fd = open_rw();
    let bytes = whole(&fd);
    let try_map = |bytes, offset| {
        Mapping::new(
            &fd,
            bytes,
            ProtFlags::PROT_READ,
            MapFlags::MAP_SHARED,
            offset,
        )
        .map(drop)
    };
    assert_eq!(try_map(bytes, 0), Ok(()));
    assert_eq!(try_map(page(), 0), Ok(()), "a part");
    assert_eq!(try_map(page(), bytes - page()), Ok(()), "the last page");
    assert_eq!(try_map(bytes + page(), 0), Err(Errno::EINVAL));
    assert_eq!(try_map(2 * page(), bytes - page()), Err(Errno::EINVAL));
    assert_eq!(try_map(page(), bytes), Err(Errno::EINVAL));
    assert_eq!(
        try_map(page(), usize::MAX / 4 / page() * page()),
        Err(Errno::EINVAL)
    );

    let map = Mapping::whole(&fd);
    // SAFETY: Nobody holds a reference into the mapping; it stays if this fails.
    let grown = unsafe {
        mremap(
            map.start,
            bytes,
            bytes + page(),
            MRemapFlags::MREMAP_MAYMOVE,
            None,
        )
    };
    assert_eq!(grown, Err(Errno::EFAULT), "grown later");
}

/// M1: a mapping keeps the file open, and so the module.
#[test]
fn the_module_stays_while_its_ring_is_mapped() {
    let _unloaded = Unloaded::new();
    modules::load("evq", "").expect("loading evq");
    let fd = open_nonblock();
    let map = Mapping::whole(&fd);
    post_numbers(&fd, [7]);
    drop(fd);
    assert_eq!(modules::unload("evq"), Err(Errno::EWOULDBLOCK), "in use");
    assert_eq!(map.word(64), 1);
    drop(map);
    assert_eq!(modules::unload("evq"), Ok(()));
}

/// A forked child sees what the parent posts, and its end takes nothing away.
#[test]
fn a_forked_child_shares_the_mapping() {
    let fd = open_nonblock();
    let map = Mapping::whole(&fd);
    let before = map.word(64);
    Child::fork(|| post_numbers(open_rw(), 0..10)).success();
    Child::fork(|| assert_eq!(map.word(64), before + 10)).success();
    assert_eq!(map.word(64), before + 10);
}

/// The pages live as long as somebody maps them, whoever posts meanwhile.
#[test]
fn mapping_and_unmapping_under_load() {
    let fd = open_rw();
    let last = info(&fd).posted + 20_000;
    let poster = Worker::start(move || {
        let fd = open_rw();
        for batch in 0..400 {
            post_numbers(&fd, batch * 50..(batch + 1) * 50);
        }
    });
    let mut maps = 0;
    loop {
        let map = Mapping::whole(&fd);
        maps += 1;
        let newest = map.word(64);
        if newest >= last {
            break;
        }
        let slot = page() + (newest as usize % info(&fd).capacity as usize) * EVENT_SIZE;
        let seq = map.word(slot);
        assert!(
            seq == 0
                || seq % u64::from(info(&fd).capacity) == newest % u64::from(info(&fd).capacity)
        );
    }
    poster.join();
    assert!(maps > 1);
}

/// Q2: the same events in the same order as by read, without a system call:
/// a child that the kernel kills for any but read, write and exit takes them
/// (not on the debug kernel, which is built without seccomp).
#[test]
fn events_are_taken_without_a_system_call() {
    const EVENTS: u64 = 1000;
    let poster = open_rw();
    let mut mapped = mapped(open_nonblock());
    let reader = open_nonblock();
    post_numbers(&poster, 0..EVENTS);
    let mut taken = vec![Event::default(); EVENTS as usize];
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc/self/status");
    let seccomp = status.contains("\nSeccomp:");
    // SAFETY: The child makes no call but those below, and ends without unwinding.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", Errno::last());
    if pid == 0 {
        // SAFETY: Strict mode needs no more arguments; from here on nothing is allocated.
        let strict = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_STRICT) };
        let mut count = 0;
        while count < taken.len() {
            count += mapped.take(&mut taken[count..]);
        }
        let right =
            (strict == 0) == seccomp && (0..).zip(&taken).all(|(n, event)| number(event) == n);
        // SAFETY: `exit` of the thread, which is the only one of this process.
        unsafe { libc::syscall(libc::SYS_exit, i32::from(!right)) };
    }
    let status = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None);
    assert!(
        matches!(status, Ok(nix::sys::wait::WaitStatus::Exited(_, 0))),
        "{status:?}"
    );
    assert_eq!(
        mapped.take(&mut taken),
        EVENTS as usize,
        "the parent has its own place"
    );
    assert_eq!(taken, drain(&reader));
}

/// Q3: lapped, it is told exactly what it missed, in the next record.
#[test]
fn a_lapped_mapped_reader_is_told_what_it_missed() {
    let poster = open_rw();
    let mut mapped = mapped(open_nonblock());
    let capacity = u64::from(info(&poster).capacity);
    let first = mapped.next_seq();
    post_numbers(&poster, 0..capacity + 100);
    let mut events = vec![Event::default(); 2 * capacity as usize];
    assert_eq!(mapped.take(&mut events), capacity as usize);
    assert_eq!(events[0].lost, 100);
    check_account(first, &events[..capacity as usize]);
    assert_eq!((mapped.delivered(), mapped.lost()), (capacity, 100));
    assert_eq!(mapped.take(&mut events), 0);
}

/// Q3, P1: under load and asleep in between, `delivered + lost == posted`, in
/// order, by each mechanism.
#[test]
fn the_account_of_a_mapped_reader_is_exact_by_every_mechanism() {
    const EVENTS: u64 = 30_000;
    // Workers have every realtime signal blocked, so that none is left for these two.
    let realtime = [Kind::Rtsig, Kind::RtsigThread];
    for &kind in Kind::ALL.iter().filter(|kind| !realtime.contains(kind)) {
        let mut mapped = mapped(open(OFlag::O_RDONLY));
        let first = mapped.next_seq();
        let last = first + EVENTS - 1;
        let writer = Worker::start(|| {
            let fd = open_rw();
            for burst in (1..).scan(0, |sent, length| {
                let from = *sent;
                *sent = EVENTS.min(from + length);
                (from < EVENTS).then_some(from..*sent)
            }) {
                post_numbers(&fd, burst);
            }
        });
        let reader = Worker::start(move || {
            let mut watcher = Watcher::new(kind).expect("a watcher");
            let token: Token = watcher.arm(&mapped, "the mapped ring").expect("arming");
            let mut events = [Event::default(); 64];
            let mut next = first;
            while next <= last {
                for ready in watcher.wait(None).expect("waiting") {
                    assert_eq!(ready, token);
                    while let Filled::Records(count) = mapped.read(&mut events).expect("reading") {
                        next = check_account(next, &events[..count]);
                        if next > last || !kind.drains() {
                            break;
                        }
                    }
                }
            }
            (mapped.delivered(), mapped.lost())
        });
        let (delivered, lost) = reader.join();
        assert_eq!(delivered + lost, EVENTS, "{kind}: {delivered} + {lost}");
        writer.join();
    }
}

/// P3: what is left of a retired queue can be read, then it says so.
#[test]
fn a_mapped_reader_learns_that_the_queue_was_retired() {
    modules::load("evq_timer", "own=64 count=5").expect("loading evq_timer");
    let fd = try_open("/dev/evq-timer", OFlag::O_RDONLY).expect("its own queue");
    seek_oldest(&fd);
    let mut mapped = mapped(fd);
    let mut events = [Event::default(); 64];
    let mut taken = 0;
    while taken < 5 {
        let filled = mapped.read(&mut events).expect("five ticks");
        let Filled::Records(count) = filled else {
            panic!("{filled:?} from a blocking read");
        };
        taken += count;
    }
    modules::unload("evq_timer").expect("unloading evq_timer");
    let ended = mapped.read(&mut events).expect_err("a retired queue");
    assert!(matches!(ended, evq::Error::Retired { .. }), "{ended}");
}
