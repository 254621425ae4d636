// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reference model: what the contract says that a step does.
//!
//! It keeps every event that a ring still holds, one cursor for each open file
//! description, and who is to be told of what. It knows nothing of how the
//! driver does it: there are no rings, no locks and no batches beyond the one
//! that F1 and W3 name.

mod control;
mod post;
mod watch;

pub(super) use control::Shown;

use std::collections::{BTreeMap, VecDeque};

use evq::uapi::{Event, Info};
use nix::errno::Errno;

use super::step::{Access, Slot, Who, SLOTS};

/// Events that one notification stands for, at most (F1, W3).
const BATCH: usize = 64;

/// Numbers of the ready masks that poll and epoll share.
pub(super) mod mask {
    pub(crate) const IN: u32 = 0x041;
    pub(crate) const OUT: u32 = 0x104;
    pub(crate) const GONE: u32 = 0x018;
}

/// The file descriptor of a place in the table: so high that nothing else gets it.
pub(super) fn descriptor(slot: Slot) -> i32 {
    100 + i32::from(slot)
}

/// A signal as the one that it was sent to finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sent {
    pub(super) number: i32,
    pub(super) code: i32,
    pub(super) fd: i32,
    pub(super) band: i64,
}

/// Who is told, as a file keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nobody,
    Process(i32),
    Group,
    Thread,
}

/// Whether an edge-triggered item is to be reported by the next wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Edge {
    No,
    /// Others have moved their cursors: it may, if it is readable.
    Maybe,
    Due,
}

/// One registration in the epoll instance: a descriptor and what it stood for.
struct Item {
    id: u64,
    slot: Slot,
    file: u64,
    mask: u32,
    edge: bool,
    due: Edge,
}

/// What a wait on the epoll instance reports of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) id: u64,
    pub(super) events: u32,
    pub(super) certain: bool,
}

/// An open file description.
struct File {
    queue: usize,
    access: Access,
    nonblock: bool,
    told: Told,
    signal: i32,
    next: u64,
    delivered: u64,
    lost: u64,
}

impl File {
    fn reads(&self) -> bool {
        self.access != Access::Write
    }

    fn writes(&self) -> bool {
        self.access != Access::Read
    }
}

/// A queue: what it holds, and the armed files, the last one armed first.
struct Queue {
    posted: u64,
    kept: VecDeque<Event>,
    capacity: u32,
    refused: u64,
    /// Open files of others.
    others: u32,
    instance: u64,
    retired: bool,
    armed: Vec<(u64, i32)>,
    times: BTreeMap<u64, u64>,
}

impl Queue {
    fn oldest(&self) -> u64 {
        self.posted + 1 - self.kept.len() as u64
    }
}

/// The numbers of the processes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ids {
    pub(super) parent: i32,
    pub(super) thread: i32,
    pub(super) group: i32,
    /// The first of the realtime signals that are used.
    pub(super) realtime: i32,
}

/// What is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    /// The number of the first record.
    pub(super) first: u64,
    pub(super) records: usize,
    /// Bytes behind the last one.
    pub(super) tail: usize,
    /// Which record is not valid.
    pub(super) bad: Option<usize>,
    /// Bytes of all this that are there.
    pub(super) good: usize,
}

/// What a read gives, or why it does not.
pub(super) type Read = Result<Vec<Event>, Errno>;

pub(super) struct Model {
    ids: Ids,
    queues: Vec<Queue>,
    files: BTreeMap<u64, File>,
    tables: [[Option<u64>; SLOTS as usize]; 2],
    items: Vec<Item>,
    child: Option<i32>,
    /// For each process, what was sent to all of it, and to its thread.
    pending: [[Vec<Sent>; 2]; 2],
    used_ids: u64,
    written: u64,
}

impl Model {
    pub(super) fn new(ids: Ids) -> Self {
        Self {
            ids,
            queues: Vec::new(),
            files: BTreeMap::new(),
            tables: Default::default(),
            items: Vec::new(),
            child: None,
            pending: Default::default(),
            used_ids: 0,
            written: 0,
        }
    }

    /// A queue as it was found; `info` was asked by an only file that is closed.
    pub(super) fn add_queue(&mut self, info: &Info, kept: Vec<Event>, others: u32) {
        self.queues.push(Queue {
            posted: info.posted,
            times: kept
                .iter()
                .map(|event| (event.seq, event.time_ns))
                .collect(),
            kept: kept
                .into_iter()
                .map(|event| Event { lost: 0, ..event })
                .collect(),
            capacity: info.capacity,
            refused: info.refused,
            others,
            instance: info.instance,
            retired: false,
            armed: Vec::new(),
        });
    }

    fn id(&mut self) -> u64 {
        self.used_ids += 1;
        self.used_ids
    }

    fn table(&mut self, who: Who) -> &mut [Option<u64>; SLOTS as usize] {
        &mut self.tables[who as usize]
    }

    pub(super) fn has_child(&self) -> bool {
        self.child.is_some()
    }

    fn pid(&self, who: Who) -> i32 {
        match who {
            Who::Parent => self.ids.parent,
            Who::Child => self
                .child
                .expect("the child does nothing before it is forked"),
        }
    }

    /// The open file at a place, or EBADF.
    fn file_id(&self, who: Who, slot: Slot) -> Result<u64, Errno> {
        self.tables[who as usize][usize::from(slot)].ok_or(Errno::EBADF)
    }

    fn file(&self, who: Who, slot: Slot) -> Result<&File, Errno> {
        Ok(&self.files[&self.file_id(who, slot)?])
    }

    fn file_mut(&mut self, who: Who, slot: Slot) -> Result<&mut File, Errno> {
        let id = self.file_id(who, slot)?;
        Ok(self.files.get_mut(&id).expect("open files are in the list"))
    }

    pub(super) fn open(
        &mut self,
        who: Who,
        slot: Slot,
        queue: usize,
        access: Access,
        nonblock: bool,
    ) -> Result<(), Errno> {
        let state = self.queues.get(queue).filter(|queue| !queue.retired);
        let next = state.ok_or(Errno::ENOENT)?.posted + 1;
        let id = self.id();
        let file = File {
            queue,
            access,
            nonblock,
            told: Told::Nobody,
            signal: 0,
            next,
            delivered: 0,
            lost: 0,
        };
        self.files.insert(id, file);
        self.put(who, slot, Some(id));
        Ok(())
    }

    pub(super) fn close(&mut self, who: Who, slot: Slot) -> Result<(), Errno> {
        self.file_id(who, slot)?;
        self.put(who, slot, None);
        Ok(())
    }

    pub(super) fn dup(&mut self, who: Who, from: Slot, to: Slot) -> Result<(), Errno> {
        // dup3 looks at the numbers first.
        if from == to {
            return Err(Errno::EINVAL);
        }
        let id = self.file_id(who, from)?;
        self.put(who, to, Some(id));
        Ok(())
    }

    /// Puts a file at a place; the last reference to the one before it ends that (F4).
    fn put(&mut self, who: Who, slot: Slot, file: Option<u64>) {
        let before = std::mem::replace(&mut self.table(who)[usize::from(slot)], file);
        if let Some(id) = before {
            self.release(id);
        }
    }

    fn release(&mut self, id: u64) {
        if self.tables.iter().flatten().any(|place| *place == Some(id)) {
            return;
        }
        let file = self.files.remove(&id).expect("it was open");
        self.queues[file.queue]
            .armed
            .retain(|(armed, _)| *armed != id);
        self.items.retain(|item| item.file != id);
    }

    pub(super) fn forked(&mut self, child: i32) {
        self.child = Some(child);
        self.tables[Who::Child as usize] = self.tables[Who::Parent as usize];
        self.pending[Who::Child as usize] = Default::default();
    }

    pub(super) fn exited(&mut self) {
        self.child = None;
        for slot in 0..SLOTS {
            self.put(Who::Child, slot, None);
        }
    }

    fn readable(&self, file: &File) -> bool {
        file.next <= self.queues[file.queue].posted
    }

    /// Whether a read would wait for events.
    pub(super) fn would_wait(&self, who: Who, slot: Slot) -> bool {
        self.file(who, slot).is_ok_and(|file| {
            file.reads()
                && !file.nonblock
                && !self.queues[file.queue].retired
                && !self.readable(file)
        })
    }

    /// R1, R2, R4: `bytes` is the room that was asked for, `good` how much of it is there.
    pub(super) fn read(&mut self, who: Who, slot: Slot, bytes: usize, good: usize) -> Read {
        let id = self.file_id(who, slot)?;
        let file = &self.files[&id];
        let queue = &self.queues[file.queue];
        if !file.reads() {
            return Err(Errno::EBADF);
        }
        if bytes < 64 {
            return Err(Errno::EINVAL);
        }
        if !self.readable(file) {
            return Err(if queue.retired {
                Errno::ENODEV
            } else {
                Errno::EAGAIN
            });
        }
        let room = bytes.min(good) / 64;
        if room == 0 {
            return Err(Errno::EFAULT);
        }
        let mut next = file.next;
        let mut events = Vec::new();
        for event in queue
            .kept
            .iter()
            .filter(|event| event.seq >= file.next)
            .take(room)
        {
            let lost = u32::try_from(event.seq - next).unwrap_or(u32::MAX);
            events.push(Event { lost, ..*event });
            next = event.seq + 1;
        }
        let file = self.files.get_mut(&id).expect("as above");
        file.delivered += events.len() as u64;
        file.lost += next - file.next - events.len() as u64;
        file.next = next;
        Ok(events)
    }

    /// Compares the times: in the order of the numbers, and the same for all who read an event.
    pub(super) fn learn_time(&mut self, who: Who, slot: Slot, event: &Event) -> Result<(), String> {
        let queue = self
            .file(who, slot)
            .map_err(|errno| errno.to_string())?
            .queue;
        let times = &mut self.queues[queue].times;
        let before = times.range(..event.seq).next_back().map(|(_, time)| *time);
        let after = times.range(event.seq + 1..).next().map(|(_, time)| *time);
        let known = times.insert(event.seq, event.time_ns);
        let in_order = before.is_none_or(|before| before <= event.time_ns)
            && after.is_none_or(|after| event.time_ns <= after);
        if in_order && known.is_none_or(|known| known == event.time_ns) {
            return Ok(());
        }
        Err(format!(
            "time of event {}: {} (known {known:?}, before {before:?}, after {after:?})",
            event.seq, event.time_ns
        ))
    }
}
