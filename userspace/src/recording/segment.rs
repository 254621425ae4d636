// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which queue events come from.

use std::io;

use super::error::{Error, Result};
use crate::clock::{self, Moment};
use crate::device::Queue;
use crate::uapi::{self, EVENT_SIZE};

/// Bytes before the name of the device.
const FIXED: usize = 56;

/// Which queue the events that follow come from. Fields that are not known are
/// 0, as in a recording that was converted from something else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Path of the device.
    pub device: String,
    /// Version of the queue's interface.
    pub abi: u32,
    /// [`crate::Info::instance`].
    pub instance: u64,
    /// Which boot of which machine: `/proc/sys/kernel/random/boot_id`.
    pub boot_id: u128,
    /// `CLOCK_MONOTONIC` when the segment began, in nanoseconds ...
    pub monotonic_ns: u64,
    /// ... and `CLOCK_REALTIME` then: with both, times of events become dates.
    pub realtime_ns: u64,
    /// Sequence number that the account begins with: of the events from here
    /// on each is in the segment, or counted in `lost` of one that is.
    pub next: u64,
}

impl Segment {
    /// A segment that begins now, with the event that the next read of `queue`
    /// starts from.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn of(queue: &Queue) -> Result<Segment> {
        let info = queue.info().map_err(|error| {
            let errno = error.errno().map_or(0, |errno| errno as i32);
            Error::io("ask", queue.name())(io::Error::from_raw_os_error(errno))
        })?;
        let now = Moment::now();
        Ok(Segment {
            device: queue.name().to_owned(),
            abi: info.abi,
            instance: info.instance,
            boot_id: clock::boot_id().map_err(Error::io("read", clock::BOOT_ID))?,
            monotonic_ns: now.monotonic_ns,
            // A clock before 1970 is one that was never set.
            realtime_ns: u64::try_from(now.realtime_ns).unwrap_or(0),
            next: info.next,
        })
    }

    /// Whether sequence numbers of one are good for the other.
    #[must_use]
    pub fn same_queue(&self, other: &Segment) -> bool {
        let known = self.instance != 0 && self.boot_id != 0;
        known && (self.instance, self.boot_id) == (other.instance, other.boot_id)
    }

    /// Whether times of both become dates in the same way; not if one does not know.
    #[must_use]
    pub fn same_clock(&self, other: &Segment) -> bool {
        let ahead =
            |segment: &Segment| i128::from(segment.realtime_ns) - i128::from(segment.monotonic_ns);
        let known = self.realtime_ns != 0 && other.realtime_ns != 0;
        known && self.boot_id == other.boot_id && ahead(self) == ahead(other)
    }

    pub(super) fn pack(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(FIXED + self.device.len());
        body.extend(self.abi.to_le_bytes());
        body.extend((EVENT_SIZE as u32).to_le_bytes());
        body.extend(self.instance.to_le_bytes());
        // In the order in which it is written in hex.
        body.extend(self.boot_id.to_be_bytes());
        body.extend(self.monotonic_ns.to_le_bytes());
        body.extend(self.realtime_ns.to_le_bytes());
        body.extend(self.next.to_le_bytes());
        body.extend(self.device.as_bytes());
        body
    }

    /// The reverse; the error says what is wrong.
    pub(super) fn unpack(body: &[u8]) -> Result<Segment, String> {
        fn field<const N: usize>(fixed: &[u8], at: usize) -> [u8; N] {
            fixed[at..at + N].try_into().expect("within the fixed part")
        }
        let (fixed, name) = body
            .split_at_checked(FIXED)
            .ok_or("it is too short for a segment")?;
        let size = u32::from_le_bytes(field(fixed, 4));
        if size as usize != EVENT_SIZE {
            return Err(format!("its records have {size} bytes, not {EVENT_SIZE}"));
        }
        let next = u64::from_le_bytes(field(fixed, 48));
        if next == 0 {
            return Err("its account begins with 0".into());
        }
        Ok(Segment {
            device: String::from_utf8(name.into()).map_err(|_| "its device is no text")?,
            abi: u32::from_le_bytes(field(fixed, 0)),
            instance: u64::from_le_bytes(field(fixed, 8)),
            boot_id: u128::from_be_bytes(field(fixed, 16)),
            monotonic_ns: u64::from_le_bytes(field(fixed, 32)),
            realtime_ns: u64::from_le_bytes(field(fixed, 40)),
            next,
        })
    }

    /// A segment of which only the device and the first number are known.
    #[must_use]
    pub fn unknown(device: impl Into<String>, next: u64) -> Segment {
        Segment {
            device: device.into(),
            abi: uapi::ABI,
            next,
            ..Segment::default()
        }
    }
}
