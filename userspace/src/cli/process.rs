// SPDX-License-Identifier: MIT OR Apache-2.0
//! What /proc tells of a process and its signals; and children.

use std::fs;

use anyhow::{anyhow, Context as _};
use nix::sys::signal::Signal;
use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};

/// One line of `/proc/PROCESS/status`, without its name; `process` is a number
/// or `self`.
fn status(process: &str, field: &str) -> anyhow::Result<String> {
    let path = format!("/proc/{process}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .map(|value| value.trim().to_owned())
        .ok_or_else(|| anyhow!("{path} has no line {field}, as Linux writes it"))
}

/// "used/limit": the realtime signals queued for all processes of this user,
/// and how many there may be for this one.
pub(super) fn signal_queue() -> String {
    status("self", "SigQ").unwrap_or_else(|_| "unknown".into())
}

/// Whether the signal is on its way to this process and blocked.
pub(super) fn is_pending(signal: Signal) -> anyhow::Result<bool> {
    for field in ["SigPnd", "ShdPnd"] {
        let value = status("self", field)?;
        let mask = u64::from_str_radix(&value, 16)
            .with_context(|| format!("{field} is {value:?}, which is no mask of signals"))?;
        if mask & (1 << (signal as u32 - 1)) != 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the process sleeps in a system call until somebody wakes it up.
pub(super) fn sleeps(pid: u32) -> anyhow::Result<bool> {
    let path = format!("/proc/{pid}/syscall");
    let line = fs::read_to_string(&path).with_context(|| {
        format!(
            "cannot tell from {path} whether the process sleeps; try it as root, or with \
             kernel.yama.ptrace_scope at 1 or below"
        )
    })?;
    // "running", or the number of the call: then it is off the processor. One that
    // is being woken up can still show it, but its state is another one.
    let in_call = line.starts_with(|first: char| first.is_ascii_digit());
    Ok(in_call && status(&pid.to_string(), "State")?.starts_with('S'))
}

/// Has the kernel reap all children, for one that starts none: process 1 of a
/// container gets all orphans.
pub(super) fn leave_children_to_kernel() -> anyhow::Result<()> {
    evq::sys::set_ignored(libc::SIGCHLD, true).context("cannot ignore SIGCHLD")?;
    reap();
    Ok(())
}

/// Reaps all children that have ended, for a command that waits for none of
/// them: who has started it by exec may have had some. To be called once after
/// SIGCHLD is blocked, for those that have ended before, and with each SIGCHLD.
pub(super) fn reap() {
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            break;
        }
    }
}
