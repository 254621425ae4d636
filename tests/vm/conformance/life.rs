// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a watcher leaves alone, and how it and its source end.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::process::Command;
use std::thread;

use evq::via::Kind;
use nix::kmod::{delete_module, finit_module, DeleteModuleFlags, ModuleInitFlags};
use nix::unistd::gettid;

use crate::gate::{until_asleep, Gate};
use crate::source::{make, Origin, Reader};
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
        let fd = reader.as_fd().as_raw_fd();
        assert_eq!(*number.get_or_insert(fd), fd);
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

const TIMER: &str = "evq_timer";

/// P3 and its like: whoever waits learns that the device is gone.
pub(crate) fn removal(kind: Kind, origin: Origin) {
    let asleep = Gate::new();
    let main = gettid();
    if !origin.is_queue() {
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
    let reader = Reader::open(Path::new("/dev/evq-timer"), origin);
    let mut watch = Watch::new(kind, reader);
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
