// SPDX-License-Identifier: MIT OR Apache-2.0
//! The emulated keyboard: its node, and keys that the host presses.

use std::fs;
use std::process::Command;

/// The kernel's own node of the emulated keyboard, and the number of the input
/// device, which is the source of its events.
pub(crate) fn find() -> (String, u16) {
    let devices = fs::read_to_string("/proc/bus/input/devices").expect("the input core is there");
    let device = devices
        .split("\n\n")
        .find(|device| {
            ["AT Translated", "QEMU Virtio Keyboard"]
                .iter()
                .any(|name| device.contains(name))
        })
        .unwrap_or_else(|| panic!("no emulated keyboard among\n{devices}"));
    let event = device
        .split_whitespace()
        .find(|word| word.starts_with("event"))
        .unwrap_or_else(|| panic!("evdev is not connected to\n{device}"));
    let number = device
        .lines()
        .find_map(|line| line.strip_prefix("S: Sysfs=")?.rsplit_once("/input"))
        .and_then(|(_, number)| number.parse().ok())
        .unwrap_or_else(|| panic!("no number in\n{device}"));
    (format!("/dev/input/{event}"), number)
}

/// Has the host press and release keys, one after the other: each is an
/// interrupt. Returns when the guest has had them all.
pub(crate) fn press(keys: &[&str]) {
    let output = Command::new("vm-ctl")
        .arg("key")
        .args(keys)
        .output()
        .expect("vm-ctl asks the host");
    assert!(output.status.success(), "vm-ctl key {keys:?}: {output:?}");
}
