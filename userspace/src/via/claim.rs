// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who takes SIGIO in a thread.
//!
//! To the mechanisms on plain SIGIO it is a wake-up, which any of them may take
//! for all. To the ones on a realtime signal it says that the signal queue was
//! full: taken by somebody else, that is never learnt. So a thread has either
//! any number of the first kind or one of the second.

use std::cell::Cell;
use std::marker::PhantomData;

use crate::error::{Error, Result};

thread_local! {
    /// Watchers of the first kind; -1: one of the second.
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
                why: "a realtime signal needs SIGIO for itself, to learn of a full signal queue; \
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
