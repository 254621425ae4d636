// SPDX-License-Identifier: MIT OR Apache-2.0
//! F4: an armed file that several descriptors and processes share.

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Command, Stdio};

use nix::fcntl::{fcntl, FcntlArg, FdFlag};
use nix::sys::socket::{
    recvmsg, sendmsg, socketpair, AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags,
    SockFlag, SockType, UnixAddr,
};

use crate::support::device::*;
use crate::support::process::{Child, Gate};
use crate::support::signals::*;

/// How many signals one post gives.
fn sent(signals: &Signals, writer: &OwnedFd) -> usize {
    post(writer, &[record(1)]);
    let all = signals.pending_numbers();
    assert!(all.iter().all(|&signal| signal == realtime()), "{all:?}");
    all.len()
}

/// F4: dup shares the registration: one signal per post, until the last close.
#[test]
fn dup_gives_one_signal_and_the_last_close_ends_it() {
    let signals = Signals::block();
    let writer = open_rw();
    let fd = open_nonblock();
    arm(&fd);
    let copies: Vec<_> = (0..3).map(|_| fd.try_clone().expect("dup")).collect();
    assert_eq!(sent(&signals, &writer), 1);
    drop(fd);
    for copy in copies {
        assert_eq!(sent(&signals, &writer), 1, "some descriptor is left");
        drop(copy);
    }
    assert_eq!(sent(&signals, &writer), 0);
}

/// F4: a forked child shares it; the parent's close does not end it, the
/// child's end does.
#[test]
fn fork_gives_one_signal_and_the_end_of_the_child_ends_it() {
    let signals = Signals::block();
    let writer = open_rw();
    let fd = open_nonblock();
    arm(&fd);
    let go = Gate::new();
    let child = Child::fork(|| go.wait());
    assert_eq!(sent(&signals, &writer), 1);
    drop(fd);
    assert_eq!(sent(&signals, &writer), 1, "the child has it open");
    go.open();
    child.success();
    assert_eq!(sent(&signals, &writer), 0, "exit closes it");
}

/// F4: a descriptor in a message keeps the file armed; so does the one that
/// comes out, and its close ends it.
#[test]
fn scm_rights_gives_one_signal_also_in_flight() {
    let signals = Signals::block();
    let writer = open_rw();
    let fd = open_nonblock();
    arm(&fd);
    let (one, other) = socketpair(
        AddressFamily::Unix,
        SockType::Stream,
        None,
        SockFlag::SOCK_CLOEXEC,
    )
    .expect("socketpair");
    let sent_fds = [fd.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&sent_fds)];
    let data = [IoSlice::new(b"x")];
    sendmsg::<UnixAddr>(one.as_raw_fd(), &data, &rights, MsgFlags::empty(), None)
        .expect("sendmsg with a descriptor");
    drop(fd);
    assert_eq!(sent(&signals, &writer), 1, "in flight");

    let mut byte = [0];
    let mut parts = [IoSliceMut::new(&mut byte)];
    let mut space = nix::cmsg_space!([i32; 1]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<UnixAddr>(other.as_raw_fd(), &mut parts, Some(&mut space), flags)
        .expect("recvmsg");
    let Some(ControlMessageOwned::ScmRights(fds)) =
        message.cmsgs().expect("control messages").next()
    else {
        panic!("no descriptor in the message")
    };
    // SAFETY: Just received, and nobody else's.
    let received = unsafe { OwnedFd::from_raw_fd(fds[0]) };
    assert_eq!(sent(&signals, &writer), 1, "received");
    assert!(!drain(&received).is_empty(), "it is the same subscriber");
    drop(received);
    assert_eq!(sent(&signals, &writer), 0, "closed");
}

/// F4: exec keeps it (without CLOEXEC); the end of that program ends it.
#[test]
fn exec_keeps_the_file_armed_until_the_program_ends() {
    let signals = Signals::block();
    let writer = open_rw();
    let fd = open_nonblock();
    arm(&fd);
    fcntl(&fd, FcntlArg::F_SETFD(FdFlag::empty())).expect("F_SETFD");
    let mut cat = Command::new("/bin/busybox")
        .arg("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starting busybox cat");
    drop(fd);
    let mut input = cat.stdin.take().expect("a pipe");
    let mut echo = [0];
    input.write_all(b"x").expect("a byte for cat");
    cat.stdout
        .take()
        .expect("a pipe")
        .read_exact(&mut echo)
        .expect("and back: exec is over");
    assert_eq!(sent(&signals, &writer), 1, "the program has it open");
    drop(input);
    assert!(cat.wait().expect("waiting for cat").success());
    assert_eq!(sent(&signals, &writer), 0, "exit closes it");
}

/// F4: exec closes a descriptor with CLOEXEC, and that was the last one.
#[test]
fn exec_with_cloexec_ends_it() {
    let signals = Signals::block();
    let writer = open_rw();
    let fd = open_nonblock();
    arm(&fd);
    let (go, running) = (Gate::new(), Gate::new());
    let child = Child::fork(|| {
        running.open();
        go.wait();
        let name = c"/bin/busybox";
        let _ = nix::unistd::execv(name, &[name, c"true"]);
        panic!("exec has failed");
    });
    running.wait();
    drop(fd);
    assert_eq!(sent(&signals, &writer), 1, "the forked child has it open");
    go.open();
    child.success();
    assert_eq!(sent(&signals, &writer), 0);
}
