// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reader of the output goes away while there is nothing to print.

use std::fs::File;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use evq::via::Kind;
use nix::sys::signal::Signal;

use crate::program::{command, fifo, say, terminal, text, Watch};

/// C6: `watch | head -1` ends when `head` has ended, and not at the next event.
#[test]
fn reader_gone_any_mechanism_ends_at_once() {
    for kind in Kind::ALL {
        eprintln!("{kind}");
        let mut watch = Watch::start_with(&["--device", "-", "--via", kind.name()], |command| {
            command.stdin(Stdio::piped());
        });
        // It stays open: else that would be the end of the source.
        let stdin = watch.child.stdin.take().unwrap();
        say(&stdin, "one");
        watch.until("one");
        watch.close_output();
        let status = watch.child.wait().unwrap();
        assert_eq!(status.code(), Some(0), "{kind}: {status:?}");
        let ended = watch.end();
        assert_eq!(ended.errors, "", "{kind}");
    }
}

/// The same, while a device is waited for.
#[test]
fn reader_gone_while_nothing_is_there_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("none");
    let mut watch = Watch::start(&["--wait", "--device", text(&path)]);
    watch.close_output();
    assert_eq!(watch.child.wait().unwrap().code(), Some(0));
}

/// A socket says so as well.
#[test]
fn reader_gone_from_a_socket_ends_it() {
    use std::io::{BufRead as _, BufReader};
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut child = command(&["--banner", "--device", text(&fifo(dir.path()))])
        .stdout(std::os::fd::OwnedFd::from(theirs))
        .spawn()
        .unwrap();
    let mut ours = BufReader::new(ours);
    ours.read_line(&mut String::new()).unwrap();
    drop(ours);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// A terminal that hangs up is as good as SIGHUP, which may not reach it.
#[test]
fn terminal_that_hangs_up_ends_it_as_sighup_does() {
    use std::io::{BufRead as _, BufReader};
    let dir = tempfile::tempdir().unwrap();
    let (pty, tty) = terminal();
    let tty = File::options().write(true).open(tty).unwrap();
    let mut child = command(&["--banner", "--device", text(&fifo(dir.path()))])
        .stdout(tty)
        .spawn()
        .unwrap();
    let mut pty = BufReader::new(pty);
    pty.read_line(&mut String::new()).unwrap();
    drop(pty);
    assert_eq!(child.wait().unwrap().code(), Some(129));
}

/// Nothing is to be printed: it goes on, for its status and its account.
#[test]
fn reader_gone_with_quiet_ends_nothing() {
    let mut watch = Watch::start_with(&["--device", "-", "--quiet", "-n", "2"], |command| {
        command.stdin(Stdio::piped());
    });
    watch.close_output();
    let mut stdin = watch.child.stdin.take().unwrap();
    say(&stdin, "one");
    watch.signal(Signal::SIGUSR1);
    watch.told("watching 1 sources");
    say(&mut stdin, "two");
    assert_eq!(watch.child.wait().unwrap().code(), Some(0));
    let ended = watch.end();
    assert!(ended.errors.contains("delivered 2,"), "{ended:?}");
}
