// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text without anything that a terminal would obey or that would break a line: the
//! one way in which names of devices, files and programs get to standard output and
//! standard error. Others have made these names.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character moves the cursor, starts a control sequence, ends a line, or
/// changes the direction of what follows it.
pub(super) fn is_unsafe(c: char) -> bool {
    c.is_control()
        // Line and paragraph separators; embedding, override and isolation of text
        // that runs in the other direction; invisible tags.
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}')
}

/// The same with escapes instead: `\n`, `\x1b`, `\u{202e}`.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    replaced(text, |c, to| {
        let _ = match c {
            '\n' | '\r' | '\t' => write!(to, "{}", c.escape_default()),
            '\0'..='\u{ff}' => write!(to, "\\x{:02x}", u32::from(c)),
            _ => write!(to, "\\u{{{:x}}}", u32::from(c)),
        };
    })
}

/// The same for a line of JSON, in which such characters are only within strings.
pub(super) fn printable_json(line: String) -> String {
    match replaced(&line, |c, to| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(to, "\\u{unit:04x}");
        }
    }) {
        Cow::Borrowed(_) => line,
        Cow::Owned(escaped) => escaped,
    }
}

fn replaced(text: &str, replace: impl Fn(char, &mut String)) -> Cow<'_, str> {
    // Most are ASCII; and this is asked for each event.
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut all = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) {
            replace(c, &mut all);
        } else {
            all.push(c);
        }
    }
    Cow::Owned(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_draw() {
        for (name, printed) in [
            ("\x1b[2Jx\n\u{9b}y\r\t\0", r"\x1b[2Jx\n\x9by\r\t\x00"),
            (
                "a\u{202e}b\u{2066}c\u{2028}d",
                r"a\u{202e}b\u{2066}c\u{2028}d",
            ),
            (
                "/run/caf\u{e9} \u{5d0}\u{5d1}",
                "/run/caf\u{e9} \u{5d0}\u{5d1}",
            ),
            ("\u{e0041}", r"\u{e0041}"),
        ] {
            assert_eq!(printable(name), printed);
        }
    }

    #[test]
    fn json_stays_the_same_value() {
        let name = "\x1b\u{9b}\u{202e}\u{e0041}\u{7f}\\\"x\u{e9}";
        let line = printable_json(serde_json::to_string(name).unwrap());
        assert!(!line.contains(is_unsafe), "{line:?}");
        let back: String = serde_json::from_str(&line).unwrap();
        assert_eq!(back, name);
    }
}
