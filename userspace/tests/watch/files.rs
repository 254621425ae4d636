// SPDX-License-Identifier: MIT OR Apache-2.0
//! Regular files: read to their end, by every mechanism.

use std::fs::{self, File};
use std::io::Read as _;
use std::process::Stdio;

use evq::via::Kind;
use nix::fcntl::{fcntl, FcntlArg};

use crate::program::{command, fifo, say, text, writer, Watch};

/// C4: by its path and on standard input; the last line has no end.
#[test]
fn file_any_mechanism_is_read_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "one\n\nthree, which is longer\nno end").unwrap();
    let wanted = ["one", "", "three, which is longer", "no end"];
    for kind in Kind::ALL {
        for device in [text(&path), "-"] {
            eprintln!("{kind}, {device}");
            let arguments = ["--device", device, "--via", kind.name(), "--format", "%x"];
            let watch = Watch::start_with(&arguments, |command| {
                command.stdin(File::open(&path).unwrap());
            });
            let ended = watch.end();
            assert_eq!(ended.status.code(), Some(0), "{kind}: {ended:?}");
            assert_eq!(ended.lines, wanted, "{kind}");
            let account = "delivered 4, lost 0 (all sources have ended)";
            assert!(ended.errors.contains(account), "{kind}: {ended:?}");
        }
    }
}

/// Those in /proc can be waited for, and may have nothing to read for now.
#[test]
fn file_in_proc_any_mechanism_is_read_to_its_end() {
    let path = std::path::Path::new("/proc/self/mounts");
    for kind in Kind::ALL {
        for device in [text(path), "-"] {
            eprintln!("{kind}, {device}");
            let arguments = ["--device", device, "--via", kind.name(), "--format", "%x"];
            let stdin = File::open(path).unwrap();
            let before = fcntl(&stdin, FcntlArg::F_GETFL).unwrap();
            let watch = Watch::start_with(&arguments, |command| {
                command.stdin(stdin.try_clone().unwrap());
            });
            let ended = watch.end();
            assert_eq!(ended.status.code(), Some(0), "{kind}: {ended:?}");
            let mounts = fs::read_to_string(path).unwrap();
            assert_eq!(ended.lines.len(), mounts.lines().count(), "{kind}");
            assert_eq!(fcntl(&stdin, FcntlArg::F_GETFL).unwrap(), before, "{kind}");
        }
    }
}

/// One that is empty has ended at once; a long one takes many turns.
#[test]
fn file_empty_or_long_is_read_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let line = format!("{}\n", "x".repeat(1023));
    for count in [0, 5000] {
        fs::write(&path, line.repeat(count)).unwrap();
        for kind in Kind::ALL {
            let arguments = ["--device", text(&path), "--via", kind.name(), "--quiet"];
            let ended = Watch::start(&arguments).end();
            assert_eq!(ended.status.code(), Some(0), "{kind}: {ended:?}");
            let account = format!("delivered {count}, lost 0 (all sources");
            assert!(ended.errors.contains(&account), "{kind}: {ended:?}");
        }
    }
}

/// The end of a file is no end of the others.
#[test]
fn file_beside_another_source_ends_alone() {
    for kind in Kind::ALL.iter().filter(|kind| kind.drains()) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "from the file\n").unwrap();
        let fifo = fifo(dir.path());
        let devices = ["--device", text(&fifo), "--device", text(&path)];
        let mut watch = Watch::start(&[&devices[..], &["--via", kind.name()]].concat());
        watch.until("from the file");
        watch.told(&format!("{} has ended", text(&path)));
        say(writer(&fifo), "from the FIFO");
        watch.until("from the FIFO");
        let ended = watch.end();
        assert_eq!(ended.status.code(), Some(0), "{kind}: {ended:?}");
    }
}

/// Whoever reads the file next goes on with the line after the last one that was
/// asked for.
#[test]
fn file_on_stdin_with_limit_leaves_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "one\ntwo\nthree\n").unwrap();
    for kind in Kind::ALL {
        let mut file = File::open(&path).unwrap();
        let arguments = ["--device", "-", "--via", kind.name(), "--format", "%x"];
        let output = command(&[&arguments[..], &["-n", "2"]].concat())
            .stdin(file.try_clone().unwrap())
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert_eq!(output.stdout, b"one\ntwo\n", "{kind}");
        let mut rest = String::new();
        file.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "three\n", "{kind}");
    }
}
