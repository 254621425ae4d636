// SPDX-License-Identifier: MIT OR Apache-2.0
//! The events of one queue, one after the other.

use crate::device::{Filled, Queue, BATCH};
use crate::error::Result;
use crate::uapi::Event;
use crate::via::Kind;
use crate::watcher::Watcher;

impl Queue {
    /// An iterator that blocks in a read for each event it does not have yet,
    /// and ends only at the end of file or after an error. On a non-blocking
    /// descriptor it ends when the queue is empty, and may be asked again
    /// later.
    #[must_use]
    pub fn events(&self) -> Events<'_> {
        Events::new(self, None)
    }

    /// The same, which waits by a mechanism. A signal that ends the program
    /// needs a loop of one's own: [`Watcher`].
    ///
    /// # Errors
    ///
    /// Those of [`Watcher::new`] and [`Watcher::arm`].
    pub fn events_via(&self, kind: Kind) -> Result<Events<'_>> {
        let mut watcher = Watcher::new(kind)?;
        watcher.arm(self, self.name())?;
        Ok(Events::new(self, Some(watcher)))
    }
}

/// See [`Queue::events`] and [`Queue::events_via`].
///
/// Reads up to [`BATCH`] events at a time: those of them that it has not given
/// yet are dropped with it.
#[derive(Debug)]
pub struct Events<'q> {
    queue: &'q Queue,
    watcher: Option<Watcher>,
    buffer: Buffer,
}

impl<'q> Events<'q> {
    fn new(queue: &'q Queue, watcher: Option<Watcher>) -> Events<'q> {
        Events {
            queue,
            watcher,
            buffer: Buffer::default(),
        }
    }
}

impl Iterator for Events<'_> {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Result<Event>> {
        loop {
            match self.buffer.next(self.queue) {
                Next::Item(item) => return Some(item),
                Next::End => return None,
                Next::Empty => match self.watcher.as_mut()?.wait(None) {
                    Ok(_) => {}
                    Err(error) => return Some(self.buffer.fail(error)),
                },
            }
        }
    }
}

/// Events that have been read and not been given.
#[derive(Debug)]
pub(crate) struct Buffer {
    events: Box<[Event; BATCH]>,
    at: usize,
    end: usize,
    done: bool,
}

/// What a [`Buffer`] has.
pub(crate) enum Next {
    /// An event, or the error that is the last item.
    Item(Result<Event>),
    /// Nothing for now.
    Empty,
    /// Nothing any more.
    End,
}

impl Default for Buffer {
    fn default() -> Buffer {
        Buffer {
            events: Box::new([Event::default(); BATCH]),
            at: 0,
            end: 0,
            done: false,
        }
    }
}

impl Buffer {
    /// The next event; reads if it has none.
    pub(crate) fn next(&mut self, queue: &Queue) -> Next {
        if self.done {
            return Next::End;
        }
        if self.at == self.end {
            match queue.read(&mut self.events[..]) {
                Ok(Filled::Records(count)) => (self.at, self.end) = (0, count),
                Ok(Filled::Empty) => return Next::Empty,
                Ok(Filled::End) => {
                    self.done = true;
                    return Next::End;
                }
                Err(error) => return Next::Item(self.fail(error)),
            }
        }
        self.at += 1;
        Next::Item(Ok(self.events[self.at - 1]))
    }

    /// Makes this error the last item.
    pub(crate) fn fail(&mut self, error: crate::Error) -> Result<Event> {
        self.done = true;
        Err(error)
    }
}
