// SPDX-License-Identifier: MIT OR Apache-2.0
//! Limits of the whole process, which these tests use up: hence a process of
//! their own.

use evq::via::Kind;
use evq::{Error, Watcher};

#[test]
fn u17_select_refuses_high_descriptors() {
    use nix::sys::resource::{getrlimit, setrlimit, Resource};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let wanted = soft.max(2048);
    assert!(
        wanted <= hard,
        "the hard limit of open files is below {wanted}: raise it for this test"
    );
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).unwrap();
    let (read, _write) = nix::unistd::pipe().unwrap();
    let _ballast: Vec<_> = (0..1024).map(|_| read.try_clone().unwrap()).collect();
    let error = Watcher::new(Kind::Select)
        .unwrap()
        .arm(&read, "pipe")
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("1024 or more; use poll or epoll"),
        "{error}"
    );
}

#[test]
fn more_loops_than_slots_are_refused_and_slots_come_back() {
    let mut watchers = Vec::new();
    let error = loop {
        match Watcher::new(Kind::Sigio) {
            Ok(watcher) => watchers.push(watcher),
            Err(error) => break error,
        }
        assert!(watchers.len() < 1000, "no limit was hit");
    };
    assert!(matches!(error, Error::TooManyLoops { .. }), "{error}");
    drop(watchers.pop());
    Watcher::new(Kind::Sigio).unwrap();
}
