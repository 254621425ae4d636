// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sources that are no queues, by each mechanism: what they carry and how they
//! end (C4).

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::time::Duration;

use crate::carrier::{alone, watchdog};
use evq::bytes::Carrier;
use evq::via::Kind;
use evq::{AnySource, Bytes, Error, Filled, Timer, Token, Watcher};
use nix::fcntl::{open, OFlag};
use nix::pty::openpty;
use nix::sys::eventfd::EventFd;
use nix::sys::socket;
use nix::sys::stat::Mode;
use nix::sys::termios;

/// A source and its other end, once it is watched.
struct Pair {
    source: AnySource,
    other: Box<dyn FnOnce() -> File>,
}

fn now(source: AnySource, other: impl Into<OwnedFd> + 'static) -> Pair {
    Pair {
        source,
        other: Box::new(|| File::from(other.into())),
    }
}

fn terminal(_: &Path) -> Pair {
    let pty = openpty(None, None).unwrap();
    let mut settings = termios::tcgetattr(&pty.slave).unwrap();
    termios::cfmakeraw(&mut settings);
    termios::tcsetattr(&pty.slave, termios::SetArg::TCSANOW, &settings).unwrap();
    let path = nix::unistd::ttyname(&pty.slave).unwrap();
    now(AnySource::open(path).unwrap(), pty.master)
}

fn pipe(_: &Path) -> Pair {
    let (read, write) = nix::unistd::pipe().unwrap();
    let bytes = Bytes::from_fd(read, "pipe").unwrap();
    now(AnySource::Bytes(bytes), write)
}

/// The writer comes when it is watched already: until then it has not ended.
fn fifo(dir: &Path) -> Pair {
    let path = dir.join("fifo");
    nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
    Pair {
        source: AnySource::open(&path).unwrap(),
        other: Box::new(|| File::options().write(true).open(path).unwrap()),
    }
}

fn stream(dir: &Path) -> Pair {
    let path = dir.join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let source = AnySource::open(&path).unwrap();
    now(source, listener.accept().unwrap().0)
}

fn messages(_: &Path) -> Pair {
    use socket::{socketpair, AddressFamily, SockFlag, SockType};
    let flags = SockFlag::empty();
    let (a, b) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).unwrap();
    now(AnySource::Bytes(Bytes::from_fd(a, "messages").unwrap()), b)
}

/// Makes a source, in a folder if it needs one.
type Make = fn(&Path) -> Pair;

const MAKERS: [(&str, Carrier, Make); 5] = [
    ("terminal", Carrier::Terminal, terminal),
    ("pipe", Carrier::Pipe, pipe),
    ("fifo", Carrier::Pipe, fifo),
    ("stream", Carrier::Stream, stream),
    ("messages", Carrier::Messages, messages),
];

/// Waits until a read gives something else than "nothing for now".
fn next(watcher: &mut Watcher, token: Token, bytes: &Bytes) -> Option<Vec<u8>> {
    loop {
        if !watcher.wait(None).unwrap().contains(&token) {
            continue;
        }
        let mut buffer = [0; 64];
        match bytes.read(&mut buffer).unwrap() {
            Filled::Records(count) => {
                // So that what follows has to be told.
                if watcher.drains(token) {
                    assert_eq!(bytes.read(&mut [0; 64]).unwrap(), Filled::Empty);
                }
                return Some(buffer[..count].into());
            }
            Filled::Empty => {}
            Filled::End => return None,
        }
    }
}

#[test]
fn c4_bytes_come_and_the_end_is_told() {
    watchdog();
    let behaviour = |kind, name, carrier, make: Make| {
        let dir = tempfile::tempdir().unwrap();
        let Pair { source, other } = make(dir.path());
        let AnySource::Bytes(bytes) = source else {
            panic!("{name} is {source:?}")
        };
        assert_eq!(bytes.carrier(), carrier);
        let mut watcher = Watcher::new(kind).unwrap();
        // A blocking read does not wait for the first writer of a FIFO.
        let (token, mut other) = if kind == Kind::Blocking {
            let other = other();
            (watcher.arm(&bytes, name).unwrap(), other)
        } else {
            let token = watcher.arm(&bytes, name).unwrap();
            assert_eq!(watcher.wait(None).unwrap(), [token]);
            assert_eq!(bytes.read(&mut [0; 64]).unwrap(), Filled::Empty, "{name}");
            (token, other())
        };
        for word in [&b"one"[..], b"two"] {
            other.write_all(word).unwrap();
            let read = next(&mut watcher, token, &bytes);
            assert_eq!(read.as_deref(), Some(word), "{kind} on {name}");
        }
        drop(other);
        assert_eq!(next(&mut watcher, token, &bytes), None, "{kind} on {name}");
    };
    for &kind in Kind::ALL {
        for (name, carrier, make) in MAKERS {
            eprintln!("{kind} on {name}");
            if kind == Kind::Rtsig {
                alone(|| behaviour(kind, name, carrier, make));
            } else {
                behaviour(kind, name, carrier, make);
            }
        }
    }
}

/// C4: a regular file is always readable, whatever the mechanism.
#[test]
fn c4_a_regular_file_is_read_to_its_end_by_every_mechanism() {
    watchdog();
    let behaviour = |kind| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "some bytes").unwrap();
        let AnySource::Bytes(bytes) = AnySource::open(&path).unwrap() else {
            panic!("a file is something else")
        };
        assert_eq!(bytes.carrier(), Carrier::File);
        let mut watcher = Watcher::new(kind).unwrap();
        let token = watcher.arm_or_also(&bytes, bytes.name()).unwrap();
        assert!(watcher.drains(token), "{kind}");
        // Each read leaves some, and has to say so.
        let mut all: Vec<u8> = Vec::new();
        loop {
            assert_eq!(watcher.wait(None).unwrap(), [token], "{kind}");
            let mut buffer = [0; 3];
            match bytes.read(&mut buffer).unwrap() {
                Filled::Records(count) => all.extend(&buffer[..count]),
                Filled::Empty => panic!("a file that is empty for now"),
                Filled::End => break,
            }
            watcher.more(token);
        }
        assert_eq!(all, b"some bytes", "{kind}");
        watcher.disarm(token);
    };
    for &kind in Kind::ALL {
        if kind == Kind::Rtsig {
            alone(|| behaviour(kind));
        } else {
            behaviour(kind);
        }
    }
}

/// U3: a timerfd sends no signals, and is watched all the same.
#[test]
fn c4_ticks_come_by_every_mechanism() {
    watchdog();
    let behaviour = |kind| {
        let timer = Timer::every(Duration::from_millis(1)).unwrap();
        let (read, _write) = nix::unistd::pipe().unwrap();
        let mut watcher = Watcher::new(kind).unwrap();
        if kind != Kind::Blocking {
            watcher.arm(&read, "pipe").unwrap();
        }
        let token = watcher.arm_or_also(&timer, timer.name()).unwrap();
        let mut ticks = 0;
        while ticks < 5 {
            if watcher.wait(None).unwrap().contains(&token) {
                ticks += timer.read().unwrap().unwrap_or(0);
            }
        }
    };
    for &kind in Kind::ALL {
        if kind == Kind::Rtsig {
            alone(|| behaviour(kind));
        } else if kind != Kind::Blocking {
            behaviour(kind);
        }
    }
}

/// What has no signals is to be read once for each report: its descriptor may
/// be a blocking one.
#[test]
fn u3_what_has_no_signals_is_watched_beside() {
    let eventfd = EventFd::new().unwrap();
    for (kind, drains) in [(Kind::Sigio, false), (Kind::Poll, true)] {
        let mut watcher = Watcher::new(kind).unwrap();
        let token = watcher.arm_or_also(&eventfd, "eventfd").unwrap();
        assert_eq!(watcher.drains(token), drains, "{kind}");
        // Nothing is there, and nobody is told to read it.
        if !drains {
            let ready = watcher.wait(Some(Duration::ZERO)).unwrap();
            assert!(ready.is_empty(), "{kind}: {ready:?}");
        }
        eventfd.write(1).unwrap();
        assert_eq!(watcher.wait(None).unwrap(), [token], "{kind}");
        watcher.disarm(token);
        assert!(watcher.wait(Some(Duration::ZERO)).unwrap().is_empty());
        eventfd.read().unwrap();
    }
}

#[test]
fn a_blocking_read_does_not_wait_for_the_first_writer() {
    let dir = tempfile::tempdir().unwrap();
    let Pair { source, .. } = fifo(dir.path());
    let AnySource::Bytes(bytes) = source else {
        panic!("a FIFO is {source:?}")
    };
    let mut watcher = Watcher::new(Kind::Blocking).unwrap();
    let _token = watcher.arm(&bytes, bytes.name()).unwrap();
    let error = bytes.read(&mut [0; 8]).unwrap_err().to_string();
    assert!(error.contains("start the writer first"), "{error}");
}

#[test]
fn c7_what_cannot_be_watched_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let folder = open(dir.path(), OFlag::O_RDONLY, Mode::empty()).unwrap();
    let error = Bytes::from_fd(folder, "folder").unwrap_err();
    assert!(
        matches!(&error, Error::NoSource { name } if name == "folder"),
        "{error}"
    );
    let error = AnySource::open(dir.path()).unwrap_err();
    assert!(matches!(error, Error::NoSource { .. }), "{error}");

    let datagrams = dir.path().join("datagrams");
    let _socket = UnixDatagram::bind(&datagrams).unwrap();
    let error = AnySource::open(&datagrams).unwrap_err().to_string();
    assert!(error.contains("it is a datagram socket"), "{error}");

    let deserted = dir.path().join("deserted");
    drop(UnixListener::bind(&deserted).unwrap());
    let error = AnySource::open(&deserted).unwrap_err().to_string();
    assert!(error.contains("nobody listens there"), "{error}");

    let error = Timer::every(Duration::ZERO).unwrap_err().to_string();
    assert!(error.contains("every 0ns"), "{error}");
}
