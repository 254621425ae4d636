// SPDX-License-Identifier: GPL-2.0

//! The record: one event, 64 bytes, native endian.
//!
//! The layout is that of `struct evq_event` in `include/uapi/evq.h`. This file knows nothing of
//! the kernel, so that the same source is built and tested on the host.

/// Bytes of one record.
pub(crate) const EVENT_SIZE: usize = 64;

/// Bytes of payload in one record, `EVQ_DATA_MAX`.
pub(crate) const DATA_MAX: usize = 32;

/// Set in [`Event::source`] if kernel code has posted the event, `EVQ_SOURCE_KERNEL`.
pub(crate) const SOURCE_KERNEL: u32 = 0x8000_0000;

/// Words of 64 bits in one record: what the ring stores a record as.
pub(crate) const WORDS: usize = EVENT_SIZE / 8;

/// One record as the words that the ring stores; the first one is the sequence number.
pub(crate) type Record = [u64; WORDS];

/// One event; the fields are described in `include/uapi/evq.h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// Sequence number, from 1.
    pub(crate) seq: u64,
    /// CLOCK_MONOTONIC when posted, in nanoseconds.
    pub(crate) time_ns: u64,
    /// Who posted.
    pub(crate) source: u32,
    /// The producer's own (`type` in C, which is a keyword here).
    pub(crate) kind: u16,
    /// The producer's own.
    pub(crate) code: u16,
    /// Events missed just before this one; stops at `u32::MAX`.
    pub(crate) lost: u32,
    /// Bytes used in `data`.
    pub(crate) len: u16,
    /// Must be zero.
    pub(crate) reserved: u16,
    /// Payload; zero behind `len`.
    pub(crate) data: [u8; DATA_MAX],
}

impl Event {
    /// Makes an event for posting; sequence number and time are stamped when it is posted.
    ///
    /// Returns [`None`] if `data` is longer than [`DATA_MAX`].
    pub(crate) fn new(source: u32, kind: u16, code: u16, data: &[u8]) -> Option<Self> {
        let mut event = Self {
            source,
            kind,
            code,
            // A length that does not fit in 16 bits does not fit in the payload either.
            len: u16::try_from(data.len()).ok()?,
            ..Self::default()
        };
        event.data.get_mut(..data.len())?.copy_from_slice(data);
        Some(event)
    }

    /// Whether a record that somebody else has filled in may be posted (W1): `len` fits, and
    /// `reserved` is zero.
    pub(crate) fn is_valid(bytes: &[u8; EVENT_SIZE]) -> bool {
        let raw = Self::from_words(&words_of(bytes));
        raw.reserved == 0 && usize::from(raw.len) <= DATA_MAX
    }

    /// Takes a [valid](Event::is_valid) record from somebody else, for posting as `source`.
    ///
    /// Keeps `type`, `code`, `len` and that much of the payload; drops what is not theirs to say
    /// (sequence number, time, source, loss, bytes behind the payload).
    pub(crate) fn from_valid(bytes: &[u8; EVENT_SIZE], source: u32) -> Self {
        let mut words: Record = words_of(bytes);
        let raw = Self::from_words(&words);
        let [_, _, _, _, payload @ ..] = &mut words;
        let kept = KEPT.get(usize::from(raw.len)).unwrap_or(&[0; 4]);
        for (word, kept) in payload.iter_mut().zip(kept) {
            *word &= kept;
        }
        Self {
            source,
            seq: 0,
            time_ns: 0,
            lost: 0,
            reserved: 0,
            ..Self::from_words(&words)
        }
    }

    /// The record as the ring stores it, and as a program reads it.
    pub(crate) fn to_words(self) -> Record {
        let [d0, d1, d2, d3] = words_of(&self.data);
        [
            self.seq,
            self.time_ns,
            pack(self.source, self.kind, self.code),
            pack(self.lost, self.len, self.reserved),
            d0,
            d1,
            d2,
            d3,
        ]
    }

    /// Writes [`Event::lost`] into a record: `lost`, or `u32::MAX` if it is more.
    pub(crate) fn tell_lost(record: &mut Record, lost: u64) {
        let [_, _, _, tail, ..] = record;
        let (_, len, reserved) = unpack(*tail);
        *tail = pack(u32::try_from(lost).unwrap_or(u32::MAX), len, reserved);
    }

    /// The reverse of [`Event::to_words`].
    pub(crate) fn from_words(words: &Record) -> Self {
        let [seq, time_ns, head, tail, payload @ ..] = *words;
        let (source, kind, code) = unpack(head);
        let (lost, len, reserved) = unpack(tail);
        let mut data = [0; DATA_MAX];
        for (chunk, word) in data.chunks_exact_mut(8).zip(payload) {
            chunk.copy_from_slice(&word.to_ne_bytes());
        }
        Self {
            seq,
            time_ns,
            source,
            kind,
            code,
            lost,
            len,
            reserved,
            data,
        }
    }
}

/// Three neighbours in memory as the word that they are.
fn pack(first: u32, second: u16, third: u16) -> u64 {
    if cfg!(target_endian = "little") {
        u64::from(first) | u64::from(second) << 32 | u64::from(third) << 48
    } else {
        u64::from(first) << 32 | u64::from(second) << 16 | u64::from(third)
    }
}

/// The reverse of [`pack`].
fn unpack(word: u64) -> (u32, u16, u16) {
    if cfg!(target_endian = "little") {
        (word as u32, (word >> 32) as u16, (word >> 48) as u16)
    } else {
        ((word >> 32) as u32, (word >> 16) as u16, word as u16)
    }
}

/// For each length, which bits of the payload are in use.
static KEPT: [[u64; DATA_MAX / 8]; DATA_MAX + 1] = {
    let mut kept = [[0; DATA_MAX / 8]; DATA_MAX + 1];
    let mut len = 1;
    while len <= DATA_MAX {
        // What is in use of one byte less, and the last byte.
        kept[len] = kept[len - 1];
        let mut byte = [0; 8];
        byte[(len - 1) % 8] = 0xff;
        kept[len][(len - 1) / 8] |= u64::from_ne_bytes(byte);
        len += 1;
    }
    kept
};

/// Bytes as native words; `BYTES` must be `8 * N`, which the compiler checks.
fn words_of<const BYTES: usize, const N: usize>(bytes: &[u8; BYTES]) -> [u64; N] {
    const { assert!(BYTES == 8 * N) };
    let mut words = [0; N];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        let mut raw = [0; 8];
        raw.copy_from_slice(chunk);
        *word = u64::from_ne_bytes(raw);
    }
    words
}
