// SPDX-License-Identifier: MIT OR Apache-2.0
//! One page over HTTP: metrics, on a Unix socket or on loopback, within the loop.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use evq::{Token, Watcher};

use super::config::Listen;
use super::request;

/// Connections at a time; the oldest gives way to one more.
const CONNECTIONS: usize = 16;
/// Reads of one connection before the others get their turn.
const READS: usize = 16;

/// Listens, and answers.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: Listen,
    listener: Listener,
    token: Token,
    /// A socket that this has made, which it also removes.
    made: Option<PathBuf>,
    connections: Vec<Connection>,
}

#[derive(Debug)]
enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

#[derive(Debug)]
enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

#[derive(Debug)]
struct Connection {
    stream: Stream,
    token: Token,
    request: Vec<u8>,
    /// Whatever comes now is thrown away: to close while there is something to
    /// read would take the answer back.
    answered: bool,
}

impl Server {
    pub(super) fn listen(address: &Listen, watcher: &mut Watcher) -> anyhow::Result<Server> {
        let (listener, made) = match address {
            Listen::Unix(path) => (Listener::Unix(bind_unix(path)?), Some(path.clone())),
            Listen::Tcp(at) => {
                let listener = TcpListener::bind(at).with_context(|| {
                    format!(
                        "cannot listen on {at} for metrics; choose another port in [metrics], \
                         or let the service have a network (docs/daemon.md)"
                    )
                })?;
                (Listener::Tcp(listener), None)
            }
        };
        match &listener {
            Listener::Unix(listener) => listener.set_nonblocking(true)?,
            Listener::Tcp(listener) => listener.set_nonblocking(true)?,
        }
        let token = watcher.also(&listener, "the socket of the metrics")?;
        Ok(Server {
            address: address.clone(),
            listener,
            token,
            made,
            connections: Vec::new(),
        })
    }

    /// Does what can be done for `ready`. Whoever connects can at most spoil
    /// his own answer.
    pub(super) fn serve(
        &mut self,
        ready: &[Token],
        watcher: &mut Watcher,
        page: &mut dyn FnMut() -> String,
    ) {
        if ready.contains(&self.token) {
            // One at a time: what is left makes the listener ready again.
            if let Ok(stream) = self.accept() {
                if let Ok(token) = watcher.also(&stream, "a connection") {
                    if self.connections.len() == CONNECTIONS {
                        watcher.disarm(self.connections.remove(0).token);
                    }
                    self.connections.push(Connection {
                        stream,
                        token,
                        request: Vec::new(),
                        answered: false,
                    });
                }
            }
        }
        self.connections.retain_mut(|connection| {
            let keep = !ready.contains(&connection.token) || !connection.answer(page);
            if !keep {
                watcher.disarm(connection.token);
            }
            keep
        });
    }

    /// Ends the connections and the listening.
    pub(super) fn end(self, watcher: &mut Watcher) {
        watcher.disarm(self.token);
        for connection in self.connections {
            watcher.disarm(connection.token);
        }
        if let Some(path) = self.made {
            // Somebody else may have removed it.
            let _ = fs::remove_file(path);
        }
    }

    fn accept(&self) -> io::Result<Stream> {
        Ok(match &self.listener {
            Listener::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Stream::Unix(stream)
            }
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Stream::Tcp(stream)
            }
        })
    }
}

/// Binds, over what a daemon that was killed has left behind.
fn bind_unix(path: &Path) -> anyhow::Result<UnixListener> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    if is_socket && UnixStream::connect(path).is_err() {
        // Nobody listens there.
        let _ = fs::remove_file(path);
    }
    UnixListener::bind(path).with_context(|| {
        format!(
            "cannot listen on {} for metrics; remove what is there, or choose another path in [metrics]",
            path.display()
        )
    })
}

impl Connection {
    /// Reads what came, and answers a request that is whole; true once the
    /// other side has gone.
    fn answer(&mut self, page: &mut dyn FnMut() -> String) -> bool {
        let mut buffer = [0; 1024];
        // Whoever never stops has to wait for his turn like everybody.
        for _ in 0..READS {
            match self.stream.read(&mut buffer) {
                Ok(0) => return true,
                Ok(_) if self.answered => continue,
                Ok(count) => self.request.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return true,
            }
            let Some(answer) = request::answer(&self.request) else {
                continue;
            };
            let answer = answer.text(page);
            // A buffer that does not take a page in one piece belongs to
            // somebody who does not read; he gets the part that fits.
            let _ = self.stream.write(answer.as_bytes());
            if self.stream.end_of_answer().is_err() {
                return true;
            }
            self.answered = true;
        }
        false
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listener::Unix(listener) => listener.as_fd(),
            Listener::Tcp(listener) => listener.as_fd(),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Unix(stream) => stream.as_fd(),
            Stream::Tcp(stream) => stream.as_fd(),
        }
    }
}

impl Stream {
    fn end_of_answer(&self) -> io::Result<()> {
        match self {
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Unix(stream) => stream.read(buffer),
            Stream::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Unix(stream) => stream.write(buffer),
            Stream::Tcp(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
