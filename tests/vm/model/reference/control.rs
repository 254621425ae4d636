// SPDX-License-Identifier: MIT OR Apache-2.0
//! What fcntl and ioctl set and tell.

use evq::uapi::{Event, Info, ABI, INFO_RETIRED};
use nix::errno::Errno;

use super::*;
use crate::model::step::{Owner, Signal, Target};

/// A mapped ring.
#[derive(Debug)]
pub(in crate::model) struct Shown {
    pub(in crate::model) capacity: u32,
    pub(in crate::model) instance: u64,
    pub(in crate::model) newest: u64,
    pub(in crate::model) events: Vec<Event>,
}

impl Model {
    pub(in crate::model) fn set_async(
        &mut self,
        who: Who,
        slot: Slot,
        on: bool,
    ) -> Result<(), Errno> {
        let id = self.file_id(who, slot)?;
        let file = &self.files[&id];
        let armed = &mut self.queues[file.queue].armed;
        match (on, armed.iter().any(|(armed, _)| *armed == id)) {
            // W2: when something is posted is for those only who may read.
            (true, false) if !file.reads() => return Err(Errno::EBADF),
            (true, false) => armed.insert(0, (id, descriptor(slot))),
            (false, true) => armed.retain(|(armed, _)| *armed != id),
            _ => {}
        }
        Ok(())
    }

    pub(in crate::model) fn set_nonblock(
        &mut self,
        who: Who,
        slot: Slot,
        on: bool,
    ) -> Result<(), Errno> {
        self.file_mut(who, slot)?.nonblock = on;
        Ok(())
    }

    pub(in crate::model) fn flags(&self, who: Who, slot: Slot) -> Result<i32, Errno> {
        let id = self.file_id(who, slot)?;
        let file = &self.files[&id];
        let access = match file.access {
            Access::Read => libc::O_RDONLY,
            Access::Write => libc::O_WRONLY,
            Access::Both => libc::O_RDWR,
        };
        let nonblock = if file.nonblock { libc::O_NONBLOCK } else { 0 };
        let armed = self.queues[file.queue]
            .armed
            .iter()
            .any(|(armed, _)| *armed == id);
        Ok(access | nonblock | if armed { libc::O_ASYNC } else { 0 })
    }

    /// The number for `F_SETOWN`; one that nobody has if there is no such process.
    pub(in crate::model) fn owner_number(&self, owner: Owner) -> i32 {
        match owner {
            Owner::Nobody => 0,
            Owner::Parent => self.ids.parent,
            Owner::Child => self.child.unwrap_or(i32::MAX),
            Owner::Group => -self.ids.group,
            Owner::Thread => self.ids.thread,
            Owner::NoSuch => i32::MAX,
        }
    }

    pub(in crate::model) fn set_owner(
        &mut self,
        who: Who,
        slot: Slot,
        owner: Owner,
    ) -> Result<(), Errno> {
        let (parent, child) = (self.ids.parent, self.child);
        let file = self.file_mut(who, slot)?;
        file.told = match owner {
            Owner::Nobody => Told::Nobody,
            Owner::Parent => Told::Process(parent),
            Owner::Child => Told::Process(child.ok_or(Errno::ESRCH)?),
            Owner::Group => Told::Group,
            Owner::Thread => Told::Thread,
            Owner::NoSuch => return Err(Errno::ESRCH),
        };
        Ok(())
    }

    /// Kind and number of `F_GETOWN_EX`; a process that has ended is nobody.
    pub(in crate::model) fn owner(&self, who: Who, slot: Slot) -> Result<(i32, i32), Errno> {
        Ok(match self.file(who, slot)?.told {
            Told::Process(pid) if pid == self.ids.parent || Some(pid) == self.child => (1, pid),
            Told::Nobody | Told::Process(_) => (0, 0),
            Told::Group => (2, self.ids.group),
            Told::Thread => (0, self.ids.thread),
        })
    }

    pub(in crate::model) fn signal_number(&self, signal: Signal) -> i32 {
        match signal {
            Signal::Default => 0,
            Signal::Io => libc::SIGIO,
            Signal::Realtime(which) => self.ids.realtime + i32::from(which),
            Signal::Wrong => libc::SIGRTMAX() + 1,
        }
    }

    pub(in crate::model) fn set_signal(
        &mut self,
        who: Who,
        slot: Slot,
        signal: Signal,
    ) -> Result<(), Errno> {
        let number = self.signal_number(signal);
        let file = self.file_mut(who, slot)?;
        if signal == Signal::Wrong {
            return Err(Errno::EINVAL);
        }
        file.signal = number;
        Ok(())
    }

    pub(in crate::model) fn signal(&self, who: Who, slot: Slot) -> Result<i32, Errno> {
        Ok(self.file(who, slot)?.signal)
    }

    pub(in crate::model) fn info(&self, who: Who, slot: Slot) -> Result<Info, Errno> {
        let file = self.file(who, slot)?;
        let queue = &self.queues[file.queue];
        let flags = if queue.retired { INFO_RETIRED } else { 0 };
        let public = Info {
            abi: ABI,
            capacity: queue.capacity,
            flags,
            ..Info::default()
        };
        if !file.reads() {
            return Ok(public);
        }
        let open = self
            .files
            .values()
            .filter(|other| other.queue == file.queue)
            .count();
        Ok(Info {
            posted: queue.posted,
            oldest: queue.oldest(),
            next: file.next,
            delivered: file.delivered,
            lost: file.lost,
            overwritten: queue.oldest() - 1,
            refused: queue.refused,
            subscribers: queue.others + open as u32,
            instance: queue.instance,
            ..public
        })
    }

    /// The number that a seek asks for.
    pub(in crate::model) fn seek_number(&self, who: Who, slot: Slot, target: Target) -> u64 {
        let behind = self
            .file(who, slot)
            .map_or(1, |file| self.queues[file.queue].posted + 1);
        match target {
            Target::Back(back) => behind.saturating_sub(back.into()).max(1),
            Target::Beyond(beyond) => behind + u64::from(beyond),
            Target::NumberedNewest => behind,
            _ => 0,
        }
    }

    /// Q2: moves the cursor; its new place.
    pub(in crate::model) fn seek(
        &mut self,
        who: Who,
        slot: Slot,
        target: Target,
    ) -> Result<u64, Errno> {
        let number = self.seek_number(who, slot, target);
        let id = self.file_id(who, slot)?;
        let file = &self.files[&id];
        let queue = &self.queues[file.queue];
        let next = match target {
            _ if !file.reads() => return Err(Errno::EBADF),
            Target::Newest => queue.posted + 1,
            Target::Oldest => queue.oldest(),
            Target::Back(_) => number,
            Target::Nowhere => return Err(Errno::EFAULT),
            _ => return Err(Errno::EINVAL),
        };
        let (before, queue) = (self.readable(file), file.queue);
        let file = self.files.get_mut(&id).expect("as above");
        (file.next, file.delivered, file.lost) = (next, 0, 0);
        if !before && self.readable(&self.files[&id]) {
            for item in self
                .items
                .iter_mut()
                .filter(|item| item.mask & mask::IN != 0)
            {
                if item.file == id {
                    item.due = Edge::Due;
                } else if self.files[&item.file].queue == queue {
                    item.due = item.due.max(Edge::Maybe);
                }
            }
        }
        Ok(next)
    }

    /// Q6: what a mapping of the whole ring shows, its events without the times.
    pub(in crate::model) fn map(
        &self,
        who: Who,
        slot: Slot,
        write: bool,
        shared: bool,
    ) -> Result<Shown, Errno> {
        let file = self.file(who, slot)?;
        if !file.reads() || (write && shared && !file.writes()) {
            return Err(Errno::EACCES);
        }
        if write {
            return Err(Errno::EPERM);
        }
        let queue = &self.queues[file.queue];
        Ok(Shown {
            capacity: queue.capacity,
            instance: queue.instance,
            newest: queue.posted,
            events: queue.kept.iter().copied().collect(),
        })
    }

    /// A read that waits until `writer` posts: both are fit for it, in the test itself.
    pub(in crate::model) fn can_await(&self, reader: Slot, writer: Slot) -> bool {
        let files = (
            self.file(Who::Parent, reader),
            self.file(Who::Parent, writer),
        );
        let (Ok(reads), Ok(writes)) = files else {
            return false;
        };
        self.would_wait(Who::Parent, reader) && writes.writes() && writes.queue == reads.queue
    }
}
