// SPDX-License-Identifier: GPL-2.0

//! A subscriber: one open file description of a queue, and what its system calls mean.

use crate::{
    event::{
        Event,
        EVENT_SIZE, //
    },
    glue::{
        context,
        fasync::FasyncList,
        iov::IovIterDestExt,
        miscdevice::{
            FileOperations,
            Iocb, //
        },
        trace,
        wait::{
            mask,
            WaitQueue, //
        },
    },
    queue::{
        Notify,
        Queue,
        Subscription,
        BATCH_MAX, //
    },
    ring::Cursor,
    uapi,
};
use kernel::{
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    mm::virt::VmaNew,
    new_spinlock,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        SpinLock, //
    },
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};

/// Records that a read copies with the cursor held; they are gathered on the stack (1 KiB).
const READ_BATCH: usize = 16;

/// Records after which a read that goes on looks for signals.
///
/// As many as a program could well ask for at once; without a bound, a reader with a huge buffer
/// and busy producers could not be stopped.
const SIGNAL_CHECK: usize = 4096;

/// How often a read faults its buffer in again without getting a single record into it.
///
/// More than once happens only if somebody unmaps the buffer, or the machine is so short of memory
/// that the page is gone again at once.
const FAULT_RETRIES: u32 = 16;

/// An open file description of a queue.
#[pin_data]
pub(crate) struct Subscriber {
    queue: Subscription,
    /// Held to take events, never across a page fault (R6).
    #[pin]
    cursor: SpinLock<Cursor>,
    /// The cursor's `next`, for those who only want to know whether there is something to read.
    next: Atomic<u64>,
}

impl Subscriber {
    fn readable(&self) -> bool {
        self.queue.ring().has(self.next.load(Relaxed))
    }

    /// Moves the cursor and starts a new account.
    ///
    /// If there is something to read now and was not before, this is news to whoever waits.
    fn seek_to(&self, next: u64) {
        let before = self.readable();
        {
            let mut cursor = self.cursor.lock();
            *cursor = Cursor::at(next);
            self.next.store(next, Relaxed);
        }
        if !before && self.readable() {
            // Those of other files look, and go on waiting.
            self.queue.wait_queue().wake_all(mask::IN);
        }
    }

    /// Copies up to `most` events without faulting, and moves the cursor by what was copied (R4).
    fn deliver(&self, dst: &mut IovIterDest<'_>, most: usize) -> usize {
        let mut records = [[0; EVENT_SIZE]; READ_BATCH];
        let mut seqs = [0; READ_BATCH];
        let mut cursor = self.cursor.lock();
        let mut next = cursor.next();
        let mut found: usize = 0;
        for (record, seq) in records.iter_mut().zip(&mut seqs).take(most) {
            let Some(event) = self.queue.ring().read(next) else {
                break;
            };
            *record = event.to_bytes();
            *seq = event.seq;
            next = event.seq.saturating_add(1);
            found = found.saturating_add(1);
        }
        let copied = dst.copy_records_nofault(records.get(..found).unwrap_or_default());
        let lost = cursor.lost();
        for seq in seqs.iter().take(copied) {
            cursor.deliver(*seq);
        }
        let lost = cursor.lost().wrapping_sub(lost);
        trace::read(self.queue.instance(), cursor.next(), copied as u64, lost);
        self.next.store(cursor.next(), Relaxed);
        copied
    }

    /// Waits until there is something to read (R2, R3, P3).
    fn wait_readable(&self, iocb: &Iocb<'_>) -> Result {
        // Whether it has been retired comes first: after that, nothing more is posted.
        let retired = self.queue.retired();
        if self.readable() {
            return Ok(());
        }
        if retired {
            return Err(ENODEV);
        }
        if iocb.nonblocking() {
            return Err(EAGAIN);
        }
        self.queue
            .wait_queue()
            .wait_interruptible(|| self.readable() || self.queue.retired())
    }

    /// What a program learns of the queue; without the right to read, not how busy it is (W2).
    fn info(&self, readable: bool) -> uapi::Info {
        let ring = self.queue.ring();
        let flags = if self.queue.retired() {
            uapi::INFO_RETIRED
        } else {
            0
        };
        // At most `CAPACITY_MAX`.
        let capacity = ring.capacity() as u32;
        if !readable {
            return uapi::Info {
                abi: uapi::ABI,
                capacity,
                flags,
                ..pin_init::zeroed()
            };
        }
        let cursor = *self.cursor.lock();
        let posted = ring.newest();
        let oldest = ring.oldest(posted);
        uapi::Info {
            abi: uapi::ABI,
            capacity,
            posted,
            oldest,
            next: cursor.next(),
            delivered: cursor.delivered(),
            lost: cursor.lost(),
            overwritten: oldest.saturating_sub(1),
            refused: self.queue.refused(),
            subscribers: self.queue.subscribers().try_into().unwrap_or(u32::MAX),
            flags,
            instance: self.queue.instance(),
            wakeups: self.queue.wakeups(),
            signals: self.queue.signals(),
            reserved: [0; 4],
        }
    }

    /// Where a seek leads to.
    fn seek_target(&self, seek: &uapi::Seek) -> Result<u64> {
        let ring = self.queue.ring();
        let newest = ring.newest();
        let behind = newest.saturating_add(1);
        match (seek.whence, seek.seq, seek.reserved) {
            (uapi::SEEK_NEWEST, 0, 0) => Ok(behind),
            (uapi::SEEK_OLDEST, 0, 0) => Ok(ring.oldest(newest)),
            (uapi::SEEK_SEQ, seq, 0) if (1..=behind).contains(&seq) => Ok(seq),
            _ => Err(EINVAL),
        }
    }
}

impl FileOperations for Subscriber {
    type Device = Queue;

    fn open(queue: &Arc<Queue>) -> impl PinInit<Self, Error> + '_ {
        try_pin_init!(Self {
            queue: Subscription::new(queue)?,
            next: Atomic::new(queue.ring().newest().saturating_add(1)),
            cursor <- new_spinlock!(Cursor::at(next.load(Relaxed)), "evq_cursor"),
        })
    }

    fn wait_queue(&self) -> &WaitQueue {
        self.queue.wait_queue()
    }

    fn fasync_list(&self) -> &FasyncList {
        self.queue.fasync_list()
    }

    fn poll(&self) -> u32 {
        let mut ready = mask::OUT;
        if self.queue.retired() {
            ready |= mask::HUP | mask::ERR;
        }
        if self.readable() {
            ready |= mask::IN;
        }
        ready
    }

    fn read_iter(&self, iocb: &Iocb<'_>, dst: &mut IovIterDest<'_>) -> Result<usize> {
        let asked = dst.len();
        if asked < EVENT_SIZE {
            return Err(EINVAL);
        }
        let result = self.read_all(iocb, dst);
        // What was taken is delivered, whatever ended the read (R3, R4).
        match asked.saturating_sub(dst.len()) {
            0 => result.map(|()| 0),
            read => Ok(read),
        }
    }

    fn write_iter(&self, _iocb: &Iocb<'_>, src: &mut IovIterSource<'_>) -> Result<usize> {
        // As the kernel sees it, whatever namespace the program is in.
        let source = kernel::current!().group_leader().pid() as u32;
        let mut written = 0;
        let result = self.write_all(src, source, &mut written);
        // What was posted is posted, whatever came after it (W1).
        match written {
            0 => result.map(|()| 0),
            written => Ok(written),
        }
    }

    fn ioctl(&self, cmd: u32, arg: usize, readable: bool) -> Result<isize> {
        let user = UserPtr::from_addr(arg);
        match cmd {
            uapi::IOC_INFO => {
                let mut writer = UserSlice::new(user, size_of::<uapi::Info>()).writer();
                writer.write(&self.info(readable))?;
            }
            uapi::IOC_SEEK if !readable => return Err(EBADF),
            uapi::IOC_SEEK => {
                let (mut reader, mut writer) =
                    UserSlice::new(user, size_of::<uapi::Seek>()).reader_writer();
                let mut seek: uapi::Seek = reader.read()?;
                seek.seq = self.seek_target(&seek)?;
                // The answer first: if it cannot be given, nothing has happened.
                writer.write(&seek)?;
                self.seek_to(seek.seq);
            }
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }

    fn show_fdinfo(&self, file: &SeqFile, readable: bool) {
        let info = self.info(readable);
        seq_print!(file, "evq-capacity:\t{}\n", info.capacity);
        seq_print!(file, "evq-flags:\t{:#x}\n", info.flags);
        if !readable {
            return;
        }
        seq_print!(file, "evq-posted:\t{}\n", info.posted);
        seq_print!(file, "evq-overwritten:\t{}\n", info.overwritten);
        seq_print!(file, "evq-refused:\t{}\n", info.refused);
        seq_print!(file, "evq-subscribers:\t{}\n", info.subscribers);
        seq_print!(file, "evq-wakeups:\t{}\n", info.wakeups);
        seq_print!(file, "evq-signals:\t{}\n", info.signals);
        seq_print!(file, "evq-next:\t{}\n", info.next);
        seq_print!(file, "evq-delivered:\t{}\n", info.delivered);
        seq_print!(file, "evq-lost:\t{}\n", info.lost);
    }

    fn mmap(&self, vma: &VmaNew) -> Result {
        self.queue.ring().memory().map_read_only(vma)
    }
}

impl Subscriber {
    /// Waits for the first event, then takes what is there until `dst` is full.
    ///
    /// On any error, what was taken before it is in `dst` already.
    fn read_all(&self, iocb: &Iocb<'_>, dst: &mut IovIterDest<'_>) -> Result {
        let mut taken: usize = 0;
        let mut misses: u32 = 0;
        while dst.len() >= EVENT_SIZE {
            if taken == 0 {
                self.wait_readable(iocb)?;
            } else if !self.readable() {
                return Ok(());
            }
            // The buffer is mostly there. If not, it is faulted in with nothing held: that may take
            // as long as the program's memory takes (R6).
            let most = READ_BATCH.min(dst.len() / EVENT_SIZE);
            let there = match misses {
                0 => most,
                _ => dst.fault_in(most.saturating_mul(EVENT_SIZE)) / EVENT_SIZE,
            };
            let copied = self.deliver(dst, there);
            taken = taken.saturating_add(copied);
            if copied > 0 {
                misses = 0;
            } else if self.readable() {
                // The buffer is bad, or was gone again before the copy.
                if there == 0 || misses == FAULT_RETRIES {
                    return Err(EFAULT);
                }
                misses = misses.saturating_add(1);
            }
            if taken >= SIGNAL_CHECK || misses > 1 {
                if context::signal_pending() {
                    return Err(ERESTARTSYS);
                }
                context::cond_resched();
            }
        }
        Ok(())
    }

    /// Posts all of `src`, in batches; `written` grows by the bytes of what was posted.
    fn write_all(&self, src: &mut IovIterSource<'_>, source: u32, written: &mut usize) -> Result {
        loop {
            let want = (src.len() / EVENT_SIZE).min(BATCH_MAX);
            if want == 0 {
                // Less than a record: not even a beginning, or a rest.
                return Err(EINVAL);
            }
            let mut records = KVec::from_elem([0; EVENT_SIZE], want, GFP_KERNEL)?;
            let copied = src.copy_from_iter(records.as_flattened_mut()) / EVENT_SIZE;
            let valid = records
                .iter()
                .take(copied)
                .take_while(|record| Event::is_valid(record))
                .count();
            if valid > 0 {
                let events = records.iter().take(valid);
                self.queue.post(
                    events.map(|record| Event::from_valid(record, source)),
                    Notify::Here,
                )?;
                *written = written.saturating_add(valid.saturating_mul(EVENT_SIZE));
            }
            if valid < copied {
                return Err(EINVAL);
            }
            if copied < want {
                return Err(EFAULT);
            }
            if src.is_empty() {
                return Ok(());
            }
            if context::signal_pending() {
                return Err(ERESTARTSYS);
            }
            context::cond_resched();
        }
    }
}
