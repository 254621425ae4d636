// SPDX-License-Identifier: MIT OR Apache-2.0
//! Buffers that are bad on purpose: pages without access, and pages whose
//! first touch somebody else has to serve.

use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;

use nix::errno::Errno;
use nix::sys::mman::{mmap_anonymous, mprotect, munmap, MapFlags, ProtFlags};
use nix::unistd::{sysconf, SysconfVar};

use super::until_readable;

/// Bytes of a page of this kernel: 4, 16 or 64 KiB on arm64.
pub(crate) fn page() -> usize {
    static PAGE: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *PAGE.get_or_init(|| {
        let bytes = sysconf(SysconfVar::PAGE_SIZE).expect("sysconf");
        usize::try_from(bytes.expect("a page has a size")).expect("a small number")
    })
}

/// A line of `/proc/meminfo`, in bytes.
pub(crate) fn meminfo(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").expect("/proc/meminfo");
    let kilobytes = text.lines().find_map(|line| {
        let value = line.strip_prefix(name)?.strip_prefix(':')?;
        value.split_whitespace().next()?.parse::<u64>().ok()
    });
    kilobytes.unwrap_or_else(|| panic!("no {name} in /proc/meminfo")) * 1024
}

/// Whether this kernel has checkers that surround each object with red zones, and
/// keep what is freed for a while.
pub(crate) fn is_checked() -> bool {
    std::path::Path::new("/sys/kernel/debug/kmemleak").exists()
}

/// Memory of the kernel's object caches, in bytes.
pub(crate) fn slab() -> u64 {
    meminfo("Slab")
}

/// Anonymous pages of the test's own.
pub(crate) struct Pages {
    start: NonNull<libc::c_void>,
    bytes: NonZeroUsize,
}

// SAFETY: A mapping belongs to the process, not to a thread.
unsafe impl Send for Pages {}
// SAFETY: The content is only reached by system calls and by `copy`, which the tests order.
unsafe impl Sync for Pages {}

impl Pages {
    /// `count` readable and writable pages that have not been touched.
    pub(crate) fn new(count: usize) -> Self {
        let bytes = NonZeroUsize::new(count * page()).expect("at least one page");
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: The kernel chooses an address that is free.
        let start = unsafe { mmap_anonymous(None, bytes, access, MapFlags::MAP_PRIVATE) }
            .expect("mmap of a few pages");
        Self { start, bytes }
    }

    /// Two pages, of which only the first may be touched.
    pub(crate) fn with_an_edge() -> Self {
        let pages = Self::new(2);
        pages.forbid(1);
        pages
    }

    /// Takes all access to one page away.
    pub(crate) fn forbid(&self, number: usize) {
        let start = self.pointer(number * page()).cast();
        // SAFETY: The page is this mapping's, and nobody holds a reference into it.
        unsafe { mprotect(start, page(), ProtFlags::PROT_NONE) }.expect("mprotect of one page");
    }

    /// Leaves one page readable only.
    pub(crate) fn make_read_only(&self, number: usize) {
        let start = self.pointer(number * page()).cast();
        // SAFETY: As in `forbid`.
        unsafe { mprotect(start, page(), ProtFlags::PROT_READ) }.expect("mprotect of one page");
    }

    pub(crate) fn pointer(&self, at: usize) -> NonNull<u8> {
        assert!(at <= self.bytes.get());
        // SAFETY: Within the mapping or one past its end.
        unsafe { self.start.cast::<u8>().add(at) }
    }

    pub(crate) fn address(&self, at: usize) -> usize {
        self.pointer(at).as_ptr() as usize
    }

    /// What is in there; the pages must be readable.
    pub(crate) fn copy(&self, at: usize, len: usize) -> Vec<u8> {
        assert!(at + len <= self.bytes.get());
        let mut copy = vec![0; len];
        // SAFETY: Within the mapping, readable as the caller says, apart from the fresh vector.
        unsafe { std::ptr::copy_nonoverlapping(self.pointer(at).as_ptr(), copy.as_mut_ptr(), len) };
        copy
    }

    /// Puts `bytes` in there; the pages must be writable.
    pub(crate) fn fill(&self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= self.bytes.get());
        let to = self.pointer(at).as_ptr();
        // SAFETY: Within the mapping, writable as the caller says, apart from the slice.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: The whole mapping, and nobody holds a reference into it.
        let _ = unsafe { munmap(self.start, self.bytes.get()) };
    }
}

/// `read(2)` to an address that may be bad.
pub(crate) fn read_to(fd: impl AsFd, address: usize, len: usize) -> Result<usize, Errno> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: The address is within `Pages`, or it is bad and the kernel has to refuse it.
    let count = unsafe { libc::read(fd, address as *mut libc::c_void, len) };
    Errno::result(count).map(|count| count as usize)
}

/// `write(2)` from an address that may be bad.
pub(crate) fn write_from(fd: impl AsFd, address: usize, len: usize) -> Result<usize, Errno> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: As in `read_to`.
    let count = unsafe { libc::write(fd, address as *const libc::c_void, len) };
    Errno::result(count).map(|count| count as usize)
}

/// Pages whose first touch blocks until [`Absent::serve`] (`userfaultfd(2)`).
pub(crate) struct Absent {
    pages: Pages,
    faults: OwnedFd,
}

const UFFD_API: u64 = 0xaa;
const UFFDIO_REGISTER_MODE_MISSING: u64 = 1;
const UFFD_MSG_SIZE: usize = 32;

#[repr(C)]
#[derive(Default)]
struct UffdioApi {
    api: u64,
    features: u64,
    ioctls: u64,
}

#[repr(C)]
#[derive(Default)]
struct UffdioRegister {
    start: u64,
    len: u64,
    mode: u64,
    ioctls: u64,
}

#[repr(C)]
#[derive(Default)]
struct UffdioZeropage {
    start: u64,
    len: u64,
    mode: u64,
    zeropage: i64,
}

mod ioctls {
    use super::{UffdioApi, UffdioRegister, UffdioZeropage};
    nix::ioctl_readwrite!(api, 0xaa, 0x3f, UffdioApi);
    nix::ioctl_readwrite!(register, 0xaa, 0x00, UffdioRegister);
    nix::ioctl_readwrite!(zeropage, 0xaa, 0x04, UffdioZeropage);
}

impl Absent {
    pub(crate) fn new(count: usize) -> Self {
        let pages = Pages::new(count);
        let flags = libc::O_CLOEXEC | libc::O_NONBLOCK;
        // SAFETY: Makes a descriptor, touches no memory.
        let fd = Errno::result(unsafe { libc::syscall(libc::SYS_userfaultfd, flags) })
            .expect("userfaultfd(2), as root on a kernel that has it");
        let fd = i32::try_from(fd).expect("a descriptor");
        // SAFETY: Just made.
        let faults = unsafe { OwnedFd::from_raw_fd(fd) };
        let mut api = UffdioApi {
            api: UFFD_API,
            ..Default::default()
        };
        // SAFETY: What this ioctl reads and fills.
        unsafe { ioctls::api(fd, &raw mut api) }.expect("UFFDIO_API");
        let mut register = UffdioRegister {
            start: pages.address(0) as u64,
            len: pages.bytes.get() as u64,
            mode: UFFDIO_REGISTER_MODE_MISSING,
            ioctls: 0,
        };
        // SAFETY: What this ioctl reads and fills; the range is the mapping, which nobody uses.
        unsafe { ioctls::register(fd, &raw mut register) }.expect("UFFDIO_REGISTER");
        Self { pages, faults }
    }

    pub(crate) fn pages(&self) -> &Pages {
        &self.pages
    }

    /// Waits until somebody has touched a page, and stays blocked in that.
    pub(crate) fn until_touched(&self) {
        until_readable(self.faults.as_fd(), "the userfaultfd");
        let mut message = [0; UFFD_MSG_SIZE];
        let count = nix::unistd::read(&self.faults, &mut message);
        assert_eq!(
            count,
            Ok(UFFD_MSG_SIZE),
            "reading the message of a page fault"
        );
    }

    /// Puts zeroed pages there, and lets all who wait go on.
    pub(crate) fn serve(&self) {
        let mut range = UffdioZeropage {
            start: self.pages.address(0) as u64,
            len: self.pages.bytes.get() as u64,
            ..Default::default()
        };
        // SAFETY: What this ioctl reads and fills; the range is the mapping.
        unsafe { ioctls::zeropage(self.faults.as_raw_fd(), &raw mut range) }
            .expect("UFFDIO_ZEROPAGE of pages that are still missing");
    }
}
