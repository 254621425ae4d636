// SPDX-License-Identifier: GPL-2.0

//! A subscriber: one open file description of a queue, and what its system calls mean.

use crate::{
    event::{
        Event,
        EVENT_SIZE, //
    },
    filter::Filter,
    glue::{
        borrowed_buf::BorrowedBuf,
        context,
        fasync::FasyncList,
        iov::{
            IovIterDestExt,
            IovIterSourceExt, //
        },
        miscdevice::{
            FileOperations,
            Iocb, //
        },
        trace,
        wait::{
            mask,
            WaitQueue, //
        },
        word::{
            read_once,
            write_once, //
        },
    },
    queue::{
        self,
        Notify,
        Queue,
        Subscription,
        BATCH_MAX, //
    },
    ring::Cursor,
    roster::Wakeup,
    selection::Selection,
    uapi,
    walk::{
        self,
        Stop, //
    },
};
use core::mem::MaybeUninit;
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
        SetOnce,
        SpinLock, //
    },
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};

/// Records that a read copies with the cursor held; they are gathered on the stack (1 KiB).
const READ_BATCH: usize = 16;

/// Records of a write that are kept on the stack (1 KiB); more of them are worth an allocation.
const FEW: usize = 16;

/// Events that a subscriber goes past with its cursor held because it does not want them.
const SKIP_BATCH: usize = 256;

/// Records after which a call that goes on looks for signals and lets others run (Q11).
///
/// As many as a program could well ask for at once; without a bound, a reader with a huge buffer
/// and busy producers could not be stopped.
const SIGNAL_CHECK: usize = 4096;

/// How often a read faults its buffer in again without getting a single record into it.
///
/// More than once happens only if somebody unmaps the buffer, or the machine is so short of memory
/// that the page is gone again at once.
const FAULT_RETRIES: u32 = 16;

/// What one go at the ring came to.
struct Delivered {
    /// Events that there were to copy.
    found: usize,
    /// How many of them were copied.
    copied: usize,
    /// Events that were looked at, wanted or not.
    looked_at: usize,
    /// Whether that was all that was there, whatever may have come since.
    all: bool,
}

/// An open file description of a queue.
#[pin_data(PinnedDrop)]
pub(crate) struct Subscriber {
    queue: Subscription,
    /// Held to take events, never across a page fault (R6).
    #[pin]
    cursor: SpinLock<Cursor>,
    /// The cursor's `next`, for those who only want to know whether there is something to read.
    next: Atomic<u64>,
    /// Where it waits apart from others: because of what it wants, if it said so before it first
    /// waited, or because many waited already. [`None`] is with the others, for everything at each
    /// post.
    selection: SetOnce<Option<Arc<Selection>>>,
}

impl Subscriber {
    /// Where it waits apart; decides that it is with the others if nothing else was said so far, or
    /// for everything if there are many.
    ///
    /// Process context, may sleep.
    fn decided(&self) -> Option<&Selection> {
        if let Some(decided) = self.selection.as_ref() {
            return decided.as_deref();
        }
        self.decide()
    }

    /// As [`Subscriber::decided`], the first time.
    ///
    /// Who comes after many others waits apart, so that a post does not walk over all of them (Q4).
    #[cold]
    fn decide(&self) -> Option<&Selection> {
        let mut in_place = self.queue.choosing().lock();
        if self.selection.as_ref().is_none() {
            let apart = (*in_place >= queue::in_place_max())
                .then(|| Selection::new(self.next.load(Relaxed), false).ok())
                .flatten()
                .filter(|apart| self.queue.news().moderator().add(apart).is_ok());
            // Without memory, the post has to do it.
            if apart.is_none() {
                *in_place = in_place.saturating_add(1);
            }
            self.selection.populate(apart);
        }
        self.selection.as_ref()?.as_deref()
    }

    /// What it wants, for changing it; fails with `EBUSY` if it has waited without saying.
    ///
    /// Process context, may sleep.
    fn select(&self) -> Result<&Arc<Selection>> {
        if self.selection.as_ref().is_some() {
            return self.chosen().ok_or(EBUSY);
        }
        let selection = Selection::new(self.next.load(Relaxed), true)?;
        let _choosing = self.queue.choosing().lock();
        if self.selection.as_ref().is_none() {
            self.queue.news().moderator().add(&selection)?;
            self.selection.populate(Some(selection));
        }
        self.chosen().ok_or(EBUSY)
    }

    /// What it wants, if it said so, for changing it.
    fn chosen(&self) -> Option<&Arc<Selection>> {
        let selection = self.selection.as_ref()?.as_ref()?;
        selection.is_chosen().then_some(selection)
    }

    /// What it wants, if it said so.
    fn selected(&self) -> Option<&Selection> {
        self.selection.as_ref()?.as_deref()
    }

    /// Where whoever waits for it is; decides nothing.
    fn waited_at(&self) -> &WaitQueue {
        self.selected()
            .map_or(self.queue.watchers().wait_queue(), Selection::wait_queue)
    }

    /// The events that it wants; [`None`] is all of them.
    fn filter(&self) -> Option<Filter> {
        let filter = self.selected()?.filter();
        (!filter.is_open()).then_some(filter)
    }

    /// Whether there is something to read that it wants among the events up to `end`; goes past
    /// what it does not want. [`None`] is the newest one, which is put there if it matters.
    ///
    /// Fails with `ERESTARTSYS` if a signal is pending before that is known. Does not sleep, but
    /// lets others run.
    #[inline(always)]
    fn readable(&self, end: &mut Option<u64>) -> Result<bool> {
        let ring = self.queue.ring();
        match self.selected() {
            None => Ok(ring.has(read_once(&self.next))),
            Some(_) => self.wanted_is_readable(*end.get_or_insert_with(|| ring.newest())),
        }
    }

    /// As [`Subscriber::readable`] with what has been posted so far, for who has been put where this
    /// one waits: what comes after it is told there (Q11).
    fn readable_when_waiting(&self) -> Result<bool> {
        match self.selected() {
            None => Ok(self.queue.ring().has(read_once(&self.next))),
            Some(selection) => {
                self.queue.news().moderator().expect(selection);
                self.wanted_is_readable(self.queue.ring().newest())
            }
        }
    }

    /// As [`Subscriber::readable`], for one that has said what it wants.
    #[inline(never)]
    fn wanted_is_readable(&self, end: u64) -> Result<bool> {
        let ring = self.queue.ring();
        let Some(filter) = self.filter() else {
            return Ok(ring.has(read_once(&self.next)));
        };
        let mut looked_at: usize = 0;
        loop {
            let stop = {
                let mut cursor = self.cursor.lock();
                let stop = walk::pass_unwanted(&mut cursor, ring, &filter, end, SKIP_BATCH);
                self.publish(&cursor);
                stop
            };
            match stop {
                Stop::Wanted => return Ok(true),
                Stop::End => return Ok(false),
                Stop::Budget => looked_at = looked_at.saturating_add(SKIP_BATCH),
            }
            if looked_at >= SIGNAL_CHECK {
                looked_at = 0;
                context::go_on()?;
            }
        }
    }

    /// Lets those know who do not hold the cursor.
    fn publish(&self, cursor: &Cursor) {
        write_once(&self.next, cursor.next());
        if let Some(selection) = self.selected() {
            selection.read_to(cursor.next());
            self.queue.news().moderator().note_call(selection);
        }
    }

    /// Moves the cursor and starts a new account.
    ///
    /// If there is something to read now and was not before, this is news to whoever waits. With a
    /// filter, those who wait find that out themselves: a seek looks at no event (Q11).
    fn seek_to(&self, next: u64) {
        let ring = self.queue.ring();
        let filtered = self.selected().is_some();
        let before = !filtered && ring.has(read_once(&self.next));
        {
            let mut cursor = self.cursor.lock();
            *cursor = Cursor::at(next);
            self.publish(&cursor);
        }
        if !before && ring.has(next) {
            // Those of other files look, and go on waiting.
            self.waited_at().wake_all(mask::IN);
        }
    }

    /// Copies up to `most` events without faulting, and moves the cursor by what was copied (R4).
    ///
    /// With a filter, those up to `end`.
    fn deliver(&self, dst: &mut IovIterDest<'_>, most: usize, end: u64) -> Delivered {
        if let Some(filter) = self.filter() {
            return self.deliver_wanted(&filter, dst, most, end);
        }
        let mut room = [const { MaybeUninit::uninit() }; READ_BATCH];
        let mut records = BorrowedBuf::new(&mut room);
        let mut cursor = self.cursor.lock();
        let ring = self.queue.ring();
        ring.read(cursor.next(), cursor.untold(), &mut records, most);
        let records = records.filled();
        let copied = dst.copy_records_nofault(records);
        let before = cursor.lost();
        if let Some([seq, ..]) = records.get(..copied).and_then(<[_]>::last) {
            cursor.deliver_all(copied as u64, *seq);
        }
        self.told(&cursor, copied, before);
        Delivered {
            found: records.len(),
            copied,
            looked_at: records.len(),
            all: copied == records.len() && copied < most,
        }
    }

    /// As [`Subscriber::deliver`], what `filter` lets through.
    #[inline(never)]
    fn deliver_wanted(
        &self,
        filter: &Filter,
        dst: &mut IovIterDest<'_>,
        most: usize,
        end: u64,
    ) -> Delivered {
        let mut room = [const { MaybeUninit::uninit() }; READ_BATCH];
        let mut records = BorrowedBuf::new(&mut room);
        let mut cursor = self.cursor.lock();
        // Where the cursor is after each of them, and after what follows and is not wanted.
        let mut after = [*cursor; READ_BATCH];
        let mut ahead = *cursor;
        let mut found: usize = 0;
        let mut looks: usize = 0;
        let mut all = false;
        while looks < SKIP_BATCH {
            // What nobody has been told yet is told by what is wanted.
            let batch = most.min(found.saturating_add(walk::until(ahead.next(), end)));
            self.queue.ring().read(ahead.next(), 0, &mut records, batch);
            let read = found..records.len();
            if read.is_empty() {
                all = found < most;
                break;
            }
            looks = looks.saturating_add(read.len());
            for from in read {
                let Some(mut record) = records.filled().get(from).copied() else {
                    break;
                };
                let event = Event::from_words(&record);
                if !filter.matches(&event) {
                    ahead.skip(event.seq);
                    continue;
                }
                Event::tell_lost(&mut record, ahead.deliver(event.seq));
                // Over what is not wanted, or itself.
                if let (Some(to), Some(after)) =
                    (records.filled_mut().get_mut(found), after.get_mut(found))
                {
                    *to = record;
                    *after = ahead;
                }
                found = found.saturating_add(1);
            }
            records.remove(found, usize::MAX);
        }
        let copied = dst.copy_records_nofault(records.filled());
        let before = *cursor;
        *cursor = match copied.checked_sub(1) {
            _ if copied == found => ahead,
            Some(last) => after.get(last).copied().unwrap_or(before),
            None => before,
        };
        self.told(&cursor, copied, before.lost());
        Delivered {
            found,
            copied,
            looked_at: looks,
            all: all && copied == found,
        }
    }

    /// Lets everybody know that `copied` events were delivered, before which `lost_before` had been
    /// lost.
    fn told(&self, cursor: &Cursor, copied: usize, lost_before: u64) {
        let lost = cursor.lost().wrapping_sub(lost_before);
        let instance = self.queue.news().instance();
        trace::read(instance, cursor.next(), copied as u64, lost);
        self.publish(cursor);
    }

    /// Waits until there is something to read among the events up to `end`, or, once it has slept,
    /// among those that have come meanwhile (R2, R3, P3, Q11).
    #[inline(always)]
    fn wait_readable(&self, iocb: &Iocb<'_>, end: &mut Option<u64>) -> Result {
        if self.readable(end)? {
            return Ok(());
        }
        self.sleep_until_readable(iocb, end)
    }

    /// As [`Subscriber::wait_readable`], with nothing to read so far.
    #[cold]
    fn sleep_until_readable(&self, iocb: &Iocb<'_>, end: &mut Option<u64>) -> Result {
        if self.queue.retired() {
            // Nothing more is posted after that, but something may have been just before.
            *end = None;
            return self.readable(end)?.then_some(()).ok_or(ENODEV);
        }
        if iocb.nonblocking() {
            return Err(EAGAIN);
        }
        *end = None;
        // A walk that a signal has ended is no reason to stay awake: the sleep ends at once.
        self.wait_queue().wait_interruptible(|| {
            self.readable_when_waiting().unwrap_or(false) || self.queue.retired()
        })
    }

    /// Changes what it wants, and when it wants to be woken.
    fn change(&self, filter: Option<Filter>, wakeup: Option<Wakeup>) -> Result {
        let selection = self.select()?;
        let moderator = self.queue.news().moderator();
        moderator.change(selection, filter, wakeup);
        // Somebody may be waiting already.
        self.waited_at().wake_all(mask::IN);
        Ok(())
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
            instance: self.queue.news().instance(),
            wakeups: self.queue.news().wakeups(),
            signals: self.queue.news().signals(),
            skipped: cursor.skipped(),
            reserved: [0; 3],
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

#[pinned_drop]
impl PinnedDrop for Subscriber {
    /// May sleep.
    fn drop(self: Pin<&mut Self>) {
        match self.selection.as_ref() {
            Some(Some(selection)) => self.queue.news().moderator().remove(selection),
            Some(None) => {
                let mut in_place = self.queue.choosing().lock();
                *in_place = in_place.saturating_sub(1);
            }
            None => {}
        }
    }
}

impl FileOperations for Subscriber {
    type Device = Queue;

    fn open(queue: &Arc<Queue>) -> impl PinInit<Self, Error> + '_ {
        try_pin_init!(Self {
            queue: Subscription::new(queue)?,
            next: Atomic::new(queue.ring().newest().saturating_add(1)),
            selection: SetOnce::new(),
            cursor <- new_spinlock!(Cursor::at(next.load(Relaxed)), "evq_cursor"),
        })
    }

    fn wait_queue(&self) -> &WaitQueue {
        self.decided()
            .map_or(self.queue.watchers().wait_queue(), Selection::wait_queue)
    }

    fn fasync_list(&self) -> &FasyncList {
        self.decided()
            .map_or(self.queue.watchers().fasync_list(), Selection::fasync_list)
    }

    fn expect(&self) {
        if let Some(selection) = self.selected() {
            self.queue.news().moderator().expect(selection);
        }
    }

    #[inline]
    fn poll(&self) -> u32 {
        let mut ready = mask::OUT;
        if self.queue.retired() {
            ready |= mask::HUP | mask::ERR;
        }
        match self.readable_when_waiting() {
            Ok(true) => ready |= mask::IN,
            Ok(false) => {}
            // A poll of one file ends now, with EINTR. An epoll does not ask again: the moderator
            // goes on where this has stopped, and wakes it.
            Err(_) => self.queue.watchers().moderate(),
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
            uapi::IOC_FILTER | uapi::IOC_WAKEUP if !readable => return Err(EBADF),
            uapi::IOC_FILTER => {
                let mut reader = UserSlice::new(user, size_of::<uapi::Filter>()).reader();
                let filter = reader.read::<uapi::Filter>()?.parse().ok_or(EINVAL)?;
                self.change(Some(filter), None)?;
            }
            uapi::IOC_WAKEUP => {
                let mut reader = UserSlice::new(user, size_of::<uapi::Wakeup>()).reader();
                let wakeup = reader.read::<uapi::Wakeup>()?;
                let capacity = self.queue.ring().capacity();
                self.change(None, Some(wakeup.parse(capacity).ok_or(EINVAL)?))?;
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
        seq_print!(file, "evq-file:\t{}\n", self.queue.number());
        seq_print!(file, "evq-next:\t{}\n", info.next);
        seq_print!(file, "evq-delivered:\t{}\n", info.delivered);
        seq_print!(file, "evq-lost:\t{}\n", info.lost);
        seq_print!(file, "evq-skipped:\t{}\n", info.skipped);
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
        let mut looked_at: usize = 0;
        let mut misses: u32 = 0;
        // With a filter, it could otherwise follow the newest event for ever (Q11).
        let mut end = None;
        while dst.len() >= EVENT_SIZE {
            if taken == 0 {
                self.wait_readable(iocb, &mut end)?;
            } else if !self.readable(&mut end)? {
                return Ok(());
            }
            // The buffer is mostly there. If not, it is faulted in with nothing held: that may take
            // as long as the program's memory takes (R6).
            let most = READ_BATCH.min(dst.len() / EVENT_SIZE);
            let there = match misses {
                0 => most,
                _ => dst.fault_in(most.saturating_mul(EVENT_SIZE)) / EVENT_SIZE,
            };
            let delivered = self.deliver(dst, there, end.unwrap_or(0));
            taken = taken.saturating_add(delivered.copied);
            looked_at = looked_at.wrapping_add(delivered.looked_at);
            if delivered.all && taken > 0 {
                return Ok(());
            }
            if delivered.copied > 0 {
                misses = 0;
            } else if delivered.found > 0 || there == 0 {
                // The buffer is bad, or was gone again before the copy.
                if there == 0 || misses == FAULT_RETRIES {
                    return Err(EFAULT);
                }
                misses = misses.saturating_add(1);
            }
            if looked_at >= SIGNAL_CHECK || misses > 1 {
                context::go_on()?;
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
            let want = want.saturating_mul(EVENT_SIZE);
            let mut few = [const { MaybeUninit::uninit() }; FEW * EVENT_SIZE];
            let mut many;
            let room = match few.get_mut(..want) {
                Some(few) => few,
                None => {
                    many = KVec::with_capacity(want, GFP_KERNEL)?;
                    many.spare_capacity_mut().get_mut(..want).ok_or(ENOMEM)?
                }
            };
            let bytes = src.copy_records(room, EVENT_SIZE);
            let (records, _) = <[[u8; EVENT_SIZE]]>::ref_from_prefix(bytes).map_err(|_| EINVAL)?;
            let invalid = records.iter().position(|record| !Event::is_valid(record));
            let valid = records.get(..invalid.unwrap_or(records.len()));
            let valid = valid.unwrap_or_default();
            if !valid.is_empty() {
                let events = valid.iter();
                self.queue.post(
                    events.map(|record| Event::from_valid(record, source)),
                    Notify::Here,
                )?;
                *written = written.saturating_add(size_of_val(valid));
            }
            if invalid.is_some() {
                return Err(EINVAL);
            }
            if bytes.len() < want {
                return Err(EFAULT);
            }
            if src.is_empty() {
                return Ok(());
            }
            context::go_on()?;
        }
    }
}
