// SPDX-License-Identifier: MIT OR Apache-2.0
//! Posting: what a write posts, and who is told of it.

use evq::uapi::Event;
use nix::errno::Errno;

use super::*;
use crate::model::record::stamped;
use crate::support::signals::{POLL_HUP, POLL_IN, SI_KERNEL};

impl Model {
    /// Numbers for that many records; the first of them.
    pub(in crate::model) fn number(&mut self, records: u8) -> u64 {
        let first = self.written + 1;
        self.written += u64::from(records);
        first
    }

    /// W1: all that are there and before the first bad one are posted.
    pub(in crate::model) fn write(
        &mut self,
        who: Who,
        slot: Slot,
        what: Written,
    ) -> Result<usize, Errno> {
        let Written {
            first,
            records,
            tail,
            bad,
            good,
        } = what;
        let file = self.file(who, slot)?;
        if !file.writes() {
            return Err(Errno::EBADF);
        }
        let queue = file.queue;
        let there = (good / 64).min(records);
        let valid = bad.filter(|bad| *bad < there).unwrap_or(there);
        if self.queues[queue].retired && valid > 0 {
            self.queues[queue].refused += valid.min(BATCH) as u64;
            return Err(Errno::ENODEV);
        }
        let source = self.pid(who) as u32;
        for number in first..first + valid as u64 {
            self.post(queue, stamped(number, source));
        }
        for _ in 0..valid.div_ceil(BATCH) {
            self.notify(queue, mask::IN, POLL_IN);
        }
        // Why it went no further, which only a write that posted nothing tells.
        let why = if valid < there || (there == records && (tail > 0 || records == 0)) {
            Errno::EINVAL
        } else {
            Errno::EFAULT
        };
        let complete = valid == records && records > 0 && tail == 0;
        if valid > 0 || complete {
            Ok(valid * 64)
        } else {
            Err(why)
        }
    }

    fn post(&mut self, queue: usize, event: Event) {
        let queue = &mut self.queues[queue];
        queue.posted += 1;
        queue.kept.push_back(Event {
            seq: queue.posted,
            ..event
        });
        if queue.kept.len() > queue.capacity as usize {
            queue.kept.pop_front();
        }
    }

    fn notify(&mut self, queue: usize, key: u32, code: i32) {
        for item in &mut self.items {
            if self.files[&item.file].queue == queue && item.mask & key != 0 {
                item.due = Edge::Due;
            }
        }
        for (id, fd) in self.queues[queue].armed.clone() {
            let file = &self.files[&id];
            self.send(file.told, file.signal, fd, code);
        }
    }

    fn send(&mut self, told: Told, signal: i32, fd: i32, code: i32) {
        let band = if code == POLL_HUP {
            mask::GONE
        } else {
            mask::IN
        };
        let sent = match signal {
            0 => Sent {
                number: libc::SIGIO,
                code: SI_KERNEL,
                fd: 0,
                band: 0,
            },
            number => Sent {
                number,
                code,
                fd,
                band: band.into(),
            },
        };
        let to: &[(Who, bool)] = match told {
            Told::Nobody => &[],
            Told::Process(pid) if pid == self.ids.parent => &[(Who::Parent, false)],
            Told::Process(pid) if Some(pid) == self.child => &[(Who::Child, false)],
            Told::Process(_) => &[],
            Told::Group if self.child.is_some() => &[(Who::Parent, false), (Who::Child, false)],
            Told::Group => &[(Who::Parent, false)],
            Told::Thread => &[(Who::Parent, true)],
        };
        for (who, thread) in to {
            let pending = &mut self.pending[*who as usize][usize::from(*thread)];
            // Of the old signals, one is as good as many.
            if sent.number != libc::SIGIO || pending.iter().all(|other| other.number != libc::SIGIO)
            {
                pending.push(sent);
            }
        }
    }

    /// What a process must find pending now, in no order.
    pub(in crate::model) fn take_pending(&mut self, who: Who) -> Vec<Sent> {
        let mut all = std::mem::take(&mut self.pending[who as usize]).concat();
        all.sort_unstable();
        all
    }

    /// P3: the second queue ends.
    pub(in crate::model) fn retire(&mut self) {
        self.queues[1].retired = true;
        self.notify(1, mask::IN | mask::OUT | mask::GONE, POLL_HUP);
    }

    pub(in crate::model) fn has_live_second_queue(&self) -> bool {
        self.queues.get(1).is_some_and(|queue| !queue.retired)
    }
}
