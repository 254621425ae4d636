// SPDX-License-Identifier: MIT OR Apache-2.0
//! The handler of SIGIO: what it must not touch (U15), and what is left after
//! it (U1, U9). One test, in a process of its own: the disposition of a signal
//! is the process's.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use evq::via::Kind;
use evq::{Error, Event, Filled, Queue, Watcher};
use nix::errno::Errno;
use nix::sys::pthread::{pthread_kill, pthread_self};
use nix::sys::signal::{self, SaFlags, SigAction, SigHandler, SigSet, Signal};

fn disposition(handler: SigHandler) -> SigAction {
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: `handler` is SIG_DFL or a function that does nothing.
    unsafe { signal::sigaction(Signal::SIGIO, &action) }.unwrap()
}

/// The disposition, by way of setting the default.
fn is_default() -> bool {
    matches!(
        disposition(SigHandler::SigDfl).handler(),
        SigHandler::SigDfl
    )
}

extern "C" fn theirs(_signal: libc::c_int) {}

#[test]
fn the_handler_keeps_to_itself() {
    // A lost wake-up is a wait without end.
    nix::unistd::alarm::set(300);
    somebody_elses_handler_is_left_alone();
    errno_survives_a_handler_whose_write_fails();
    strangers_files_survive_a_storm();
    stopping_under_load_kills_nobody();
}

fn somebody_elses_handler_is_left_alone() {
    disposition(SigHandler::Handler(theirs));
    for kind in [Kind::Sigio, Kind::SelfPipe] {
        let error = Watcher::new(kind).unwrap_err();
        assert!(
            matches!(error, Error::HandlerTaken { signal: "SIGIO" }),
            "{error}"
        );
    }
    Watcher::new(Kind::Epoll).unwrap();
    let now = disposition(SigHandler::SigDfl);
    assert!(
        matches!(now.handler(), SigHandler::Handler(f) if std::ptr::fn_addr_eq(f, theirs as extern "C" fn(_)))
    );

    // One that comes later stays too.
    let watcher = Watcher::new(Kind::Sigio).unwrap();
    disposition(SigHandler::Handler(theirs));
    drop(watcher);
    let now = disposition(SigHandler::SigDfl);
    assert!(
        matches!(now.handler(), SigHandler::Handler(f) if std::ptr::fn_addr_eq(f, theirs as extern "C" fn(_)))
    );
}

fn errno_survives_a_handler_whose_write_fails() {
    const MAGIC: i32 = 4242;
    // More than a pipe holds of eight bytes each: the last writes fail with
    // EAGAIN, inside the handler.
    const SIGNALS: usize = 10_000;
    let _watcher = Watcher::new(Kind::SelfPipe).unwrap();
    for _ in 0..SIGNALS {
        Errno::set_raw(MAGIC);
        signal::raise(Signal::SIGIO).unwrap();
        assert_eq!(Errno::last_raw(), MAGIC);
    }
}

fn strangers_files_survive_a_storm() {
    let done = AtomicBool::new(false);
    // So that the storm meets a handler at any time.
    let _keeper = Watcher::new(Kind::Sigio).unwrap();
    // The handler wakes the watchers of the thread that it runs on.
    let here = pthread_self();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                pthread_kill(here, Signal::SIGIO).unwrap();
            }
        });
        for _ in 0..2_000 {
            drop(Watcher::new(Kind::Sigio).unwrap());
            drop(Watcher::new(Kind::SelfPipe).unwrap());
            // They take the numbers that the watchers had.
            let canaries: Vec<File> = (0..4).map(|_| tempfile::tempfile().unwrap()).collect();
            thread::yield_now();
            for canary in &canaries {
                assert_eq!(
                    canary.read_at(&mut [0; 8], 0).unwrap(),
                    0,
                    "eight strange bytes"
                );
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

fn stopping_under_load_kills_nobody() {
    for kind in [Kind::Sigio, Kind::SelfPipe, Kind::Signalfd, Kind::Blocking] {
        let (read, mut writer) = UnixStream::pair().unwrap();
        let queue = Queue::from_fd(read.into(), "socket");
        let mut events = [Event::default(); 64];
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    writer.write_all(&[0; evq::uapi::EVENT_SIZE]).unwrap();
                }
            });
            for _ in 0..1_000 {
                let mut watcher = Watcher::new(kind).unwrap();
                let token = watcher.arm(&queue, queue.name()).unwrap();
                assert_eq!(watcher.wait(None).unwrap(), [token]);
                let _ = queue.read(&mut events).unwrap();
            }
            done.store(true, Ordering::Relaxed);
            // The writer may sit on a full socket.
            let mut watcher = Watcher::new(Kind::Poll).unwrap();
            watcher.arm(&queue, queue.name()).unwrap();
            while queue.read(&mut events).unwrap() != Filled::Empty {}
        });
        assert!(is_default(), "{kind} leaves the disposition as it was");
    }
}
