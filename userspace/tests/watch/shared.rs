// SPDX-License-Identifier: MIT OR Apache-2.0
//! Standard input that others have open, too: whatever ends the program, they find
//! it as it was. Mode and signals belong to the open file description.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use evq::via::Kind;
use nix::fcntl::{fcntl, FcntlArg, OFlag};
use nix::sys::signal::Signal;

use crate::program::{fifo, say, terminal, writer, Watch};

fn flags(fd: impl AsFd) -> OFlag {
    OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL).unwrap())
}

/// Standard input and its other end.
fn ends(name: &str) -> (File, File) {
    match name {
        "pipe" => {
            let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).unwrap();
            (reader.into(), writer.into())
        }
        "fifo" => {
            let dir = tempfile::tempdir().unwrap();
            let path = fifo(dir.path());
            // Neither waits for the other.
            let _both = File::options().read(true).write(true).open(&path).unwrap();
            (File::open(&path).unwrap(), writer(&path))
        }
        "socket" => {
            let (ours, theirs) = UnixStream::pair().unwrap();
            (OwnedFd::from(theirs).into(), OwnedFd::from(ours).into())
        }
        _ => {
            let (pty, path) = terminal();
            (File::open(path).unwrap(), pty)
        }
    }
}

/// C11: while it runs, and after SIGKILL, which lets nobody tidy up.
#[test]
fn stdin_shared_with_others_keeps_its_mode() {
    for kind in Kind::ALL {
        for name in ["pipe", "fifo", "socket", "terminal"] {
            eprintln!("{kind} on a {name}");
            let (stdin, other) = ends(name);
            let before = flags(&stdin);
            assert!(!before.intersects(OFlag::O_NONBLOCK | OFlag::O_ASYNC));
            let mut watch = Watch::start_with(&["--device", "-", "--via", kind.name()], |c| {
                c.stdin(stdin.try_clone().unwrap());
            });
            for word in ["one", "two"] {
                say(&other, word);
                watch.until(word);
                assert_eq!(flags(&stdin), before, "{kind} on a {name}");
            }
            watch.signal(Signal::SIGKILL);
            watch.child.wait().unwrap();
            assert_eq!(flags(&stdin), before, "{kind} on a {name}, after SIGKILL");
        }
    }
}

/// What was written before it started, by a writer that has gone, is read; and the
/// end is noticed.
#[test]
fn stdin_whose_writer_has_gone_is_read_to_its_end() {
    for kind in Kind::ALL {
        for name in ["pipe", "fifo", "socket"] {
            eprintln!("{kind} on a {name}");
            let (stdin, other) = ends(name);
            say(&other, "from before");
            drop(other);
            let arguments = ["--device", "-", "--via", kind.name(), "--format", "%x"];
            let ended = Watch::start_with(&arguments, |command| {
                command.stdin(stdin);
            })
            .end();
            assert_eq!(ended.status.code(), Some(0), "{kind}: {ended:?}");
            assert_eq!(ended.lines, ["from before"], "{kind} on a {name}");
        }
    }
}

/// Another reader takes what was told of: the program does not hang in a read.
#[test]
fn stdin_read_by_others_keeps_no_signal_waiting() {
    for kind in Kind::ALL.iter().filter(|kind| kind.drains()) {
        for name in ["pipe", "socket"] {
            let (mut stdin, other) = ends(name);
            let mut watch = Watch::start_with(&["--device", "-", "--via", kind.name()], |c| {
                c.stdin(stdin.try_clone().unwrap());
            });
            watch.signal(Signal::SIGSTOP);
            watch.until_stopped();
            say(&other, "taken");
            let mut taken = [0; 6];
            stdin.read_exact(&mut taken).unwrap();
            watch.signal(Signal::SIGCONT);
            watch.signal(Signal::SIGUSR1);
            watch.told("watching 1 sources");
            say(&other, "left");
            watch.until("left");
            watch.stop();
        }
    }
}
