// SPDX-License-Identifier: MIT OR Apache-2.0
//! The host's side of the data port: output as it comes, input frame by frame.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{channel, Receiver, Sender};
use std::thread::{self, JoinHandle};

use crate::wire::{read_frame, write_frame, Stream, STDIN_MAX};

/// The key that asks for [`Notice::Escape`] when `x` follows: Ctrl-A.
const ESCAPE: u8 = 1;

/// Something that the session has to know at once.
#[derive(Debug, PartialEq, Eq)]
pub enum Notice {
    /// All of the guest's output is here.
    OutputComplete,
    /// Nobody reads our output any more.
    OutputClosed,
    /// The user wants the machine to end.
    Escape,
}

/// Where the command's streams go and come from.
pub struct Stdio {
    /// Its standard input.
    pub input: Box<dyn Read + Send>,
    /// Its standard output.
    pub out: Box<dyn Write + Send>,
    /// Its standard error.
    pub err: Box<dyn Write + Send>,
    /// Whether the input is a terminal in raw mode, with the escape key.
    pub raw: bool,
}

impl Stdio {
    /// Nothing in, and what comes out is dropped.
    #[must_use]
    pub fn null() -> Self {
        Self {
            input: Box::new(io::empty()),
            out: Box::new(io::sink()),
            err: Box::new(io::sink()),
            raw: false,
        }
    }
}

/// What has arrived by the end.
#[derive(Debug, Default)]
pub struct Received {
    /// Bytes of stdout.
    pub out: u64,
    /// Bytes of stderr.
    pub err: u64,
    /// Why the rest could not be understood.
    pub garbled: Option<String>,
}

/// Forwards output until the port closes. Acknowledgements of input frames go
/// to `acknowledged`.
pub fn forward(
    mut port: UnixStream,
    mut out: Box<dyn Write + Send>,
    mut err: Box<dyn Write + Send>,
    acknowledged: Sender<()>,
    notice: impl Fn(Notice) + Send + 'static,
) -> JoinHandle<Received> {
    thread::spawn(move || {
        let mut received = Received::default();
        let mut open = true;
        loop {
            let (stream, data) = match read_frame(&mut port) {
                Ok(Some(frame)) => frame,
                Ok(None) => return received,
                Err(error) => {
                    received.garbled = Some(error.to_string());
                    // As complete as it will ever be.
                    notice(Notice::OutputComplete);
                    // QEMU must not stall on a full socket.
                    let _ = io::copy(&mut port, &mut io::sink());
                    return received;
                }
            };
            let (to, count) = match stream {
                Stream::Stdout if data.is_empty() => {
                    notice(Notice::OutputComplete);
                    continue;
                }
                Stream::Stdout => (&mut out, &mut received.out),
                Stream::Stderr => (&mut err, &mut received.err),
                Stream::Stdin => {
                    // The input may have ended.
                    let _ = acknowledged.send(());
                    continue;
                }
            };
            *count += data.len() as u64;
            if open && to.write_all(&data).and_then(|()| to.flush()).is_err() {
                open = false;
                notice(Notice::OutputClosed);
            }
        }
    })
}

/// Sends input until it ends. The thread may outlive the machine while it
/// waits for input; it holds nothing that matters then.
pub fn feed(
    mut input: Box<dyn Read + Send>,
    raw: bool,
    mut port: UnixStream,
    acknowledged: Receiver<()>,
    notice: impl Fn(Notice) + Send + 'static,
) {
    thread::spawn(move || {
        let mut buffer = [0; STDIN_MAX];
        let mut keys = Escape::default();
        loop {
            let count = match input.read(&mut buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Unreadable is ended.
                Err(_) => 0,
            };
            if raw && keys.found(&buffer[..count]) {
                notice(Notice::Escape);
            }
            let sent = write_frame(&mut port, Stream::Stdin, &buffer[..count]);
            if count == 0 || sent.is_err() || acknowledged.recv().is_err() {
                return;
            }
        }
    });
}

/// A channel for [`forward`] and [`feed`].
#[must_use]
pub fn acknowledgements() -> (Sender<()>, Receiver<()>) {
    channel()
}

#[derive(Default)]
struct Escape {
    armed: bool,
}

impl Escape {
    fn found(&mut self, keys: &[u8]) -> bool {
        for key in keys {
            if self.armed && *key == b'x' {
                return true;
            }
            self.armed = *key == ESCAPE;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(data);
            Ok(data.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn streams_are_kept_apart_and_counted() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (out, err) = (Kept::default(), Kept::default());
        let (sender, receiver) = acknowledgements();
        let copy: [Box<dyn Write + Send>; 2] = [Box::new(out.clone()), Box::new(err.clone())];
        let [to_out, to_err] = copy;
        let forward = forward(ours, to_out, to_err, sender, |_| panic!("no notice"));
        write_frame(&mut theirs, Stream::Stdout, b"one").unwrap();
        write_frame(&mut theirs, Stream::Stderr, b"two!").unwrap();
        write_frame(&mut theirs, Stream::Stdin, b"").unwrap();
        write_frame(&mut theirs, Stream::Stdout, b"three").unwrap();
        drop(theirs);
        let received = forward.join().unwrap();
        assert_eq!((received.out, received.err, received.garbled), (8, 4, None));
        assert_eq!(*out.0.lock().unwrap(), b"onethree");
        assert_eq!(*err.0.lock().unwrap(), b"two!");
        assert_eq!(receiver.recv(), Ok(()));
    }

    #[test]
    fn garbage_is_told_and_a_closed_output_noticed_once() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (notices, noticed) = channel();
        let forward = forward(
            ours,
            Box::new(Closed),
            Box::new(io::sink()),
            acknowledgements().0,
            move |notice| notices.send(notice).unwrap(),
        );
        write_frame(&mut theirs, Stream::Stdout, b"one").unwrap();
        write_frame(&mut theirs, Stream::Stdout, b"two").unwrap();
        theirs.write_all(b"login:").unwrap();
        drop(theirs);
        let received = forward.join().unwrap();
        assert_eq!(received.out, 6);
        assert!(received.garbled.unwrap().contains("0x6c"));
        assert_eq!(
            noticed.iter().collect::<Vec<_>>(),
            [Notice::OutputClosed, Notice::OutputComplete]
        );
    }

    #[test]
    fn input_goes_out_frame_by_frame_and_ends() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (acknowledge, acknowledged) = acknowledgements();
        let input = vec![b'x'; STDIN_MAX + 1];
        feed(
            Box::new(io::Cursor::new(input)),
            false,
            ours,
            acknowledged,
            |_| {},
        );
        for length in [STDIN_MAX, 1, 0] {
            let (stream, data) = read_frame(&mut theirs).unwrap().unwrap();
            assert_eq!((stream, data.len()), (Stream::Stdin, length));
            acknowledge.send(()).ok();
        }
    }

    #[test]
    fn the_escape_is_seen_across_reads() {
        let mut keys = Escape::default();
        assert!(!keys.found(b"x\x01y"));
        assert!(!keys.found(b"\x01"));
        assert!(!keys.found(b""));
        assert!(keys.found(b"x"));
    }
}
