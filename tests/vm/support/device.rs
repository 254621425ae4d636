// SPDX-License-Identifier: MIT OR Apache-2.0
//! The device by its system calls, and nothing more.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

pub(crate) use evq::uapi::{Event, Info, SeekArg, EVENT_SIZE};
use evq::uapi::{
    FilterArg, WakeupArg, IOC_FILTER, IOC_INFO, IOC_SEEK, IOC_WAKEUP, SEEK_NEWEST, SEEK_OLDEST,
    SEEK_SEQ,
};
use evq::Match;
use nix::errno::Errno;
use nix::fcntl::{open as open_file, OFlag};
use nix::sys::stat::Mode;

pub(crate) const DEVICE: &str = "/dev/evq";

/// Opens the default queue; `flags` on top of `O_CLOEXEC`.
pub(crate) fn open(flags: OFlag) -> OwnedFd {
    assert!(
        Path::new(DEVICE).exists(),
        "there is no {DEVICE}: these tests run in the VM, start them with `make test` or with \
         `cargo test -p evq-vm-tests --config qemu/cargo-vm.toml --target x86_64-unknown-linux-gnu`"
    );
    try_open(DEVICE, flags).unwrap_or_else(|errno| panic!("open {DEVICE} with {flags:?}: {errno}"))
}

/// Opens a queue for reading and writing.
pub(crate) fn open_rw() -> OwnedFd {
    open(OFlag::O_RDWR)
}

/// Opens a queue for reading and writing, with reads that do not wait.
pub(crate) fn open_nonblock() -> OwnedFd {
    open(OFlag::O_RDWR | OFlag::O_NONBLOCK)
}

pub(crate) fn try_open(path: &str, flags: OFlag) -> Result<OwnedFd, Errno> {
    open_file(path, flags | OFlag::O_CLOEXEC, Mode::empty())
}

/// A record whose payload is `number`.
pub(crate) fn record(number: u64) -> Event {
    Event::new(0x100, 7, &number.to_ne_bytes()).expect("8 bytes fit")
}

/// What [`record`] has put into an event.
pub(crate) fn number(event: &Event) -> u64 {
    u64::from_ne_bytes(event.payload().try_into().expect("a payload of 8 bytes"))
}

pub(crate) fn numbers(events: &[Event]) -> Vec<u64> {
    events.iter().map(number).collect()
}

/// The records as `write` takes them.
pub(crate) fn bytes(events: &[Event]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size_of_val(events));
    for event in events {
        bytes.extend(event.seq.to_ne_bytes());
        bytes.extend(event.time_ns.to_ne_bytes());
        bytes.extend(event.source.to_ne_bytes());
        bytes.extend(event.type_.to_ne_bytes());
        bytes.extend(event.code.to_ne_bytes());
        bytes.extend(event.lost.to_ne_bytes());
        bytes.extend(event.len.to_ne_bytes());
        bytes.extend(event.reserved.to_ne_bytes());
        bytes.extend(event.data);
    }
    bytes
}

/// The reverse of [`bytes`]; panics unless these are whole records.
pub(crate) fn events(bytes: &[u8]) -> Vec<Event> {
    assert!(
        bytes.len() % EVENT_SIZE == 0,
        "{} bytes are no whole records",
        bytes.len()
    );
    bytes.chunks_exact(EVENT_SIZE).map(event).collect()
}

fn event(record: &[u8]) -> Event {
    fn field<const N: usize>(record: &[u8], at: usize) -> [u8; N] {
        record[at..at + N]
            .try_into()
            .expect("fields lie within the record")
    }
    Event {
        seq: u64::from_ne_bytes(field(record, 0)),
        time_ns: u64::from_ne_bytes(field(record, 8)),
        source: u32::from_ne_bytes(field(record, 16)),
        type_: u16::from_ne_bytes(field(record, 20)),
        code: u16::from_ne_bytes(field(record, 22)),
        lost: u32::from_ne_bytes(field(record, 24)),
        len: u16::from_ne_bytes(field(record, 28)),
        reserved: u16::from_ne_bytes(field(record, 30)),
        data: field(record, 32),
    }
}

/// Posts these records in one write, and expects it to take them all.
pub(crate) fn post(fd: impl AsFd, records: &[Event]) {
    let bytes = bytes(records);
    let written = nix::unistd::write(fd, &bytes);
    assert_eq!(
        written,
        Ok(bytes.len()),
        "write of {} records",
        records.len()
    );
}

/// Posts `numbers` as [`record`]s, 64 in a write.
pub(crate) fn post_numbers(fd: impl AsFd, numbers: impl IntoIterator<Item = u64>) {
    let records: Vec<Event> = numbers.into_iter().map(record).collect();
    for batch in records.chunks(64) {
        post(fd.as_fd(), batch);
    }
}

/// One read with room for `room` records.
pub(crate) fn read(fd: impl AsFd, room: usize) -> Result<Vec<Event>, Errno> {
    let mut buffer = vec![0xa5; room * EVENT_SIZE];
    let count = nix::unistd::read(fd, &mut buffer)?;
    Ok(events(&buffer[..count]))
}

/// Reads until there is nothing more; the fd must be non-blocking.
pub(crate) fn drain(fd: impl AsFd) -> Vec<Event> {
    let mut all = Vec::new();
    loop {
        match read(fd.as_fd(), 256) {
            Ok(events) => {
                assert!(!events.is_empty(), "a read of a queue returned 0");
                all.extend(events);
            }
            Err(Errno::EAGAIN) => return all,
            Err(errno) => panic!("draining: {errno}"),
        }
    }
}

/// Asserts that the account is exact and the order right: from `next` on, each
/// record continues where the one before ended, plus what it says was lost.
/// Returns the number that is expected after them.
pub(crate) fn check_account(mut next: u64, events: &[Event]) -> u64 {
    for event in events {
        assert_eq!(
            event.seq,
            next + u64::from(event.lost),
            "seq after {} with lost {}",
            next - 1,
            event.lost
        );
        next = event.seq + 1;
    }
    next
}

mod ioctls {
    use evq::uapi::{Info, SeekArg, IOC_MAGIC};
    nix::ioctl_read!(info, IOC_MAGIC, 0x00, Info);
    nix::ioctl_readwrite!(seek, IOC_MAGIC, 0x01, SeekArg);
}

const _: () = assert!(IOC_INFO == 0x8080_e700 && IOC_SEEK == 0xc010_e701);

pub(crate) fn info(fd: impl AsFd) -> Info {
    let mut info = Info::default();
    // SAFETY: `info` is what the ioctl fills.
    unsafe { ioctls::info(fd.as_fd().as_raw_fd(), &raw mut info) }.expect("EVQ_IOC_INFO");
    info
}

pub(crate) fn try_seek(fd: impl AsFd, mut arg: SeekArg) -> Result<u64, Errno> {
    // SAFETY: `arg` is what the ioctl reads and fills.
    unsafe { ioctls::seek(fd.as_fd().as_raw_fd(), &raw mut arg) }?;
    Ok(arg.seq)
}

fn seek(fd: impl AsFd, whence: u32, seq: u64) -> u64 {
    let reserved = 0;
    try_seek(
        fd,
        SeekArg {
            whence,
            reserved,
            seq,
        },
    )
    .unwrap_or_else(|errno| panic!("EVQ_IOC_SEEK whence {whence} seq {seq}: {errno}"))
}

pub(crate) fn seek_newest(fd: impl AsFd) -> u64 {
    seek(fd, SEEK_NEWEST, 0)
}

pub(crate) fn seek_oldest(fd: impl AsFd) -> u64 {
    seek(fd, SEEK_OLDEST, 0)
}

pub(crate) fn seek_seq(fd: impl AsFd, seq: u64) -> u64 {
    seek(fd, SEEK_SEQ, seq)
}

/// An ioctl with a pointer, or whatever is meant to look like one.
pub(crate) fn raw_ioctl(fd: impl AsFd, request: libc::c_ulong, arg: usize) -> Result<i32, Errno> {
    // SAFETY: The requests are those of the queue, which checks the pointer; the callers pass
    // pointers to nothing, to their own records or to pages that they have mapped.
    Errno::result(unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), request, arg) })
}

/// `EVQ_IOC_FILTER`.
pub(crate) fn try_filter(fd: impl AsFd, rules: &[Match]) -> Result<(), Errno> {
    let mut arg = FilterArg {
        count: rules.len() as u32,
        ..FilterArg::default()
    };
    arg.rules[..rules.len()].copy_from_slice(rules);
    raw_ioctl(fd, IOC_FILTER, (&raw const arg) as usize).map(drop)
}

/// `EVQ_IOC_WAKEUP`.
pub(crate) fn try_wakeup(fd: impl AsFd, events: u32, max_delay_ns: u64) -> Result<(), Errno> {
    let arg = WakeupArg {
        events,
        reserved: 0,
        max_delay_ns,
    };
    raw_ioctl(fd, IOC_WAKEUP, (&raw const arg) as usize).map(drop)
}
