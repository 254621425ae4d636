// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device or another source of which one does not know yet what it is.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{fcntl, FcntlArg, OFlag};

use crate::bytes::{is_terminal, Bytes};
use crate::device::{Options, Queue};
use crate::error::{Error, Result};
use crate::timer::Timer;
use crate::watcher::{Token, Watcher};
use crate::{input, sys};

/// A queue or an input device: what has events.
#[derive(Debug)]
pub enum AnyDevice {
    /// `/dev/evq` and its like.
    Queue(Queue),
    /// `/dev/input/eventN`.
    Input(input::Device),
}

impl AnyDevice {
    /// Opens `path` for reading and finds out what it is.
    ///
    /// # Errors
    ///
    /// As [`Options::open`], with [`crate::Error::NotAnInput`] if it is
    /// neither.
    pub fn open(path: impl AsRef<Path>) -> Result<AnyDevice> {
        let path = path.as_ref();
        let fd = Options::new().open_any(path)?;
        AnyDevice::checked(fd, path.display().to_string())
    }

    fn checked(fd: OwnedFd, name: String) -> Result<AnyDevice> {
        match sys::evq_info(fd.as_fd()) {
            Ok(info) => Queue::of_abi(fd, name, info.abi).map(AnyDevice::Queue),
            Err(_) => input::Device::checked(fd, name).map(AnyDevice::Input),
        }
    }

    /// What messages call it: the path.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            AnyDevice::Queue(queue) => queue.name(),
            AnyDevice::Input(device) => device.name(),
        }
    }
}

impl AsFd for AnyDevice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            AnyDevice::Queue(queue) => queue.as_fd(),
            AnyDevice::Input(device) => device.as_fd(),
        }
    }
}

/// What can be watched in one loop.
#[derive(Debug)]
pub enum AnySource {
    /// `/dev/evq`, `/dev/input/eventN` and their like.
    Device(AnyDevice),
    /// A terminal, a FIFO, a Unix socket, standard input, a regular file.
    Bytes(Bytes),
    /// A timer, which has no path.
    Timer(Timer),
}

impl AnySource {
    /// Opens `path` for reading and finds out what it is; connects to a socket.
    /// Never waits, as opening a FIFO for reading otherwise does.
    ///
    /// # Errors
    ///
    /// As [`Options::open`] and [`Bytes::connect`], with [`Error::NoSource`]
    /// if it is nothing that can be watched.
    pub fn open(path: impl AsRef<Path>) -> Result<AnySource> {
        let path = path.as_ref();
        let file_type = fs::metadata(path).map(|data| data.file_type()).ok();
        if file_type.is_some_and(|file_type| file_type.is_socket()) {
            return Bytes::connect(path).map(AnySource::Bytes);
        }
        let fd = Options::new().nonblocking(true).open_any(path)?;
        let name = path.display().to_string();
        let carries_bytes =
            file_type.is_some_and(|file_type| file_type.is_fifo() || file_type.is_file());
        if carries_bytes || is_terminal(fd.as_fd()) {
            return Bytes::from_fd(fd, name).map(AnySource::Bytes);
        }
        make_blocking(&fd).map_err(Error::system("set the mode of", &name))?;
        match AnyDevice::checked(fd, name) {
            Err(Error::NotAnInput { name, .. }) => Err(Error::NoSource { name }),
            device => device.map(AnySource::Device),
        }
    }

    /// What messages call it: the path.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            AnySource::Device(device) => device.name(),
            AnySource::Bytes(bytes) => bytes.name(),
            AnySource::Timer(timer) => timer.name(),
        }
    }

    /// Arms it in a watcher, in the way that fits it.
    ///
    /// # Errors
    ///
    /// Those of [`Watcher::arm_or_also`].
    pub fn arm(&self, watcher: &mut Watcher) -> Result<Token> {
        match self {
            AnySource::Bytes(bytes) => bytes.arm(watcher),
            _ => watcher.arm_or_also(self, self.name()),
        }
    }

    /// The queue, if it is one.
    #[must_use]
    pub fn queue(&self) -> Option<&Queue> {
        match self {
            AnySource::Device(AnyDevice::Queue(queue)) => Some(queue),
            _ => None,
        }
    }
}

fn make_blocking(fd: &OwnedFd) -> Result<(), Errno> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK)).map(drop)
}

impl AsFd for AnySource {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            AnySource::Device(device) => device.as_fd(),
            AnySource::Bytes(bytes) => bytes.as_fd(),
            AnySource::Timer(timer) => timer.as_fd(),
        }
    }
}
