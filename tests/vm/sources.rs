// SPDX-License-Identifier: MIT OR Apache-2.0
//! C4, C5: the queue, the real keyboard and what every machine has, together in
//! one `watch`.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use evq::via::Kind;
use nix::fcntl::OFlag;
use nix::pty;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;

use crate::support::client::Watch;
use crate::support::device::*;
use crate::support::keyboard;
use crate::support::modules::Timer;

const FIFO: &str = "/tmp/sources-fifo";
const SOCKET: &str = "/tmp/sources-socket";
const TIMER: &str = "/dev/evq-timer";

/// The files of a test, which go with it.
struct Files;

impl Files {
    fn new() -> Files {
        nix::unistd::mkfifo(FIFO, Mode::S_IRWXU).expect("one test has it at a time");
        Files
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for file in [FIFO, SOCKET] {
            let _ = fs::remove_file(file);
        }
    }
}

/// A pseudoterminal: its other end, which the client does not inherit, and its
/// path.
fn terminal() -> (File, String) {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let master = pty::posix_openpt(flags).expect("a pseudoterminal");
    pty::grantpt(&master).expect("grantpt");
    pty::unlockpt(&master).expect("unlockpt");
    let path = pty::ptsname_r(&master).expect("its name");
    (File::from(OwnedFd::from(master)), path)
}

fn say(mut to: impl Write, line: &str) {
    to.write_all(format!("{line}\n").as_bytes())
        .expect("the client reads it");
}

/// C4: whatever tells of it, each source gets its turn.
#[test]
fn all_kinds_of_sources_in_one_watch() {
    let (keyboard, _) = keyboard::find();
    for kind in Kind::ALL.iter().filter(|kind| kind.drains()) {
        let _files = Files::new();
        let listener = UnixListener::bind(SOCKET).expect("binding it");
        let (pty, tty) = terminal();
        let mut arguments = vec!["--via", kind.name(), "--every", "10ms"];
        for device in ["/dev/evq", &keyboard, FIFO, SOCKET, &tty] {
            arguments.extend(["--device", device]);
        }
        let mut watch = Watch::start(&arguments);
        let (peer, _) = listener.accept().expect("the client connects");
        let fifo = File::options().write(true).open(FIFO).expect("opening it");
        let queue = open_rw();
        for word in ["one", "two"] {
            post(&queue, &[record(1)]);
            watch.until("/dev/evq: ", "type");
            keyboard::press(&["h"]);
            watch.until(&format!("{keyboard}: "), "EV_KEY KEY_(hidden) press");
            say(&fifo, word);
            watch.until(&format!("{FIFO}: "), word);
            say(&peer, word);
            watch.until(&format!("{SOCKET}: "), word);
            say(&pty, word);
            watch.until(&format!("{tty}: "), word);
            watch.until("every 10ms: ", "tick");
        }
        watch.signal(Signal::SIGUSR1);
        let told = watch.told("watching 6 sources via");
        assert!(
            told.contains(&format!("{FIFO}: delivered 2, lost 0, wake-ups ")),
            "{kind}: {told}"
        );
        drop(pty);
        watch.told(&format!("{tty} has ended"));
        watch.signal(Signal::SIGTERM);
        let ended = watch.end();
        assert_eq!(ended.code(), 143, "{kind}: {}", ended.errors);
        assert!(
            ended.errors.contains(&format!("{keyboard}: delivered ")),
            "{kind}: {}",
            ended.errors
        );
    }
}

/// C4: a regular file by its type, which is empty for now like a pipe.
#[test]
fn trace_pipe_is_waited_for() {
    const TRACING: &str = "/sys/kernel/tracing";
    let set = |name: &str, value: &str| {
        fs::write(format!("{TRACING}/{name}"), value).expect("writing to tracefs");
    };
    // Else poll waits until half of the buffer is full.
    set("buffer_percent", "0");
    for kind in Kind::ALL {
        let pipe = format!("{TRACING}/trace_pipe");
        let mut watch = Watch::start(&[&pipe, "--via", kind.name()]);
        for word in ["one", "two"] {
            set("trace_marker", &format!("{kind} {word}"));
            watch.until("", &format!("{kind} {word}"));
        }
        watch.signal(Signal::SIGTERM);
        let ended = watch.end();
        assert_eq!(ended.code(), 143, "{kind}: {}", ended.errors);
    }
    set("buffer_percent", "50");
}

/// C5: arming again keeps the cursor: what was posted before it, and not yet
/// read, is read after it, once.
#[test]
fn sighup_loses_nothing_and_repeats_nothing() {
    for kind in Kind::ALL {
        let mut watch = Watch::start(&["--via", kind.name(), "--num-events", "101"]);
        let writer = open_rw();
        let next = info(&writer).posted + 1;
        for number in 0..100 {
            if number % 10 == 5 {
                watch.stop();
                watch.signal(Signal::SIGHUP);
            }
            post(&writer, &[record(number)]);
            if number % 10 == 9 {
                watch.signal(Signal::SIGCONT);
                watch.told("armed 1 again, opened 0 again");
            }
        }
        // So that it does not end before it has taken the last signal.
        post(&writer, &[record(100)]);
        let ended = watch.end();
        assert_eq!(ended.code(), 0, "{kind}: {ended:?}");
        let seqs: Vec<u64> = ended
            .lines
            .iter()
            .map(|line| line.split_whitespace().next().and_then(|n| n.parse().ok()))
            .map(|seq| seq.expect("a number comes first"))
            .collect();
        assert!(seqs.into_iter().eq(next..next + 101), "{kind}: {ended:?}");
        assert_eq!(ended.account(), (101, 0), "{kind}");
    }
}

/// C5, P3: a queue that goes away does not take the others with it, and SIGHUP
/// opens the one that has come back.
#[test]
fn a_queue_that_ends_is_opened_again() {
    for kind in [Kind::Sigio, Kind::Rtsig, Kind::Epoll, Kind::EpollEt] {
        let timer = Timer::load("own=64 rate=1000 count=10");
        let arguments = [
            "--device",
            TIMER,
            "--device",
            "/dev/evq",
            "--via",
            kind.name(),
        ];
        let mut watch = Watch::start(&arguments);
        drop(timer);
        watch.told(&format!("{TIMER} has ended"));
        post(open_rw(), &[record(1)]);
        watch.until("/dev/evq: ", "type");
        let timer = Timer::load("own=64 rate=1000 count=10");
        watch.signal(Signal::SIGHUP);
        watch.told("armed 1 again, opened 1 again");
        // What has been posted before it was open is there as well.
        watch.until(&format!("{TIMER}: "), "tick 1");
        watch.until(&format!("{TIMER}: "), "tick 10");
        watch.signal(Signal::SIGTERM);
        let ended = watch.end();
        assert_eq!(ended.code(), 143, "{kind}: {}", ended.errors);
        drop(timer);
    }
}
