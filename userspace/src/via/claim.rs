// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who takes SIGIO in a thread.
//!
//! A handler can wake all watchers of its thread. Where SIGIO is taken without
//! one, by a signalfd or by the end of a pselect, only one of them learns of
//! it: it is not queued. And to the mechanisms on a realtime signal it says that
//! the signal queue was full, which is never learnt if somebody else takes it.
//! So a thread has either any number of watchers with the handler or one of the
//! others.

use std::cell::Cell;
use std::marker::PhantomData;

use crate::error::{Error, Result};

thread_local! {
    /// Watchers with the handler; -1: one of the others.
    static USERS: Cell<isize> = const { Cell::new(0) };
}

/// The right to take SIGIO in this thread, until dropped.
#[derive(Debug)]
pub(super) struct Claim {
    exclusive: bool,
    // Belongs to the thread.
    _not_send: PhantomData<*const ()>,
}

impl Claim {
    pub(super) fn shared(mechanism: &'static str) -> Result<Claim> {
        Claim::take(mechanism, USERS.get() >= 0, false)
    }

    pub(super) fn exclusive(mechanism: &'static str) -> Result<Claim> {
        Claim::take(mechanism, USERS.get() == 0, true)
    }

    fn take(mechanism: &'static str, free: bool, exclusive: bool) -> Result<Claim> {
        if !free {
            return Err(Error::Unsuitable {
                mechanism,
                what: "share SIGIO with another watcher of this thread".into(),
                why: "SIGIO is not queued, so that only one of them would learn of it; \
                      use one watcher for all sources, or another thread",
            });
        }
        USERS.set(if exclusive { -1 } else { USERS.get() + 1 });
        Ok(Claim {
            exclusive,
            _not_send: PhantomData,
        })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        USERS.set(if self.exclusive { 0 } else { USERS.get() - 1 });
    }
}
