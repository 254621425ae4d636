// SPDX-License-Identifier: MIT OR Apache-2.0
//! Poll and epoll: what is ready, and what a wait reports.

use nix::errno::Errno;

use super::*;

impl Model {
    fn ready(&self, file: &File) -> u32 {
        let mut ready = 0;
        if file.reads() && self.readable(file) {
            ready |= mask::IN;
        }
        if file.writes() {
            ready |= mask::OUT;
        }
        if self.queues[file.queue].retired {
            ready |= mask::GONE;
        }
        ready
    }

    /// P1: what poll says; a place without a file is POLLNVAL.
    pub(in crate::model) fn poll(&self, who: Who, slot: Slot, asked: u32) -> u32 {
        match self.file(who, slot) {
            Ok(file) => self.ready(file) & (asked | mask::GONE),
            Err(_) => libc::POLLNVAL as u32,
        }
    }

    fn item(&self, slot: Slot, file: u64) -> Option<usize> {
        self.items
            .iter()
            .position(|item| item.slot == slot && item.file == file)
    }

    /// The id of the new item.
    pub(in crate::model) fn epoll_add(
        &mut self,
        slot: Slot,
        asked: u32,
        edge: bool,
    ) -> Result<u64, Errno> {
        let file = self.file_id(Who::Parent, slot)?;
        if self.item(slot, file).is_some() {
            return Err(Errno::EEXIST);
        }
        let mask = asked | mask::GONE;
        let due = if self.ready(&self.files[&file]) & mask != 0 {
            Edge::Due
        } else {
            Edge::No
        };
        let id = self.id();
        self.items.push(Item {
            id,
            slot,
            file,
            mask,
            edge,
            due,
        });
        Ok(id)
    }

    /// The id of the item, which stays what it was.
    pub(in crate::model) fn epoll_modify(
        &mut self,
        slot: Slot,
        asked: u32,
        edge: bool,
    ) -> Result<u64, Errno> {
        let file = self.file_id(Who::Parent, slot)?;
        let at = self.item(slot, file).ok_or(Errno::ENOENT)?;
        let mask = asked | mask::GONE;
        let ready = self.ready(&self.files[&file]) & mask != 0;
        let item = &mut self.items[at];
        (item.mask, item.edge) = (mask, edge);
        if ready {
            item.due = Edge::Due;
        }
        Ok(item.id)
    }

    pub(in crate::model) fn epoll_delete(&mut self, slot: Slot) -> Result<(), Errno> {
        let file = self.file_id(Who::Parent, slot)?;
        let at = self.item(slot, file).ok_or(Errno::ENOENT)?;
        self.items.remove(at);
        Ok(())
    }

    /// P2: what a wait reports.
    pub(in crate::model) fn epoll_wait(&mut self) -> Vec<Report> {
        let mut reports = Vec::new();
        for item in &self.items {
            let events = self.ready(&self.files[&item.file]) & item.mask;
            let due = if item.edge { item.due } else { Edge::Due };
            if events != 0 && due != Edge::No {
                reports.push(Report {
                    id: item.id,
                    events,
                    certain: due == Edge::Due,
                });
            }
        }
        self.items.iter_mut().for_each(|item| item.due = Edge::No);
        reports
    }
}
