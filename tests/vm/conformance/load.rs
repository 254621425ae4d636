// SPDX-License-Identifier: MIT OR Apache-2.0
//! Watchers that come and go while events flow without a pause.

use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use evq::via::Kind;
use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::memfd::{memfd_create, MFdFlags};
use nix::sys::signal::{kill, SigSet, SigmaskHow, Signal};
use nix::sys::wait::waitpid;
use nix::unistd::{fork, ForkResult, Pid};

use crate::cell;
use crate::source::{make, Origin, Reader};
use crate::watch::Watch;

/// U9: a watcher is dropped, a thousand times, while another process posts.
pub(crate) fn stop(kind: Kind, origin: Origin) {
    let (_load, reader) = Load::start(origin);
    // To map the ring is slow, and another row's.
    let count = if origin == Origin::Mapped { 100 } else { 1_000 };
    stop_often(kind, reader, count);
}

/// The same while a thread of this process posts.
pub(crate) fn stop_beside_thread(kind: Kind, origin: Origin) {
    let (reader, writer) = make(origin);
    let stopped = &AtomicBool::new(false);
    thread::scope(|scope| {
        in_thread(kind == Kind::Rtsig, || {
            scope.spawn(
                move || {
                    while !stopped.load(Ordering::Relaxed) && writer.post(1..=4) {}
                },
            )
        });
        let _end = Raise(stopped);
        // A writer that waits for room in a pipe then finds it has no reader.
        drop(stop_often(kind, reader, 100));
    });
}

fn stop_often(kind: Kind, mut reader: Reader, count: u64) -> Reader {
    for _ in 0..cell::rounds(count) {
        let mut watch = Watch::new(kind, reader);
        while watch.some().total() == 0 {}
        reader = watch.stop();
    }
    reader
}

/// U15: while watchers come and go in two threads and a third one opens and
/// closes descriptors, nobody writes to the files that get their numbers, and
/// the handler keeps errno.
pub(crate) fn canary(kind: Kind, origin: Origin) {
    let (_load, reader) = Load::start(origin);
    let (_other_load, other) = Load::start(origin);
    let stopped = &AtomicBool::new(false);
    thread::scope(|scope| {
        let for_process = kind == Kind::Rtsig;
        in_thread(for_process, || scope.spawn(|| come_and_go(stopped)));
        let _end = Raise(stopped);
        // Of those for the process there is one.
        let other = (!for_process).then(|| scope.spawn(|| drop(watch_often(kind, other))));
        let reader = watch_often(kind, reader);
        if matches!(kind, Kind::Sigio | Kind::SelfPipe) {
            let full = kind == Kind::SelfPipe && origin == Origin::Pipe;
            keeps_errno(&mut Watch::new(kind, reader), full);
        }
        if let Some(other) = other {
            other.join().expect("the other thread's watchers");
        }
    });
}

fn watch_often(kind: Kind, mut reader: Reader) -> Reader {
    let mut canaries = Canaries::default();
    for _ in 0..cell::rounds(30) {
        let mut watch = Watch::new(kind, reader);
        while watch.some().total() == 0 {}
        reader = watch.stop();
        // They get the numbers that the watcher has had.
        for _ in 0..4 {
            canaries.plant();
        }
    }
    canaries.check();
    reader
}

fn come_and_go(stopped: &AtomicBool) {
    let mut canaries = Canaries::default();
    while !stopped.load(Ordering::Relaxed) {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let gone = [(); 4].map(|()| EventFd::from_flags(flags).expect("an eventfd"));
        drop(gone);
        canaries.plant();
    }
    canaries.check();
}

/// Files that nobody writes to: the last 64 are open, the others were
/// unchanged when they were closed.
#[derive(Default)]
struct Canaries(VecDeque<File>);

impl Canaries {
    const TEXT: &[u8] = b"nobody writes here but me";

    fn plant(&mut self) {
        let file: OwnedFd = memfd_create(c"canary", MFdFlags::MFD_CLOEXEC).expect("a file");
        let file = File::from(file);
        // Whoever writes to it by mistake does so from the beginning.
        file.write_all_at(Self::TEXT, 0).expect("writing a canary");
        self.0.push_back(file);
        if self.0.len() > 64 {
            self.check_oldest();
        }
    }

    fn check_oldest(&mut self) {
        let mut text = [0; 64];
        let file = self.0.pop_front().expect("a canary");
        let count = file.read_at(&mut text, 0).expect("reading a canary");
        assert_eq!(&text[..count], Self::TEXT, "written to a stranger's file");
    }

    fn check(mut self) {
        while !self.0.is_empty() {
            self.check_oldest();
        }
    }
}

/// The handler runs where errno has a value that no system call leaves; with
/// `full`, until its pipe is full and its write(2) fails, after 8192 wake-ups.
/// That is slow, and has nothing to do with the kind of source.
fn keeps_errno(watch: &mut Watch, full: bool) {
    const MAGIC: i32 = 4095;
    let sigio = SigSet::from(Signal::SIGIO);
    for _ in 0..if full { 9_000 } else { 100 } {
        sigio.thread_block().expect("blocking SIGIO");
        // Makes room for more: after this a signal comes.
        let _ = watch.reader.read(64);
        cell::progress();
        Errno::set_raw(MAGIC);
        // What the thread does here sets errno only where it fails.
        sigio.thread_unblock().expect("unblocking SIGIO");
        // The handler blocks it.
        while !SigSet::thread_get_mask()
            .expect("the mask")
            .contains(Signal::SIGIO)
        {
            thread::yield_now();
        }
        assert_eq!(Errno::last_raw(), MAGIC, "errno after the handler");
    }
}

/// Another process that posts without a pause: not a thread, whose mask would
/// be that of before the watcher.
struct Load(Pid);

impl Load {
    fn start(origin: Origin) -> (Load, Reader) {
        let (reader, writer) = make(origin);
        // SAFETY: the cell has one thread by now.
        match unsafe { fork() }.expect("fork") {
            // Ended with the process group, should the cell fail.
            ForkResult::Child => loop {
                writer.post(1..=4);
            },
            ForkResult::Parent { child } => (Load(child), reader),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
        let _ = waitpid(self.0, None);
    }
}

/// Ends whoever looks, also after a panic.
struct Raise<'a>(&'a AtomicBool);

impl Drop for Raise<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Starts a thread, with all signals blocked if it must: one that is for the
/// process could be taken by any thread.
fn in_thread<T>(blocked: bool, spawn: impl FnOnce() -> T) -> T {
    let mask = if blocked {
        SigSet::all()
    } else {
        SigSet::empty()
    };
    let before = mask
        .thread_swap_mask(SigmaskHow::SIG_BLOCK)
        .expect("the mask");
    let thread = spawn();
    before.thread_set_mask().expect("the mask");
    thread
}
