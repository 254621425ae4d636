// SPDX-License-Identifier: MIT OR Apache-2.0
//! Allocations that fail on request: the kernel's fault injection.
//!
//! `/proc/thread-self/fail-nth` makes the n-th allocation of this thread fail,
//! of those that could fail at all. With n from 1 up to where nothing fails any
//! more, each point of failure of a system call is met once.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;

use nix::errno::Errno;

use super::figure;

/// A sweep that finds no end would be a call that allocates for ever.
const POINTS_MAX: u32 = 20_000;

/// This thread's allocations, one of which can be made to fail.
pub(crate) struct Injector {
    nth: File,
}

impl Injector {
    /// Lets every allocation be one that can fail, those of single pages and
    /// those that may sleep too, and says so in the log of none of them.
    pub(crate) fn new() -> Self {
        for (knob, value) in [
            ("failslab/ignore-gfp-wait", "N"),
            ("failslab/verbose", "0"),
            ("fail_page_alloc/ignore-gfp-wait", "N"),
            ("fail_page_alloc/ignore-gfp-highmem", "N"),
            ("fail_page_alloc/min-order", "0"),
            ("fail_page_alloc/verbose", "0"),
        ] {
            let path = format!("/sys/kernel/debug/{knob}");
            fs::write(&path, value).unwrap_or_else(|error| {
                panic!(
                    "writing {value} to {path}: {error}; this needs a kernel with fault \
                     injection: EVQ_KERNEL=debug"
                )
            });
        }
        let nth = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/proc/thread-self/fail-nth")
            .expect("opening /proc/thread-self/fail-nth");
        Self { nth }
    }

    /// Runs `call` with its `n`-th allocation failing; says whether it got that far.
    pub(crate) fn fail<T>(&self, n: u32, call: impl FnOnce() -> T) -> (T, bool) {
        self.set(n);
        let result = call();
        let injected = self.left() == 0;
        self.set(0);
        (result, injected)
    }

    /// How many allocations `call` makes that could fail; none does.
    pub(crate) fn count<T>(&self, call: impl FnOnce() -> T) -> (T, u32) {
        self.set(POINTS_MAX);
        let result = call();
        let left = self.left();
        self.set(0);
        assert!(left > 0, "more than {POINTS_MAX} allocations");
        (result, POINTS_MAX - left)
    }

    fn set(&self, value: u32) {
        self.nth
            .write_at(value.to_string().as_bytes(), 0)
            .expect("writing /proc/thread-self/fail-nth");
    }

    /// What is left of the number that was set; 0 once an allocation has failed.
    fn left(&self) -> u32 {
        let mut text = [0; 16];
        let count = self.nth.read_at(&mut text, 0).expect("reading fail-nth");
        let text = std::str::from_utf8(&text[..count]).expect("a number");
        text.trim().parse().expect("a number")
    }

    /// Makes `call` once for each of its allocations, with that one failing, and
    /// once without, each time on what `prepare` makes. It has to succeed, or to
    /// fail with one of `errors`; `check` gets what came of it, and undoes it.
    /// Returns how many points have failed.
    ///
    /// What `call` allocates itself fails as well: it should make its system
    /// call and nothing else.
    pub(crate) fn sweep<P, T: Debug>(
        &self,
        name: &str,
        errors: &[Errno],
        mut prepare: impl FnMut() -> P,
        mut call: impl FnMut(&mut P) -> Result<T, Errno>,
        mut check: impl FnMut(P, Result<T, Errno>),
    ) -> u32 {
        for n in 1..POINTS_MAX {
            let mut prepared = prepare();
            let (result, injected) = self.fail(n, || call(&mut prepared));
            if let Err(errno) = &result {
                assert!(
                    injected && errors.contains(errno),
                    "{name} with allocation {n} failing ({injected}): {errno}, not one of {errors:?}"
                );
            }
            check(prepared, result);
            if !injected {
                figure(&format!("{name}: {} allocations have failed", n - 1));
                return n - 1;
            }
        }
        panic!("{name}: no end after {POINTS_MAX} allocations");
    }
}
