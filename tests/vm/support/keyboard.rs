// SPDX-License-Identifier: MIT OR Apache-2.0
//! The emulated keyboard: its node, and keys that the host presses. It is an AT
//! keyboard on x86-64 and a virtio device on arm64.

use std::fs;
use std::process::Command;

/// Events for each press and each release: a scan code where the keyboard has
/// those, the key, a SYN_REPORT.
pub(crate) const EVENTS_A_STROKE: usize = if SCAN_CODES { 3 } else { 2 };

/// Whether the keyboard reports MSC_SCAN.
pub(crate) const SCAN_CODES: bool = cfg!(target_arch = "x86_64");

/// The folder of its driver, and how the names of its devices begin.
const DRIVER: (&str, &str) = if cfg!(target_arch = "x86_64") {
    ("/sys/bus/serio/drivers/atkbd", "serio")
} else {
    ("/sys/bus/virtio/drivers/virtio_input", "virtio")
};

/// The cable of the keyboard.
pub(crate) struct Plug {
    device: String,
}

impl Plug {
    /// That of the keyboard that is plugged in.
    pub(crate) fn find() -> Self {
        let (driver, prefix) = DRIVER;
        let device = fs::read_dir(driver)
            .expect("the driver of the keyboard")
            .map(|entry| entry.expect("an entry").file_name())
            .filter_map(|name| name.into_string().ok())
            .find(|name| name.starts_with(prefix))
            .expect("it has a keyboard");
        Self { device }
    }

    /// Unplugs it; its nodes are gone when this returns.
    pub(crate) fn pull(&self) {
        fs::write(format!("{}/unbind", DRIVER.0), &self.device).expect("unplugging it");
    }

    /// Plugs it in.
    pub(crate) fn push(&self) {
        fs::write(format!("{}/bind", DRIVER.0), &self.device).expect("plugging it in");
    }
}

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
