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
        let raw = Self::from_words(&words_of(bytes));
        let data = raw.data.get(..usize::from(raw.len)).unwrap_or(&raw.data);
        Self::new(source, raw.kind, raw.code, data).unwrap_or_default()
    }

    /// The record as the bytes that a program reads.
    pub(crate) fn to_bytes(self) -> [u8; EVENT_SIZE] {
        let mut bytes = [0; EVENT_SIZE];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(self.to_words()) {
            chunk.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// The record as the words that the ring stores; the first one is the sequence number.
    pub(crate) fn to_words(self) -> [u64; WORDS] {
        let [s0, s1, s2, s3] = self.source.to_ne_bytes();
        let [k0, k1] = self.kind.to_ne_bytes();
        let [c0, c1] = self.code.to_ne_bytes();
        let [l0, l1, l2, l3] = self.lost.to_ne_bytes();
        let [n0, n1] = self.len.to_ne_bytes();
        let [r0, r1] = self.reserved.to_ne_bytes();
        let [d0, d1, d2, d3] = words_of(&self.data);
        [
            self.seq,
            self.time_ns,
            u64::from_ne_bytes([s0, s1, s2, s3, k0, k1, c0, c1]),
            u64::from_ne_bytes([l0, l1, l2, l3, n0, n1, r0, r1]),
            d0,
            d1,
            d2,
            d3,
        ]
    }

    /// The reverse of [`Event::to_words`].
    pub(crate) fn from_words(words: &[u64; WORDS]) -> Self {
        let [seq, time_ns, head, tail, payload @ ..] = *words;
        let [s0, s1, s2, s3, k0, k1, c0, c1] = head.to_ne_bytes();
        let [l0, l1, l2, l3, n0, n1, r0, r1] = tail.to_ne_bytes();
        let mut data = [0; DATA_MAX];
        for (chunk, word) in data.chunks_exact_mut(8).zip(payload) {
            chunk.copy_from_slice(&word.to_ne_bytes());
        }
        Self {
            seq,
            time_ns,
            source: u32::from_ne_bytes([s0, s1, s2, s3]),
            kind: u16::from_ne_bytes([k0, k1]),
            code: u16::from_ne_bytes([c0, c1]),
            lost: u32::from_ne_bytes([l0, l1, l2, l3]),
            len: u16::from_ne_bytes([n0, n1]),
            reserved: u16::from_ne_bytes([r0, r1]),
            data,
        }
    }
}

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
