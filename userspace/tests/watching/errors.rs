// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does not work says so, and says what to do (C7).

use std::fs::File;
use std::os::fd::AsFd;

use crate::carrier::{flags, Carrier};
use evq::via::Kind;
use evq::{Error, Event, Queue, Watcher};
use nix::sys::eventfd::EventFd;

#[test]
fn u3_descriptors_without_fasync_are_refused() {
    let eventfd = EventFd::new().unwrap();
    let null = File::open("/dev/null").unwrap();
    let regular = tempfile::tempfile().unwrap();
    for kind in [Kind::Sigio, Kind::SelfPipe, Kind::Signalfd] {
        let fds = [
            ("eventfd", eventfd.as_fd()),
            ("null", null.as_fd()),
            ("file", regular.as_fd()),
        ];
        for (name, fd) in fds {
            let before = flags(fd);
            let error = Watcher::new(kind).unwrap().arm(fd, name).unwrap_err();
            assert!(
                matches!(&error, Error::NoAsync { name: n } if n == name),
                "{kind}: {error}"
            );
            assert!(error.to_string().contains("use another mechanism"));
            assert_eq!(flags(fd), before, "{name} by {kind} is left as it was");
        }
    }
}

#[test]
fn k3_a_description_opened_with_o_async_is_refused_where_linux_leaves_it_unarmed() {
    use nix::fcntl::{open, OFlag};
    use nix::sys::stat::Mode;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
    let flags_of_open = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_ASYNC;
    let fifo = open(&path, flags_of_open, Mode::empty()).unwrap();
    assert!(flags(&fifo) & libc::O_ASYNC != 0);
    let error = Watcher::new(Kind::Sigio)
        .unwrap()
        .arm(&fifo, "fifo")
        .unwrap_err();
    assert!(
        matches!(&error, Error::OpenedAsync { name } if name == "fifo"),
        "{error}"
    );
    Watcher::new(Kind::Epoll)
        .unwrap()
        .arm(&fifo, "fifo")
        .unwrap();
}

#[test]
fn epoll_refuses_regular_files() {
    let file = tempfile::tempfile().unwrap();
    let error = Watcher::new(Kind::Epoll)
        .unwrap()
        .arm(&file, "file")
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::Unsuitable {
                mechanism: "epoll",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn blocking_takes_one_source() {
    let (one, _w1) = Carrier::Pipe.open();
    let (two, _w2) = Carrier::Pipe.open();
    let mut watcher = Watcher::new(Kind::Blocking).unwrap();
    watcher.arm(&one, "one").unwrap();
    let error = watcher.arm(&two, "two").unwrap_err();
    assert!(
        error.to_string().contains("watch two as a second source"),
        "{error}"
    );
}

#[test]
fn a_torn_record_is_an_error() {
    use std::io::Write as _;
    let (queue, mut writer) = Carrier::Pipe.open();
    writer.write_all(&[0; 65]).unwrap();
    let mut events = [Event::default(); 4];
    let error = queue.read(&mut events).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Torn {
                bytes: 65,
                record: 64,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn posting_to_a_reader_that_left_tells_how_many_were_posted() {
    let (read, write) = nix::unistd::pipe().unwrap();
    let queue = Queue::from_fd(write, "pipe");
    let event = Event::new(1, 2, b"payload").unwrap();
    assert_eq!(queue.post(&[event; 100]).unwrap(), 100);
    drop(read);
    let (posted, error) = queue.post(&[event; 3]).unwrap_err();
    assert_eq!((posted, error.errno()), (0, Some(nix::errno::Errno::EPIPE)));
}

#[test]
fn other_things_are_no_queues() {
    let error = Queue::open("/dev/null").unwrap_err();
    assert!(
        error
            .to_string()
            .contains("/dev/null is not an event queue (ENOTTY"),
        "{error}"
    );
    let error = evq::AnyDevice::open("/dev/null").unwrap_err();
    assert!(matches!(error, Error::NotAnInput { .. }), "{error}");
    let error = Queue::open("/nonexistent/evq-none").unwrap_err();
    assert_eq!(error.errno(), Some(nix::errno::Errno::ENOENT));
}
