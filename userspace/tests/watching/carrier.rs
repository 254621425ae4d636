// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the tests of the mechanisms share: things that carry records like a
//! queue does, and raise SIGIO as one.

use std::io::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use evq::{Event, Filled, Queue};

/// The writing end of a source.
pub(crate) type Writer = std::fs::File;

/// What can stand in for a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    Pipe,
    Socket,
}

pub(crate) const CARRIERS: [Carrier; 2] = [Carrier::Pipe, Carrier::Socket];

impl Carrier {
    /// A source and its writing end.
    pub(crate) fn open(self) -> (Queue, Writer) {
        let (read, write): (OwnedFd, OwnedFd) = match self {
            Carrier::Pipe => {
                let (read, write) = nix::unistd::pipe().unwrap();
                (read, write)
            }
            Carrier::Socket => {
                let (read, write) = UnixStream::pair().unwrap();
                (read.into(), write.into())
            }
        };
        (Queue::from_fd(read, format!("{self:?}")), write.into())
    }
}

/// Kills this process if a test hangs: a lost wake-up is a wait without end.
pub(crate) fn watchdog() {
    nix::unistd::alarm::set(300);
}

/// The bytes of an event with this sequence number.
pub(crate) fn record(seq: u64) -> [u8; evq::uapi::EVENT_SIZE] {
    let mut bytes = [0; evq::uapi::EVENT_SIZE];
    bytes[..8].copy_from_slice(&seq.to_ne_bytes());
    bytes
}

/// Writes the events numbered `seqs`.
pub(crate) fn post(writer: &mut Writer, seqs: impl IntoIterator<Item = u64>) {
    for seq in seqs {
        writer.write_all(&record(seq)).unwrap();
    }
}

/// One read of up to `most` events: their numbers; `None` when empty.
pub(crate) fn read(queue: &Queue, most: usize) -> Option<Vec<u64>> {
    let mut events = vec![Event::default(); most];
    match queue.read(&mut events).unwrap() {
        Filled::Records(count) => Some(events[..count].iter().map(|event| event.seq).collect()),
        Filled::Empty => None,
        Filled::End => panic!("{} has ended", queue.name()),
    }
}

/// The status flags of the file description.
pub(crate) fn flags(fd: impl AsFd) -> i32 {
    nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_GETFL).unwrap()
}

/// Runs `behaviour` in a process that has no other threads, which the test
/// harness does: they would take signals that are for the process.
pub(crate) fn alone(behaviour: impl Fn()) {
    // SAFETY: The child goes on with the thread that forks; the C library keeps
    // its allocator usable across fork.
    match unsafe { nix::unistd::fork() }.expect("fork") {
        nix::unistd::ForkResult::Child => {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(behaviour));
            // SAFETY: Ends the process without running what is the parent's to run.
            unsafe { libc::_exit(i32::from(result.is_err())) }
        }
        nix::unistd::ForkResult::Parent { child } => {
            let status = nix::sys::wait::waitpid(child, None).expect("waitpid");
            assert_eq!(status, nix::sys::wait::WaitStatus::Exited(child, 0));
        }
    }
}
