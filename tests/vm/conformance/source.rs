// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kinds of source that the mechanisms are held to, as one: numbers go in
//! on one side and come out on the other.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use evq::input::{RawInput, Stamped};
use evq::{Error, Event, Filled, Mapped, Queue, Source};
use nix::errno::Errno;
use nix::fcntl::{open, OFlag};
use nix::sys::stat::Mode;
use nix::unistd::{pipe2, read, write};

use crate::uinput;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Evq,
    /// The queue again, its ring read in place.
    Mapped,
    Pipe,
    Input,
}

impl Origin {
    pub(crate) const ALL: [Origin; 4] = [Origin::Evq, Origin::Mapped, Origin::Pipe, Origin::Input];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Origin::Evq => "evq",
            Origin::Mapped => "mapped",
            Origin::Pipe => "pipe",
            Origin::Input => "input",
        }
    }

    /// Whether it is a queue, which overwrites what is not read in time.
    pub(crate) fn is_queue(self) -> bool {
        matches!(self, Origin::Evq | Origin::Mapped)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a read gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Got {
    /// The numbers, and how many were missed before or among them.
    Numbers(Vec<u64>, u64),
    Empty,
    /// End of file, or ENODEV.
    Gone,
}

/// The reading side.
#[derive(Debug)]
pub(crate) struct Reader {
    from: From,
    origin: Origin,
    node: Option<PathBuf>,
}

#[derive(Debug)]
enum From {
    /// A queue, or a pipe with what one reads from a queue.
    Records(Queue),
    Ring(Box<Mapped>),
    Input(OwnedFd),
}

/// The writing side.
#[derive(Debug)]
pub(crate) struct Writer {
    fd: OwnedFd,
    origin: Origin,
    node: Option<PathBuf>,
}

/// An open that blocks in reads, as a program finds it.
fn open_node(path: &Path, flags: OFlag) -> OwnedFd {
    open(path, flags | OFlag::O_CLOEXEC, Mode::empty())
        .unwrap_or_else(|errno| panic!("opening {}: {errno}", path.display()))
}

pub(crate) fn make(origin: Origin) -> (Reader, Writer) {
    let (reader, fd, node) = match origin {
        Origin::Evq | Origin::Mapped => {
            let node = PathBuf::from("/dev/evq");
            let fd = open_node(&node, OFlag::O_WRONLY);
            (None, fd, Some(node))
        }
        Origin::Pipe => {
            let (reader, fd) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
            (Some(reader), fd, None)
        }
        Origin::Input => {
            let (fd, node) = uinput::create();
            (None, fd, Some(node))
        }
    };
    let writer = Writer { fd, origin, node };
    let reader = match reader {
        Some(fd) => Reader::of(fd, origin, None),
        None => writer.reader(),
    };
    (reader, writer)
}

impl Writer {
    /// Another description of what this writes to.
    pub(crate) fn reader(&self) -> Reader {
        Reader::open(
            self.node.as_ref().expect("a source with a node"),
            self.origin,
        )
    }

    pub(crate) fn duplicate(&self) -> Writer {
        let fd = self.fd.try_clone().expect("dup");
        Writer {
            fd,
            origin: self.origin,
            node: self.node.clone(),
        }
    }

    /// How many may be posted without a reader before some are lost (or the
    /// write blocks): evdev keeps 64 records, two for each number.
    pub(crate) fn room(&self) -> u64 {
        match self.origin {
            Origin::Input => 16,
            _ => 512,
        }
    }

    /// Posts these numbers; false when nobody is there to read any more.
    pub(crate) fn post(&self, numbers: impl IntoIterator<Item = u64>) -> bool {
        let mut bytes = Vec::new();
        for number in numbers {
            bytes.extend(record(self.origin, number));
            // PIPE_BUF, and a batch of a queue.
            if bytes.len() == 4096 {
                if !self.write(&bytes) {
                    return false;
                }
                bytes.clear();
            }
        }
        bytes.is_empty() || self.write(&bytes)
    }

    fn write(&self, bytes: &[u8]) -> bool {
        loop {
            match write(&self.fd, bytes) {
                Ok(count) => {
                    assert_eq!(count, bytes.len(), "a short write to {}", self.origin);
                    return true;
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EPIPE) => return false,
                Err(errno) => panic!("writing to {}: {errno}", self.origin),
            }
        }
    }

    /// Takes the device away, or closes the last writer.
    pub(crate) fn remove(self) {
        if self.origin == Origin::Input {
            uinput::destroy(&self.fd);
        }
    }

    /// For a signal handler: descriptor and bytes of one number.
    pub(crate) fn raw(&self, number: u64) -> (&OwnedFd, Vec<u8>) {
        (&self.fd, record(self.origin, number))
    }
}

fn record(origin: Origin, number: u64) -> Vec<u8> {
    if origin == Origin::Input {
        let value = i32::try_from(number).expect("a small number");
        let mut bytes = vec![0; 16];
        bytes.extend(uinput::EV_MSC.to_ne_bytes());
        bytes.extend(uinput::MSC_SCAN.to_ne_bytes());
        bytes.extend(value.to_ne_bytes());
        // SYN_REPORT is all zeroes.
        bytes.extend([0; 24]);
        bytes
    } else {
        let mut bytes = vec![0; 64];
        bytes[28..30].copy_from_slice(&8_u16.to_ne_bytes());
        bytes[32..40].copy_from_slice(&number.to_ne_bytes());
        bytes
    }
}

impl Reader {
    pub(crate) fn open(node: &Path, origin: Origin) -> Reader {
        let fd = open_node(node, OFlag::O_RDONLY);
        Reader::of(fd, origin, Some(node.to_owned()))
    }

    fn of(fd: OwnedFd, origin: Origin, node: Option<PathBuf>) -> Reader {
        let queue = |fd| Queue::from_fd(fd, origin.name());
        let from = match origin {
            Origin::Evq | Origin::Pipe => From::Records(queue(fd)),
            Origin::Mapped => {
                let ring = Mapped::new(queue(fd)).expect("mapping the ring");
                From::Ring(Box::new(ring))
            }
            Origin::Input => From::Input(fd),
        };
        Reader { from, origin, node }
    }

    /// Another descriptor of the same description.
    pub(crate) fn duplicate(&self) -> Reader {
        let fd = self.as_fd().try_clone_to_owned().expect("dup");
        Reader::of(fd, self.origin, self.node.clone())
    }

    /// For a child that reads: what it takes from a ring its parent does not
    /// know, so that gets a description of its own.
    pub(crate) fn again(&self) -> Reader {
        match (&self.from, &self.node) {
            (From::Ring(_), Some(node)) => Reader::open(node, self.origin),
            _ => self.duplicate(),
        }
    }

    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    /// Reads up to `most` numbers.
    pub(crate) fn read(&mut self, most: usize) -> Got {
        let mut events = vec![Event::default(); most];
        let filled = match &mut self.from {
            From::Input(fd) => return read_input(fd, most),
            From::Records(queue) => queue.read(&mut events),
            From::Ring(ring) => ring.read(&mut events),
        };
        match filled {
            Ok(Filled::Records(count)) => {
                events.truncate(count);
                let lost = events.iter().map(|event| u64::from(event.lost)).sum();
                // evq_input forwards whatever input devices there are.
                events.retain(|event| {
                    self.origin == Origin::Pipe
                        || matches!(Source::from(event.source), Source::Program(_))
                });
                let numbers = events
                    .iter()
                    .map(|event| u64::from_ne_bytes(event.data[..8].try_into().expect("8 bytes")));
                Got::Numbers(numbers.collect(), lost)
            }
            Ok(Filled::Empty) => Got::Empty,
            Ok(Filled::End) | Err(Error::Retired { .. }) => Got::Gone,
            Err(error) => panic!("reading: {error}"),
        }
    }
}

fn read_input(fd: &OwnedFd, most: usize) -> Got {
    let record = size_of::<RawInput>();
    let mut bytes = vec![0; 2 * record * most];
    let count = loop {
        match read(fd, &mut bytes) {
            Ok(0) | Err(Errno::ENODEV) => return Got::Gone,
            Ok(count) => break count,
            Err(Errno::EAGAIN) => return Got::Empty,
            Err(Errno::EINTR) => {}
            Err(errno) => panic!("reading an input device: {errno}"),
        }
    };
    assert_eq!(count % record, 0, "a torn record from an input device");
    let (mut numbers, mut lost) = (Vec::new(), 0);
    for one in bytes[..count].chunks_exact(record) {
        let [kind, code] = [16, 18].map(|at| u16::from_ne_bytes([one[at], one[at + 1]]));
        match (kind, code) {
            (uinput::EV_MSC, uinput::MSC_SCAN) => {
                let value = i32::from_ne_bytes(one[20..24].try_into().expect("4 bytes"));
                numbers.push(u64::try_from(value).expect("as posted"));
            }
            (0, 0) => {}
            // SYN_DROPPED: how many, evdev does not say.
            (0, 3) => lost += 1,
            other => panic!("evdev gave {other:?}"),
        }
    }
    Got::Numbers(numbers, lost)
}

impl AsFd for Reader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.from {
            From::Records(queue) => queue.as_fd(),
            From::Ring(ring) => ring.as_fd(),
            From::Input(fd) => fd.as_fd(),
        }
    }
}

/// Not read with the library's type, whose fields are private; the sizes agree.
const _: () = assert!(size_of::<RawInput>() == 24 && size_of::<Stamped>() > 0);
