// SPDX-License-Identifier: MIT OR Apache-2.0
//! A POSIX message queue; a batch is one message.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;

use anyhow::Context as _;
use nix::mqueue::{mq_close, mq_open, mq_receive, mq_send, mq_unlink, MQ_OFlag, MqAttr, MqdT};
use nix::sys::stat::Mode;

use super::{bytes, records, Link, Poster, Taker, BATCH, RECORD};

/// Messages that the queue holds; more than the usual 10 takes a privilege.
const MESSAGES: usize = 64;

/// Closed with its last user.
struct Queue(Option<MqdT>);

impl Queue {
    fn get(&self) -> anyhow::Result<&MqdT> {
        self.0.as_ref().context("the message queue is closed")
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        if let Some(queue) = self.0.take() {
            // Nothing to be done about a failure, and nothing is lost.
            let _ = mq_close(queue);
        }
    }
}

struct Sender {
    queue: Arc<Queue>,
    records: Vec<u8>,
}

impl Poster for Sender {
    fn post(&mut self, count: usize) -> anyhow::Result<()> {
        mq_send(self.queue.get()?, &self.records[..count * RECORD], 0)
            .context("sending to a message queue")
    }
}

struct Receiver {
    queue: Arc<Queue>,
    /// For [`Taker::fd`], and as good as the queue itself for that.
    fd: std::os::fd::OwnedFd,
    buffer: Vec<u8>,
}

impl Taker for Receiver {
    fn take(&mut self) -> anyhow::Result<usize> {
        let size = bytes(mq_receive(self.queue.get()?, &mut self.buffer, &mut 0))
            .context("receiving from a message queue")?;
        Ok(size / RECORD)
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

pub(super) fn open() -> anyhow::Result<Link> {
    let name = format!("/evq-bench-{}", std::process::id());
    let flags = MQ_OFlag::O_CREAT | MQ_OFlag::O_EXCL | MQ_OFlag::O_RDWR | MQ_OFlag::O_CLOEXEC;
    let attributes = MqAttr::new(0, MESSAGES as i64, (BATCH * RECORD) as i64, 0);
    let queue = mq_open(name.as_str(), flags, Mode::S_IRWXU, Some(&attributes)).with_context(|| {
        format!("making a message queue of {MESSAGES} messages (are you root? does the kernel have CONFIG_POSIX_MQUEUE?)")
    })?;
    let queue = Arc::new(Queue(Some(queue)));
    mq_unlink(name.as_str()).with_context(|| format!("removing the name {name}"))?;
    let fd = queue.get()?.as_fd().try_clone_to_owned();
    Ok(Link {
        poster: Box::new(Sender {
            queue: queue.clone(),
            records: records(),
        }),
        takers: vec![Box::new(Receiver {
            queue,
            fd: fd.context("duplicating a descriptor")?,
            buffer: records(),
        })],
        window: None,
    })
}
