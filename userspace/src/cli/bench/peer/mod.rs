// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is compared: our device and what a user would take instead, each as
//! something that posts and something that takes.
//!
//! All of them carry records of 64 bytes (but for the eventfd, which carries
//! none, and input devices, whose records have a size of their own), use plain
//! system calls, and lose nothing: a loss ends the run.

mod bpf;
pub(super) mod evdev;
mod eventfd;
pub(super) mod evq;
mod mqueue;
mod stream;

use std::os::fd::BorrowedFd;

/// Bytes of one record.
pub(super) const RECORD: usize = ::evq::uapi::EVENT_SIZE;

/// Most records in one post, and what a taker's buffer holds.
pub(super) const BATCH: usize = ::evq::device::BATCH;

/// The producer's end.
pub(super) trait Poster: Send {
    /// Posts `count` records, 1 to [`BATCH`], by as few system calls as the
    /// peer has for that. May block while the takers are far behind.
    fn post(&mut self, count: usize) -> anyhow::Result<()>;
}

/// A consumer's end.
pub(super) trait Taker: Send {
    /// How many records came: all that are there, up to [`BATCH`]. Waits for
    /// one, unless the descriptor is non-blocking; then it may be 0.
    fn take(&mut self) -> anyhow::Result<usize>;

    /// What to wait on.
    fn fd(&self) -> BorrowedFd<'_>;
}

/// A producer and its consumers, each of which gets every record.
pub(super) struct Link {
    pub(super) poster: Box<dyn Poster>,
    pub(super) takers: Vec<Box<dyn Taker>>,
    /// Records under way beyond which a taker would miss some; `None` if posting
    /// blocks instead.
    pub(super) window: Option<usize>,
}

/// What can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// Our device.
    Evq,
    /// The same, read in its mapped ring.
    Mapped,
    /// A pipe.
    Pipe,
    /// A Unix socket that keeps the borders of messages; one for each batch.
    Seqpacket,
    /// A POSIX message queue; one message for each batch.
    Mqueue,
    /// An eventfd: says that there is something, and carries nothing.
    Eventfd,
    /// The kernel's own input devices, fed by uinput: one record is an
    /// `EV_MSC` and an `EV_SYN`, 48 bytes.
    Evdev,
    /// A BPF ring buffer, filled by a BPF program in the kernel and read
    /// through its mapping.
    Bpf,
}

impl Peer {
    /// Ours first.
    pub(super) const ALL: [Peer; 8] = [
        Peer::Evq,
        Peer::Mapped,
        Peer::Pipe,
        Peer::Seqpacket,
        Peer::Mqueue,
        Peer::Eventfd,
        Peer::Evdev,
        Peer::Bpf,
    ];

    /// What results call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Peer::Evq => "evq",
            Peer::Mapped => "evq-mapped",
            Peer::Pipe => "pipe",
            Peer::Seqpacket => "seqpacket",
            Peer::Mqueue => "mqueue",
            Peer::Eventfd => "eventfd",
            Peer::Evdev => "evdev",
            Peer::Bpf => "bpf-ringbuf",
        }
    }

    /// Most records that one post may have.
    pub(super) fn batch_max(self) -> usize {
        match self {
            Peer::Eventfd => 1,
            Peer::Evdev => evdev::WINDOW,
            _ => BATCH,
        }
    }

    /// Whether it is our device.
    pub(super) fn is_queue(self) -> bool {
        matches!(self, Peer::Evq | Peer::Mapped)
    }

    /// Whether it can have more than one reader of every record.
    pub(super) fn broadcasts(self) -> bool {
        self.is_queue() || self == Peer::Evdev
    }

    /// Makes one with `readers` takers, all of them blocking.
    ///
    /// # Errors
    ///
    /// What the kernel does not have or does not allow, and why.
    pub(super) fn open(self, readers: usize) -> anyhow::Result<Link> {
        match self {
            Peer::Evq => evq::open(readers),
            Peer::Mapped => evq::open_mapped(readers),
            Peer::Pipe => stream::pipe(),
            Peer::Seqpacket => stream::seqpacket(),
            Peer::Mqueue => mqueue::open(),
            Peer::Eventfd => eventfd::open(),
            Peer::Evdev => evdev::open(readers),
            Peer::Bpf => bpf::open(),
        }
    }
}

/// Records to post; the content does not matter, but is valid for a queue.
fn records() -> Vec<u8> {
    vec![0; RECORD * BATCH]
}

/// What a read came to: nothing there is no failure.
fn bytes(result: nix::Result<usize>) -> nix::Result<usize> {
    match result {
        Err(nix::errno::Errno::EAGAIN) => Ok(0),
        result => result,
    }
}
