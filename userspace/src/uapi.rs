// SPDX-License-Identifier: MIT OR Apache-2.0
//! Mirror of `include/uapi/evq.h`, checked against it by `tests/uapi.rs`.
//!
//! All fields are in native byte order, the records have no padding, and every
//! bit pattern is a valid value: that is what lets `as_bytes_mut` hand a
//! slice of them to `read(2)`.

/// Bytes of payload in one event.
pub const DATA_MAX: usize = 32;
/// Bytes of one [`Event`], the unit of every read and write.
pub const EVENT_SIZE: usize = size_of::<Event>();
/// Version of the interface that this mirror follows.
pub const ABI: u32 = 1;

/// Set in [`Event::source`] if kernel code has posted the event.
pub const SOURCE_KERNEL: u32 = 0x8000_0000;
/// Producers that named no class.
pub const CLASS_NONE: u32 = 0;
/// `evq_input`: type, code and 32-bit value of an input event.
pub const CLASS_INPUT: u32 = 1;
/// `evq_timer`: the payload is the 64-bit number of the tick, from 1.
pub const CLASS_TIMER: u32 = 2;
/// The first class that anybody may use.
pub const CLASS_FREE: u32 = 0x100;

/// [`Info::flags`]: the queue was retired; what it holds can still be read.
pub const INFO_RETIRED: u32 = 1;

/// [`SeekArg::whence`]: behind the newest event.
pub const SEEK_NEWEST: u32 = 0;
/// [`SeekArg::whence`]: the oldest event still kept.
pub const SEEK_OLDEST: u32 = 1;
/// [`SeekArg::whence`]: the event with the sequence number in [`SeekArg::seq`].
pub const SEEK_SEQ: u32 = 2;

/// Where a mapping of the ring says which event is the newest, in bytes from
/// its beginning (`struct evq_map`).
pub const MAP_NEWEST: usize = 64;

/// The ioctl magic.
pub const IOC_MAGIC: u8 = 0xe7;
/// Request number of `EVQ_IOC_INFO`.
pub const IOC_INFO: libc::c_ulong = nix::request_code_read!(IOC_MAGIC, 0x00, size_of::<Info>());
/// Request number of `EVQ_IOC_SEEK`.
pub const IOC_SEEK: libc::c_ulong =
    nix::request_code_readwrite!(IOC_MAGIC, 0x01, size_of::<SeekArg>());

/// Request number of `EVQ_IOC_FILTER`.
pub const IOC_FILTER: libc::c_ulong =
    nix::request_code_write!(IOC_MAGIC, 0x02, size_of::<FilterArg>());
/// Request number of `EVQ_IOC_WAKEUP`.
pub const IOC_WAKEUP: libc::c_ulong =
    nix::request_code_write!(IOC_MAGIC, 0x03, size_of::<WakeupArg>());

/// One event, `struct evq_event`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// 1, 2, 3 … per queue, never reused and never skipped by the queue.
    pub seq: u64,
    /// `CLOCK_MONOTONIC` at the time of posting, in nanoseconds.
    pub time_ns: u64,
    /// Who posted; [`crate::Source`] takes it apart.
    pub source: u32,
    /// The producer's own.
    pub type_: u16,
    /// The producer's own.
    pub code: u16,
    /// How many events this subscriber missed just before this one (saturates).
    pub lost: u32,
    /// Bytes used in `data`.
    pub len: u16,
    /// 0.
    pub reserved: u16,
    /// The payload; [`Event::payload`] is the part in use.
    pub data: [u8; DATA_MAX],
}

impl Event {
    /// An event to post. `None` if the payload exceeds [`DATA_MAX`] bytes.
    #[must_use]
    pub fn new(type_: u16, code: u16, payload: &[u8]) -> Option<Event> {
        let mut event = Event {
            type_,
            code,
            len: u16::try_from(payload.len()).ok()?,
            ..Event::default()
        };
        event
            .data
            .get_mut(..payload.len())?
            .copy_from_slice(payload);
        Some(event)
    }

    /// The event in a slot of the mapped ring, word by word.
    pub(crate) fn from_words(words: [u64; EVENT_SIZE / 8]) -> Event {
        let mut event = Event::default();
        for (bytes, word) in as_bytes_mut(std::slice::from_mut(&mut event))
            .chunks_exact_mut(8)
            .zip(words)
        {
            bytes.copy_from_slice(&word.to_ne_bytes());
        }
        event
    }

    /// The bytes of `data` in use. A length beyond the array, which the kernel
    /// never delivers, counts as the whole array.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.data[..usize::from(self.len).min(DATA_MAX)]
    }
}

/// State of a queue and of one subscriber, `struct evq_info`. A file that is not
/// open for reading learns `abi`, `capacity` and `flags`; the rest is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// Version of the interface, [`ABI`].
    pub abi: u32,
    /// Events that the ring holds, a power of two.
    pub capacity: u32,
    /// Events posted so far; also the sequence number of the newest.
    pub posted: u64,
    /// Sequence number of the oldest event still kept; `posted + 1` if none.
    pub oldest: u64,
    /// Sequence number that the next read of this subscriber starts from.
    pub next: u64,
    /// Events copied to this subscriber since its open or last seek.
    pub delivered: u64,
    /// Events missed since then, as far as its reads have told it.
    pub lost: u64,
    /// Events that are no longer in the ring.
    pub overwritten: u64,
    /// Events that the queue refused; the producer got an error for each.
    pub refused: u64,
    /// Open file descriptions of this queue.
    pub subscribers: u32,
    /// [`INFO_RETIRED`].
    pub flags: u32,
    /// Random and not 0, another one for each queue that is made: a sequence
    /// number kept from before is only good if this is the same.
    pub instance: u64,
    /// Times that those who slept or polled were woken, all at once.
    pub wakeups: u64,
    /// Times that those who had asked for signals were signalled, all at once.
    pub signals: u64,
    /// Events since the open or last seek that the filter did not let through.
    pub skipped: u64,
    /// 0.
    pub reserved: [u64; 3],
}

/// Argument of `EVQ_IOC_SEEK`, `struct evq_seek`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeekArg {
    /// [`SEEK_NEWEST`], [`SEEK_OLDEST`] or [`SEEK_SEQ`].
    pub whence: u32,
    /// 0.
    pub reserved: u32,
    /// In: the target of [`SEEK_SEQ`], else 0. Out: where the next read starts.
    pub seq: u64,
}

/// Rules of one filter, at most.
pub const FILTER_MAX: usize = 8;

/// Longest delay of `EVQ_IOC_WAKEUP`, in nanoseconds.
pub const DELAY_MAX_NS: u64 = 60_000_000_000;

/// A kind of event, `struct evq_match`: those whose source is `source` in the
/// bits of `source_mask`, of the types from `type_first` to `type_last`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// What the source must be in the bits of the mask, 0 elsewhere.
    pub source: u32,
    /// The bits of the source that matter; 0: any source.
    pub source_mask: u32,
    /// The lowest type.
    pub type_first: u16,
    /// The highest type.
    pub type_last: u16,
    /// 0.
    pub reserved: u32,
}

impl Match {
    /// Events of these types, whoever posts them.
    #[must_use]
    pub const fn types(types: std::ops::RangeInclusive<u16>) -> Match {
        Match {
            source: 0,
            source_mask: 0,
            type_first: *types.start(),
            type_last: *types.end(),
            reserved: 0,
        }
    }

    /// Of those only the ones with this source.
    #[must_use]
    pub const fn from_source(self, source: u32) -> Match {
        Match {
            source,
            source_mask: u32::MAX,
            ..self
        }
    }

    /// Of those only the ones from kernel producers of this class, such as
    /// [`CLASS_INPUT`].
    #[must_use]
    pub const fn from_class(self, class: u32) -> Match {
        Match {
            source: SOURCE_KERNEL | (class << 16),
            source_mask: 0xffff_0000,
            ..self
        }
    }
}

/// Argument of `EVQ_IOC_FILTER`, `struct evq_filter`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilterArg {
    /// How many of the rules count; 0: all events are wanted.
    pub count: u32,
    /// 0.
    pub reserved: u32,
    /// An event that one of them matches is wanted.
    pub rules: [Match; FILTER_MAX],
}

/// Argument of `EVQ_IOC_WAKEUP`, `struct evq_wakeup`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WakeupArg {
    /// How many wanted events must be there, 1 to the capacity.
    pub events: u32,
    /// 0.
    pub reserved: u32,
    /// Or how old the first of them must be, in nanoseconds; 0 if `events` is 1.
    pub max_delay_ns: u64,
}

mod plain {
    /// Types that are plain bytes.
    ///
    /// # Safety
    ///
    /// The type has no padding, and every bit pattern is a valid value of it.
    pub(crate) unsafe trait Plain: Copy {}

    // SAFETY: `repr(C)`, integers only; the sizes asserted below leave no room
    // for padding.
    unsafe impl Plain for super::Event {}
    // SAFETY: transparent around two `long`, two `u16` and one `i32`; likewise.
    unsafe impl Plain for crate::input::RawInput {}

    const _: () = assert!(size_of::<super::Event>() == 64);
    const _: () = assert!(size_of::<crate::input::RawInput>() == 2 * size_of::<libc::c_long>() + 8);
}
pub(crate) use plain::Plain;

/// The records as the bytes that `write(2)` takes.
pub(crate) fn as_bytes<T: Plain>(records: &[T]) -> &[u8] {
    // SAFETY: `Plain` has no padding, so each byte is initialised; the length
    // is that of the slice itself.
    unsafe { std::slice::from_raw_parts(records.as_ptr().cast(), size_of_val(records)) }
}

/// The records as the bytes that `read(2)` fills.
pub(crate) fn as_bytes_mut<T: Plain>(records: &mut [T]) -> &mut [u8] {
    // SAFETY: as above, and whatever is written is a valid value of `Plain`.
    unsafe { std::slice::from_raw_parts_mut(records.as_mut_ptr().cast(), size_of_val(records)) }
}
