// SPDX-License-Identifier: GPL-2.0

//! What `include/uapi/evq.h` says beyond the record itself.

use crate::{
    atomic::Word,
    filter::{
        self,
        RULES_MAX, //
    },
    roster, //
};
use kernel::{
    ioctl::{
        _IOR,
        _IOW,
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

/// `EVQ_IOC_FILTER`.
pub(crate) const IOC_FILTER: u32 = _IOW::<Filter>(MAGIC, 0x02);
/// `EVQ_IOC_WAKEUP`.
pub(crate) const IOC_WAKEUP: u32 = _IOW::<Wakeup>(MAGIC, 0x03);

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
    pub(crate) skipped: u64,
    pub(crate) reserved: [u64; 3],
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

/// `struct evq_match`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Match {
    source: u32,
    source_mask: u32,
    type_first: u16,
    type_last: u16,
    reserved: u32,
}

/// `struct evq_filter`.
#[repr(C)]
pub(crate) struct Filter {
    count: u32,
    reserved: u32,
    rules: [Match; RULES_MAX],
}

// SAFETY: Any bits make integers.
unsafe impl FromBytes for Filter {}

const _: () = assert!(size_of::<Filter>() == 8 + 16 * RULES_MAX);

impl Filter {
    /// The filter that it describes, if there is one.
    pub(crate) fn parse(&self) -> Option<filter::Filter> {
        let rules = self.rules.get(..self.count as usize)?;
        let reserved = rules
            .iter()
            .fold(self.reserved, |all, rule| all | rule.reserved);
        let mut parsed = filter::Filter::default();
        for rule in rules {
            parsed.add(filter::Rule::new(
                rule.source,
                rule.source_mask,
                rule.type_first,
                rule.type_last,
            )?)?;
        }
        (reserved == 0).then_some(parsed)
    }
}

/// `struct evq_wakeup`.
#[repr(C)]
pub(crate) struct Wakeup {
    events: u32,
    reserved: u32,
    max_delay_ns: u64,
}

// SAFETY: Any bits make integers.
unsafe impl FromBytes for Wakeup {}

const _: () = assert!(size_of::<Wakeup>() == 2 * 4 + 8);

/// `EVQ_DELAY_MAX_NS`.
const DELAY_MAX_NS: u64 = 60_000_000_000;

impl Wakeup {
    /// What it asks for, if a ring of `capacity` events can do it.
    pub(crate) fn parse(&self, capacity: u64) -> Option<roster::Wakeup> {
        let events = u64::from(self.events);
        let delay = match events {
            1 => self.max_delay_ns == 0,
            _ => (1..=DELAY_MAX_NS).contains(&self.max_delay_ns),
        };
        (self.reserved == 0 && (1..=capacity).contains(&events) && delay).then_some(
            roster::Wakeup {
                events,
                max_delay_ns: self.max_delay_ns,
            },
        )
    }
}

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
