// SPDX-License-Identifier: MIT OR Apache-2.0
//! C4, C5: `watch --wait` on devices that come, go and come back while others
//! are watched: a queue whose module is loaded and unloaded, and the keyboard.

use std::fs;
use std::os::unix::fs::symlink;

use evq::via::Kind;
use nix::sys::signal::Signal;

use crate::support::client::Watch;
use crate::support::device::*;
use crate::support::keyboard::{self, Plug};
use crate::support::modules::Timer;

const QUEUE: &str = "/dev/evq-timer";

/// C4, P3: events from before it was opened are there as well, and those of the
/// others while it is away.
#[test]
fn a_queue_comes_and_goes_and_comes_back() {
    for kind in Kind::ALL.iter().filter(|kind| kind.drains()) {
        let arguments = ["--device", QUEUE, "--device", "/dev/evq", "--wait"];
        let mut watch = Watch::start(&[&arguments[..], &["--via", kind.name()]].concat());
        assert!(watch.banner.contains(&format!("{QUEUE} (waiting for it)")));
        for _ in 0..2 {
            let timer = Timer::load("own=64 rate=1000 count=10");
            watch.told(&format!("{QUEUE} is there"));
            watch.until(&format!("{QUEUE}: "), "tick 1");
            watch.until(&format!("{QUEUE}: "), "tick 10");
            drop(timer);
            let told = watch.told(&format!("{QUEUE} has ended; waiting for it"));
            assert!(!told.contains("cannot"), "{kind}: {told}");
            post(open_rw(), &[record(1)]);
            watch.until("/dev/evq: ", "type");
        }
        watch.signal(Signal::SIGTERM);
        let ended = watch.end();
        assert_eq!(ended.code(), 143, "{kind}: {}", ended.errors);
        let account = format!("{QUEUE}: delivered 20, lost 0");
        assert!(ended.errors.contains(&account), "{kind}: {}", ended.errors);
    }
}

/// C4, Q3: a link that leads to another queue: what the first one held is read
/// before it is left.
#[test]
fn link_changed_to_another_queue_is_followed() {
    const LINK: &str = "/tmp/hotplug-link";
    let link_to = |device: &str| {
        let new = format!("{LINK}-new");
        symlink(device, &new).expect("a link");
        fs::rename(new, LINK).expect("renaming it");
    };
    for kind in Kind::ALL.iter().filter(|kind| kind.drains()) {
        link_to("/dev/evq");
        let mut watch = Watch::start(&[LINK, "--wait", "--via", kind.name()]);
        watch.stop();
        post(open_rw(), &[record(1)]);
        let timer = Timer::load("own=64 rate=1000 count=10");
        link_to(QUEUE);
        watch.signal(Signal::SIGCONT);
        watch.until("", "tick 10");
        watch.told(&format!("{LINK} (replaced) has ended"));
        watch.signal(Signal::SIGTERM);
        let ended = watch.end();
        assert_eq!(ended.code(), 143, "{kind}: {}", ended.errors);
        let account = format!("{LINK}: delivered 11, lost 0");
        assert!(ended.errors.contains(&account), "{kind}: {}", ended.errors);
        drop(timer);
    }
    fs::remove_file(LINK).expect("removing it");
}

/// C4: a keyboard that is unplugged, and plugged in again.
#[test]
fn a_keyboard_is_unplugged_and_plugged_in_again() {
    let (device, _) = keyboard::find();
    let plug = Plug::find();
    for kind in [Kind::Sigio, Kind::Rtsig, Kind::Epoll] {
        let mut watch = Watch::start(&[
            "--device",
            &device,
            "--wait",
            "--show-keys",
            "--via",
            kind.name(),
        ]);
        plug.pull();
        watch.told(&format!("{device} has ended; waiting for it"));
        plug.push();
        watch.told(&format!("{device} is there"));
        keyboard::press(&["h"]);
        watch.until("", "EV_KEY KEY_H press");
        watch.signal(Signal::SIGTERM);
        assert_eq!(watch.end().code(), 143, "{kind}");
    }
}
