// SPDX-License-Identifier: MIT OR Apache-2.0
//! What carries bytes and no records: terminals, FIFOs and pipes, Unix sockets.
//! They raise SIGIO and wake pollers as a queue does, and can be watched beside
//! it. A regular file does neither: it is always readable, and is read to its end.

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::fcntl::{fcntl, FcntlArg, OFlag};
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::socket::{self, AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr};
use nix::sys::stat::{fstat, SFlag};
use nix::unistd::{lseek, Whence};

use crate::device::{Filled, Options};
use crate::error::{Error, Result};
use crate::watcher::{Token, Watcher};

/// A source of bytes.
#[derive(Debug)]
pub struct Bytes {
    fd: OwnedFd,
    name: String,
    carrier: Carrier,
    /// Whether the last read of a pipe found that nobody has it open for writing.
    deserted: AtomicBool,
    /// Whether the mode of the description is not to be changed.
    is_shared: bool,
    /// The descriptor that `fd` was opened from.
    original: Option<OwnedFd>,
}

/// What carries the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Carrier {
    /// A terminal, or one end of a pseudoterminal.
    Terminal,
    /// A pipe or a FIFO.
    Pipe,
    /// A stream socket.
    Stream,
    /// A socket that keeps messages apart: one read gives one of them, and what
    /// does not fit into the buffer is gone.
    Messages,
    /// A regular file, for which no mechanism is needed: see
    /// [`crate::Watcher::arm_or_also`].
    File,
}

impl Bytes {
    /// Standard input. The open file description behind it is shared with other
    /// programs, and its mode with it: terminals and pipes are opened once more
    /// where that is possible. Others are left as they are, see [`Bytes::arm`].
    ///
    /// # Errors
    ///
    /// [`Error::NoSource`] if it is none of these things, [`Error::System`].
    pub fn stdin() -> Result<Bytes> {
        const NAME: &str = "stdin";
        let stdin = std::io::stdin();
        let fd = stdin.as_fd().try_clone_to_owned().map_err(|error| {
            let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
            Error::system("duplicate the descriptor of", NAME)(errno)
        })?;
        let mut stdin = Bytes::from_fd(fd, NAME)?;
        match stdin.carrier {
            Carrier::Terminal | Carrier::Pipe => {
                let own = Options::new().nonblocking(true);
                match own.open_any(Path::new("/proc/self/fd/0")) {
                    Ok(fd) => stdin.original = Some(std::mem::replace(&mut stdin.fd, fd)),
                    Err(_) => stdin.is_shared = true,
                }
            }
            // They cannot be opened; and where others read on in a file is to be shared.
            Carrier::Stream | Carrier::Messages | Carrier::File => stdin.is_shared = true,
        }
        Ok(stdin)
    }

    /// Takes any descriptor that carries bytes. `name` is for messages.
    ///
    /// # Errors
    ///
    /// [`Error::NoSource`] if it is none of these things, [`Error::System`].
    pub fn from_fd(fd: OwnedFd, name: impl Into<String>) -> Result<Bytes> {
        let name = name.into();
        match Carrier::of(fd.as_fd()) {
            Ok(Some(carrier)) => Ok(Bytes {
                fd,
                name,
                carrier,
                deserted: AtomicBool::new(false),
                is_shared: false,
                original: None,
            }),
            Ok(None) => Err(Error::NoSource { name }),
            Err(errno) => Err(Error::system("find out what is", name)(errno)),
        }
    }

    /// Connects to the Unix socket of this path: a stream, or one that keeps
    /// messages apart (`SOCK_SEQPACKET`). Does not block, nor do reads.
    ///
    /// # Errors
    ///
    /// [`Error::Connect`]; of a datagram socket too, whose owner would not know
    /// whom to send to.
    pub fn connect(path: impl AsRef<Path>) -> Result<Bytes> {
        let path = path.as_ref();
        let try_type = |kind| {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let fd = socket::socket(AddressFamily::Unix, kind, flags, None)?;
            socket::connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
            Ok(fd)
        };
        let connected = match try_type(SockType::Stream) {
            Err(Errno::EPROTOTYPE) => {
                try_type(SockType::SeqPacket).map(|fd| (fd, Carrier::Messages))
            }
            other => other.map(|fd| (fd, Carrier::Stream)),
        };
        match connected {
            Ok((fd, carrier)) => Ok(Bytes {
                fd,
                name: path.display().to_string(),
                carrier,
                deserted: AtomicBool::new(false),
                is_shared: false,
                original: None,
            }),
            Err(errno) => Err(Error::Connect {
                path: PathBuf::from(path),
                errno,
            }),
        }
    }

    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What carries the bytes.
    #[must_use]
    pub fn carrier(&self) -> Carrier {
        self.carrier
    }

    /// Arms it in a watcher, so that [`crate::Watcher::wait`] reports it. Where the
    /// description is shared and could not be opened once more ([`Bytes::stdin`]), it
    /// is watched beside the armed sources, for which nothing has to be changed;
    /// reads do not block nevertheless, unless another reader comes first.
    ///
    /// # Errors
    ///
    /// Those of [`crate::Watcher::arm_or_also`].
    pub fn arm(&self, watcher: &mut Watcher) -> Result<Token> {
        if self.is_shared && !is_always_readable(self.as_fd()) {
            watcher.also(self, &self.name)
        } else {
            watcher.arm_or_also(self, &self.name)
        }
    }

    /// One read; of a shared description only what is there.
    fn read_once(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        match self.carrier {
            Carrier::Stream | Carrier::Messages if self.is_shared => {
                socket::recv(self.fd.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT)
            }
            _ if self.is_shared && state(self.fd.as_fd())?.is_empty() => Err(Errno::EAGAIN),
            _ => nix::unistd::read(&self.fd, buffer),
        }
    }

    /// Reads what is there and fits; a "record" of the result is a byte. Blocks
    /// while there is nothing, unless the descriptor is non-blocking; a signal
    /// does not end that. A FIFO that no writer has opened yet is empty, and has
    /// not ended.
    ///
    /// # Errors
    ///
    /// [`Error::System`]; [`Error::Unsuitable`] where a blocking read would have
    /// to wait for the first writer of a FIFO, which it does not.
    pub fn read(&self, buffer: &mut [u8]) -> Result<Filled> {
        loop {
            let read = self.read_once(buffer);
            let deserted = self.carrier == Carrier::Pipe && read == Ok(0);
            self.deserted.store(deserted, Ordering::Relaxed);
            return match read {
                Ok(0) if self.carrier == Carrier::Pipe => self.ended(),
                Ok(0) => Ok(Filled::End),
                Ok(count) => Ok(Filled::Records(count)),
                Err(Errno::EAGAIN) => Ok(Filled::Empty),
                Err(Errno::EINTR) => continue,
                // The other end of a pseudoterminal is closed, or the line hung up.
                Err(Errno::EIO) if self.carrier == Carrier::Terminal => Ok(Filled::End),
                Err(Errno::ECONNRESET) => Ok(Filled::End),
                Err(errno) => Err(Error::system("read from", &self.name)(errno)),
            };
        }
    }

    /// Whether the last read found a pipe that nobody has open for writing. One
    /// that has had no writer yet is [`Filled::Empty`] nevertheless: of a FIFO that
    /// has lost its name, nothing will come.
    #[must_use]
    pub fn is_deserted(&self) -> bool {
        self.deserted.load(Ordering::Relaxed)
    }

    /// Gives back the last `count` bytes that were read, if it is a regular file:
    /// others may read on from there. Those of other carriers are gone.
    ///
    /// # Errors
    ///
    /// [`Error::System`].
    pub fn unread(&self, count: usize) -> Result<()> {
        if self.carrier != Carrier::File {
            return Ok(());
        }
        let back = -i64::try_from(count).unwrap_or(i64::MAX);
        match lseek(&self.fd, back, Whence::SeekCur) {
            // Some in /proc have no place to go back to.
            Ok(_) | Err(Errno::ESPIPE) => Ok(()),
            Err(errno) => Err(Error::system("go back in", &self.name)(errno)),
        }
    }

    /// Whether a read would give something, or the end, without blocking.
    ///
    /// # Errors
    ///
    /// [`Error::System`].
    pub fn is_readable(&self) -> Result<bool> {
        let state = state(self.fd.as_fd()).map_err(Error::system("look at", &self.name))?;
        Ok(!state.is_empty())
    }

    /// Whether a pipe that nobody has open for writing has had a writer.
    fn ended(&self) -> Result<Filled> {
        let failed = |errno| Error::system("look at", &self.name)(errno);
        // One that was opened once more knows only of writers since then.
        for fd in [Some(&self.fd), self.original.as_ref()]
            .into_iter()
            .flatten()
        {
            let state = state(fd.as_fd()).map_err(failed)?;
            if state.contains(PollFlags::POLLHUP) && !state.contains(PollFlags::POLLIN) {
                return Ok(Filled::End);
            }
        }
        let flags = fcntl(&self.fd, FcntlArg::F_GETFL).map_err(failed)?;
        if OFlag::from_bits_retain(flags).contains(OFlag::O_NONBLOCK) {
            return Ok(Filled::Empty);
        }
        Err(Error::Unsuitable {
            mechanism: "blocking",
            what: format!("wait for the first writer of {}", self.name),
            why: "a read of a FIFO that nobody writes to ends at once; start the writer first, \
                  or use another mechanism",
        })
    }
}

impl Carrier {
    /// `None`: nothing that carries bytes and tells of them, or needs not.
    fn of(fd: BorrowedFd<'_>) -> Result<Option<Carrier>, Errno> {
        let stat = fstat(fd)?;
        let file_type = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
        Ok(match file_type {
            SFlag::S_IFIFO => Some(Carrier::Pipe),
            SFlag::S_IFREG => Some(Carrier::File),
            SFlag::S_IFSOCK => match socket::getsockopt(&fd, socket::sockopt::SockType)? {
                SockType::Stream => Some(Carrier::Stream),
                _ => Some(Carrier::Messages),
            },
            SFlag::S_IFCHR if is_terminal(fd) => Some(Carrier::Terminal),
            _ => None,
        })
    }
}

/// What poll says of it now.
fn state(fd: BorrowedFd<'_>) -> Result<PollFlags, Errno> {
    let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
    loop {
        match poll(&mut fds, PollTimeout::ZERO) {
            Ok(_) => return Ok(fds[0].revents().unwrap_or(PollFlags::empty())),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Whether it is a regular file that no mechanism can wait for, and need not: some
/// in /proc and tracefs (`trace_pipe`) can be waited for.
pub(crate) fn is_always_readable(fd: BorrowedFd<'_>) -> bool {
    let probe = || {
        let set = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        set.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, 0))
    };
    matches!(Carrier::of(fd), Ok(Some(Carrier::File))) && probe() == Err(Errno::EPERM)
}

/// Whether it is a terminal. None of them sends a signal when it hangs up: the
/// kernel takes it off the list of those to be told first.
pub(crate) fn is_terminal(fd: BorrowedFd<'_>) -> bool {
    nix::unistd::isatty(fd).unwrap_or(false)
}

impl AsFd for Bytes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::via::Kind;

    /// As standard input that may not be opened once more.
    #[test]
    fn shared_description_is_left_as_it_is() {
        let flags = |fd: &OwnedFd| fcntl(fd, FcntlArg::F_GETFL).unwrap();
        for kind in [Kind::Sigio, Kind::Epoll, Kind::EpollEt, Kind::Blocking] {
            let (reader, writer) = nix::unistd::pipe().unwrap();
            let before = flags(&reader);
            let mut bytes = Bytes::from_fd(reader, "pipe").unwrap();
            bytes.is_shared = true;
            let mut watcher = Watcher::new(kind).unwrap();
            let token = bytes.arm(&mut watcher).unwrap();
            for word in [b"one", b"two"] {
                assert_eq!(bytes.read(&mut [0; 8]).unwrap(), Filled::Empty);
                nix::unistd::write(&writer, word).unwrap();
                assert_eq!(watcher.wait(None).unwrap(), [token], "{kind}");
                let mut buffer = [0; 8];
                assert_eq!(bytes.read(&mut buffer).unwrap(), Filled::Records(3));
                assert_eq!(&buffer[..3], word);
            }
            assert_eq!(flags(&bytes.fd), before, "{kind}");
            drop(writer);
            assert_eq!(watcher.wait(None).unwrap(), [token], "{kind}");
            assert_eq!(bytes.read(&mut [0; 8]).unwrap(), Filled::End);
        }
    }
}
