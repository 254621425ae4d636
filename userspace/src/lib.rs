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
//! Where there is one queue only, [`Queue::events`] is an iterator, and
//! `EventStream` (feature `tokio`) a stream for async programs.
//!
//! # What is process-wide
//!
//! Only the mechanisms with SIGIO or a realtime signal touch signals, and
//! `blocking`, whose helper thread interrupts the read by SIGIO. `sigio`,
//! `self-pipe`, `pselect` and `blocking` install a handler for SIGIO while one
//! of their watchers lives, and only where nobody else's is: else they fail
//! with [`Error::HandlerTaken`] and change nothing. One that somebody else
//! installs later stays too, and what was there before is put back at the end.
//! `sigio` and `self-pipe` keep the descriptors that the handler writes to open
//! for good, up to 16 of each kind. `signalfd`, `rtsig`, `rtsig-thread` and
//! `pselect` block their signals in the thread of the watcher, and forget what
//! is left of them before they unblock them; children inherit the mask
//! ([`unblock_in_child`]).
//!
//! Non-blocking mode, `O_ASYNC`, owner and signal belong to the open file
//! description, which dup and fork share: they are put back when the watcher is
//! dropped, but not when SIGKILL ends the process. [`Bytes::stdin`] therefore opens a
//! description of its own where it can, and leaves the shared one as it is where it
//! cannot; a descriptor that you pass to [`Watcher::arm`] is yours to share or not.
//! Do not run a watcher in a forked child, and none of this in a signal
//! handler: nothing here but the library's own handler is async-signal-safe.
//!
//! # Features
//!
//! `tokio` and `io-uring` are the mechanisms of these names, `recording` is events
//! in files, `cli` and `bench` belong to the program. The library needs none of them.

mod any;
pub mod bytes;
pub mod clock;
pub mod device;
mod error;
mod events;
pub mod input;
pub mod lines;
mod mapped;
mod names;
#[cfg(feature = "recording")]
pub mod recording;
mod signals;
mod source;
#[doc(hidden)]
pub mod sys;
pub mod timer;
pub mod uapi;
pub mod via;
mod watcher;

pub use any::{AnyDevice, AnySource};
pub use bytes::Bytes;
pub use device::{Filled, Options, Position, Queue};
pub use error::{Error, Result};
pub use events::Events;
pub use lines::Lines;
pub use mapped::Mapped;
pub use signals::{unblock_in_child, Ignored, StopSignals};
pub use source::Source;
pub use timer::Timer;
pub use uapi::{Event, Info, Match};
#[cfg(feature = "tokio")]
pub use via::stream::EventStream;
pub use watcher::{Token, Watcher};
