// SPDX-License-Identifier: MIT OR Apache-2.0
//! C6: names that others have made: a terminal does not obey them, and lines stay
//! lines.

use std::path::PathBuf;

use nix::sys::stat::Mode;

use crate::program::{say, text, writer, Watch};

/// Clears the screen (ESC, and the C1 control CSI), breaks a line, and turns the
/// direction of what follows.
const NAME: &str = "a\x1b[2J\u{9b}2J\n,b\u{202e}c";
const PRINTED: &str = "a\\x1b[2J\\x9b2J\\n,b\\u{202e}c";

fn named(dir: &tempfile::TempDir) -> PathBuf {
    let path = dir.path().join(NAME);
    nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
    path
}

fn assert_plain(line: &str) {
    let bad = |c: char| c.is_control() || c == '\u{202e}';
    assert!(!line.contains(bad), "{line:?}");
}

#[test]
fn c6_names_of_devices_cannot_draw_or_break_lines() {
    for (arguments, wanted) in [
        // Two devices: text has names, too.
        (&["--every", "1h"][..], "{}: "),
        (&["--format", "%D|%s|%x"], "{}|{}|word"),
        (&["--format", "csv"], "\"{}\",,"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = named(&dir);
        let mut watch = Watch::start(&[&["--device", text(&path)], arguments].concat());
        assert_plain(&watch.banner);
        assert!(watch.banner.contains(PRINTED), "{:?}", watch.banner);
        let writer = writer(&path);
        say(&writer, "word");
        let line = watch.until("word");
        assert_plain(&line);
        let folder = text(dir.path());
        let whole = wanted.replacen("{}", &format!("{folder}/{PRINTED}"), 1);
        let wanted = whole.replacen("{}", PRINTED, 1);
        assert!(line.starts_with(&wanted), "{line:?}: {wanted}");
        let ended = watch.stop();
        ended.lines.iter().for_each(|line| assert_plain(line));
        ended.errors.lines().for_each(assert_plain);
    }
}

/// In JSON a name is exact, and still nothing that a terminal obeys.
#[test]
fn c6_json_has_the_exact_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = named(&dir);
    let mut watch = Watch::start(&["--device", text(&path), "--format", "json"]);
    assert_plain(&watch.banner);
    let writer = writer(&path);
    say(&writer, "word");
    let line = watch.line();
    assert_plain(&line);
    let json: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(json["device"], text(&path));
    watch.stop();
}

/// What a terminal would obey in the bytes of a line is hex, as before.
#[test]
fn c6_lines_that_turn_the_direction_are_hex() {
    let dir = tempfile::tempdir().unwrap();
    let path = named(&dir);
    let mut watch = Watch::start(&["--device", text(&path), "--format", "%x"]);
    let writer = writer(&path);
    say(&writer, "a\u{202e}b");
    assert_eq!(watch.line(), "data 61e280ae620a");
    watch.stop();
}
