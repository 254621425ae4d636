// SPDX-License-Identifier: MIT OR Apache-2.0
//! The log, on standard error: each entry is a line, whatever names are in it.

use std::io::{self, Write};

use crate::cli::printable::{printable, printable_json};

/// How an entry is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    /// With colours, which stay.
    Coloured,
    Json,
}

/// Writes entries, each of which comes as one piece.
pub(super) struct Entries<W> {
    pub(super) to: W,
    pub(super) kind: Kind,
}

impl<W: Write> Write for Entries<W> {
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(entry);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let mut line = match self.kind {
            Kind::Plain => printable(line).into_owned(),
            Kind::Coloured => coloured(line),
            Kind::Json => printable_json(line.to_owned()),
        };
        line.push('\n');
        self.to.write_all(line.as_bytes())?;
        Ok(entry.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// With what sets colours as it is: ESC, `[`, digits and semicolons, `m`.
fn coloured(line: &str) -> String {
    let mut parts = line.split('\x1b');
    let mut all = printable(parts.next().unwrap_or_default()).into_owned();
    for part in parts {
        let end = part.strip_prefix('[').and_then(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != ';')?;
            rest[end..].starts_with('m').then_some(end + 2)
        });
        let (colour, rest) = part.split_at(end.unwrap_or(0));
        all += if end.is_some() { "\x1b" } else { r"\x1b" };
        all += colour;
        all += &printable(rest);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(kind: Kind, entry: &str) -> String {
        let mut to = Vec::new();
        Entries { to: &mut to, kind }
            .write_all(entry.as_bytes())
            .unwrap();
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn entries_are_lines_that_do_not_draw() {
        let entry = "a\x1b[2J\x1b[31mb\x1b[0m\u{9b}\u{202e}\nc\x1b";
        for (kind, line) in [
            (
                Kind::Plain,
                "a\\x1b[2J\\x1b[31mb\\x1b[0m\\x9b\\u{202e}\\nc\\x1b\n",
            ),
            (
                Kind::Coloured,
                "a\\x1b[2J\x1b[31mb\x1b[0m\\x9b\\u{202e}\\nc\\x1b\n",
            ),
        ] {
            assert_eq!(written(kind, &format!("{entry}\n")), line);
        }
        assert_eq!(
            written(Kind::Json, "{\"x\":\"\u{9b}\"}\n"),
            "{\"x\":\"\\u009b\"}\n"
        );
    }
}
