// SPDX-License-Identifier: GPL-2.0

//! Posts a countdown when it is loaded.

use kernel::prelude::*;

mod evq {
    include!(concat!(env!("EVQ"), "/include/evq.rs"));
}

module! {
    type: Countdown,
    name: "countdown",
    authors: ["You"],
    description: "Posts a countdown when it is loaded",
    license: "GPL",
    imports_ns: ["EVQ"],
}

/// The first class that is anybody's, `EVQ_CLASS_FREE` in C.
const CLASS: u16 = 0x100;
/// The types of the module's events.
const STEP: u16 = 1;
const LIFT_OFF: u16 = 2;

struct Countdown;

impl kernel::Module for Countdown {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let queue = evq::Queue::default_queue();
        let source = evq::source(CLASS, 0);
        // Together: consecutive numbers, and one notification.
        let steps = [
            evq::Event::new(STEP, 3, b"three")?,
            evq::Event::new(STEP, 2, b"two")?,
            evq::Event::new(STEP, 1, b"one")?,
        ];
        queue.post_batch(source, &steps)?;
        queue.post(source, LIFT_OFF, 0, b"lift-off")?;
        Ok(Self)
    }
}
