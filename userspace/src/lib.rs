// SPDX-License-Identifier: MIT OR Apache-2.0
//! Events from kernel code to programs, with nothing lost silently.
//!
//! A [`Queue`] is one subscriber of `/dev/evq`: it reads [`Event`]s, posts
//! them, seeks, and tells the queue's state. A [`Watcher`] says when to read,
//! by any of the mechanisms in [`via`], for queues, input devices
//! ([`input::Device`]), terminals, pipes and sockets alike.
//!
//! ```no_run
//! use evq::{Event, Filled, Queue, Watcher, via::Kind};
//!
//! # fn main() -> evq::Result<()> {
//! let queue = Queue::open("/dev/evq")?;
//! let mut watcher = Watcher::new(Kind::Sigio)?;
//! let token = watcher.arm(&queue, queue.name())?;
//! let mut events = [Event::default(); 64];
//! loop {
//!     for ready in watcher.wait(None)? {
//!         assert_eq!(ready, token);
//!         while let Filled::Records(count) = queue.read(&mut events)? {
//!             for event in &events[..count] {
//!                 println!("{} (lost before it: {})", event.seq, event.lost);
//!             }
//!         }
//!     }
//! }
//! # }
//! ```
//!
//! # What is process-wide
//!
//! The mechanism `sigio` installs a handler for SIGIO while one of its
//! watchers lives, and only where nobody else's is; it keeps an eventfd per
//! watcher slot open for good. Non-blocking mode, `O_ASYNC`, owner and signal
//! belong to the open file description, which dup and fork share: they are put
//! back when the watcher is dropped. Do not run a watcher in a forked child.

mod any;
pub mod device;
mod error;
pub mod input;
mod mapped;
mod signals;
mod source;
#[doc(hidden)]
pub mod sys;
pub mod uapi;
pub mod via;
mod watcher;

pub use any::AnyDevice;
pub use device::{Filled, Options, Position, Queue};
pub use error::{Error, Result};
pub use mapped::Mapped;
pub use signals::{unblock_in_child, StopSignals};
pub use source::Source;
pub use uapi::{Event, Info, Match};
pub use watcher::{Token, Watcher};
