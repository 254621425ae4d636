// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames: the unit that is whole or not there.
//!
//! Head (16 bytes): kind, length of the body, checksum of the body, checksum
//! of these three. With a checksum of its own for the head, a length is never
//! believed that may be wrong.

use super::{MAGIC, VERSION};

/// Bytes of a head, and of the beginning of the file.
pub(super) const HEAD: usize = 16;

/// The longest body: a length beyond it is damage, not a reason to allocate.
pub(super) const BODY_MAX: usize = 1 << 20;

/// Kind of a frame whose body is a segment.
pub(super) const SEGMENT: u32 = 1;
/// Kind of a frame whose body is events.
pub(super) const EVENTS: u32 = 2;

/// A head that is right.
pub(super) struct Head {
    pub(super) kind: u32,
    pub(super) length: usize,
    checksum: u32,
}

fn word(bytes: &[u8; HEAD], index: usize) -> u32 {
    let at = index * 4;
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn sealed(words: [u32; 3]) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    for (bytes, word) in head.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    seal(head)
}

/// Puts the checksum of the first twelve bytes behind them.
fn seal(mut head: [u8; HEAD]) -> [u8; HEAD] {
    let checksum = crc32fast::hash(&head[..12]);
    head[12..].copy_from_slice(&checksum.to_le_bytes());
    head
}

fn is_sealed(head: &[u8; HEAD]) -> bool {
    word(head, 3) == crc32fast::hash(&head[..12])
}

/// How a recording begins.
pub(super) fn beginning() -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..8].copy_from_slice(&MAGIC);
    head[8..12].copy_from_slice(&VERSION.to_le_bytes());
    seal(head)
}

/// What the beginning of a file says.
pub(super) enum Beginning {
    Version(u32),
    Other,
    Damaged,
}

pub(super) fn read_beginning(head: &[u8; HEAD]) -> Beginning {
    if head[..8] != MAGIC {
        Beginning::Other
    } else if is_sealed(head) {
        Beginning::Version(word(head, 2))
    } else {
        Beginning::Damaged
    }
}

/// A whole frame.
pub(super) fn frame(kind: u32, body: &[u8]) -> Vec<u8> {
    assert!(body.len() <= BODY_MAX, "bodies are made in pieces");
    let head = sealed([kind, body.len() as u32, crc32fast::hash(body)]);
    [&head, body].concat()
}

impl Head {
    /// The head of a frame; the error says what is wrong.
    pub(super) fn read(bytes: &[u8; HEAD]) -> Result<Head, String> {
        if !is_sealed(bytes) {
            return Err("the checksum of its head is wrong".into());
        }
        let (kind, length) = (word(bytes, 0), word(bytes, 1) as usize);
        if !matches!(kind, SEGMENT | EVENTS) {
            return Err(format!("frames of kind {kind} are not known"));
        }
        if length > BODY_MAX {
            return Err(format!("its length is {length}, the limit {BODY_MAX}"));
        }
        Ok(Head {
            kind,
            length,
            checksum: word(bytes, 2),
        })
    }

    /// Whether this is the body.
    pub(super) fn fits(&self, body: &[u8]) -> bool {
        crc32fast::hash(body) == self.checksum
    }
}
