// SPDX-License-Identifier: GPL-2.0

//! Misc devices with poll and asynchronous notification, owned by their module.
//!
//! What [`kernel::miscdevice`] does not do: up to Linux 7.3 it offers neither `poll` nor `fasync` nor
//! a mode for the device node; up to 7.2 it names no owner, so that a module can be unloaded under
//! an open file.
//!
//! The waiting is in the table of operations rather than in the driver, which only says where its
//! wait queue and its list of asynchronous readers are. So the order is right by construction:
//!
//! - `poll` registers first and asks for the state afterwards;
//! - a file that asked for signals is taken off the list when it turns that off, when it is closed
//!   and when its process ends, whatever the driver thinks of its state at that time.
//!
//! C header: [`include/linux/miscdevice.h`](srctree/include/linux/miscdevice.h)

use super::{
    fasync::FasyncList,
    ffi,
    wait::{
        mask,
        WaitQueue, //
    },
};
use core::{
    marker::PhantomData,
    ops::Deref, //
};
use kernel::{
    bindings,
    error::to_result,
    ffi::{
        c_int,
        c_long,
        c_uint,
        c_ulong, //
    },
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    mm::virt::VmaNew,
    prelude::*,
    seq_file::SeqFile,
    str::CString,
    sync::Arc,
    types::{
        ForeignOwnable,
        Opaque, //
    },
};

/// The state of one open file of a misc device, and what can be done with it.
///
/// All methods run in process context and may sleep unless they say otherwise.
pub(crate) trait FileOperations: Send + Sync + Sized + 'static {
    /// The state of the device, shared by all its open files.
    type Device: Send + Sync + 'static;

    /// Makes the state of a new open file.
    ///
    /// The memory is charged to the process that opens it.
    fn open(device: &Arc<Self::Device>) -> impl PinInit<Self, Error> + '_;

    /// Where this file waits; always the same from the first call on.
    fn wait_queue(&self) -> &WaitQueue;

    /// Where this file is put when it asks for signals; always the same from the first call on.
    fn fasync_list(&self) -> &FasyncList;

    /// This file has been put on the list.
    fn expect(&self);

    /// The events that are ready now, out of [`mask`]; those that the file was not opened for are
    /// left out for the driver. Must not sleep.
    ///
    /// Whoever asks may have been put on the wait queue before.
    fn poll(&self) -> u32;

    /// Reads; returns the number of bytes.
    fn read_iter(&self, iocb: &Iocb<'_>, dst: &mut IovIterDest<'_>) -> Result<usize>;

    /// Writes; returns the number of bytes.
    fn write_iter(&self, iocb: &Iocb<'_>, src: &mut IovIterSource<'_>) -> Result<usize>;

    /// Anything else; `arg` is often an address in the memory of the program.
    ///
    /// The same for 32-bit programs: `arg` must be a pointer, to a structure that has one layout.
    /// `readable` says whether the file is open for reading.
    fn ioctl(&self, cmd: u32, arg: usize, readable: bool) -> Result<isize>;

    /// Writes lines `NAME:\tVALUE\n` to the file's entry in `/proc/PID/fdinfo`.
    ///
    /// `readable` as for [`FileOperations::ioctl`].
    fn show_fdinfo(&self, file: &SeqFile, readable: bool);

    /// Maps memory into a program; only for files that are open for reading.
    ///
    /// The file stays open as long as the mapping lasts. Called with the lock of the program's
    /// memory held for writing.
    fn mmap(&self, vma: &VmaNew) -> Result;
}

/// One read or write.
///
/// # Invariants
///
/// `raw` is a valid `kiocb` for `'a`.
pub(crate) struct Iocb<'a> {
    raw: *mut bindings::kiocb,
    _phantom: PhantomData<&'a bindings::kiocb>,
}

impl Iocb<'_> {
    /// Whether it must fail with `EAGAIN` rather than wait: `O_NONBLOCK`, or `IOCB_NOWAIT` from
    /// io_uring and `RWF_NOWAIT`.
    pub(crate) fn nonblocking(&self) -> bool {
        // SAFETY: Valid by the type invariants.
        unsafe { ffi::evq_helper_iocb_nowait(self.raw) }
    }
}

/// The table of operations of a kind of file, with the module that it belongs to.
pub(crate) struct Fops<T> {
    table: bindings::file_operations,
    _phantom: PhantomData<fn() -> T>,
}

// SAFETY: The table is never written to, and what it points to are functions and the module.
unsafe impl<T> Sync for Fops<T> {}

impl<T: FileOperations> Fops<T> {
    /// The table for `T`; `owner` cannot be unloaded while a file is open.
    pub(crate) const fn new(owner: &'static ThisModule) -> Self {
        Self {
            table: bindings::file_operations {
                owner: owner.as_ptr(),
                open: Some(Self::open),
                release: Some(Self::release),
                read_iter: Some(Self::read_iter),
                write_iter: Some(Self::write_iter),
                poll: Some(Self::poll),
                fasync: Some(Self::fasync),
                unlocked_ioctl: Some(Self::ioctl),
                #[cfg(CONFIG_COMPAT)]
                compat_ioctl: bindings::compat_ptr_ioctl,
                mmap: Some(Self::mmap),
                #[cfg(CONFIG_PROC_FS)]
                show_fdinfo: Some(Self::show_fdinfo),
                ..pin_init::zeroed()
            },
            _phantom: PhantomData,
        }
    }

    /// # Safety
    ///
    /// `file` must be an open file of this table that has not been released.
    unsafe fn state<'a>(file: *mut bindings::file) -> &'a T {
        // SAFETY: `open` has put it there, only `release` takes it away.
        unsafe { &*(*file).private_data.cast::<T>() }
    }

    /// Whether `file` is open for reading.
    ///
    /// # Safety
    ///
    /// As for [`Fops::state`].
    unsafe fn is_readable(file: *mut bindings::file) -> bool {
        // SAFETY: By the requirement on the caller.
        unsafe { (*file).f_mode & ffi::EVQ_FMODE_READ != 0 }
    }

    /// # Safety
    ///
    /// Called by the VFS for a device of [`Registration<T>`] only.
    unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: `misc_open` leaves the device there, and does not let it be unregistered before
        // this function has returned. It is the first field of its registration.
        let registration = unsafe { &*(*file).private_data.cast::<Registration<T>>() };
        let open_file = KBox::pin_init(T::open(&registration.device), GFP_KERNEL_ACCOUNT);
        let open_file = match open_file {
            Ok(open_file) => open_file,
            Err(err) => return err.to_errno(),
        };
        // A file without a position: pread and lseek fail with ESPIPE, and neither reads nor
        // writes are serialised. Cannot fail.
        // SAFETY: Both are valid.
        unsafe { bindings::stream_open(inode, file) };
        // SAFETY: Nobody else has the file yet.
        unsafe { ffi::evq_helper_file_set_nowait(file) };
        // `open(O_ASYNC)` sets the flag but puts nobody on the list; left set, F_SETFL would see
        // no change and never do so either.
        // SAFETY: Nobody else has the file yet.
        unsafe { (*file).f_flags &= !bindings::FASYNC };
        // SAFETY: As above; the field is ours from here on.
        unsafe { (*file).private_data = open_file.into_foreign() };
        0
    }

    /// # Safety
    ///
    /// Called by the VFS only, once for each file that was opened.
    unsafe extern "C" fn release(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // The flag says whether it is on the list: both change together, and the VFS has taken it
        // off before. Without the test, each close would look through the whole list.
        // SAFETY: As required.
        if unsafe { (*file).f_flags } & bindings::FASYNC != 0 {
            // SAFETY: As required.
            let _ = unsafe { Self::fasync(-1, file, 0) };
        }
        // SAFETY: Put there by `open`; nobody can use the file any more.
        drop(unsafe { <Pin<KBox<T>>>::from_foreign((*file).private_data) });
        0
    }

    /// # Safety
    ///
    /// Called by the VFS only, for files of this table.
    unsafe extern "C" fn read_iter(
        kiocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: The file is open during the call.
        let state = unsafe { Self::state((*kiocb).ki_filp) };
        // INVARIANT: Valid during the call.
        let iocb = Iocb {
            raw: kiocb,
            _phantom: PhantomData,
        };
        // SAFETY: The VFS passes a valid iterator for writing to.
        let dst = unsafe { IovIterDest::from_raw(iter) };
        match state.read_iter(&iocb, dst) {
            Ok(bytes) => bytes as isize,
            Err(err) => err.to_errno() as isize,
        }
    }

    /// # Safety
    ///
    /// Called by the VFS only, for files of this table.
    unsafe extern "C" fn write_iter(
        kiocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: The file is open during the call.
        let state = unsafe { Self::state((*kiocb).ki_filp) };
        // INVARIANT: Valid during the call.
        let iocb = Iocb {
            raw: kiocb,
            _phantom: PhantomData,
        };
        // SAFETY: The VFS passes a valid iterator for reading from.
        let src = unsafe { IovIterSource::from_raw(iter) };
        match state.write_iter(&iocb, src) {
            Ok(bytes) => bytes as isize,
            Err(err) => err.to_errno() as isize,
        }
    }

    /// # Safety
    ///
    /// Called by the VFS only, for files of this table.
    unsafe extern "C" fn poll(
        file: *mut bindings::file,
        table: *mut bindings::poll_table_struct,
    ) -> bindings::__poll_t {
        // SAFETY: The file is open during the call.
        let state = unsafe { Self::state(file) };
        // The registration ends before the file is released at the latest, and the wait queue
        // lives until then: it was borrowed from the state of the file.
        // SAFETY: All three are valid; `table` may be null.
        unsafe { bindings::poll_wait(file, state.wait_queue().as_raw(), table) };
        let mut ready = state.poll();
        // SAFETY: The file is open during the call.
        let mode = unsafe { (*file).f_mode };
        if mode & ffi::EVQ_FMODE_READ == 0 {
            ready &= !mask::IN;
        }
        if mode & ffi::EVQ_FMODE_WRITE == 0 {
            ready &= !mask::OUT;
        }
        ready
    }

    /// # Safety
    ///
    /// Called by the VFS only, for files of this table.
    unsafe extern "C" fn fasync(fd: c_int, file: *mut bindings::file, on: c_int) -> c_int {
        // Signals tell that there is something to read, and how often.
        // SAFETY: The file has not been released yet.
        if on != 0 && !unsafe { Self::is_readable(file) } {
            return EBADF.to_errno();
        }
        // SAFETY: The file has not been released yet.
        let state = unsafe { Self::state(file) };
        let list = state.fasync_list();
        // SAFETY: The file is valid during the call. The list is the same as before and lives until
        // it is released, and by then it has been taken off.
        match unsafe { list.set(fd, file, on != 0) } {
            Ok(()) => {
                state.expect();
                0
            }
            Err(err) => err.to_errno(),
        }
    }

    /// # Safety
    ///
    /// Called by the VFS only, for files of this table.
    unsafe extern "C" fn ioctl(file: *mut bindings::file, cmd: c_uint, arg: c_ulong) -> c_long {
        // SAFETY: The file is open during the call.
        let state = unsafe { Self::state(file) };
        // SAFETY: The file is open during the call.
        let readable = unsafe { Self::is_readable(file) };
        match state.ioctl(cmd, arg, readable) {
            Ok(ret) => ret as c_long,
            Err(err) => err.to_errno() as c_long,
        }
    }

    /// # Safety
    ///
    /// Called by the VFS only, for files of this table.
    #[cfg(CONFIG_PROC_FS)]
    unsafe extern "C" fn show_fdinfo(seq: *mut bindings::seq_file, file: *mut bindings::file) {
        // SAFETY: The file is open during the call.
        let state = unsafe { Self::state(file) };
        // SAFETY: As above.
        let readable = unsafe { Self::is_readable(file) };
        // SAFETY: The VFS passes a valid file, which nobody else has meanwhile.
        state.show_fdinfo(unsafe { SeqFile::from_raw(seq) }, readable);
    }

    /// # Safety
    ///
    /// Called by the VFS only, for files of this table.
    unsafe extern "C" fn mmap(
        file: *mut bindings::file,
        vma: *mut bindings::vm_area_struct,
    ) -> c_int {
        // SAFETY: The file is open during the call.
        let state = unsafe { Self::state(file) };
        // SAFETY: The VFS passes an area that is being set up.
        let vma = unsafe { VmaNew::from_raw(vma) };
        match state.mmap(vma) {
            Ok(()) => 0,
            Err(err) => err.to_errno(),
        }
    }
}

/// A registered misc device.
///
/// Files that are open when it is dropped stay as they are: they have their state, and through it
/// whatever they need of the device.
///
/// # Invariants
///
/// `misc` is a registered `miscdevice`, and it is the first field.
#[repr(C)]
#[pin_data(PinnedDrop)]
pub(crate) struct Registration<T: FileOperations> {
    #[pin]
    misc: Opaque<bindings::miscdevice>,
    name: CString,
    device: Arc<T::Device>,
}

// SAFETY: A misc device may be unregistered by any thread; the rest is `Send`.
unsafe impl<T: FileOperations> Send for Registration<T> {}

// SAFETY: Nothing can be done through a shared reference but look at the device, which is `Sync`.
unsafe impl<T: FileOperations> Sync for Registration<T> {}

impl<T: FileOperations> Registration<T> {
    /// Creates an initialiser for the device node `/dev/NAME` with the permissions `mode`.
    ///
    /// May sleep. Fails with `EBUSY` if no minor number is left, `EEXIST` if there is such a
    /// device.
    pub(crate) fn register(
        name: CString,
        mode: bindings::umode_t,
        fops: &'static Fops<T>,
        device: Arc<T::Device>,
    ) -> impl PinInit<Self, Error> {
        // INVARIANT: Registered when the initialiser has succeeded; nothing fails after that.
        try_pin_init!(&this in Self {
            device,
            name,
            misc <- Opaque::try_ffi_init(|slot: *mut bindings::miscdevice| {
                // SAFETY: The name has been initialised just above and does not move any more.
                let name = unsafe { (*this.as_ptr()).name.as_char_ptr() };
                // SAFETY: `slot` is valid for writes.
                unsafe {
                    slot.write(bindings::miscdevice {
                        minor: bindings::MISC_DYNAMIC_MINOR as c_int,
                        name,
                        mode,
                        fops: &fops.table,
                        ..pin_init::zeroed()
                    })
                };
                // SAFETY: `slot` is a miscdevice that does not move before it is unregistered.
                to_result(unsafe { bindings::misc_register(slot) })
            }),
        })
    }
}

impl<T: FileOperations> Deref for Registration<T> {
    type Target = Arc<T::Device>;

    fn deref(&self) -> &Arc<T::Device> {
        &self.device
    }
}

#[pinned_drop]
impl<T: FileOperations> PinnedDrop for Registration<T> {
    /// May sleep: waits for an `open` that is under way.
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Registered, by the type invariants.
        unsafe { bindings::misc_deregister(self.misc.get()) };
    }
}
