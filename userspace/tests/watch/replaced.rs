// SPDX-License-Identifier: MIT OR Apache-2.0
//! `--wait` on a path where another file takes the place of the one that is open.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use evq::via::Kind;
use nix::sys::signal::Signal;

use crate::program::{fifo, say, terminal, text, writer, Watch};

fn draining() -> impl Iterator<Item = &'static Kind> {
    Kind::ALL.iter().filter(|kind| kind.drains())
}

/// Puts another FIFO at this path.
fn replace(path: &Path) {
    fs::remove_file(path).unwrap();
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
}

/// C4: nobody writes to the old one, so nothing can come from it.
#[test]
fn fifo_without_writer_replaced_is_opened_anew() {
    for kind in draining() {
        eprintln!("{kind}");
        let dir = tempfile::tempdir().unwrap();
        let path = fifo(dir.path());
        let arguments = ["--via", kind.name(), "--wait", "--device", text(&path)];
        let mut watch = Watch::start(&arguments);
        // It has never had a writer; then it has had one.
        for word in ["one", "two"] {
            replace(&path);
            watch.told(&format!("{} is there", text(&path)));
            say(writer(&path), word);
            watch.until(word);
            watch.told("has ended; waiting for it");
            watch.told("is there");
        }
        // The old one was closed.
        watch.signal(Signal::SIGUSR1);
        let lines = watch.told("watching 1 sources");
        assert!(lines.concat().contains("delivered 2, lost 0"), "{lines:?}");
        watch.stop();
    }
}

/// C4: what is still written to the old one is read, beside the new one; its
/// account is that of the path in the end.
#[test]
fn fifo_with_writer_replaced_is_read_beside_the_new_one() {
    for kind in draining() {
        eprintln!("{kind}");
        let dir = tempfile::tempdir().unwrap();
        let path = fifo(dir.path());
        let arguments = ["--via", kind.name(), "--wait", "--device", text(&path)];
        let mut watch = Watch::start(&arguments);
        let old = writer(&path);
        say(&old, "old");
        watch.until("old");
        replace(&path);
        watch.told(&format!("{} is there", text(&path)));
        say(writer(&path), "new");
        watch.until("new");
        say(&old, "still there");
        watch.until("still there");
        watch.signal(Signal::SIGUSR1);
        watch.told("watching 2 sources");
        drop(old);
        watch.told(&format!("{} (replaced) has ended", text(&path)));
        watch.signal(Signal::SIGUSR1);
        let lines = watch.told("watching 1 sources");
        assert!(lines.concat().contains("delivered 3, lost 0"), "{lines:?}");
        watch.stop();
    }
}

/// C4: a link that leads to another device.
#[test]
fn link_changed_to_another_file_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    for path in [&one, &two] {
        nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    }
    let link = dir.path().join("link");
    symlink("one", &link).unwrap();
    let mut watch = Watch::start(&["--wait", "--device", text(&link)]);
    symlink("two", dir.path().join("new")).unwrap();
    fs::rename(dir.path().join("new"), &link).unwrap();
    watch.told("is there");
    say(writer(&two), "by the new way");
    watch.until("by the new way");
    watch.stop();
}

/// C4: a device has no end: what it has is read, and then it is closed.
#[test]
fn link_changed_to_another_device_leaves_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("link");
    let [(old, old_tty), (new, new_tty)] = [terminal(), terminal()];
    for kind in draining() {
        eprintln!("{kind}");
        let to = |tty: &Path| {
            let hidden = dir.path().join("new");
            symlink(tty, &hidden).unwrap();
            fs::rename(&hidden, &link).unwrap();
        };
        to(&old_tty);
        let arguments = ["--via", kind.name(), "--wait", "--device", text(&link)];
        let mut watch = Watch::start(&arguments);
        say(&old, "from the old one");
        watch.until("from the old one");
        to(&new_tty);
        watch.told("is there");
        watch.told("(replaced) has ended");
        say(&new, "from the new one");
        watch.until("from the new one");
        watch.signal(Signal::SIGUSR1);
        watch.told("delivered 2, lost 0");
        watch.told("watching 1 sources");
        watch.stop();
    }
}

/// A file is read once, and again only if it is another one.
#[test]
fn file_is_read_again_only_if_replaced() {
    for kind in Kind::ALL {
        eprintln!("{kind}");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let new = dir.path().join("new");
        fs::write(&path, "first\n").unwrap();
        let arguments = ["--wait", "--device", text(&path), "--format", "%x"];
        let mut watch = Watch::start(&[&arguments[..], &["--via", kind.name()]].concat());
        assert_eq!(watch.line(), "first");
        watch.told("has ended; waiting for it");
        // Told of, and the same file.
        let mut mode = fs::metadata(&path).unwrap().permissions();
        mode.set_readonly(true);
        fs::set_permissions(&path, mode).unwrap();
        watch.until_asleep();
        fs::write(&new, "second\n").unwrap();
        fs::rename(&new, &path).unwrap();
        assert_eq!(watch.line(), "second");
        let ended = watch.stop();
        assert!(ended.lines.is_empty(), "{ended:?}");
        assert!(ended.errors.contains("delivered 2,"), "{ended:?}");
    }
}

/// C4: a server that is started anew, while the old one still serves.
#[test]
fn socket_replaced_is_connected_to_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let old = UnixListener::bind(&path).unwrap();
    let mut watch = Watch::start(&["--wait", "--device", text(&path)]);
    let (old_peer, _) = old.accept().unwrap();
    // Bound before it can be seen: it is connected to at once.
    let hidden = dir.path().join("hidden");
    let new = UnixListener::bind(&hidden).unwrap();
    fs::rename(&hidden, &path).unwrap();
    watch.told("is there");
    let (new_peer, _) = new.accept().unwrap();
    say(&old_peer, "from the old one");
    watch.until("from the old one");
    say(&new_peer, "from the new one");
    watch.until("from the new one");
    watch.stop();
}
