// SPDX-License-Identifier: MIT OR Apache-2.0
//! Loading and unloading, and what the kernel says about it.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use nix::errno::Errno;
use nix::kmod::{delete_module, finit_module, DeleteModuleFlags, ModuleInitFlags};

/// Where the runner puts the modules.
const FOLDER: &str = "/lib/evq";

/// A module that can be loaded, with its parameters.
pub(crate) struct Image {
    file: File,
    parameters: CString,
}

impl Image {
    pub(crate) fn new(name: &str, parameters: &str) -> Self {
        let path = format!("{FOLDER}/{name}.ko");
        Self {
            file: File::open(&path).unwrap_or_else(|error| panic!("opening {path}: {error}")),
            parameters: CString::new(parameters).expect("parameters without NUL"),
        }
    }

    /// One system call.
    pub(crate) fn load(&self) -> Result<(), Errno> {
        finit_module(&self.file, &self.parameters, ModuleInitFlags::empty())
    }
}

pub(crate) fn load(name: &str, parameters: &str) -> Result<(), Errno> {
    Image::new(name, parameters).load()
}

pub(crate) fn unload(name: &str) -> Result<(), Errno> {
    let name = CString::new(name).expect("a name without NUL");
    delete_module(&name, DeleteModuleFlags::O_NONBLOCK)
}

pub(crate) fn is_loaded(name: &str) -> bool {
    fs::exists(format!("/sys/module/{name}/initstate")).expect("/sys/module")
}

/// Takes evq and its producers away, and puts evq and the input producer back
/// when it is dropped, as every other test expects them.
pub(crate) struct Unloaded(());

impl Unloaded {
    pub(crate) fn new() -> Self {
        let guard = Self(());
        for name in ["evq_timer", "evq_input", "evq"] {
            if is_loaded(name) {
                unload(name).unwrap_or_else(|errno| panic!("unloading {name}: {errno}"));
            }
        }
        guard
    }
}

impl Drop for Unloaded {
    fn drop(&mut self) {
        // With other parameters perhaps; what is in use cannot be helped.
        for name in ["evq_timer", "evq_input", "evq"] {
            let _ = unload(name);
        }
        for name in ["evq", "evq_input"] {
            match load(name, "") {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(errno) if std::thread::panicking() => eprintln!("loading {name}: {errno}"),
                Err(errno) => panic!("loading {name}: {errno}"),
            }
        }
    }
}

/// The timer producer, while this lives.
pub(crate) struct Timer(());

impl Timer {
    pub(crate) fn load(parameters: &str) -> Self {
        load("evq_timer", parameters)
            .unwrap_or_else(|errno| panic!("loading evq_timer {parameters}: {errno}"));
        Self(())
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if is_loaded("evq_timer") {
            let result = unload("evq_timer");
            if !std::thread::panicking() {
                result.expect("unloading evq_timer");
            }
        }
    }
}

/// What the kernel says from now on.
pub(crate) struct KernelLog(File);

impl KernelLog {
    pub(crate) fn from_now() -> Self {
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/kmsg")
            .expect("opening /dev/kmsg");
        file.seek(SeekFrom::End(0))
            .expect("seeking /dev/kmsg to its end");
        Self(file)
    }

    /// All that it has said so far.
    pub(crate) fn text(mut self) -> String {
        let mut text = String::new();
        loop {
            let mut record = [0; 8192];
            match self.0.read(&mut record) {
                Ok(count) => text += &String::from_utf8_lossy(&record[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return text,
                Err(error) => panic!("reading /dev/kmsg: {error}"),
            }
        }
    }
}
