// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kinds of source that the mechanisms are held to, as one: numbers go in
//! on one side and come out on the other.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use evq::input::{RawInput, Stamped};
use evq::{Event, Source};
use nix::errno::Errno;
use nix::fcntl::{open, OFlag};
use nix::sys::stat::Mode;
use nix::unistd::{pipe2, read, write};

use crate::uinput;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Evq,
    Pipe,
    Input,
}

impl Origin {
    pub(crate) const ALL: [Origin; 3] = [Origin::Evq, Origin::Pipe, Origin::Input];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Origin::Evq => "evq",
            Origin::Pipe => "pipe",
            Origin::Input => "input",
        }
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
    pub(crate) fd: OwnedFd,
    origin: Origin,
}

/// The writing side.
#[derive(Debug)]
pub(crate) struct Writer {
    fd: OwnedFd,
    origin: Origin,
    node: Option<PathBuf>,
}

/// An open that blocks in reads, as a program finds it.
pub(crate) fn open_node(path: &std::path::Path, flags: OFlag) -> OwnedFd {
    open(path, flags | OFlag::O_CLOEXEC, Mode::empty())
        .unwrap_or_else(|errno| panic!("opening {}: {errno}", path.display()))
}

pub(crate) fn make(origin: Origin) -> (Reader, Writer) {
    let (fd, writer) = match origin {
        Origin::Evq => {
            let node = PathBuf::from("/dev/evq");
            let fd = open_node(&node, OFlag::O_WRONLY);
            let reader = open_node(&node, OFlag::O_RDONLY);
            (
                reader,
                Writer {
                    fd,
                    origin,
                    node: Some(node),
                },
            )
        }
        Origin::Pipe => {
            let (reader, fd) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
            (
                reader,
                Writer {
                    fd,
                    origin,
                    node: None,
                },
            )
        }
        Origin::Input => {
            let (fd, node) = uinput::create();
            let reader = open_node(&node, OFlag::O_RDONLY);
            (
                reader,
                Writer {
                    fd,
                    origin,
                    node: Some(node),
                },
            )
        }
    };
    (Reader { fd, origin }, writer)
}

impl Writer {
    /// Another description of what this writes to.
    pub(crate) fn reader(&self) -> Reader {
        let node = self.node.as_ref().expect("a source with a node");
        let fd = open_node(node, OFlag::O_RDONLY);
        Reader {
            fd,
            origin: self.origin,
        }
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
    pub(crate) fn from_fd(fd: OwnedFd, origin: Origin) -> Reader {
        Reader { fd, origin }
    }

    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    /// Reads up to `most` numbers.
    pub(crate) fn read(&self, most: usize) -> Got {
        let (record, per_number) = match self.origin {
            Origin::Input => (size_of::<RawInput>(), 2),
            _ => (size_of::<Event>(), 1),
        };
        let mut bytes = vec![0; record * per_number * most];
        let count = loop {
            match read(&self.fd, &mut bytes) {
                Ok(0) | Err(Errno::ENODEV) => return Got::Gone,
                Ok(count) => break count,
                Err(Errno::EAGAIN) => return Got::Empty,
                Err(Errno::EINTR) => {}
                Err(errno) => panic!("reading {}: {errno}", self.origin),
            }
        };
        assert_eq!(count % record, 0, "a torn record from {}", self.origin);
        let (mut numbers, mut lost) = (Vec::new(), 0);
        for one in bytes[..count].chunks_exact(record) {
            if self.origin == Origin::Input {
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
            } else {
                lost += u64::from(u32::from_ne_bytes(one[24..28].try_into().expect("4 bytes")));
                let source = u32::from_ne_bytes(one[16..20].try_into().expect("4 bytes"));
                // evq_input forwards whatever input devices there are.
                if matches!(Source::from(source), Source::Program(_)) {
                    numbers.push(u64::from_ne_bytes(one[32..40].try_into().expect("8 bytes")));
                }
            }
        }
        Got::Numbers(numbers, lost)
    }
}

impl AsFd for Reader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Not read with the library's type, whose fields are private; the sizes agree.
const _: () = assert!(size_of::<RawInput>() == 24 && size_of::<Stamped>() > 0);
