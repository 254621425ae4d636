// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds what does not belong into a kernel log.
//!
//! The markers are those that the kernel prints (v7.2), matched at the start
//! of the message where it always begins with them, so that a message that
//! merely mentions one (a device called "BUG", a crash of a user program) is
//! no finding.

use std::fmt;

/// Messages that begin with one of these.
const STARTS: &[&str] = &[
    "BUG: ",
    // Slab: "BUG kmalloc-64 (Not tainted): Redzone overwritten".
    "BUG ",
    "[ BUG: ",
    "WARNING: ",
    "[ WARNING: ",
    "Oops",
    "Kernel panic - not syncing",
    "Call Trace:",
    "------------[ cut here ]",
    "UBSAN: ",
    "KASAN: ",
    "KCSAN: ",
    "KFENCE: ",
    "unreferenced object 0x",
    "INFO: task ",
    "INFO: trying to register non-static key",
    "INFO: lockdep is turned off",
    "INFO: suspicious RCU usage",
    "INFO: possible ",
    "general protection fault",
    "double fault",
    "stack segment",
    "divide error",
    "invalid opcode",
    "int3: ",
    "PANIC: ",
    "refcount_t: ",
    "ODEBUG: ",
    "DEBUG_LOCKS_WARN_ON",
    "list_add corruption",
    "list_del corruption",
    "slab error",
    "Bad page state",
    "Unable to handle kernel",
    "Internal error",
    "kernel tried to execute",
];

/// Messages that contain one of these.
const ANYWHERE: &[&str] = &[
    "kernel BUG at ",
    "rust_kernel: panicked at",
    "BUG: soft lockup",
    "BUG: workqueue lockup",
    "hard LOCKUP",
    "self-detected stall",
    "detected stalls",
    "rcu_preempt kthread starved",
    "possible recursive locking detected",
    "possible circular locking dependency",
    "possible irq lock inversion",
    "inconsistent lock state",
    "Invalid wait context",
    "bad unlock balance",
    "suspicious RCU usage",
    "sleeping function called from invalid context",
    "scheduling while atomic",
    "suspected memory leaks",
    "nobody cared (try booting with the \"irqpoll\"",
    "stack guard page was hit",
];

/// Messages that begin like a marker and are harmless.
const HARMLESS: &[&str] = &[
    // A program in user space has crashed; that is for its parent to judge.
    "traps: ",
];

/// The kernel shows where memory was asked for in vain. That is no fault in it:
/// the one who asked is told as well.
const NO_MEMORY: &[&str] = &["vmalloc error: size", "page allocation failure: order"];

/// How far behind such a message its trace is at most.
const TRACE_WITHIN: usize = 6;

/// A suspicious line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its number in the log, from 1.
    pub line: usize,
    /// The message, without the time stamp.
    pub text: String,
}

impl Finding {
    /// Whether the kernel gives up with this message.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        self.text.starts_with("Kernel panic - not syncing")
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.text)
    }
}

/// All suspicious lines of a log, in order.
#[must_use]
pub fn scan(log: &str) -> Vec<Finding> {
    let mut no_memory = None;
    log.lines()
        .enumerate()
        .map(|(number, line)| (number + 1, message(line)))
        .filter(|&(number, text)| {
            if NO_MEMORY.iter().any(|marker| text.contains(marker)) {
                no_memory = Some(number);
            }
            let explained = text == "Call Trace:"
                && no_memory
                    .take_if(|at| number - *at <= TRACE_WITHIN)
                    .is_some();
            !explained && suspicious(text)
        })
        .map(|(line, text)| Finding {
            line,
            text: text.trim_end().to_owned(),
        })
        .collect()
}

/// Whether a line is this message, whatever stands before it.
#[must_use]
pub fn contains(log: &str, text: &str) -> bool {
    log.lines().any(|line| message(line).trim_end() == text)
}

fn suspicious(text: &str) -> bool {
    !HARMLESS.iter().any(|marker| text.starts_with(marker))
        && (STARTS.iter().any(|marker| text.starts_with(marker))
            || ANYWHERE.iter().any(|marker| text.contains(marker)))
}

/// Takes off "[    1.234567] " and "[    T1] ", "[   C0] ".
fn message(line: &str) -> &str {
    let mut rest = line.trim_start_matches('\r');
    while let Some((inside, behind)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'))
    {
        let inside = inside.trim();
        let number = inside.strip_prefix(['T', 'C']).unwrap_or(inside);
        if number.is_empty()
            || !number
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.')
        {
            break;
        }
        rest = behind.trim_start();
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_and_caller_are_taken_off() {
        assert_eq!(message("[    0.000000] Linux version"), "Linux version");
        assert_eq!(message("[   12.345678][    T1] x"), "x");
        assert_eq!(message("[   12.345678][   C0] BUG: y"), "BUG: y");
        assert_eq!(
            message("[    1.0] [ BUG: Invalid wait context ]"),
            "[ BUG: Invalid wait context ]"
        );
        assert_eq!(message("plain"), "plain");
        assert_eq!(message("[]"), "[]");
    }

    #[test]
    fn a_finding_says_where() {
        let found = scan("[ 1.0] fine\n[ 2.0] BUG: bad thing\r\n");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].to_string(), "line 2: BUG: bad thing");
        assert!(!found[0].is_panic());
    }

    #[test]
    fn the_last_line_is_found_behind_its_time() {
        assert!(contains("[ 1.0] a\n[ 2.0] the end\r\n", "the end"));
        assert!(!contains("[ 1.0] not the end\n", "the end"));
    }
}
