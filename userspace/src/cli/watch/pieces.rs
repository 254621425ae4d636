// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes as they come, as lines.

/// A line is given in pieces of this many bytes if it is longer.
const PIECE_MAX: usize = 4096;

/// What has come of a line that is not complete.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    rest: Vec<u8>,
}

impl Pieces {
    /// Takes bytes; gives each line that is complete with them, with its end.
    pub(super) fn push(&mut self, bytes: &[u8], mut give: impl FnMut(&[u8])) {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.rest.extend_from_slice(part);
            if part.ends_with(b"\n") || self.rest.len() >= PIECE_MAX {
                give(&self.rest);
                self.rest.clear();
            }
        }
    }

    /// Gives what there is of the last line: nothing follows for now.
    pub(super) fn flush(&mut self, mut give: impl FnMut(&[u8])) {
        if !self.rest.is_empty() {
            give(&self.rest);
            self.rest.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Pieces, PIECE_MAX};

    fn push(pieces: &mut Pieces, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        pieces.push(bytes, |piece| all.push(piece.to_vec()));
        all
    }

    #[test]
    fn lines_are_whole_however_they_come() {
        let mut pieces = Pieces::default();
        assert_eq!(
            push(&mut pieces, b"a\nb\n\nc"),
            [&b"a\n"[..], b"b\n", b"\n"]
        );
        assert_eq!(push(&mut pieces, b"d"), [b""; 0]);
        assert_eq!(push(&mut pieces, b"\ne"), [b"cd\n"]);
        let mut last = Vec::new();
        pieces.flush(|piece| last.extend_from_slice(piece));
        assert_eq!(last, b"e");
        pieces.flush(|_| panic!("it has been given"));
    }

    #[test]
    fn a_line_without_end_does_not_grow_for_ever() {
        let mut pieces = Pieces::default();
        for _ in 0..3 {
            let given = push(&mut pieces, &[0; PIECE_MAX]);
            assert_eq!(given.len(), 1);
        }
    }
}
