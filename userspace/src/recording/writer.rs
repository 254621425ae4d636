// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recordings to anything that takes bytes.

use std::io::Write;

use super::error::{Error, Result};
use super::frame;
use super::pack::{self, EVENTS_MAX};
use super::segment::Segment;
use crate::uapi::Event;

/// Writes a recording from its beginning, to a pipe for example; for a file
/// that is to survive, and to be appended to, there is [`super::Recording`].
#[derive(Debug)]
pub struct Writer<W> {
    sink: W,
    name: String,
    next: u64,
}

impl<W: Write> Writer<W> {
    /// Writes the beginning. `name` is for messages.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn new(mut sink: W, name: impl Into<String>) -> Result<Writer<W>> {
        let name = name.into();
        sink.write_all(&frame::beginning())
            .map_err(Error::io("write to", &name))?;
        Ok(Writer::resumed(sink, name, 0))
    }

    /// Goes on; `next` is the lowest number that can follow, 0 if a segment
    /// has to.
    pub(super) fn resumed(sink: W, name: String, next: u64) -> Writer<W> {
        Writer { sink, name, next }
    }

    /// Begins a segment.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn begin(&mut self, segment: &Segment) -> Result<()> {
        self.write(frame::SEGMENT, &segment.pack())?;
        self.next = segment.next;
        Ok(())
    }

    /// Appends events to the segment, in as few frames as possible; each frame
    /// is one write.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; [`Error::Order`] if there is no segment or the numbers do
    /// not ascend: then nothing is written.
    pub fn append(&mut self, events: &[Event]) -> Result<()> {
        let mut next = self.next;
        for event in events {
            if next == 0 || event.seq < next {
                return Err(Error::Order {
                    name: self.name.clone(),
                    next,
                    seq: event.seq,
                });
            }
            // The last number of all is followed by a segment only.
            next = event.seq.wrapping_add(1);
        }
        for events in events.chunks(EVENTS_MAX) {
            self.write(frame::EVENTS, &pack::pack(events))?;
            self.next = events
                .last()
                .map_or(self.next, |event| event.seq.wrapping_add(1));
        }
        Ok(())
    }

    /// What it writes to.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.sink
    }

    /// The lowest number that can follow; 0 if a segment has to.
    pub(super) fn next_seq(&self) -> u64 {
        self.next
    }

    /// Forgets what was written since.
    pub(super) fn go_back(&mut self, next: u64) {
        self.next = next;
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn write(&mut self, kind: u32, body: &[u8]) -> Result<()> {
        self.sink
            .write_all(&frame::frame(kind, body))
            .map_err(Error::io("write to", &self.name))
    }
}
