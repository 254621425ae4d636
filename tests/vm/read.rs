// SPDX-License-Identifier: MIT OR Apache-2.0
//! R1, R2, R5: what a read returns, and when it waits.

use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::uio::{pread, pwrite, readv};
use nix::unistd::{lseek, Whence};

use crate::support::device::*;
use crate::support::worker::Worker;

/// R1: a buffer under 64 bytes is EINVAL, whether or not there is something to
/// read, and costs nothing.
#[test]
fn a_buffer_shorter_than_a_record_is_einval() {
    let fd = open_nonblock();
    for posted in [false, true] {
        if posted {
            post(&fd, &[record(1)]);
        }
        for size in [0, 1, 32, 63] {
            let mut buffer = vec![0; size];
            let result = nix::unistd::read(&fd, &mut buffer);
            assert_eq!(result, Err(Errno::EINVAL), "{size} bytes, posted: {posted}");
        }
    }
    assert_eq!(numbers(&drain(&fd)), [1]);
}

/// R1: as many whole records as fit; the rest of the buffer is left alone.
#[test]
fn a_size_between_records_is_rounded_down() {
    let fd = open_nonblock();
    post_numbers(&fd, 1..=5);
    for (size, expected) in [(64, 1), (127, 1), (128 + 63, 2)] {
        let mut buffer = vec![0xa5; size];
        assert_eq!(
            nix::unistd::read(&fd, &mut buffer),
            Ok(expected * EVENT_SIZE),
            "{size} bytes"
        );
        assert!(buffer[expected * EVENT_SIZE..]
            .iter()
            .all(|&byte| byte == 0xa5));
    }
    assert_eq!(numbers(&drain(&fd)), [5]);
}

/// R1: however the iovecs cut it, `readv` returns what one big read returns.
#[test]
fn readv_with_any_split_equals_one_read() {
    let writer = open_rw();
    let splits: &[&[usize]] = &[
        &[64, 64, 64, 64],
        &[1, 63, 128, 64],
        &[63, 1, 1, 127, 64],
        &[0, 100, 0, 100, 56, 0],
        &[32; 8],
        &[7; 40],
        &[200, 55],
        &[255],
    ];
    for split in splits {
        let (whole, cut) = (open_nonblock(), open_nonblock());
        post_numbers(&writer, 1..=5);
        let total: usize = split.iter().sum();
        let mut expected = vec![0xa5; total];
        let count = nix::unistd::read(&whole, &mut expected).expect("one big read");
        assert_eq!(count, total / EVENT_SIZE * EVENT_SIZE);

        let mut parts: Vec<Vec<u8>> = split.iter().map(|&len| vec![0xa5; len]).collect();
        let mut slices: Vec<_> = parts.iter_mut().map(|part| IoSliceMut::new(part)).collect();
        assert_eq!(readv(&cut, &mut slices), Ok(count), "split {split:?}");
        assert_eq!(
            parts.concat()[..count],
            expected[..count],
            "split {split:?}"
        );
        assert_eq!(drain(&cut), drain(&whole), "after split {split:?}");
    }
}

/// R1: one read takes all that is there, across any internal batch.
#[test]
fn a_big_read_takes_everything_at_once() {
    let fd = open_nonblock();
    post_numbers(&fd, 0..1000);
    let events = read(&fd, 2000).expect("a read with room for all");
    assert_eq!(numbers(&events), (0..1000).collect::<Vec<_>>());
}

/// R2: an empty queue with O_NONBLOCK: EAGAIN.
#[test]
fn an_empty_queue_with_o_nonblock_is_eagain() {
    let fd = open_nonblock();
    assert_eq!(read(&fd, 1), Err(Errno::EAGAIN));
    post(&fd, &[record(1)]);
    assert_eq!(numbers(&read(&fd, 4).expect("one is there")), [1]);
    assert_eq!(read(&fd, 4), Err(Errno::EAGAIN));
}

/// R2: RWF_NOWAIT makes one read of a blocking fd not wait.
#[test]
fn rwf_nowait_on_a_blocking_fd_is_eagain() {
    let fd = open_rw();
    let mut buffer = [0; EVENT_SIZE];
    let mut read_nowait = || {
        let iov = libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        };
        // SAFETY: One iovec, which describes the buffer.
        let count =
            unsafe { libc::preadv2(fd.as_raw_fd(), &raw const iov, 1, -1, libc::RWF_NOWAIT) };
        Errno::result(count)
    };
    assert_eq!(read_nowait(), Err(Errno::EAGAIN));
    post(&fd, &[record(1)]);
    assert_eq!(read_nowait(), Ok(64));
    assert_eq!(read_nowait(), Err(Errno::EAGAIN));
}

/// R2: an empty queue blocks, and a post ends that.
#[test]
fn a_blocked_read_is_woken_by_a_post() {
    let writer = open_rw();
    let reader = open_rw();
    let worker = Worker::start(move || read(&reader, 4));
    worker.until_blocked_in(libc::SYS_read);
    post(&writer, &[record(42)]);
    assert_eq!(numbers(&worker.join().expect("the event")), [42]);
}

/// R2: a post wakes every blocked reader, each of which has its own cursor.
#[test]
fn all_blocked_readers_are_woken() {
    let writer = open_rw();
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let reader = open_rw();
            Worker::start(move || read(&reader, 4))
        })
        .collect();
    for worker in &workers {
        worker.until_blocked_in(libc::SYS_read);
    }
    post(&writer, &[record(1)]);
    for worker in workers {
        assert_eq!(numbers(&worker.join().expect("the event")), [1]);
    }
}

/// R5: there is no position to read from, write to or move.
#[test]
fn positions_are_espipe() {
    let fd = open_nonblock();
    post(&fd, &[record(1)]);
    let mut buffer = [0; EVENT_SIZE];
    assert_eq!(pread(&fd, &mut buffer, 0), Err(Errno::ESPIPE));
    assert_eq!(pwrite(&fd, &bytes(&[record(2)]), 0), Err(Errno::ESPIPE));
    for whence in [Whence::SeekSet, Whence::SeekCur, Whence::SeekEnd] {
        assert_eq!(lseek(fd.as_fd(), 0, whence), Err(Errno::ESPIPE));
    }
    assert_eq!(numbers(&drain(&fd)), [1], "none of these did anything");
}

/// R5: a reader that is blocked on an fd does not keep others from writing to
/// the same fd, nor from reading what it says.
#[test]
fn a_blocked_read_and_a_write_share_one_fd() {
    let fd = Arc::new(open_rw());
    let reader = fd.clone();
    let worker = Worker::start(move || read(&*reader, 4));
    worker.until_blocked_in(libc::SYS_read);
    let writer = fd.clone();
    Worker::start(move || post(&*writer, &[record(5)])).join();
    assert_eq!(numbers(&worker.join().expect("the event")), [5]);
}
