// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can go wrong: each message says what was tried on what, why it failed
//! and what to do about it.

use std::path::PathBuf;

use nix::errno::Errno;

/// The result of this library's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the library could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The node is missing, and so is the module that makes it.
    #[error(
        "cannot open {}: there is no such device and the evq module is not loaded; \
         load it with `modprobe evq` (or `insmod evq.ko`) and try again", path.display()
    )]
    NotLoaded {
        /// The node.
        path: PathBuf,
    },

    /// The node is missing though the module is loaded, or was never evq's.
    #[error(
        "cannot open {}: there is no such device; check the path with `ls -l /dev/evq* /dev/input`",
        path.display()
    )]
    NoDevice {
        /// The node.
        path: PathBuf,
    },

    /// The node's mode or a security module forbids it.
    #[error(
        "cannot open {} for {access}: permission denied; run this as root, or let the \
         administrator give your group access to the device (see `ls -l {}`)",
        path.display(), path.display()
    )]
    NotAllowed {
        /// The node.
        path: PathBuf,
        /// "reading", "writing" or both.
        access: &'static str,
    },

    /// Some other failure of open.
    #[error("cannot open {} for {access}: {errno}; check that it is the device that you mean", path.display())]
    Open {
        /// The node.
        path: PathBuf,
        /// "reading", "writing" or both.
        access: &'static str,
        /// What the system said.
        errno: Errno,
    },

    /// The node works, but it is something else.
    #[error(
        "{name} is not an event queue ({errno} from EVQ_IOC_INFO); \
         give a queue such as /dev/evq"
    )]
    NotAQueue {
        /// The device.
        name: String,
        /// What the ioctl said.
        errno: Errno,
    },

    /// The node works, but it is neither a queue nor an input device.
    #[error(
        "{name} is neither an event queue nor an input device ({errno}); \
         give /dev/evq or /dev/input/eventN"
    )]
    NotAnInput {
        /// The device.
        name: String,
        /// What the ioctl said.
        errno: Errno,
    },

    /// It works, but nothing can tell when to read it.
    #[error(
        "{name} is neither an event queue nor an input device, a terminal, a pipe, a socket or a \
         regular file: nothing there tells when to read; send it through a pipe"
    )]
    NoSource {
        /// What messages call it.
        name: String,
    },

    /// A socket that nobody can read from by connecting.
    #[error("cannot connect to {}: {errno}; {}", path.display(), connect_remedy(*.errno))]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        errno: Errno,
    },

    /// Kernel module and library speak different versions.
    #[error(
        "{name} speaks version {found} of the queue's interface, this program version {}; \
         install module and client of the same release",
        crate::uapi::ABI
    )]
    WrongAbi {
        /// The device.
        name: String,
        /// What the queue said.
        found: u32,
    },

    /// ENODEV: the device is gone, or the queue was retired.
    #[error(
        "cannot {action} {name}: the device was removed or the queue retired (ENODEV); open it again once it is back"
    )]
    Retired {
        /// "read from" or "write to".
        action: &'static str,
        /// The device.
        name: String,
    },

    /// A seek to a sequence number that the queue has not given out.
    #[error(
        "cannot seek to event {seq} of {name}: the next event to be posted is {next}; \
         give a number from 1 to {next}"
    )]
    SeekBeyond {
        /// The device.
        name: String,
        /// What was asked for.
        seq: u64,
        /// The greatest number that works.
        next: u64,
    },

    /// A read that is not a whole number of records: not a queue at all.
    #[error(
        "read {bytes} bytes from {name}, which is not a multiple of {record}: \
         whatever writes there does not write whole records"
    )]
    Torn {
        /// The device.
        name: String,
        /// Bytes read.
        bytes: usize,
        /// Bytes of a record.
        record: usize,
    },

    /// A record that the queue does not take (W1).
    #[error(
        "{name} refused a record (EINVAL): the payload is limited to {} bytes and the \
         reserved field must be 0",
        crate::uapi::DATA_MAX
    )]
    Refused {
        /// The device.
        name: String,
    },

    /// O_ASYNC did not stick: the descriptor has no signals to give (U3).
    #[error(
        "{name} sends no signals (O_ASYNC had no effect); \
         use another mechanism, such as epoll, poll or blocking"
    )]
    NoAsync {
        /// The descriptor.
        name: String,
    },

    /// The descriptor was opened with `O_ASYNC`: Linux then keeps the flag,
    /// registers nothing, and takes neither back.
    #[error(
        "{name} was opened with O_ASYNC, which leaves it unable to send signals for good; \
         open it without (and arm it afterwards), or use another mechanism, such as epoll"
    )]
    OpenedAsync {
        /// The descriptor.
        name: String,
    },

    /// Another part of the process handles the signal.
    #[error(
        "{signal} already has a handler in this process, which is left alone; \
         remove it first or use a mechanism that needs no handler, such as epoll or poll"
    )]
    HandlerTaken {
        /// The signal's name.
        signal: &'static str,
    },

    /// More loops than the handler has slots for.
    #[error(
        "this process already has {limit} loops on SIGIO; drop one first or use epoll or poll"
    )]
    TooManyLoops {
        /// How many there may be.
        limit: usize,
    },

    /// A mechanism that cannot do what was asked for.
    #[error("{mechanism} cannot {what}: {why}")]
    Unsuitable {
        /// The mechanism's name.
        mechanism: &'static str,
        /// What it was asked for.
        what: String,
        /// The reason, and what to use.
        why: &'static str,
    },

    /// Any other system call.
    #[error("cannot {action} {name}: {errno}")]
    System {
        /// A verb, with its preposition.
        action: &'static str,
        /// The object.
        name: String,
        /// What the system said.
        errno: Errno,
    },
}

fn connect_remedy(errno: Errno) -> &'static str {
    match errno {
        Errno::ECONNREFUSED => "nobody listens there: start the program that does",
        Errno::EPROTOTYPE => {
            "it is a datagram socket, whose owner does not know whom to send to: \
             give a stream or seqpacket socket, or a FIFO"
        }
        Errno::EACCES | Errno::EPERM => "connecting needs the right to write to it",
        Errno::EAGAIN => "too many others are waiting to be let in; try again",
        _ => "check the path",
    }
}

impl Error {
    /// `Error::System` as a closure for `map_err`.
    pub(crate) fn system(
        action: &'static str,
        name: impl Into<String>,
    ) -> impl FnOnce(Errno) -> Error {
        let name = name.into();
        move |errno| Error::System {
            action,
            name,
            errno,
        }
    }

    /// The errno behind it, if there is one.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Error::NotLoaded { .. } | Error::NoDevice { .. } => Some(Errno::ENOENT),
            Error::NotAllowed { .. } => Some(Errno::EACCES),
            Error::Retired { .. } => Some(Errno::ENODEV),
            Error::Refused { .. } | Error::SeekBeyond { .. } => Some(Errno::EINVAL),
            Error::Open { errno, .. }
            | Error::NotAQueue { errno, .. }
            | Error::NotAnInput { errno, .. }
            | Error::Connect { errno, .. }
            | Error::System { errno, .. } => Some(*errno),
            _ => None,
        }
    }
}
