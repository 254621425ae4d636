// SPDX-License-Identifier: MIT OR Apache-2.0
//! The system calls behind poll(2) and epoll_wait(2). arm64 has only the forms
//! with a signal mask, and the C library uses those.

use nix::libc;

#[cfg(target_arch = "x86_64")]
mod numbers {
    use super::libc;

    pub(crate) const POLL: libc::c_long = libc::SYS_poll;
    pub(crate) const EPOLL_WAIT: libc::c_long = libc::SYS_epoll_wait;
}

#[cfg(target_arch = "aarch64")]
mod numbers {
    use super::libc;

    pub(crate) const POLL: libc::c_long = libc::SYS_ppoll;
    pub(crate) const EPOLL_WAIT: libc::c_long = libc::SYS_epoll_pwait;
}

pub(crate) use numbers::{EPOLL_WAIT, POLL};

/// The number of the system call that a traced process is about to make.
pub(crate) fn about_to_make(registers: &libc::user_regs_struct) -> libc::c_long {
    #[cfg(target_arch = "x86_64")]
    let number = registers.orig_rax;
    #[cfg(target_arch = "aarch64")]
    let number = registers.regs[8];
    number as libc::c_long
}
