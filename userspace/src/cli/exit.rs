// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exit statuses, one meaning each.

use std::process::ExitCode;

use nix::sys::signal::Signal;

pub(super) const HELP: &str = "\
Exit status:
  0      done: the count was reached, all was sent, or the reader of a pipe left
  1      failed; a message on standard error says on what, why, and what to do
  2      wrong arguments, a bad line in the input of `send` or `convert`, or a bad
         configuration of `daemon`
  3      nothing came within --idle-timeout, or not --num-events within --timeout
  4      what `explain` shows came out otherwise than it should
  5      events were lost, and --fail-on-loss was given
  128+N  ended by signal N: 130 for SIGINT (Ctrl-C), 143 for SIGTERM; a signal that
         was ignored when the program was started (nohup, trap '') stays ignored";

/// What ends a command, by way of its loop.
pub(super) const ENDING: [Signal; 2] = [Signal::SIGINT, Signal::SIGTERM];

/// These, and what else is a matter of the loop in what runs for long.
pub(super) const STEERING: [Signal; 5] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGUSR1,
    Signal::SIGCHLD,
];

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    Done,
    Failed,
    BadInput,
    IdleTimeout,
    Unexpected,
    Lost,
    Signal(Signal),
}

impl Exit {
    pub(super) fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::BadInput => 2,
            Exit::IdleTimeout => 3,
            Exit::Unexpected => 4,
            Exit::Lost => 5,
            // Signal numbers go up to 64.
            Exit::Signal(signal) => 128 + signal as u8,
        })
    }
}
