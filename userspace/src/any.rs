// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device of which one does not know yet what it is.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use crate::device::{Options, Queue};
use crate::error::Result;
use crate::{input, sys};

/// A queue or an input device: what can be watched by its path.
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
        let name = path.display().to_string();
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
