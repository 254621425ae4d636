// SPDX-License-Identifier: MIT OR Apache-2.0
//! A service manager, as far as a service can tell: a socket for messages,
//! and descriptors that it keeps.

use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use nix::cmsg_space;
use nix::sys::socket::{recvmsg, ControlMessageOwned, MsgFlags};

use crate::support::until_readable;

pub(super) struct Manager {
    socket: Option<UnixDatagram>,
    kept: Vec<(String, OwnedFd)>,
}

impl Manager {
    pub(super) fn new(path: &Path) -> Manager {
        let _ = std::fs::remove_file(path);
        Manager {
            socket: Some(UnixDatagram::bind(path).expect("a socket for messages")),
            kept: Vec::new(),
        }
    }

    /// In place of one that was taken out.
    pub(super) fn none() -> Manager {
        Manager {
            socket: None,
            kept: Vec::new(),
        }
    }

    /// Takes messages until one has this line.
    pub(super) fn until(&mut self, line: &str, why: impl Fn() -> String) {
        let socket = self.socket.as_ref().expect("it is there");
        let mut waits = socket.as_fd();
        loop {
            let mut fds = [nix::poll::PollFd::new(waits, nix::poll::PollFlags::POLLIN)];
            let limit = nix::poll::PollTimeout::try_from(crate::support::LIMIT).expect("fits");
            let count = nix::poll::poll(&mut fds, limit).expect("poll");
            assert_eq!(count, 1, "no {line} came: {}", why());
            waits = socket.as_fd();
            let (text, fd) = receive(socket);
            note(&mut self.kept, &text, fd);
            if text.lines().any(|other| other == line) {
                return;
            }
        }
    }

    /// What it keeps, after all that was sent.
    pub(super) fn kept(mut self) -> Vec<(String, OwnedFd)> {
        if let Some(socket) = &self.socket {
            socket.set_nonblocking(true).expect("non-blocking");
            let pending = || {
                let mut fds = [nix::poll::PollFd::new(
                    socket.as_fd(),
                    nix::poll::PollFlags::POLLIN,
                )];
                nix::poll::poll(&mut fds, nix::poll::PollTimeout::ZERO) == Ok(1)
            };
            while pending() {
                let (text, fd) = receive(socket);
                note(&mut self.kept, &text, fd);
            }
        }
        self.kept
    }
}

/// Keeps and forgets descriptors as a message says.
fn note(kept: &mut Vec<(String, OwnedFd)>, text: &str, fd: Option<OwnedFd>) {
    let name = text.lines().find_map(|line| line.strip_prefix("FDNAME="));
    let has = |line| text.lines().any(|other| other == line);
    if has("FDSTORE=1") {
        let name = name.expect("a name for what is to be kept").to_owned();
        kept.push((name, fd.expect("a descriptor to keep")));
    } else if has("FDSTOREREMOVE=1") {
        kept.retain(|(other, _)| Some(other.as_str()) != name);
    }
}

fn receive(socket: &UnixDatagram) -> (String, Option<OwnedFd>) {
    until_readable(socket.as_fd(), "a message to the service manager");
    let mut buffer = [0; 4096];
    let mut parts = [IoSliceMut::new(&mut buffer)];
    let mut space = cmsg_space!([RawFd; 4]);
    let message = recvmsg::<()>(
        socket.as_raw_fd(),
        &mut parts,
        Some(&mut space),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )
    .expect("a message");
    let mut fd = None;
    for control in message.cmsgs().expect("control messages") {
        if let ControlMessageOwned::ScmRights(fds) = control {
            assert_eq!(fds.len(), 1, "one at a time");
            // SAFETY: The kernel has just installed it here.
            fd = Some(unsafe { OwnedFd::from_raw_fd(fds[0]) });
        }
    }
    let length = message.bytes;
    let text = String::from_utf8(buffer[..length].to_vec()).expect("messages are text");
    (text, fd)
}
