// SPDX-License-Identifier: MIT OR Apache-2.0
//! The queue device: open, read, post, seek, ask.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{open, OFlag};
use nix::sys::stat::Mode;

use crate::error::{Error, Result};
use crate::sys;
use crate::uapi::{self, Event, FilterArg, Info, Match, Plain, SeekArg, WakeupArg};

/// The default queue.
pub const DEFAULT_PATH: &str = "/dev/evq";

/// The queue posts up to this many records of one write together and notifies
/// once for them (W3).
pub const BATCH: usize = 64;

/// What a read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Filled {
    /// This many records, at least one.
    Records(usize),
    /// Nothing for now (EAGAIN); only a non-blocking descriptor says so.
    Empty,
    /// End of file. Devices have none; pipes and sockets do.
    End,
}

/// Where to go on reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Only what is posted from now on.
    Newest,
    /// The oldest event still kept.
    Oldest,
    /// The event with this sequence number.
    Seq(u64),
}

/// How to open a device.
#[derive(Clone, Debug)]
pub struct Options {
    read: bool,
    write: bool,
    nonblocking: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            read: true,
            write: false,
            nonblocking: false,
        }
    }
}

impl Options {
    /// For reading, blocking.
    #[must_use]
    pub fn new() -> Options {
        Options::default()
    }

    /// Whether to open for reading (the default), which subscribes.
    #[must_use]
    pub fn read(mut self, yes: bool) -> Options {
        self.read = yes;
        self
    }

    /// Whether to open for writing, which posting needs.
    #[must_use]
    pub fn write(mut self, yes: bool) -> Options {
        self.write = yes;
        self
    }

    /// Whether reads return [`Filled::Empty`] instead of blocking. Mechanisms
    /// set this themselves while they are armed.
    #[must_use]
    pub fn nonblocking(mut self, yes: bool) -> Options {
        self.nonblocking = yes;
        self
    }

    fn access(&self) -> (&'static str, OFlag) {
        match (self.read, self.write) {
            (true, true) => ("reading and writing", OFlag::O_RDWR),
            (false, true) => ("writing", OFlag::O_WRONLY),
            _ => ("reading", OFlag::O_RDONLY),
        }
    }

    /// Opens the node, whatever it is. Always close-on-exec: an `O_ASYNC`
    /// descriptor that survives exec kills the program exec'd (U14).
    pub(crate) fn open_any(&self, path: &Path) -> Result<OwnedFd> {
        let (access, mut flags) = self.access();
        flags |= OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
        if self.nonblocking {
            flags |= OFlag::O_NONBLOCK;
        }
        open(path, flags, Mode::empty()).map_err(|errno| {
            let path = PathBuf::from(path);
            match errno {
                Errno::ENOENT | Errno::ENXIO if looks_like_queue(&path) && !module_loaded() => {
                    Error::NotLoaded { path }
                }
                Errno::ENOENT => Error::NoDevice { path },
                Errno::EACCES | Errno::EPERM => Error::NotAllowed { path, access },
                _ => Error::Open {
                    path,
                    access,
                    errno,
                },
            }
        })
    }

    /// Opens a queue.
    ///
    /// # Errors
    ///
    /// [`Error::NotLoaded`], [`Error::NoDevice`], [`Error::NotAllowed`],
    /// [`Error::Open`]; [`Error::NotAQueue`] if the node is something else;
    /// [`Error::WrongAbi`].
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Queue> {
        let path = path.as_ref();
        Queue::checked(self.open_any(path)?, path.display().to_string())
    }
}

fn looks_like_queue(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with("evq"))
}

/// Whether the kernel lists the module. Where it cannot be told (no /proc, or
/// built in), the answer is no: the message then still names the usual cause.
fn module_loaded() -> bool {
    fs::read_to_string("/proc/modules").is_ok_and(|list| {
        list.lines()
            .any(|line| line.split(' ').next() == Some("evq"))
    })
}

/// One open file description of a queue: a subscriber with a cursor of its
/// own if open for reading, a way to post if open for writing.
///
/// Sharing it (threads, [`AsFd`] and dup) shares the cursor: each event then
/// goes to one of the readers (R6).
#[derive(Debug)]
pub struct Queue {
    fd: OwnedFd,
    name: String,
}

impl Queue {
    /// Opens `path` for reading; [`Options`] has more choices.
    ///
    /// # Errors
    ///
    /// As [`Options::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Queue> {
        Options::new().open(path)
    }

    fn checked(fd: OwnedFd, name: String) -> Result<Queue> {
        match sys::evq_info(fd.as_fd()) {
            Ok(info) => Queue::of_abi(fd, name, info.abi),
            Err(errno) => Err(Error::NotAQueue { name, errno }),
        }
    }

    pub(crate) fn of_abi(fd: OwnedFd, name: String, found: u32) -> Result<Queue> {
        if found == uapi::ABI {
            Ok(Queue { fd, name })
        } else {
            Err(Error::WrongAbi { name, found })
        }
    }

    /// Takes any descriptor that carries 64-byte records, such as a pipe that
    /// another program writes them to. `name` is for messages. Nothing is
    /// checked: [`Queue::info`] and [`Queue::seek`] need a real queue.
    #[must_use]
    pub fn from_fd(fd: OwnedFd, name: impl Into<String>) -> Queue {
        Queue {
            fd,
            name: name.into(),
        }
    }

    /// What messages call it: the path.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads as many whole records as there are and fit. Blocks while there is
    /// none, unless the descriptor is non-blocking; a signal does not end that.
    ///
    /// # Errors
    ///
    /// [`Error::Retired`] once a retired queue has been read empty,
    /// [`Error::Torn`], [`Error::System`]. What was not delivered because of
    /// an error is delivered by the next read (R4).
    pub fn read(&self, events: &mut [Event]) -> Result<Filled> {
        read_records(self.fd.as_fd(), &self.name, events)
    }

    /// Posts records, in writes of up to [`BATCH`]; gives how many were
    /// posted, all of them unless a non-blocking descriptor was full.
    ///
    /// # Errors
    ///
    /// The number posted before the failure, and [`Error::Refused`] for a bad
    /// record, [`Error::Retired`], [`Error::System`].
    pub fn post(&self, events: &[Event]) -> Result<usize, (usize, Error)> {
        let mut posted = 0;
        while posted < events.len() {
            let batch = &events[posted..events.len().min(posted + BATCH)];
            match nix::unistd::write(self.fd.as_fd(), uapi::as_bytes(batch)) {
                Ok(bytes) if bytes % uapi::EVENT_SIZE != 0 || bytes == 0 => {
                    let (name, record) = (self.name.clone(), uapi::EVENT_SIZE);
                    return Err((
                        posted,
                        Error::Torn {
                            name,
                            bytes,
                            record,
                        },
                    ));
                }
                Ok(bytes) => posted += bytes / uapi::EVENT_SIZE,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break,
                Err(errno) => return Err((posted, self.post_error(errno))),
            }
        }
        Ok(posted)
    }

    fn post_error(&self, errno: Errno) -> Error {
        let name = self.name.clone();
        match errno {
            Errno::EINVAL => Error::Refused { name },
            Errno::ENODEV => Error::Retired {
                action: "write to",
                name,
            },
            errno => Error::System {
                action: "write to",
                name,
                errno,
            },
        }
    }

    /// Moves the cursor and starts a new account of deliveries and losses;
    /// gives the sequence number that the next read starts from. A number that
    /// the ring no longer holds is no error: the next record says how many
    /// events are missing before it.
    ///
    /// # Errors
    ///
    /// [`Error::SeekBeyond`], [`Error::System`].
    pub fn seek(&self, to: Position) -> Result<u64> {
        let (whence, seq) = match to {
            Position::Newest => (uapi::SEEK_NEWEST, 0),
            Position::Oldest => (uapi::SEEK_OLDEST, 0),
            Position::Seq(seq) => (uapi::SEEK_SEQ, seq),
        };
        sys::evq_seek(
            self.as_fd(),
            SeekArg {
                whence,
                reserved: 0,
                seq,
            },
        )
        .map_err(|errno| match (errno, self.info()) {
            (Errno::EINVAL, Ok(info)) if whence == uapi::SEEK_SEQ => Error::SeekBeyond {
                name: self.name.clone(),
                seq,
                next: info.posted + 1,
            },
            _ => Error::System {
                action: "seek in",
                name: self.name.clone(),
                errno,
            },
        })
    }

    /// Wants only events that one of `rules` matches, from the next one on; all
    /// of them if there are none. The others are not delivered and wake nobody,
    /// and are no loss. To be called before the first wait; rules may change
    /// later.
    ///
    /// # Errors
    ///
    /// [`Error::System`] with EINVAL for a rule that nothing can match or more
    /// than [`uapi::FILTER_MAX`] of them, EBUSY if the queue has been waited for
    /// before.
    pub fn set_filter(&self, rules: &[Match]) -> Result<()> {
        let mut arg = FilterArg {
            // Too many are refused by the queue.
            count: u32::try_from(rules.len()).unwrap_or(u32::MAX),
            ..FilterArg::default()
        };
        for (slot, rule) in arg.rules.iter_mut().zip(rules) {
            *slot = *rule;
        }
        sys::evq_filter(self.as_fd(), &arg).map_err(|errno| Error::System {
            action: "set the filter of",
            name: self.name.clone(),
            errno,
        })
    }

    /// Wants to be woken and signalled only when `events` wanted events are
    /// there, or the first of them is `max_delay` old (and up to two ticks of
    /// the kernel's clock more). What is there can be read at any time. To be
    /// called before the first wait; may change later.
    ///
    /// # Errors
    ///
    /// [`Error::System`] with EINVAL unless `events` is from 1 to the capacity
    /// and `max_delay` up to a minute (0 only if `events` is 1), EBUSY if the
    /// queue has been waited for before.
    pub fn set_wakeup(&self, events: u32, max_delay: Duration) -> Result<()> {
        let arg = WakeupArg {
            events,
            reserved: 0,
            max_delay_ns: u64::try_from(max_delay.as_nanos()).unwrap_or(u64::MAX),
        };
        sys::evq_wakeup(self.as_fd(), &arg).map_err(|errno| Error::System {
            action: "set the wake-ups of",
            name: self.name.clone(),
            errno,
        })
    }

    /// The state of the queue and of this subscriber. The fields are read one
    /// after the other, not in one instant.
    ///
    /// # Errors
    ///
    /// [`Error::NotAQueue`].
    pub fn info(&self) -> Result<Info> {
        sys::evq_info(self.as_fd()).map_err(|errno| Error::NotAQueue {
            name: self.name.clone(),
            errno,
        })
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Reads whole records into `records`; EINTR is tried again.
pub(crate) fn read_records<T: Plain>(
    fd: BorrowedFd<'_>,
    name: &str,
    records: &mut [T],
) -> Result<Filled> {
    let record = size_of::<T>();
    loop {
        return match nix::unistd::read(fd, uapi::as_bytes_mut(records)) {
            Ok(0) => Ok(Filled::End),
            Ok(bytes) if bytes % record != 0 => Err(Error::Torn {
                name: name.into(),
                bytes,
                record,
            }),
            Ok(bytes) => Ok(Filled::Records(bytes / record)),
            Err(Errno::EAGAIN) => Ok(Filled::Empty),
            Err(Errno::EINTR) => continue,
            Err(Errno::ENODEV) => Err(Error::Retired {
                action: "read from",
                name: name.into(),
            }),
            Err(errno) => Err(Error::System {
                action: "read from",
                name: name.into(),
                errno,
            }),
        };
    }
}
