// SPDX-License-Identifier: MIT OR Apache-2.0
//! `--wait`: devices that come, go and come back. FIFOs stand for them here; the
//! real ones are in tests/vm/hotplug.rs.

use std::fs;

use evq::via::Kind;
use nix::sys::signal::Signal;

use crate::program::{appear, command, fifo, say, text, writer, Watch};

/// C4, C5: by each mechanism, from a folder that is not there yet on.
#[test]
fn what_comes_is_watched_and_what_goes_is_waited_for() {
    for kind in Kind::ALL {
        eprintln!("{kind}");
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("one/two");
        let path = folder.join("fifo");
        let arguments = ["--via", kind.name(), "--wait", "--device", text(&path)];
        let mut watch = Watch::start(&arguments);
        assert!(
            watch.banner.contains("(waiting for it)"),
            "{}",
            watch.banner
        );
        for word in ["first", "again"] {
            fs::create_dir_all(&folder).unwrap();
            // With its writer before it can be seen: a blocking read needs one.
            let (reader, other) = appear(&path);
            watch.told(&format!("{} is there", text(&path)));
            say(&other, word);
            assert!(watch.line().ends_with(word));
            fs::remove_file(&path).unwrap();
            fs::remove_dir_all(dir.path().join("one")).unwrap();
            drop((reader, other));
            watch.told(&format!("{} has ended; waiting for it", text(&path)));
        }
        watch.signal(Signal::SIGUSR1);
        watch.told("delivered 2, lost 0, wake-ups ");
        watch.stop();
    }
}

/// One that was made anew while the old one was still open is found when that
/// ends: where a read blocks, there is one source at a time.
#[test]
fn one_that_is_back_before_it_has_ended_is_not_missed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    let old = appear(&path);
    let arguments = ["--via", "blocking", "--wait", "--device", text(&path)];
    let mut watch = Watch::start(&arguments);
    say(&old.1, "old");
    watch.until("old");
    let new = appear(&path);
    // It has looked, and seen that it has one.
    watch.signal(Signal::SIGUSR1);
    watch.told("watching 1 sources");
    drop(old);
    watch.told("is there");
    say(&new.1, "new");
    watch.until("new");
    watch.stop();
}

/// A FIFO stays; it is those who write to it that come and go.
#[test]
fn c4_each_writer_of_a_fifo_is_read() {
    for kind in Kind::ALL.iter().filter(|kind| kind.drains()) {
        eprintln!("{kind}");
        let dir = tempfile::tempdir().unwrap();
        let path = fifo(dir.path());
        let arguments = ["--via", kind.name(), "--wait", "--device", text(&path)];
        let mut watch = Watch::start(&arguments);
        for word in ["one", "two", "three"] {
            say(writer(&path), word);
            watch.until(word);
            watch.told("waiting for it");
            watch.told("is there");
        }
        watch.stop();
    }
}

/// Without it, what is not there is a failure; and what can never be there is
/// one with it.
#[test]
fn c7_what_cannot_come_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("none");
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let below = file.join("device");
    let cases: [(&[&str], &str); 4] = [
        (&["--device", text(&path)], "there is no such device"),
        (&["--wait", "--device", "/"], "no folder has it"),
        (&["--wait", "--device", text(&below)], "Not a directory"),
        (
            &["--wait", "--device", text(dir.path())],
            "nor an input device",
        ),
    ];
    for (arguments, message) in cases {
        let output = command(arguments).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {errors}");
        assert!(errors.contains(message), "{arguments:?}: {errors}");
    }
}

/// The limit of time holds while nothing is there.
#[test]
fn nothing_that_comes_is_idle() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("none");
    let ended = Watch::start(&["--wait", "--device", text(&path), "--idle-timeout", "20ms"]).end();
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
}
