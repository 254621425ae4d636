// SPDX-License-Identifier: MIT OR Apache-2.0
//! `--wait` behind symbolic links: every link and every folder on the way may
//! come later, or lead elsewhere one day.

use std::fs;
use std::os::unix::fs::symlink;

use evq::via::Kind;

use crate::program::{appear, say, text, Watch};

/// C4: the target of a link appears, in a folder of its own.
#[test]
fn link_target_that_appears_later_is_noticed() {
    for kind in Kind::ALL {
        eprintln!("{kind}");
        let dir = tempfile::tempdir().unwrap();
        let (link, target) = (dir.path().join("link"), dir.path().join("far/target"));
        fs::create_dir(dir.path().join("far")).unwrap();
        symlink("far/target", &link).unwrap();
        let arguments = ["--via", kind.name(), "--wait", "--device", text(&link)];
        let mut watch = Watch::start(&arguments);
        let (_reader, other) = appear(&target);
        watch.told(&format!("{} is there", text(&link)));
        say(&other, "behind the link");
        watch.until("behind the link");
        watch.stop();
    }
}

/// C4: as `/dev/input/by-id` behind another link: the folder comes, then the
/// second link in it, then the device.
#[test]
fn second_link_and_its_folder_that_appear_later_are_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    symlink(at("input/by-id/keyboard"), at("keyboard")).unwrap();
    let mut watch = Watch::start(&["--wait", "--device", text(&at("keyboard"))]);
    assert!(watch.banner.contains("waiting for it"), "{}", watch.banner);
    fs::create_dir_all(at("input/by-id")).unwrap();
    watch.until_asleep();
    symlink("../event3", at("input/by-id/keyboard")).unwrap();
    watch.until_asleep();
    let (_reader, other) = appear(&at("input/event3"));
    watch.told("is there");
    say(&other, "a key");
    watch.until("a key");
    watch.stop();
}

/// C4: a folder on the way is a link, and leads elsewhere.
#[test]
fn folder_that_is_a_link_may_lead_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for folder in ["one", "two"] {
        fs::create_dir(at(folder)).unwrap();
    }
    symlink("one", at("folder")).unwrap();
    let path = at("folder/fifo");
    let mut watch = Watch::start(&["--wait", "--device", text(&path)]);
    let _other = appear(&at("two/fifo"));
    symlink("two", at("new")).unwrap();
    fs::rename(at("new"), at("folder")).unwrap();
    watch.told("is there");
    watch.stop();
}

/// C4: a folder far above is moved away, and another one takes its place.
#[test]
fn folder_that_is_replaced_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir_all(at("one/two/three")).unwrap();
    let path = at("one/two/three/fifo");
    let mut watch = Watch::start(&["--wait", "--device", text(&path)]);
    fs::rename(at("one"), at("gone")).unwrap();
    fs::create_dir_all(at("one/two/three")).unwrap();
    watch.until_asleep();
    let (_reader, other) = appear(&path);
    watch.told("is there");
    say(&other, "in the new folder");
    watch.until("in the new folder");
    watch.stop();
}
