// SPDX-License-Identifier: GPL-2.0

//! `evq`: events from kernel code to programs, with nothing lost silently.
//!
//! An event walks through these files in one direction: a producer posts it through [`capi`] (a
//! module) or [`subscriber`] (a program), [`queue`] stamps it and stores it in the [`ring`], the
//! waiters in [`glue`] are told, and [`subscriber`] copies it out. `ARCHITECTURE.md` has the map.

mod atomic;
mod capi;
mod event;
mod filter;
mod glue;
mod moderator;
mod published;
mod queue;
mod ring;
mod roster;
mod selection;
mod subscriber;
mod uapi;
mod users;
mod walk;
mod watchers;

use glue::{
    compat,
    miscdevice::Fops, //
};
use kernel::prelude::*;
use published::Published;
use subscriber::Subscriber;

module! {
    type: EvqModule,
    name: "evq",
    authors: ["The evq authors"],
    description: "Event queue with blocking read, poll, fasync and a kernel API",
    license: "GPL",
    params: {
        capacity: u32 {
            default: 4096,
            description: "Events that /dev/evq keeps, of 64 bytes each: a power of two from 64 to 1048576",
        },
        in_place_max: u32 {
            default: 16,
            description: "Open files of a queue that a post notifies itself, up to 16; a thread notifies the others",
        },
        user_max: u32 {
            default: 1024,
            description: "Open files of a queue that one user can have, unless it has CAP_SYS_RESOURCE",
        },
    },
}

/// What open files of a queue can do; none of them outlives this module.
static FOPS: Fops<Subscriber> = Fops::new(compat::this_module::<EvqModule>());

struct EvqModule {
    _default: capi::DefaultQueue,
}

impl kernel::Module for EvqModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let capacity = compat::param(module_parameters::capacity.value());
        queue::set_in_place(compat::param(module_parameters::in_place_max.value()));
        users::set_limit(compat::param(module_parameters::user_max.value()));
        let default = Published::default_queue(capacity).inspect_err(|err| match *err {
            EINVAL => pr_err!(
                "capacity={capacity}: must be a power of two from {} to {}, for example 4096\n",
                queue::CAPACITY_MIN,
                queue::CAPACITY_MAX
            ),
            err => pr_err!("/dev/evq with capacity={capacity} cannot be made: {err:?}\n"),
        })?;
        // Nothing may fail from here on, see `Published`.
        Ok(Self {
            _default: capi::DefaultQueue::new(default),
        })
    }
}
