// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recordings: the events of a queue in a file, kept whole whatever happens.
//!
//! A recording is only ever appended to, a frame at a time, and each frame has
//! a checksum. So whatever ends the writing (SIGKILL, a full disk), the file
//! holds a whole recording and at most the beginning of one more frame. A
//! [`Reader`] gives what is whole, then says where and why it ends;
//! [`Recording::open`] cuts the rest off and goes on. Because each event has a
//! sequence number, the writer can ask the queue for exactly the one after the
//! last that the file has ([`Opened::next`]).
//!
//! A file holds one [`Segment`] for each queue that it was recorded from: a
//! queue that is made anew (by a reboot, or by loading the module again) begins
//! its numbers at 1, and a new segment. The format is in `evq-recording(5)`.
//!
//! ```no_run
//! use evq::recording::{Item, Reader};
//!
//! # fn main() -> evq::recording::Result<()> {
//! for item in Reader::open("keys.evq")? {
//!     match item? {
//!         Item::Segment(segment) => println!("from {}", segment.device),
//!         Item::Event(event) => println!("{} (lost before it: {})", event.seq, event.lost),
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod error;
mod file;
mod frame;
mod pack;
mod reader;

mod segment;
mod writer;

pub use error::{Error, Result};
pub use file::{Opened, Recording, Repair};
pub use reader::{Item, Reader};
pub use segment::Segment;
pub use writer::Writer;

/// The first bytes of each recording: not text, and broken by whatever
/// translates line feeds or strips the eighth bit.
pub const MAGIC: [u8; 8] = *b"\x89evqrec\n";

/// Version of the format.
pub const VERSION: u32 = 1;
