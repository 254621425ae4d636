// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lines that `send` reads: `TYPE CODE [HEXDATA]`, `#` starts a comment.

use std::fmt;

use evq::Event;

use super::hex::{self, Wrong};
use super::kind::{Code, Type};

/// A line that is no event, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadLine {
    line: u64,
    column: usize,
    what: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BadLine { line, column, what } = self;
        write!(
            f,
            "line {line}, column {column}: {what}; expected: TYPE CODE [HEXDATA]"
        )
    }
}

/// Splits what comes in pieces into lines and the lines into events.
#[derive(Debug, Default)]
pub(super) struct Script {
    partial: Vec<u8>,
    line: u64,
}

/// A line longer than any event and a good comment is no text.
const LINE_MAX: usize = 4096;

impl Script {
    /// Takes a piece; appends the events of the lines that it completes.
    pub(super) fn feed(&mut self, piece: &[u8], events: &mut Vec<Event>) -> Result<(), BadLine> {
        for part in piece.split_inclusive(|&byte| byte == b'\n') {
            self.partial.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.complete(events)?;
            } else if self.partial.len() > LINE_MAX {
                let what = format!("the line is longer than {LINE_MAX} bytes");
                return Err(BadLine {
                    line: self.line + 1,
                    column: LINE_MAX + 1,
                    what,
                });
            }
        }
        Ok(())
    }

    /// The end of the input: the last line may lack its line feed.
    pub(super) fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), BadLine> {
        if self.partial.is_empty() {
            Ok(())
        } else {
            self.complete(events)
        }
    }

    fn complete(&mut self, events: &mut Vec<Event>) -> Result<(), BadLine> {
        self.line += 1;
        let text = String::from_utf8_lossy(&self.partial);
        let parsed = parse(&text);
        let line = self.line;
        let parsed = parsed.map_err(|Wrong { at, what }| BadLine {
            line,
            column: at + 1,
            what,
        });
        self.partial.clear();
        events.extend(parsed?);
        Ok(())
    }
}

/// One line; `None` if there is nothing on it.
fn parse(text: &str) -> Result<Option<Event>, Wrong> {
    // A byte order mark, where there was one.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.split('#').next().unwrap_or("");
    let mut words = words(text);
    let Some((at, type_)) = words.next() else {
        return Ok(None);
    };
    let wrong = |at, what| Wrong { at, what };
    let type_: Type = type_
        .parse()
        .map_err(|what| within(at, "type: ", wrong(0, what)))?;
    let Some((at, code)) = words.next() else {
        let at = text.trim_end().chars().count();
        return Err(Wrong {
            at,
            what: "the code is missing".into(),
        });
    };
    let code = code.parse().and_then(|code: Code| code.of(type_));
    let code = code.map_err(|what| within(at, "code: ", wrong(0, what)))?;
    let data = match words.next() {
        Some((at, data)) => hex::decode(data).map_err(|wrong| within(at, "data: ", wrong))?,
        None => Vec::new(),
    };
    if let Some((at, word)) = words.next() {
        return Err(Wrong {
            at,
            what: format!("{word:?} is one word too many"),
        });
    }
    Ok(Some(
        Event::new(type_.number(), code, &data).expect("the length was checked"),
    ))
}

fn within(start: usize, field: &str, Wrong { at, what }: Wrong) -> Wrong {
    Wrong {
        at: start + at,
        what: format!("{field}{what}"),
    }
}

/// The words with the column of each, in characters from 0.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_whitespace().map(move |word| {
        let bytes = word.as_ptr().addr() - text.as_ptr().addr();
        (text[..bytes].chars().count(), word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Result<Vec<Event>, BadLine> {
        let (mut script, mut events) = (Script::default(), Vec::new());
        script.feed(text.as_bytes(), &mut events)?;
        script.finish(&mut events)?;
        Ok(events)
    }

    #[test]
    fn lines_comments_and_a_missing_line_feed() {
        let events = all("\u{feff}# head\n\n1 0x1e 01000000  # a key\r\n  2 3").unwrap();
        let expected = [Event::new(1, 30, &[1, 0, 0, 0]), Event::new(2, 3, &[])];
        assert_eq!(events, expected.map(Option::unwrap));
    }

    #[test]
    fn types_and_codes_may_have_names() {
        let events = all("EV_KEY KEY_A 01000000\n0x1 BTN_GAMEPAD\nEV_REL 0\n").unwrap();
        let expected = [
            Event::new(1, 30, &[1, 0, 0, 0]),
            Event::new(1, 0x130, &[]),
            Event::new(2, 0, &[]),
        ];
        assert_eq!(events, expected.map(Option::unwrap));
    }

    #[test]
    fn pieces_may_end_anywhere() {
        let text = b"1 2 aabb\n3 4\n";
        for cut in 0..text.len() {
            let (mut script, mut events) = (Script::default(), Vec::new());
            script.feed(&text[..cut], &mut events).unwrap();
            script.feed(&text[cut..], &mut events).unwrap();
            assert_eq!(events.len(), 2, "cut at {cut}");
            assert_eq!(events[0].payload(), [0xaa, 0xbb]);
        }
    }

    #[test]
    fn a_bad_line_is_named_and_those_before_it_stay() {
        let cases = [
            ("1 2\nx 2\n", 2, 1, "type"),
            ("1 2\n\n1 70000\n", 3, 3, "code"),
            ("1 2\n1\n", 2, 2, "missing"),
            ("1 2\n1 2 0g\n", 2, 6, "data"),
            ("1 2\n1 2 00 00\n", 2, 8, "too many"),
            ("1 2\né 2 00\n", 2, 1, "type"),
            ("1 2\nKEY_A 2\n", 2, 1, "give it as code"),
            ("1 2\n1 KEY_\n", 2, 3, "code"),
            ("1 2\n1  REL_X\n", 2, 4, "a code of type 2"),
        ];
        for (text, line, column, word) in cases {
            let (mut script, mut events) = (Script::default(), Vec::new());
            let bad = script.feed(text.as_bytes(), &mut events).unwrap_err();
            assert_eq!((bad.line, bad.column), (line, column), "{text:?}: {bad}");
            assert!(bad.to_string().contains(word), "{text:?}: {bad}");
            assert_eq!(events.len(), 1, "{text:?}");
        }
    }

    #[test]
    fn binary_garbage_is_an_error_not_a_panic() {
        assert!(all("\u{0}\u{1}\u{fffd}\n").is_err());
        let mut script = Script::default();
        assert!(script.feed(&[0xff; 10_000], &mut Vec::new()).is_err());
    }
}
