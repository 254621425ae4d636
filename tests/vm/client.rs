// SPDX-License-Identifier: MIT OR Apache-2.0
//! C: the program `evdev-client`, as a user runs it.

use std::io::Read;
use std::process::Stdio;

use nix::sys::resource::{setrlimit, Resource};
use nix::sys::signal::Signal;
use nix::unistd::{setgid, setuid, Gid, Uid};
use std::os::unix::process::CommandExt;

use crate::support::client::{client, run, Watch};
use crate::support::device::*;
use crate::support::modules::Unloaded;

/// Somebody without rights.
const NOBODY: u32 = 65534;

/// C1: the default is SIGIO; what `send` posts is what `watch` prints.
#[test]
fn watch_prints_what_send_posts() {
    let watch = Watch::start(&["--num-events", "3"]);
    assert!(watch.banner.contains("via sigio"), "{:?}", watch.banner);
    let sent = run(&[
        "send", "--type", "7", "--code", "9", "--data", "c0ffee", "--count", "3",
    ]);
    assert_eq!(sent.code(), 0, "{sent:?}");
    let ended = watch.end();
    assert_eq!(ended.code(), 0, "{ended:?}");
    assert_eq!(ended.lines.len(), 3);
    for line in &ended.lines {
        assert!(line.ends_with("type 7 code 9 data c0ffee"), "{line:?}");
        assert!(line.contains(" pid:"), "{line:?}");
    }
    assert!(ended.errors.contains("delivered 3, lost 0"), "{ended:?}");
}

/// C1: every mechanism delivers the same.
#[test]
fn every_mechanism_delivers_the_same() {
    for kind in evq::via::Kind::ALL {
        let watch = Watch::start(&["--via", kind.name(), "--num-events", "200"]);
        let writer = open_rw();
        for number in 0..200 {
            post(&writer, &[record(number)]);
        }
        let ended = watch.end();
        assert_eq!(ended.code(), 0, "{kind}: {ended:?}");
        assert_eq!(ended.lines.len(), 200, "{kind}");
        assert!(
            ended.errors.contains("delivered 200, lost 0"),
            "{kind}: {ended:?}"
        );
    }
}

/// C2: what comes before the arming counts as well when it is asked for.
#[test]
fn events_from_before_the_start_are_there_on_request() {
    let writer = open_rw();
    let next = info(&writer).posted + 1;
    post_numbers(&writer, 0..5);
    let from = next.to_string();
    let ended = Watch::start(&["--from", &from, "--num-events", "5"]).end();
    assert_eq!((ended.code(), ended.lines.len()), (0, 5), "{ended:?}");
}

/// C5: SIGTERM and SIGINT end it with a summary and the status that shells
/// expect.
#[test]
fn signals_end_it_cleanly() {
    for (signal, status) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130)] {
        let mut watch = Watch::start(&[]);
        post(open_rw(), &[record(1)]);
        assert!(watch.line().contains("type"), "the event is printed first");
        watch.signal(signal);
        let ended = watch.end();
        assert_eq!(ended.code(), status, "{ended:?}");
        assert!(ended.errors.contains("delivered 1, lost 0"), "{ended:?}");
    }
}

/// C6: losses are in the stream and in the summary.
#[test]
fn losses_are_visible() {
    let writer = open_rw();
    let capacity = u64::from(info(&writer).capacity);
    let next = info(&writer).posted + 1;
    post_numbers(&writer, 0..capacity + 5);
    let from = next.to_string();
    let ended = Watch::start(&["--from", &from, "--num-events", "1"]).end();
    assert!(
        ended.lines.iter().any(|line| line.contains("lost 5")),
        "{ended:?}"
    );
    assert!(ended.errors.contains("lost 5"), "{ended:?}");
}

/// C3: how full the signal queue is, and the limit, which is that of the program.
#[test]
fn info_shows_the_signal_queue() {
    for room in [8, 99] {
        let text = format!("/{room} (used/limit of this user)\n");
        let json = format!("/{room}\",");
        for (arguments, wanted) in [
            (&["info"][..], &text),
            (&["info", "--via"], &text),
            (&["info", "--format", "json"], &json),
        ] {
            let mut command = client(arguments);
            // SAFETY: A single system call between fork and exec.
            unsafe {
                command.pre_exec(move || Ok(setrlimit(Resource::RLIMIT_SIGPENDING, room, room)?))
            };
            let output = command.output().expect("starting it");
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(said.contains(wanted), "{wanted} in {output:?}");
        }
    }
}

/// C6: a reader that goes away is no error.
#[test]
fn a_broken_pipe_is_a_quiet_exit() {
    let mut child = Watch::start(&[]).close_output();
    post(open_rw(), &[record(1)]);
    let status = child.wait().expect("waiting for it");
    let mut errors = String::new();
    let mut stderr = child.stderr.take().expect("it is a pipe");
    stderr.read_to_string(&mut errors).expect("reading stderr");
    assert!(status.success(), "{status:?}, {errors}");
    assert!(!errors.contains("roken pipe"), "{errors}");
}

/// C7: the module is not loaded: what to do.
#[test]
fn a_missing_module_is_explained() {
    let _unloaded = Unloaded::new();
    for command in [
        &["watch"][..],
        &["send", "--type", "1", "--code", "1"],
        &["info"],
    ] {
        let ended = run(command);
        assert_ne!(ended.code(), 0, "{ended:?}");
        for wanted in ["/dev/evq", "modprobe evq"] {
            assert!(ended.errors.contains(wanted), "{wanted} in {ended:?}");
        }
    }
}

/// C7: no permission: whose file it is and what to do.
#[test]
fn a_lack_of_permission_is_explained() {
    let mut command = client(&["watch"]);
    // SAFETY: System calls only, between fork and exec.
    unsafe {
        command.pre_exec(|| {
            nix::unistd::setgroups(&[])?;
            setgid(Gid::from_raw(NOBODY))?;
            Ok(setuid(Uid::from_raw(NOBODY))?)
        })
    };
    let output = command.stdout(Stdio::null()).output().expect("starting it");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        errors.contains("/dev/evq") && errors.to_lowercase().contains("permi"),
        "{errors}"
    );
}

/// C7: not a queue, and nothing that could tell of events.
#[test]
fn other_files_are_explained() {
    for file in ["/dev/null", "/proc", "/dev/does-not-exist"] {
        for command in [
            &["watch", "--device", file][..],
            &["info", "--device", file],
        ] {
            let ended = run(command);
            assert_ne!(ended.code(), 0, "{ended:?}");
            assert!(ended.errors.contains(file), "{ended:?}");
            assert!(!ended.errors.contains("panicked"), "{ended:?}");
        }
    }
}

/// C7: bad input on stdin: the line, and what is wrong; what came before it is
/// posted.
#[test]
fn a_bad_line_is_named_and_the_ones_before_it_are_posted() {
    use std::io::Write;
    let fd = open_nonblock();
    let mut child = client(&["send"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starting it");
    let mut stdin = child.stdin.take().expect("it is a pipe");
    stdin
        .write_all(b"# two good ones\n1 2 00ff\n3 4\n5 six\n7 8\n")
        .expect("writing the lines");
    drop(stdin);
    let output = child.wait_with_output().expect("waiting for it");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("line 4"), "{errors}");
    let codes: Vec<_> = drain(&fd)
        .iter()
        .map(|e| (e.type_, e.code, e.len))
        .collect();
    assert_eq!(codes, [(1, 2, 2), (3, 4, 0)]);
}

/// C3: with room for few realtime signals or none, the kernel falls back to
/// SIGIO; nothing is lost that the ring holds, and the client says that it
/// happened.
#[test]
fn a_full_signal_queue_loses_nothing_and_is_reported() {
    const POSTED: u64 = 2000;
    for kind in ["rtsig", "rtsig-thread"] {
        for room in [0, 8] {
            let count = (POSTED + 1).to_string();
            let mut watch =
                Watch::start_with(&["--via", kind, "--num-events", &count], |command| {
                    // SAFETY: A single system call between fork and exec.
                    unsafe {
                        command.pre_exec(move || {
                            Ok(setrlimit(Resource::RLIMIT_SIGPENDING, room, room)?)
                        })
                    };
                });
            // It must not take the signals as fast as they come.
            watch.stop();
            let writer = open_rw();
            for number in 0..POSTED {
                post(&writer, &[record(number)]);
            }
            watch.signal(Signal::SIGCONT);
            for number in 0..POSTED {
                assert_ne!(watch.line(), "", "event {number}, {kind}, room for {room}");
            }
            // It may have read all of them without a wait; the last one it has to wait for.
            post(&writer, &[record(POSTED)]);
            let ended = watch.end();
            assert_eq!(ended.code(), 0, "{kind}, room for {room}: {ended:?}");
            assert_eq!(ended.lines.len(), 1, "{kind}, room for {room}");
            assert!(ended.errors.contains("lost 0"), "{ended:?}");
            assert!(
                ended.errors.contains("the signal queue was full"),
                "{kind}, room for {room}: {}",
                ended.errors
            );
        }
    }
}
