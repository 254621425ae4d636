// SPDX-License-Identifier: MIT OR Apache-2.0
//! R2: io_uring, which asks first without waiting and then polls.

use std::os::fd::{AsRawFd, OwnedFd};

use io_uring::{opcode, types, IoUring};
use nix::errno::Errno;

use crate::support::device::*;
use crate::support::until_completed;
use crate::support::worker::Worker;

/// A ring with one read under way.
struct Pending {
    ring: IoUring,
    fd: OwnedFd,
    flags: i32,
    buffer: Box<[u8; 4 * EVENT_SIZE]>,
}

impl Pending {
    fn read(fd: OwnedFd) -> Self {
        Self::read_with(fd, 0)
    }

    /// With `RWF_*` flags.
    fn read_with(fd: OwnedFd, flags: i32) -> Self {
        let ring = IoUring::new(4).expect("io_uring_setup");
        let mut this = Self {
            ring,
            fd,
            flags,
            buffer: Box::new([0; 4 * EVENT_SIZE]),
        };
        this.submit();
        this
    }

    fn submit(&mut self) {
        let fd = types::Fd(self.fd.as_raw_fd());
        let len = self.buffer.len() as u32;
        let entry = opcode::Read::new(fd, self.buffer.as_mut_ptr(), len)
            .offset(u64::MAX)
            .rw_flags(self.flags)
            .build();
        // SAFETY: Buffer and descriptor live as long as the ring.
        unsafe { self.ring.submission().push(&entry) }.expect("room for one");
        assert_eq!(self.ring.submit().expect("submitting does not wait"), 1);
    }

    /// What has completed, without waiting.
    fn completed(&mut self) -> Option<Result<Vec<u64>, Errno>> {
        // Lets the kernel run what a wake-up has left for this thread to do.
        self.ring
            .submitter()
            .submit_and_wait(0)
            .expect("io_uring_enter");
        let result = self.ring.completion().next()?.result();
        Some(match usize::try_from(result) {
            Ok(count) => Ok(numbers(&events(&self.buffer[..count]))),
            Err(_) => Err(Errno::from_raw(-result)),
        })
    }

    fn wait(&mut self) -> Result<Vec<u64>, Errno> {
        until_completed(&self.ring);
        self.completed().expect("there is one")
    }
}

/// R2: what is there completes at once.
#[test]
fn a_read_completes_with_what_is_there() {
    let fd = open_rw();
    post_numbers(&fd, 1..=6);
    let mut pending = Pending::read(fd);
    assert_eq!(pending.wait(), Ok(vec![1, 2, 3, 4]));
    pending.submit();
    assert_eq!(pending.wait(), Ok(vec![5, 6]));
}

/// R2: on an empty queue the submission does not wait; the read completes when
/// something is posted.
#[test]
fn a_read_of_an_empty_queue_completes_after_a_post() {
    let writer = open_rw();
    let mut pending = Pending::read(open_rw());
    assert_eq!(pending.completed(), None);
    post(&writer, &[record(1)]);
    assert_eq!(pending.wait(), Ok(vec![1]));
    pending.submit();
    assert_eq!(pending.completed(), None);
    post(&writer, &[record(2)]);
    assert_eq!(pending.wait(), Ok(vec![2]));
}

/// R2: with RWF_NOWAIT it completes with EAGAIN.
#[test]
fn a_read_of_an_empty_queue_with_rwf_nowait_is_eagain() {
    let mut pending = Pending::read_with(open_rw(), libc::RWF_NOWAIT);
    assert_eq!(pending.wait(), Err(Errno::EAGAIN));
}

/// R2: O_NONBLOCK alone does not end the request: io_uring polls a file which
/// supports NOWAIT rather than tell the EAGAIN that the device gave it.
#[test]
fn a_read_of_an_empty_nonblocking_fd_completes_after_a_post() {
    let writer = open_rw();
    let mut pending = Pending::read(open_nonblock());
    assert_eq!(pending.completed(), None);
    post(&writer, &[record(1)]);
    assert_eq!(pending.wait(), Ok(vec![1]));
}

/// R2, R6: two rings that race for the events of one fd: neither ever blocks in
/// the kernel, and each event goes to one of them.
#[test]
fn two_rings_on_one_fd_share_the_events() {
    const ROUNDS: u64 = 200;
    let writer = open_rw();
    let fd = open_rw();
    let other = fd.try_clone().expect("dup");
    let all = Worker::start(move || {
        let mut rings = [Pending::read(fd), Pending::read(other)];
        let mut all = Vec::new();
        for round in 0..ROUNDS {
            post(&writer, &[record(round)]);
            // One of them must get it; waiting for the wrong one would take for ever.
            let before = all.len();
            while all.len() == before {
                for ring in &mut rings {
                    if let Some(result) = ring.completed() {
                        all.extend(result.expect("an event"));
                        ring.submit();
                    }
                }
            }
        }
        all
    });
    assert_eq!(all.join(), (0..ROUNDS).collect::<Vec<_>>());
}

/// W1 by io_uring: a write posts.
#[test]
fn a_write_posts() {
    let fd = open_nonblock();
    let records = bytes(&[record(1), record(2)]);
    let mut ring = IoUring::new(4).expect("io_uring_setup");
    let (to, len) = (types::Fd(fd.as_raw_fd()), records.len() as u32);
    let entry = opcode::Write::new(to, records.as_ptr(), len)
        .offset(u64::MAX)
        .build();
    // SAFETY: Buffer and descriptor outlive the request, which is waited for.
    unsafe { ring.submission().push(&entry) }.expect("room for one");
    ring.submit().expect("io_uring_enter");
    until_completed(&ring);
    let result = ring.completion().next().expect("a completion").result();
    assert_eq!(result, records.len() as i32);
    assert_eq!(numbers(&drain(&fd)), [1, 2]);
}
