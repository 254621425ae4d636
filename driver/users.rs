// SPDX-License-Identifier: GPL-2.0

//! How many open files of a queue each user has.
//!
//! The places of a queue are bounded, and each user can have a part of them only: none can keep the
//! others out.

use crate::glue::context;
use kernel::{
    new_mutex,
    prelude::*,
    rbtree::RBTree,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Mutex, //
    },
};

/// Places that a user can have if the parameter `user_max` does not say otherwise.
pub(crate) const USER_MAX: u32 = 1024;

/// Places that a user can have, in each queue.
static LIMIT: Atomic<u32> = Atomic::new(USER_MAX);

/// Sets how many places a user can have. Called when the module is loaded.
pub(crate) fn set_limit(most: u32) {
    LIMIT.store(most, Relaxed);
}

/// A user, by whom open files are counted.
///
/// Who opens a file in a user namespace is counted as the user who made it: otherwise a user who may
/// map others would have the places of all of them.
#[derive(Clone, Copy)]
pub(crate) struct User(u32);

/// The places that are taken, by user.
#[pin_data]
pub(crate) struct Users {
    #[pin]
    taken: Mutex<RBTree<u32, u32>>,
}

impl Users {
    /// Creates an initialiser for a queue that nobody has open.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            taken <- new_mutex!(RBTree::new(), "evq_users"),
        })
    }

    /// Takes a place for the user of the current task.
    ///
    /// Process context, may sleep. Fails with `EMFILE` if the user has as many as it can have and
    /// the task lacks `CAP_SYS_RESOURCE`, `ENOMEM`.
    pub(crate) fn take(&self) -> Result<User> {
        let uid = context::accountable_uid();
        let mut taken = self.taken.lock();
        let before = taken.get(&uid).copied().unwrap_or(0);
        if before >= LIMIT.load(Relaxed) && !context::is_above_limits() {
            return Err(EMFILE);
        }
        match taken.get_mut(&uid) {
            Some(count) => *count = before.saturating_add(1),
            None => {
                taken.try_create_and_insert(uid, 1, GFP_KERNEL_ACCOUNT)?;
            }
        }
        Ok(User(uid))
    }

    /// Gives a place back. Process context, may sleep.
    pub(crate) fn give_back(&self, user: User) {
        let mut taken = self.taken.lock();
        match taken.get_mut(&user.0) {
            Some(count) if *count > 1 => *count = count.saturating_sub(1),
            _ => {
                taken.remove(&user.0);
            }
        }
    }
}
