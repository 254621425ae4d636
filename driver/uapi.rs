// SPDX-License-Identifier: GPL-2.0

//! What `include/uapi/evq.h` says beyond the record itself.

use crate::atomic::Word;
use kernel::{
    ioctl::{
        _IOR,
        _IOWR, //
    },
    page::PAGE_SIZE,
    prelude::*,
    transmute::{
        AsBytes,
        FromBytes, //
    },
};

/// `EVQ_ABI`.
pub(crate) const ABI: u32 = 1;

/// `EVQ_INFO_RETIRED`.
pub(crate) const INFO_RETIRED: u32 = 0x1;

/// `EVQ_SEEK_NEWEST`.
pub(crate) const SEEK_NEWEST: u32 = 0;
/// `EVQ_SEEK_OLDEST`.
pub(crate) const SEEK_OLDEST: u32 = 1;
/// `EVQ_SEEK_SEQ`.
pub(crate) const SEEK_SEQ: u32 = 2;

const MAGIC: u32 = 0xE7;

/// `EVQ_IOC_INFO`.
pub(crate) const IOC_INFO: u32 = _IOR::<Info>(MAGIC, 0x00);
/// `EVQ_IOC_SEEK`.
pub(crate) const IOC_SEEK: u32 = _IOWR::<Seek>(MAGIC, 0x01);

/// `struct evq_info`.
#[derive(Zeroable)]
#[repr(C)]
pub(crate) struct Info {
    pub(crate) abi: u32,
    pub(crate) capacity: u32,
    pub(crate) posted: u64,
    pub(crate) oldest: u64,
    pub(crate) next: u64,
    pub(crate) delivered: u64,
    pub(crate) lost: u64,
    pub(crate) overwritten: u64,
    pub(crate) refused: u64,
    pub(crate) subscribers: u32,
    pub(crate) flags: u32,
    pub(crate) instance: u64,
    pub(crate) wakeups: u64,
    pub(crate) signals: u64,
    pub(crate) reserved: [u64; 4],
}

// SAFETY: Integers only; the size is checked below to leave no room for padding.
unsafe impl AsBytes for Info {}

const _: () = assert!(size_of::<Info>() == 2 * 4 + 7 * 8 + 2 * 4 + 7 * 8);

/// `struct evq_seek`.
#[repr(C)]
pub(crate) struct Seek {
    pub(crate) whence: u32,
    pub(crate) reserved: u32,
    pub(crate) seq: u64,
}

// SAFETY: Integers only; the size is checked below to leave no room for padding.
unsafe impl AsBytes for Seek {}

// SAFETY: Any bits make integers.
unsafe impl FromBytes for Seek {}

const _: () = assert!(size_of::<Seek>() == 2 * 4 + 8);

/// `struct evq_map`: what a mapping of the ring begins with.
#[repr(C)]
pub(crate) struct MapHeader {
    abi: u32,
    capacity: u32,
    offset: u32,
    reserved: u32,
    instance: u64,
    padding: [u64; 5],
    /// In a cache line of its own: it changes with each post, the rest never.
    pub(crate) newest: Word,
}

const _: () = assert!(core::mem::offset_of!(MapHeader, newest) == 64);

impl MapHeader {
    /// The header of a ring of `capacity` events in which nothing has been posted.
    pub(crate) fn new(capacity: u32, instance: u64) -> Self {
        Self {
            abi: ABI,
            capacity,
            offset: PAGE_SIZE as u32,
            reserved: 0,
            instance,
            padding: [0; 5],
            newest: Word::new(0),
        }
    }
}
