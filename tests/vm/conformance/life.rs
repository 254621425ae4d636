// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a watcher leaves alone, and how it and its source end.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;
use std::thread;

use evq::via::Kind;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::kmod::{delete_module, finit_module, DeleteModuleFlags, ModuleInitFlags};
use nix::sys::signal::{kill, Signal};
use nix::sys::wait::waitpid;
use nix::unistd::{fork, gettid, ForkResult};

use crate::gate::{until_asleep, Gate};
use crate::source::{make, open_node, Origin, Reader};
use crate::watch::Watch;

fn busybox(arguments: &[&str]) -> String {
    let output = evq::unblock_in_child(Command::new("/bin/busybox").args(arguments))
        .output()
        .expect("running busybox");
    assert!(output.status.success(), "busybox {arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// U12, U14: a program that is started gets none of the watcher's descriptors.
pub(crate) fn exec(kind: Kind, origin: Origin) {
    let numbers = || -> BTreeSet<String> {
        let text = busybox(&["ls", "/proc/self/fd"]);
        text.lines().map(str::to_owned).collect()
    };
    let before = numbers();
    let (reader, writer) = make(origin);
    let mut watch = Watch::new(kind, reader);
    writer.post([1]);
    assert_eq!(watch.collect(64, 1), [1]);
    assert_eq!(numbers(), before, "descriptors of a child");
}

/// U13: a program that is started has the mask that it had without a watcher,
/// while there is one and after that.
pub(crate) fn mask(kind: Kind, origin: Origin) {
    let mask = || -> String {
        let status = busybox(&["cat", "/proc/self/status"]);
        let line = status.lines().find(|line| line.starts_with("SigBlk"));
        line.expect("a SigBlk line").to_owned()
    };
    let before = mask();
    let (reader, _writer) = make(origin);
    let watch = Watch::new(kind, reader);
    let armed = mask();
    drop(watch);
    assert_eq!(mask(), before, "after the watcher");
    assert_eq!(armed, before, "while there is a watcher");
}

/// U6: signals and reports for a file that was closed hit the next one of that
/// number: they do no harm, and what that one has to say is told.
pub(crate) fn reuse(kind: Kind, origin: Origin) {
    let mut watcher = crate::watch::watcher(kind);
    let mut number = None;
    let (old, old_writer) = make(origin);
    drop(old);
    for round in 0..if origin == Origin::Input { 30 } else { 200 } {
        let (reader, writer) = match origin {
            Origin::Pipe => make(origin),
            _ => (old_writer.reader(), old_writer.duplicate()),
        };
        assert_eq!(
            *number.get_or_insert(reader.fd.as_raw_fd()),
            reader.fd.as_raw_fd()
        );
        let token = crate::watch::arm(&mut watcher, &reader);
        let mut watch = Watch {
            watcher,
            token,
            reader,
        };
        watch.drain();
        let value = 10 * round + 1;
        writer.post([value]);
        assert_eq!(watch.collect(64, 1), [value], "in round {round}");
        // Told of, and never read.
        writer.post([value + 1, value + 2]);
        drop((watch.reader, writer));
        watcher = watch.watcher;
        watcher.disarm(token);
    }
}

/// U9: a watcher is dropped while events flow.
pub(crate) fn stop(kind: Kind, origin: Origin) {
    let rounds = if origin == Origin::Evq { 1_000 } else { 100 };
    under_load(origin, |reader| {
        for _ in 0..rounds {
            let fd = reader.fd.try_clone().expect("dup");
            let mut watch = Watch::new(kind, Reader::from_fd(fd, origin));
            while watch.some().total() == 0 {}
        }
    });
}

/// U15: the handler keeps errno, and writes to nobody else's file.
pub(crate) fn canary(kind: Kind, origin: Origin) {
    const MAGIC: i32 = 4095;
    const TEXT: &str = "nobody writes here but me";
    let path = format!("/tmp/canary-{}", std::process::id());
    under_load(origin, |reader| {
        for _ in 0..30 {
            let fd = reader.fd.try_clone().expect("dup");
            let mut watch = Watch::new(kind, Reader::from_fd(fd, origin));
            while watch.some().total() == 0 {}
            Errno::set_raw(MAGIC);
            for turn in 0..10_000 {
                std::hint::black_box(turn);
                if Errno::last_raw() != MAGIC {
                    panic!("errno became {}", Errno::last_raw());
                }
            }
            drop(watch);
            // Takes the numbers that the watcher has had.
            let files: Vec<_> = (0..8)
                .map(|n| File::create(format!("{path}-{n}")))
                .collect();
            for n in 0..8 {
                fs::write(format!("{path}-{n}"), TEXT).expect("writing a canary");
            }
            let again = Watch::new(
                kind,
                Reader::from_fd(reader.fd.try_clone().expect("dup"), origin),
            );
            for n in 0..8 {
                let text = fs::read_to_string(format!("{path}-{n}")).expect("a canary");
                assert_eq!(text, TEXT, "a canary file");
            }
            drop((files, again));
        }
    });
    for n in 0..8 {
        let _ = fs::remove_file(format!("{path}-{n}"));
    }
}

/// Runs `run` while another process posts without a pause: not a thread, whose
/// mask would be that of before the watcher.
fn under_load(origin: Origin, run: impl FnOnce(&Reader)) {
    let (reader, writer) = make(origin);
    // SAFETY: the cell has one thread by now.
    match unsafe { fork() }.expect("fork") {
        // Ended with the process group, should the cell fail.
        ForkResult::Child => loop {
            writer.post(1..=4);
        },
        ForkResult::Parent { child } => {
            run(&reader);
            kill(child, Signal::SIGKILL).expect("kill");
            waitpid(child, None).expect("waitpid");
        }
    }
}

const TIMER: &str = "evq_timer";

/// P3 and its like: whoever waits learns that the device is gone.
pub(crate) fn removal(kind: Kind, origin: Origin) {
    let asleep = Gate::new();
    let main = gettid();
    if origin != Origin::Evq {
        let (reader, writer) = make(origin);
        let mut watch = Watch::new(kind, reader);
        watch.drain();
        thread::scope(|scope| {
            let asleep = &asleep;
            scope.spawn(move || {
                asleep.pass();
                until_asleep(main);
                writer.remove();
            });
            asleep.open();
            assert_eq!(watch.until_gone(), []);
        });
        return;
    }
    let name = CString::new(TIMER).expect("a name");
    let unload = || delete_module(&name, DeleteModuleFlags::O_NONBLOCK);
    // A cell before this one may have been killed.
    let _ = unload();
    let file = File::open(format!("/lib/evq/{TIMER}.ko")).expect("the module");
    finit_module(&file, c"own=64 rate=1000 count=5", ModuleInitFlags::empty())
        .expect("loading evq_timer");
    let fd = open_node(Path::new("/dev/evq-timer"), OFlag::O_RDONLY);
    let mut watch = Watch::new(kind, Reader::from_fd(fd, origin));
    thread::scope(|scope| {
        scope.spawn(|| {
            asleep.pass();
            until_asleep(main);
            unload().expect("unloading evq_timer");
        });
        asleep.open();
        assert_eq!(watch.until_gone(), [], "numbers of programs");
    });
}
