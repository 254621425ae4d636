// SPDX-License-Identifier: MIT OR Apache-2.0
//! The events of a queue in an async program.

use std::future::poll_fn;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{ready, Context, Poll};

use futures_core::Stream;
use tokio::io::unix::AsyncFd;
use tokio::io::Interest;
use tokio::runtime::Handle;

use super::armed::Armed;
use super::tokio::failed;
use crate::device::Queue;
use crate::error::{Error, Result};
use crate::events::{Buffer, Next};
use crate::uapi::Event;

/// The events of a queue as a [`Stream`], for a tokio runtime: no signals, no
/// thread of its own.
///
/// It ends at the end of file and after an error, which is its last item. A
/// call that is given up (`select!`, `timeout`) loses nothing: what has been
/// read stays in the stream. Dropping the stream drops up to
/// [`crate::device::BATCH`] events that it has read and not given, and puts the
/// blocking mode of the file description back as it was.
///
/// ```no_run
/// # async fn example() -> evq::Result<()> {
/// let mut events = evq::EventStream::new(evq::Queue::open("/dev/evq")?)?;
/// while let Some(event) = events.next().await {
///     let event = event?;
///     println!("{} (lost before it: {})", event.seq, event.lost);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct EventStream {
    // Goes first: it puts the description back.
    readable: AsyncFd<Armed>,
    queue: Queue,
    buffer: Buffer,
}

impl EventStream {
    /// Takes the queue, and makes it non-blocking.
    ///
    /// # Errors
    ///
    /// [`Error::Unsuitable`] outside of a runtime, [`Error::System`].
    ///
    /// # Panics
    ///
    /// If the runtime was built without I/O (`enable_io`).
    pub fn new(queue: Queue) -> Result<EventStream> {
        if Handle::try_current().is_err() {
            return Err(Error::Unsuitable {
                mechanism: "tokio",
                what: format!("make a stream of {}", queue.name()),
                why: "that has to be done inside a runtime; call it from async code",
            });
        }
        let armed = Armed::new(queue.as_fd(), queue.name(), true)?;
        // SAFETY: `armed` owns its descriptor, always gives that same one, and
        // is never taken out or changed while it is registered.
        let readable = unsafe { AsyncFd::register_with_interest(armed, Interest::READABLE) }
            .map_err(|error| failed("register with tokio", queue.name(), &error.into()))?;
        Ok(EventStream {
            readable,
            queue,
            buffer: Buffer::default(),
        })
    }

    /// The queue, to post to or to ask. Reading from it takes events away from
    /// the stream.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The next event; `None` at the end. Safe to give up at any time.
    ///
    /// # Errors
    ///
    /// Those of [`Queue::read`], after which nothing follows.
    pub async fn next(&mut self) -> Option<Result<Event>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for EventStream {
    type Item = Result<Event>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Event>>> {
        let this = &mut *self;
        loop {
            match this.buffer.next(&this.queue) {
                Next::Item(item) => return Poll::Ready(Some(item)),
                Next::End => return Poll::Ready(None),
                Next::Empty => {}
            }
            let mut guard = match ready!(this.readable.poll_read_ready(context)) {
                Ok(guard) => guard,
                Err(error) => {
                    let error = failed("wait with", "tokio", &error);
                    return Poll::Ready(Some(this.buffer.fail(error)));
                }
            };
            // Before the next look, never after it: what comes in between sets
            // it again.
            guard.clear_ready();
        }
    }
}

impl AsFd for EventStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}
