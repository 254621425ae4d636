// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs that rules start: bounded in number and in time, each in a process
//! group of its own, with no signal blocked, and with those ignored that the
//! daemon itself was started with.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use evq::unblock_in_child;
use nix::sys::signal::{killpg, Signal};
use nix::sys::wait::{waitid, waitpid, Id, WaitPidFlag, WaitStatus};
use nix::unistd::Pid;

use super::service;
use crate::cli::inherited;

/// Programs that run.
#[derive(Debug)]
pub(super) struct Hooks {
    running: Vec<Running>,
    grace: Duration,
}

#[derive(Debug)]
struct Running {
    rule: String,
    child: Child,
    since: Instant,
    /// When the next signal goes to the group, and which one.
    limit: Instant,
    signal: Signal,
    timed_out: bool,
}

/// How a program has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) rule: String,
    pub(super) pid: u32,
    pub(super) status: ExitStatus,
    pub(super) took: Duration,
    /// It had to be told to end.
    pub(super) timed_out: bool,
}

impl Hooks {
    pub(super) fn new(grace: Duration) -> Hooks {
        Hooks {
            running: Vec::new(),
            grace,
        }
    }

    pub(super) fn set_grace(&mut self, grace: Duration) {
        self.grace = grace;
    }

    pub(super) fn running(&self) -> usize {
        self.running.len()
    }

    /// Starts `argv` with `variables` added to the environment. It has no
    /// input; its output goes where the daemon's goes.
    pub(super) fn start(
        &mut self,
        rule: &str,
        argv: &[String],
        variables: &[(String, String)],
        time_limit: Duration,
    ) -> std::io::Result<u32> {
        let mut words = argv.iter();
        let mut command = Command::new(words.next().map_or("", String::as_str));
        command
            .args(words)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .process_group(0);
        for variable in service::VARIABLES {
            command.env_remove(variable);
        }
        inherited::ignored().in_child(unblock_in_child(&mut command));
        let child = command.spawn()?;
        let pid = child.id();
        let since = Instant::now();
        self.running.push(Running {
            rule: rule.to_owned(),
            child,
            since,
            limit: since + time_limit,
            signal: Signal::SIGTERM,
            timed_out: false,
        });
        Ok(pid)
    }

    /// Those that have ended since the last time.
    pub(super) fn reap(&mut self) -> Vec<Ended> {
        let mut ended = Vec::new();
        self.running.retain_mut(|running| {
            if !running.has_ended() {
                return true;
            }
            if running.timed_out {
                // The leader has gone; its number stays taken until it is
                // reaped, so that this goes to nobody else's group.
                running.kill(Signal::SIGKILL);
            }
            match running.child.try_wait() {
                Ok(Some(status)) => {
                    ended.push(Ended {
                        rule: running.rule.clone(),
                        pid: running.child.id(),
                        status,
                        took: running.since.elapsed(),
                        timed_out: running.timed_out,
                    });
                    false
                }
                // Not yet, or somebody else has reaped it, which nobody does.
                Ok(None) => true,
                Err(_) => false,
            }
        });
        ended
    }

    /// Reaps the processes that are children of the daemon and not programs of
    /// its rules: as process 1 of a container it gets all orphans, and who has
    /// started it by exec may have had children. Gives how many there were.
    ///
    /// To be called after [`Hooks::reap`]. Nothing else in this process waits for
    /// children.
    pub(super) fn reap_orphans(&self) -> usize {
        let mut reaped = 0;
        // The first child that has ended, without reaping it.
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        while let Ok(status) = waitid(Id::All, flags) {
            let Some(pid) = status.pid() else {
                break;
            };
            // A program of a rule that has ended since: the next SIGCHLD is its.
            if self
                .running
                .iter()
                .any(|running| running.pid() == Some(pid))
            {
                break;
            }
            if waitpid(pid, Some(WaitPidFlag::WNOHANG)).is_err() {
                break;
            }
            reaped += 1;
        }
        reaped
    }

    /// Ends those whose time is up: SIGTERM to the group first, after the
    /// grace SIGKILL.
    pub(super) fn enforce(&mut self, now: Instant) {
        let grace = self.grace;
        for running in self.running.iter_mut().filter(|one| one.limit <= now) {
            running.kill(running.signal);
            running.timed_out = true;
            running.signal = Signal::SIGKILL;
            running.limit = now + grace;
        }
    }

    /// Gives all of them no more time.
    pub(super) fn end_all(&mut self, now: Instant) {
        for running in self.running.iter_mut().filter(|one| !one.timed_out) {
            running.limit = now;
        }
        self.enforce(now);
    }

    /// When [`Hooks::enforce`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.running.iter().map(|running| running.limit).min()
    }
}

impl Running {
    fn pid(&self) -> Option<Pid> {
        self.child.id().try_into().ok().map(Pid::from_raw)
    }

    /// Without reaping it.
    fn has_ended(&self) -> bool {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        self.pid()
            .is_none_or(|pid| !matches!(waitid(Id::Pid(pid), flags), Ok(WaitStatus::StillAlive)))
    }

    fn kill(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            // ESRCH: all of the group have ended.
            let _ = killpg(pid, signal);
        }
    }
}
