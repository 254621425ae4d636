// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be wrong with a recording.

use std::io;

use nix::errno::Errno;

/// The result of this module's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a recording cannot be read on or written to. `name` is the path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call.
    #[error("cannot {action} {name}: {why}{}", remedy(why))]
    Io {
        /// "open", "read", "write to" and the like.
        action: &'static str,
        /// The file.
        name: String,
        /// What the system said.
        why: io::Error,
    },

    /// The file begins with something else.
    #[error("{name} is no recording: it does not begin with the bytes of one; give a file that `evdev-client record` or `convert` has made")]
    NotARecording {
        /// The file.
        name: String,
    },

    /// A recording of a version that this program does not know.
    #[error(
        "{name} is a recording of version {found}, this program knows version {}; \
         use the program that has made it, or a newer one",
        super::VERSION
    )]
    WrongVersion {
        /// The file.
        name: String,
        /// Its version.
        found: u32,
    },

    /// The file ends within a frame: its writer was interrupted.
    #[error(
        "{name} ends in the middle of a frame that begins at byte {at}: whatever wrote it was \
         interrupted; all before it is whole, and `evdev-client record` to it cuts off the rest \
         and goes on"
    )]
    Torn {
        /// The file.
        name: String,
        /// Where the last whole frame ends, in bytes.
        at: u64,
    },

    /// A frame is there and cannot be right.
    #[error(
        "{name} is damaged in the frame at byte {at}: {why}; all before it is whole; \
         `evdev-client convert` gets that out, `record --repair` cuts off the rest"
    )]
    Damaged {
        /// The file.
        name: String,
        /// Where the last whole frame ends, in bytes.
        at: u64,
        /// What is wrong.
        why: String,
    },

    /// Another program is writing to it.
    #[error("cannot record to {name}: another program does already; end it, or give another file")]
    Busy {
        /// The file.
        name: String,
    },

    /// Something that cannot be cut and appended to.
    #[error("cannot record to {name}: it is no regular file; give the path of one, or of one to be made")]
    NotAFile {
        /// The file.
        name: String,
    },

    /// An event that cannot follow what there is.
    #[error("cannot append event {seq} to {name}: {} has to follow", what_follows(*.next))]
    Order {
        /// The file.
        name: String,
        /// The lowest number that can follow; 0 if a segment has to.
        next: u64,
        /// The number of the event.
        seq: u64,
    },
}

fn what_follows(next: u64) -> String {
    match next {
        0 => "a segment".into(),
        next => format!("a number from {next} on"),
    }
}

impl Error {
    /// `Error::Io` as a closure for `map_err`.
    pub(super) fn io(action: &'static str, name: &str) -> impl FnOnce(io::Error) -> Error {
        let name = name.to_owned();
        move |why| Error::Io { action, name, why }
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOSPC | Errno::EDQUOT) => {
            "; what was recorded before is whole: make room and record to the same file again"
        }
        Some(Errno::EFBIG) => {
            "; what was recorded before is whole: raise the limit (`ulimit -f`) and record to \
             the same file again, or to another one"
        }
        Some(Errno::ENOENT) => "; check the path",
        Some(Errno::EACCES | Errno::EPERM | Errno::EROFS) => {
            "; give a file that you may write to, or run this as its owner"
        }
        _ => "",
    }
}
