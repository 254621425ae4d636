// SPDX-License-Identifier: MIT OR Apache-2.0
//! A process that does steps: plain system calls on fixed file descriptors.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use evq::uapi::{SeekArg, IOC_INFO, IOC_MAGIC, IOC_SEEK, SEEK_NEWEST, SEEK_OLDEST, SEEK_SEQ};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags};

use super::record::written;
use super::reference::{descriptor, Sent};
use super::step::{Access, Change, Op, Owner, Slot, Target};
use crate::support::device::bytes;
use crate::support::memory::{page, Pages};
use crate::support::signals::{OwnerEx, F_GETOWN_EX, F_GETSIG, F_OWNER_TID, F_SETOWN_EX, F_SETSIG};

/// The nodes of the queues.
pub(super) const NODES: [&str; 2] = ["/dev/evq", "/dev/evq-timer"];

/// As many bytes as a step can read or write, before the page that is not there.
fn room() -> usize {
    5 * page()
}

/// Bytes of the mapping of a queue of 64 events: its header, and as many slots as fill a page.
pub(super) fn mapped_bytes() -> usize {
    2 * page()
}

/// Where `struct evq_info` counts wake-ups and signals: not a matter of one step, for those of other
/// files count as well.
const TOLD: std::ops::Range<usize> = 80..96;

/// What a system call has answered: its value or `-errno`, and what it has filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) value: i64,
    pub(super) data: Vec<u8>,
}

impl Answer {
    fn of(value: impl Into<i64>) -> Self {
        let value = value.into();
        let value = if value == -1 {
            -(Errno::last_raw() as i64)
        } else {
            value
        };
        Self {
            value,
            data: Vec::new(),
        }
    }

    /// With what was filled in, if it was.
    fn with(value: impl Into<i64>, data: &[u8]) -> Self {
        let answer = Self::of(value);
        let data = if answer.value >= 0 {
            data.to_vec()
        } else {
            Vec::new()
        };
        Self { data, ..answer }
    }
}

/// What a process needs for its steps, made before it forks.
pub(super) struct Actor {
    epoll: Epoll,
    /// [`room`] bytes, and a page behind them that cannot be touched.
    pages: Pages,
}

impl Actor {
    pub(super) fn new() -> Self {
        let pages = Pages::new(room() / page() + 1);
        pages.forbid(room() / page());
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("epoll_create");
        Self { epoll, pages }
    }

    /// The address of a buffer of which only the first `good` bytes are there.
    fn buffer(&self, good: usize) -> *mut u8 {
        self.pages.pointer(room() - good).as_ptr()
    }

    /// Does a step; `number` is what the model has made of a part of it.
    pub(super) fn perform(&self, op: &Op, number: u64) -> Answer {
        match *op {
            Op::Open {
                slot,
                queue,
                access,
                nonblock,
                async_,
            } => open(slot, NODES[queue], access, nonblock, async_),
            // SAFETY: These descriptors belong to the steps, no object owns them.
            Op::Close { slot } => Answer::of(unsafe { libc::close(descriptor(slot)) }),
            Op::Dup { from, to } => {
                // SAFETY: As above.
                let fd = unsafe { libc::dup3(descriptor(from), descriptor(to), libc::O_CLOEXEC) };
                Answer::of(fd.min(0))
            }
            Op::Read {
                slot,
                ref parts,
                good,
                ..
            } => self.read(slot, parts, number != 0, good),
            Op::Write {
                slot,
                records,
                tail,
                flaw,
                good,
                vector,
            } => {
                let mut all = Vec::new();
                for at in 0..records {
                    let flaw = flaw.filter(|(bad, _)| *bad == at).map(|(_, flaw)| flaw);
                    all.extend(bytes(&[written(number + u64::from(at), flaw)]));
                }
                all.resize(all.len() + usize::from(tail), 0x5a);
                self.write(slot, &all, good, vector)
            }
            Op::Poll { slot, mask } => {
                let mut poll = libc::pollfd {
                    fd: descriptor(slot),
                    events: mask as i16,
                    revents: 0,
                };
                // SAFETY: One entry.
                let count = unsafe { libc::poll(&raw mut poll, 1, 0) };
                let answer = Answer::of(count);
                if answer.value < 0 {
                    answer
                } else {
                    Answer {
                        value: poll.revents.into(),
                        ..answer
                    }
                }
            }
            Op::Epoll {
                change,
                slot,
                mask,
                edge,
            } => self.epoll_change(change, slot, mask, edge, number),
            Op::EpollWait => self.epoll_wait(),
            Op::SetFlags {
                slot,
                nonblock,
                async_,
            } => {
                let flags = if nonblock { libc::O_NONBLOCK } else { 0 }
                    | if async_ { libc::O_ASYNC } else { 0 };
                control(slot, libc::F_SETFL, flags)
            }
            Op::Fionbio { slot, on } => switch(slot, libc::FIONBIO, on),
            Op::Fioasync { slot, on } => switch(slot, libc::FIOASYNC, on),
            Op::GetFlags { slot } => {
                let answer = control(slot, libc::F_GETFL, 0);
                let known = i64::from(libc::O_ACCMODE | libc::O_NONBLOCK | libc::O_ASYNC);
                if answer.value < 0 {
                    answer
                } else {
                    Answer {
                        value: answer.value & known,
                        ..answer
                    }
                }
            }
            Op::SetOwner {
                slot,
                owner: Owner::Thread,
            } => {
                let owner = OwnerEx {
                    kind: F_OWNER_TID,
                    pid: number as i32,
                };
                // SAFETY: What the command reads.
                Answer::of(unsafe { libc::fcntl(descriptor(slot), F_SETOWN_EX, &raw const owner) })
            }
            Op::SetOwner { slot, .. } => control(slot, libc::F_SETOWN, number as i32),
            Op::GetOwner { slot } => {
                let mut owner = OwnerEx::default();
                // SAFETY: What the command fills.
                let done = unsafe { libc::fcntl(descriptor(slot), F_GETOWN_EX, &raw mut owner) };
                // Of nobody, no kind.
                let kind = if owner.pid == 0 { 0 } else { owner.kind };
                Answer::with(
                    done,
                    &[kind.to_ne_bytes(), owner.pid.to_ne_bytes()].concat(),
                )
            }
            Op::SetSignal { slot, .. } => control(slot, F_SETSIG, number as i32),
            Op::GetSignal { slot } => control(slot, F_GETSIG, 0),
            Op::Info { slot, nowhere } => {
                let mut info = [0xa5; 128];
                let to = if nowhere {
                    self.buffer(0)
                } else {
                    info.as_mut_ptr()
                };
                // SAFETY: As many bytes as the request fills, or an address that it must refuse.
                let done = unsafe { libc::ioctl(descriptor(slot), IOC_INFO, to) };
                if let (0, Some(counts)) = (done, info.get_mut(TOLD)) {
                    counts.fill(0);
                }
                Answer::with(done, &info)
            }
            Op::Seek { slot, target } => self.seek(slot, target, number),
            Op::Request { slot, number } => {
                let request = u64::from(IOC_MAGIC) << 8 | 0x80 | u64::from(number);
                // SAFETY: A request without an argument, which the queue does not have.
                Answer::of(unsafe { libc::ioctl(descriptor(slot), request, 0) })
            }
            Op::Pread { slot } => {
                // SAFETY: The room is there.
                Answer::of(
                    unsafe { libc::pread(descriptor(slot), self.buffer(64).cast(), 64, 0) } as i64,
                )
            }
            Op::Lseek { slot } => {
                // SAFETY: Touches no memory.
                Answer::of(unsafe { libc::lseek(descriptor(slot), 0, libc::SEEK_CUR) })
            }
            Op::Map {
                slot,
                write,
                shared,
            } => map(slot, write, shared),
            Op::Await { .. } | Op::Fork | Op::Exit | Op::Retire => {
                unreachable!("{op:?} is the executor's")
            }
        }
    }

    fn read(&self, slot: Slot, parts: &[u16], nowait: bool, good: Option<u16>) -> Answer {
        let fd = descriptor(slot);
        let bytes: usize = parts.iter().map(|part| usize::from(*part)).sum();
        if let ([_], false) = (parts, nowait) {
            let good = good.map_or(bytes, usize::from).min(bytes);
            let buffer = self.buffer(good);
            // SAFETY: So much is mapped, and behind it the kernel has to see that nothing is.
            let count = unsafe { libc::read(fd, buffer.cast(), bytes) } as i64;
            return Answer::with(
                count,
                &self.pages.copy(room() - good, count.max(0) as usize),
            );
        }
        let mut vector = Vec::new();
        let mut at = self.buffer(bytes);
        for part in parts {
            vector.push(libc::iovec {
                iov_base: at.cast(),
                iov_len: usize::from(*part),
            });
            at = at.wrapping_add(usize::from(*part));
        }
        let parts = vector.len() as i32;
        let count = if nowait {
            // SAFETY: All parts are within the buffer.
            unsafe { libc::preadv2(fd, vector.as_ptr(), parts, -1, libc::RWF_NOWAIT) }
        } else {
            // SAFETY: As above.
            unsafe { libc::readv(fd, vector.as_ptr(), parts) }
        } as i64;
        Answer::with(
            count,
            &self.pages.copy(room() - bytes, count.max(0) as usize),
        )
    }

    fn write(&self, slot: Slot, all: &[u8], good: Option<u16>, vector: bool) -> Answer {
        let fd = descriptor(slot);
        if vector {
            let parts: Vec<_> = all
                .chunks(64)
                .map(|part| libc::iovec {
                    iov_base: part.as_ptr().cast_mut().cast(),
                    iov_len: part.len(),
                })
                .collect();
            // SAFETY: All parts are within the slice, and are only read.
            return Answer::of(
                unsafe { libc::writev(fd, parts.as_ptr(), parts.len() as i32) } as i64,
            );
        }
        let good = good.map_or(all.len(), usize::from).min(all.len());
        self.pages.fill(room() - good, &all[..good]);
        // SAFETY: So much is mapped, and behind it the kernel has to see that nothing is.
        Answer::of(unsafe { libc::write(fd, self.buffer(good).cast(), all.len()) } as i64)
    }

    fn epoll_change(&self, change: Change, slot: Slot, mask: u16, edge: bool, id: u64) -> Answer {
        let edge = if edge { libc::EPOLLET as u32 } else { 0 };
        let mut event = libc::epoll_event {
            events: u32::from(mask) | edge,
            u64: id,
        };
        let change = match change {
            Change::Add => libc::EPOLL_CTL_ADD,
            Change::Modify => libc::EPOLL_CTL_MOD,
            Change::Delete => libc::EPOLL_CTL_DEL,
        };
        // SAFETY: What the call reads.
        Answer::of(unsafe {
            libc::epoll_ctl(
                self.epoll.0.as_raw_fd(),
                change,
                descriptor(slot),
                &raw mut event,
            )
        })
    }

    /// The number of reports, and of each its id and its events.
    fn epoll_wait(&self) -> Answer {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 64];
        // SAFETY: So many entries.
        let count =
            unsafe { libc::epoll_wait(self.epoll.0.as_raw_fd(), events.as_mut_ptr(), 64, 0) };
        let reported = events.iter().take(count.max(0) as usize);
        let data: Vec<u8> = reported
            .flat_map(|event| [{ event.u64 }, u64::from(event.events)])
            .flat_map(u64::to_ne_bytes)
            .collect();
        Answer::with(count, &data)
    }

    fn seek(&self, slot: Slot, target: Target, seq: u64) -> Answer {
        let whence = match target {
            Target::Newest | Target::NumberedNewest | Target::Reserved | Target::Nowhere => {
                SEEK_NEWEST
            }
            Target::Oldest => SEEK_OLDEST,
            Target::Back(_) | Target::Beyond(_) | Target::Zero => SEEK_SEQ,
            Target::Whence(whence) => whence,
        };
        let mut arg = SeekArg {
            whence,
            reserved: u32::from(target == Target::Reserved),
            seq,
        };
        let to = if target == Target::Nowhere {
            self.buffer(0).cast()
        } else {
            &raw mut arg
        };
        // SAFETY: What the request reads and fills, or an address that it must refuse.
        let done = unsafe { libc::ioctl(descriptor(slot), IOC_SEEK, to) };
        Answer::with(done, &arg.seq.to_ne_bytes())
    }
}

fn open(slot: Slot, node: &str, access: Access, nonblock: bool, async_: bool) -> Answer {
    let access = match access {
        Access::Read => libc::O_RDONLY,
        Access::Write => libc::O_WRONLY,
        Access::Both => libc::O_RDWR,
    };
    let flags = access
        | if nonblock { libc::O_NONBLOCK } else { 0 }
        | if async_ { libc::O_ASYNC } else { 0 }
        | libc::O_CLOEXEC;
    let node = std::ffi::CString::new(node).expect("no NUL in it");
    // SAFETY: A string that ends.
    let fd = unsafe { libc::open(node.as_ptr(), flags) };
    if fd < 0 {
        return Answer::of(fd);
    }
    // SAFETY: Just opened.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: The place belongs to the steps, no object owns it.
    let there = unsafe { libc::dup3(fd.as_raw_fd(), descriptor(slot), libc::O_CLOEXEC) };
    Answer::of(there.min(0))
}

fn control(slot: Slot, command: i32, value: i32) -> Answer {
    // SAFETY: A command with a number.
    Answer::of(unsafe { libc::fcntl(descriptor(slot), command, value) })
}

fn switch(slot: Slot, request: libc::c_ulong, on: bool) -> Answer {
    let on = i32::from(on);
    // SAFETY: What the request reads.
    Answer::of(unsafe { libc::ioctl(descriptor(slot), request, &raw const on) })
}

fn map(slot: Slot, write: bool, shared: bool) -> Answer {
    let access = libc::PROT_READ | if write { libc::PROT_WRITE } else { 0 };
    let flags = if shared {
        libc::MAP_SHARED
    } else {
        libc::MAP_PRIVATE
    };
    // SAFETY: At an address that the kernel chooses.
    let at = unsafe {
        libc::mmap(
            ptr::null_mut(),
            mapped_bytes(),
            access,
            flags,
            descriptor(slot),
            0,
        )
    };
    if at == libc::MAP_FAILED {
        return Answer::of(-1);
    }
    let mut shown = vec![0; mapped_bytes()];
    // SAFETY: All of it is mapped, apart from the vector, and nothing is posted meanwhile.
    unsafe { ptr::copy_nonoverlapping(at.cast::<u8>(), shown.as_mut_ptr(), mapped_bytes()) };
    // SAFETY: Mapped above, and nobody uses it any more.
    Answer::with(unsafe { libc::munmap(at, mapped_bytes()) }, &shown)
}

/// `siginfo_t` of a signal from a descriptor.
#[repr(C)]
#[derive(Default)]
struct SigInfo {
    signo: i32,
    errno: i32,
    code: i32,
    band: i64,
    fd: i32,
    rest: [i32; 25],
}

/// Takes all that is pending of SIGIO and the realtime signals, which are blocked.
pub(super) fn take_signals() -> Vec<Sent> {
    const _: () = assert!(size_of::<SigInfo>() == size_of::<libc::siginfo_t>());
    let set = crate::support::signals::io_signals();
    let now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let mut all = Vec::new();
    loop {
        let mut info = SigInfo::default();
        // SAFETY: A valid set, and room of the right size and alignment for what is told.
        let number =
            unsafe { libc::sigtimedwait(&raw const set, (&raw mut info).cast(), &raw const now) };
        match Errno::result(number) {
            Ok(number) => all.push(Sent {
                number,
                code: info.code,
                fd: info.fd,
                band: info.band,
            }),
            Err(Errno::EINTR) => {}
            Err(_) => break,
        }
    }
    all.sort_unstable();
    all
}
