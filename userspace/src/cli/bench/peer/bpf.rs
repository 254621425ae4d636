// SPDX-License-Identifier: MIT OR Apache-2.0
//! A BPF ring buffer: a BPF program in the kernel fills it, a program reads it
//! through its mapping.
//!
//! The BPF program is run by `BPF_PROG_TEST_RUN`, as a system call of the
//! producer's; it puts as many records in as it is told to. Written in
//! instructions, since the tests need no compiler for BPF then.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use anyhow::Context as _;
use memmap2::{MmapOptions, MmapRaw};
use nix::fcntl::{fcntl, FcntlArg, OFlag};
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::unistd::{sysconf, SysconfVar};

use super::{records, Link, Poster, Taker, BATCH, RECORD};

/// Bytes of the ring buffer: about as many records as a queue holds.
const SIZE: usize = 512 * 1024;

/// Bytes of a page; not the same on every arm64 kernel.
fn page_size() -> usize {
    sysconf(SysconfVar::PAGE_SIZE)
        .ok()
        .flatten()
        .and_then(|bytes| usize::try_from(bytes).ok())
        .unwrap_or(4096)
}

/// Bytes before each record; the first four are its length and these two.
const HEADER: usize = 8;
const BUSY: u32 = 1 << 31;
const DISCARDED: u32 = 1 << 30;

const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_TEST_RUN: libc::c_int = 10;
const BPF_MAP_TYPE_RINGBUF: u32 = 27;
const BPF_PROG_TYPE_RAW_TRACEPOINT: u32 = 17;
const BPF_FUNC_RINGBUF_OUTPUT: i32 = 130;

/// The beginning of `union bpf_attr` for `BPF_MAP_CREATE`.
#[repr(C)]
#[derive(Default)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
}

/// The same for `BPF_PROG_LOAD`.
#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
}

/// The same for `BPF_PROG_TEST_RUN`.
#[repr(C)]
#[derive(Default)]
struct TestRun {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    ctx_size_in: u32,
    ctx_size_out: u32,
    ctx_in: u64,
    ctx_out: u64,
}

/// `bpf(2)`.
///
/// # Safety
///
/// `Attr` must be the beginning of what `command` takes, and the addresses in it
/// must be those of what the command expects there.
unsafe fn bpf<Attr>(command: libc::c_int, attr: &mut Attr) -> io::Result<libc::c_int> {
    let size = size_of::<Attr>();
    // SAFETY: by the requirement on the caller; what the kernel takes beyond
    // the size is 0.
    match unsafe { libc::syscall(libc::SYS_bpf, command, ptr::from_mut(attr), size) } {
        -1 => Err(io::Error::last_os_error()),
        // A descriptor, or 0.
        value => Ok(value as libc::c_int),
    }
}

/// One BPF instruction.
fn insn(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> u64 {
    let [off0, off1] = off.to_ne_bytes();
    let [imm0, imm1, imm2, imm3] = imm.to_ne_bytes();
    u64::from_ne_bytes([code, src << 4 | dst, off0, off1, imm0, imm1, imm2, imm3])
}

/// `for (i = 0; i < context[0]; i++) ringbuf_output(map, zeroes, 64, 0);`
fn program(map: &OwnedFd) -> Vec<u64> {
    const LOAD: u8 = 0x79;
    const STORE: u8 = 0x7a;
    const LOAD_MAP: u8 = 0x18;
    const SET: u8 = 0xb7;
    const COPY: u8 = 0xbf;
    const ADD: u8 = 0x07;
    const JUMP: u8 = 0x05;
    const JUMP_IF_ABOVE: u8 = 0x25;
    const JUMP_IF_REACHED: u8 = 0x3d;
    const CALL: u8 = 0x85;
    const EXIT: u8 = 0x95;
    const FRAME: u8 = 10;
    let size = RECORD as i16;

    let mut code = vec![
        insn(LOAD, 7, 1, 0, 0),
        // To the end, which is 19 instructions behind the next.
        insn(JUMP_IF_ABOVE, 7, 0, 19, BATCH as i32),
    ];
    code.extend((0..size / 8).map(|word| insn(STORE, FRAME, 0, word * 8 - size, 0)));
    code.extend([
        insn(SET, 8, 0, 0, 0),
        // The loop: to the end, which is 9 behind the next, when it is done.
        insn(JUMP_IF_REACHED, 8, 7, 9, 0),
        insn(LOAD_MAP, 1, 1, 0, map.as_raw_fd()),
        insn(0, 0, 0, 0, 0),
        insn(COPY, 2, FRAME, 0, 0),
        insn(ADD, 2, 0, 0, -i32::from(size)),
        insn(SET, 3, 0, 0, size.into()),
        insn(SET, 4, 0, 0, 0),
        insn(CALL, 0, 0, 0, BPF_FUNC_RINGBUF_OUTPUT),
        insn(ADD, 8, 0, 0, 1),
        insn(JUMP, 0, 0, -10, 0),
        insn(SET, 0, 0, 0, 0),
        insn(EXIT, 0, 0, 0, 0),
    ]);
    code
}

struct Producer {
    program: OwnedFd,
}

impl Poster for Producer {
    fn post(&mut self, count: usize) -> anyhow::Result<()> {
        let context = count as u64;
        let mut attr = TestRun {
            prog_fd: self.program.as_raw_fd() as u32,
            ctx_size_in: size_of_val(&context) as u32,
            ctx_in: ptr::from_ref(&context) as u64,
            ..TestRun::default()
        };
        // SAFETY: the attributes of this command; `context` outlives the call.
        unsafe { bpf(BPF_PROG_TEST_RUN, &mut attr) }.context("running a BPF program")?;
        Ok(())
    }
}

/// The reader: says in one page how far it is, and sees the rest.
struct Consumer {
    map: OwnedFd,
    consumed: MmapRaw,
    /// A page that says how much was produced, and the data twice in a row.
    produced: MmapRaw,
    /// Bytes of that page.
    page: usize,
    buffer: Vec<u8>,
}

impl Consumer {
    /// Copies what is there, up to the buffer's size.
    fn copy(&mut self) -> usize {
        // SAFETY: the first word of a mapped page, which lives as long as self.
        let consumed = unsafe { &*self.consumed.as_mut_ptr().cast::<AtomicU64>() };
        // SAFETY: as above; nothing is stored through it.
        let produced = unsafe { &*self.produced.as_mut_ptr().cast::<AtomicU64>() };
        let mut at = consumed.load(Ordering::Relaxed);
        // A mapping without the right to write has relaxed loads only.
        let end = produced.load(Ordering::Relaxed);
        std::sync::atomic::fence(Ordering::Acquire);
        let mut count = 0;
        for record in self.buffer.chunks_exact_mut(RECORD) {
            if at >= end {
                break;
            }
            let offset = self.page + (at as usize & (SIZE - 1));
            let entry = self.produced.as_mut_ptr().wrapping_add(offset);
            // SAFETY: below the size, and so in the mapping; a multiple of 8.
            let length = unsafe { &*entry.cast::<AtomicU32>() }.load(Ordering::Relaxed);
            std::sync::atomic::fence(Ordering::Acquire);
            if length & BUSY != 0 {
                break;
            }
            if length & DISCARDED == 0 {
                let data = entry.wrapping_add(HEADER);
                // SAFETY: a record that is no longer busy stays as it is until it
                // has been consumed, and it is of this size; the second mapping
                // of the data makes it contiguous.
                unsafe { ptr::copy_nonoverlapping(data, record.as_mut_ptr(), RECORD) };
                count += 1;
            }
            at += ((length & !DISCARDED) as u64 + HEADER as u64).next_multiple_of(8);
        }
        consumed.store(at, Ordering::Release);
        count
    }
}

impl Taker for Consumer {
    fn take(&mut self) -> anyhow::Result<usize> {
        loop {
            let count = self.copy();
            let flags = || fcntl(&self.map, FcntlArg::F_GETFL).map(OFlag::from_bits_retain);
            if count > 0 || flags()?.contains(OFlag::O_NONBLOCK) {
                return Ok(count);
            }
            let mut fds = [PollFd::new(self.map.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::NONE).context("waiting for a BPF ring buffer")?;
        }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }
}

/// Makes a descriptor of what the system call gave.
fn owned(result: io::Result<libc::c_int>, what: &str) -> anyhow::Result<OwnedFd> {
    let fd = result.with_context(|| format!("{what} (are you root?)"))?;
    // SAFETY: just made, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

pub(super) fn open() -> anyhow::Result<Link> {
    let mut attr = MapCreate {
        map_type: BPF_MAP_TYPE_RINGBUF,
        max_entries: SIZE as u32,
        ..MapCreate::default()
    };
    // SAFETY: the attributes of this command.
    let map = unsafe { bpf(BPF_MAP_CREATE, &mut attr) };
    let map = owned(map, "making a BPF ring buffer")?;
    let code = program(&map);
    let mut attr = ProgLoad {
        prog_type: BPF_PROG_TYPE_RAW_TRACEPOINT,
        insn_cnt: code.len() as u32,
        insns: code.as_ptr() as u64,
        license: c"MIT OR Apache-2.0".as_ptr() as u64,
    };
    // SAFETY: the attributes of this command; code and licence outlive the call.
    let program = unsafe { bpf(BPF_PROG_LOAD, &mut attr) };
    let program = owned(program, "loading a BPF program")?;
    let page = page_size();
    let consumed = MmapOptions::new().len(page).map_raw(&map);
    let produced = MmapOptions::new()
        .offset(page as u64)
        .len(page + 2 * SIZE)
        .map_raw_read_only(&map);
    Ok(Link {
        poster: Box::new(Producer { program }),
        takers: vec![Box::new(Consumer {
            consumed: consumed.context("mapping a BPF ring buffer")?,
            produced: produced.context("mapping the data of a BPF ring buffer")?,
            map,
            page,
            buffer: records(),
        })],
        window: Some(SIZE / (RECORD + HEADER) / 2),
    })
}
