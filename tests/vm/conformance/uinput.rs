// SPDX-License-Identifier: MIT OR Apache-2.0
//! An input device made by uinput, which reports any number as MSC_SCAN.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::{open, OFlag};
use nix::sys::stat::Mode;

pub(crate) const EV_MSC: u16 = 4;
pub(crate) const MSC_SCAN: u16 = 4;

/// `struct uinput_setup`.
#[repr(C)]
struct Setup {
    id: libc::input_id,
    name: [u8; 80],
    ff_effects_max: u32,
}

nix::ioctl_write_int!(set_evbit, b'U', 100);
nix::ioctl_write_int!(set_mscbit, b'U', 104);
nix::ioctl_write_ptr!(dev_setup, b'U', 3, Setup);
nix::ioctl_none!(dev_create, b'U', 1);
nix::ioctl_none!(dev_destroy, b'U', 2);
nix::ioctl_read_buf!(get_sysname, b'U', 44, u8);

/// Makes a device; what writes to it, and its node.
pub(crate) fn create() -> (OwnedFd, PathBuf) {
    let fd = open(
        "/dev/uinput",
        OFlag::O_WRONLY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )
    .expect("opening /dev/uinput (is uinput.ko loaded?)");
    let raw = fd.as_raw_fd();
    let mut name = [0; 80];
    name[..15].copy_from_slice(b"evq conformance");
    let setup = Setup {
        id: libc::input_id {
            bustype: 6,
            vendor: 1,
            product: 1,
            version: 1,
        },
        name,
        ff_effects_max: 0,
    };
    let mut sysname = [0_u8; 64];
    let made = || -> Result<(), Errno> {
        // SAFETY: takes an integer.
        unsafe { set_evbit(raw, EV_MSC.into()) }?;
        // SAFETY: takes an integer.
        unsafe { set_mscbit(raw, MSC_SCAN.into()) }?;
        // SAFETY: reads one `uinput_setup`, which `setup` is.
        unsafe { dev_setup(raw, &raw const setup) }?;
        // SAFETY: takes nothing.
        unsafe { dev_create(raw) }?;
        Ok(())
    };
    made().expect("making a device with /dev/uinput");
    // SAFETY: writes at most the length of the buffer.
    unsafe { get_sysname(raw, &mut sysname) }.expect("UI_GET_SYSNAME");
    let end = sysname.iter().position(|&byte| byte == 0).expect("an end");
    let sysname = String::from_utf8_lossy(&sysname[..end]).into_owned();
    let folder = format!("/sys/devices/virtual/input/{sysname}");
    let node = fs::read_dir(&folder)
        .expect("the folder of the device")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .find(|name| name.starts_with("event"))
        .unwrap_or_else(|| panic!("no event node in {folder}: is evdev.ko loaded?"));
    (fd, PathBuf::from("/dev/input").join(node))
}

/// Unplugs the device.
pub(crate) fn destroy(fd: &OwnedFd) {
    // SAFETY: takes nothing.
    unsafe { dev_destroy(fd.as_raw_fd()) }.expect("UI_DEV_DESTROY");
}
