// SPDX-License-Identifier: GPL-2.0

//! A queue that programs can open: what C knows as `struct evq_queue`.

use crate::{
    glue::miscdevice::Registration,
    queue::Queue,
    subscriber::Subscriber,
    FOPS, //
};
use kernel::{
    prelude::*,
    str::CString,
    sync::Arc, //
};

/// Permissions of the device nodes: the owner and the group, nobody else (W2).
const MODE: u16 = 0o660;

/// Longest name of an additional queue, in bytes.
pub(crate) const NAME_MAX: usize = 32;

/// A queue with its device node.
pub(crate) struct Published {
    queue: Arc<Queue>,
    registration: Option<Pin<KBox<Registration<Subscriber>>>>,
}

impl Published {
    /// Makes the queue `/dev/evq`, which keeps the last `capacity` events.
    ///
    /// Process context; fails as [`Queue::new`] and [`Registration::register`] do.
    pub(crate) fn default_queue(capacity: u32) -> Result<KBox<Self>> {
        Self::new(CString::try_from_fmt(fmt!("evq"))?, capacity)
    }

    /// Makes the queue `/dev/evq-NAME`.
    ///
    /// As [`Published::default_queue`]; also fails with `EINVAL` if the name is empty, longer than
    /// [`NAME_MAX`] or has anything in it but ASCII letters, digits, `_` and `-`.
    pub(crate) fn additional(name: &CStr, capacity: u32) -> Result<KBox<Self>> {
        let bytes = name.to_bytes();
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if bytes.is_empty() || bytes.len() > NAME_MAX || !bytes.iter().all(plain) {
            return Err(EINVAL);
        }
        let name = name.to_str().map_err(|_| EINVAL)?;
        Self::new(CString::try_from_fmt(fmt!("evq-{name}"))?, capacity)
    }

    fn new(node: CString, capacity: u32) -> Result<KBox<Self>> {
        let queue = Queue::new(&node, capacity)?;
        let mut published = KBox::new(
            Self {
                queue: queue.clone(),
                registration: None,
            },
            GFP_KERNEL,
        )?;
        // Nothing can fail from here on: a program may have it open, and a module whose
        // initialisation fails is gone whoever has its files open.
        published.registration = Some(KBox::pin_init(
            Registration::register(node, MODE, &FOPS, queue),
            GFP_KERNEL,
        )?);
        Ok(published)
    }

    /// The queue itself.
    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }
}

impl Drop for Published {
    /// Takes the device node away, then ends the queue for those who have it open (P3).
    ///
    /// In this order nobody can open it in between and never be told. May sleep.
    fn drop(&mut self) {
        if self.registration.take().is_some() {
            self.queue.retire();
        }
    }
}
