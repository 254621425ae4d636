// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lines of a source of bytes, each with the time at which it was read.
//!
//! A limit counts lines, never bytes: each read has the whole buffer, whatever
//! the limit. The time is taken after the read, which may have blocked.

use crate::bytes::{Bytes, Carrier};
use crate::device::Filled;
use crate::error::Result;
use crate::timer::monotonic_ns;

/// A line is given in pieces of this many bytes if it is longer.
pub const PIECE_MAX: usize = 4096;

/// Splits what one source of bytes gives into lines, and has what has come of a
/// line that is not complete.
#[derive(Debug, Default)]
pub struct Lines {
    rest: Vec<u8>,
    /// When the last bytes were read.
    time_ns: u64,
}

impl Lines {
    /// Without a line that has begun.
    #[must_use]
    pub fn new() -> Lines {
        Lines::default()
    }

    /// One read of `source` into `buffer`, which gives up to `most` lines, each
    /// with its `CLOCK_MONOTONIC` time in nanoseconds; the result counts bytes. A
    /// message of a [`Carrier::Messages`] is given as it is. A line that has no
    /// end is given when nothing follows for now. Lines behind the last one that
    /// was asked for stay in a regular file, and are dropped elsewhere.
    ///
    /// `drains` is what [`crate::Watcher::drains`] says of the source: if it is
    /// false, the next read might block before it says that nothing follows.
    ///
    /// # Errors
    ///
    /// Those of [`Bytes::read`].
    pub fn read(
        &mut self,
        source: &Bytes,
        most: usize,
        drains: bool,
        buffer: &mut [u8],
        mut give: impl FnMut(u64, &[u8]),
    ) -> Result<Filled> {
        let filled = source.read(buffer)?;
        if let Filled::Records(count) = filled {
            let time_ns = monotonic_ns();
            if source.carrier() == Carrier::Messages {
                give(time_ns, &buffer[..count]);
            } else {
                let taken = self.push(&buffer[..count], time_ns, most, &mut give);
                if taken < count {
                    source.unread(count - taken)?;
                    return Ok(filled);
                }
            }
            if drains || source.is_readable()? {
                return Ok(filled);
            }
        }
        self.flush(give);
        Ok(filled)
    }

    /// Takes bytes that were read at `time_ns`; gives each line that is complete
    /// with them, with its end, but no more than `most` of them. Returns how many
    /// bytes it took.
    fn push(
        &mut self,
        bytes: &[u8],
        time_ns: u64,
        most: usize,
        mut give: impl FnMut(u64, &[u8]),
    ) -> usize {
        self.time_ns = time_ns;
        let (mut taken, mut given) = (0, 0);
        while taken < bytes.len() && given < most {
            let room = PIECE_MAX - self.rest.len();
            let part = &bytes[taken..bytes.len().min(taken + room)];
            let line = part.iter().position(|&byte| byte == b'\n');
            let part = &part[..line.map_or(part.len(), |at| at + 1)];
            self.rest.extend_from_slice(part);
            taken += part.len();
            if line.is_some() || self.rest.len() == PIECE_MAX {
                give(time_ns, &self.rest);
                self.rest.clear();
                given += 1;
            }
        }
        taken
    }

    /// Gives what there is of the last line: nothing follows for now.
    fn flush(&mut self, mut give: impl FnMut(u64, &[u8])) {
        if !self.rest.is_empty() {
            give(self.time_ns, &self.rest);
            self.rest.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Lines, PIECE_MAX};

    fn push(lines: &mut Lines, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        let taken = lines.push(bytes, 1, usize::MAX, |_, piece| all.push(piece.to_vec()));
        assert_eq!(taken, bytes.len());
        all
    }

    #[test]
    fn lines_are_whole_however_they_come() {
        let mut lines = Lines::default();
        assert_eq!(push(&mut lines, b"a\nb\n\nc"), [&b"a\n"[..], b"b\n", b"\n"]);
        assert_eq!(push(&mut lines, b"d"), [b""; 0]);
        assert_eq!(push(&mut lines, b"\ne"), [b"cd\n"]);
        let mut last = Vec::new();
        lines.flush(|_, piece| last.extend_from_slice(piece));
        assert_eq!(last, b"e");
        lines.flush(|_, _| panic!("it has been given"));
    }

    #[test]
    fn long_line_gives_the_same_pieces_however_it_comes() {
        let line = [b'x'; 2 * PIECE_MAX + 10];
        for size in [1, 1000, PIECE_MAX, PIECE_MAX + 1, line.len()] {
            let mut lines = Lines::default();
            let mut lengths = Vec::new();
            for part in line.chunks(size) {
                lengths.extend(push(&mut lines, part).iter().map(Vec::len));
            }
            assert_eq!(lengths, [PIECE_MAX; 2], "{size}");
            assert_eq!(push(&mut lines, b"\n")[0].len(), 11, "{size}");
        }
    }

    #[test]
    fn limit_leaves_the_bytes_of_later_lines() {
        let mut lines = Lines::default();
        let mut given = Vec::new();
        let mut give = |_, piece: &[u8]| given.push(piece.to_vec());
        assert_eq!(lines.push(b"hel", 1, 1, &mut give), 3);
        assert_eq!(lines.push(b"lo\nworld\n", 2, 1, &mut give), 3);
        assert_eq!(given, [b"hello\n"]);
    }

    #[test]
    fn time_of_a_line_is_that_of_its_last_bytes() {
        let mut lines = Lines::default();
        let mut times = Vec::new();
        lines.push(b"a", 1, 9, |_, _| panic!("no end yet"));
        lines.push(b"b\nc", 2, 9, |time, _| times.push(time));
        lines.flush(|time, _| times.push(time));
        assert_eq!(times, [2, 2]);
    }
}
