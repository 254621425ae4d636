// SPDX-License-Identifier: MIT OR Apache-2.0
//! A key, an interrupt, `evq_input`, the queue: the same as the kernel's own
//! evdev driver has to say of it.

use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;

use nix::errno::Errno;
use nix::sys::signal::Signal;

use crate::support::client::{run, Watch};
use crate::support::device::*;
use crate::support::keyboard;

/// Letters, digits, a chord, and keys whose scan codes have a prefix.
const KEYS: [&str; 10] = [
    "h", "e", "l", "l", "o", "shift-a", "up", "delete", "1", "ret",
];

/// At least a scan code, a key and a SYN_REPORT, for press and release.
const FEWEST: usize = KEYS.len() * 6;

/// Type, code and value.
type Input = (u16, u16, i32);

fn input_event(raw: &[u8]) -> Input {
    let [.., t0, t1, c0, c1, v0, v1, v2, v3] = *raw else {
        panic!("a struct input_event has more bytes than {}", raw.len());
    };
    (
        u16::from_ne_bytes([t0, t1]),
        u16::from_ne_bytes([c0, c1]),
        i32::from_ne_bytes([v0, v1, v2, v3]),
    )
}

fn drain_evdev(fd: &OwnedFd) -> Vec<Input> {
    let size = size_of::<libc::input_event>();
    let mut all = Vec::new();
    let mut buffer = vec![0; size * 64];
    loop {
        match nix::unistd::read(fd, &mut buffer) {
            Ok(count) => all.extend(buffer[..count].chunks(size).map(input_event)),
            Err(Errno::EAGAIN) => return all,
            Err(errno) => panic!("reading the kernel's own node: {errno}"),
        }
    }
}

/// Q2, and what this project is for: the same types, codes and values in the
/// same order, none missing, from the same interrupts.
#[test]
fn the_queue_has_what_evdev_has() {
    let (node, number) = keyboard::find();
    let evdev: OwnedFd = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(&node)
        .unwrap_or_else(|error| panic!("{node}: {error}"))
        .into();
    let queue = open_nonblock();
    let mut theirs = Vec::new();
    for key in KEYS {
        keyboard::press(&[key]);
        // Its buffer is shorter than what all the keys give: SYN_DROPPED.
        theirs.extend(drain_evdev(&evdev));
    }
    let events = drain(&queue);
    let source = 0x8000_0000 | 1 << 16 | u32::from(number);
    let ours: Vec<Input> = events
        .iter()
        .map(|event| {
            assert_eq!((event.source, event.len), (source, 4));
            let value = event.data[..4].try_into().expect("four bytes");
            (event.type_, event.code, i32::from_ne_bytes(value))
        })
        .collect();
    assert!(theirs.len() >= FEWEST, "{theirs:?}");
    assert_eq!(ours, theirs);
    assert!(
        events.iter().all(|event| event.lost == 0),
        "the ring is large enough"
    );
    assert!(
        events
            .windows(2)
            .all(|pair| pair[0].time_ns <= pair[1].time_ns),
        "times are in order"
    );
}

/// C1, C4: key, interrupt, SIGIO, eventfd, epoll, printed; the client prints
/// the same for the kernel's own node, armed the same way.
#[test]
fn the_client_prints_the_same_for_both() {
    let (node, number) = keyboard::find();
    let count = FEWEST.to_string();
    let shown = ["--num-events", &count, "--show-keys"];
    let queue = Watch::start(&shown);
    let evdev = Watch::start(&[&["--device", &node], &shown[..]].concat());
    assert!(queue.banner.contains("/dev/evq") && queue.banner.contains("via sigio"));
    assert!(evdev.banner.contains(&node) && evdev.banner.contains("via sigio"));
    keyboard::press(&KEYS);

    let [ours, theirs] = [queue.end(), evdev.end()].map(|ended| {
        assert_eq!(ended.code(), 0, "{ended:?}");
        let events: Vec<String> = ended
            .lines
            .iter()
            .map(|line| {
                let start = line.find("EV_").unwrap_or_else(|| panic!("{line:?}"));
                line[start..].to_owned()
            })
            .collect();
        (ended.lines, events)
    });
    assert_eq!(ours.1.len(), FEWEST);
    assert_eq!(ours.1, theirs.1);
    assert!(ours
        .0
        .iter()
        .all(|line| line.contains(&format!("input:{number} "))));
    let text = ours.1.join("\n");
    for wanted in [
        "EV_KEY KEY_H press",
        "EV_KEY KEY_H release",
        "EV_SYN SYN_REPORT",
    ] {
        assert!(text.contains(wanted), "{wanted} in\n{text}");
    }
}

/// C10: what is typed may be a password: which keys are pressed is told in no format
/// unless it is asked for.
#[test]
fn c10_keys_are_hidden_unless_they_are_asked_for() {
    let (node, _) = keyboard::find();
    let count = FEWEST.to_string();
    for device in ["/dev/evq", &node] {
        let all = ["--device", device, "--num-events", &count];
        let formats = ["text", "json", "csv", "%c %v %d %x"];
        let start = |format: &str, more: &[&str]| {
            Watch::start(&[&all[..], &["--format", format], more].concat())
        };
        let hidden = formats.map(|format| start(format, &[]));
        let shown = formats.map(|format| start(format, &["--show-keys"]));
        let named = ["--device", device, "--num-events", "2", "--code", "KEY_H"];
        let named = Watch::start(&named);
        keyboard::press(&KEYS);
        for hidden in hidden {
            let hidden = hidden.end().lines.join("\n");
            assert!(hidden.contains("EV_KEY KEY_(hidden) press"), "{hidden}");
            assert!(hidden.contains("EV_MSC MSC_SCAN (hidden)"), "{hidden}");
            // KEY_H is 35 = 0x23, also as a scan code.
            let json = ["\"code\":35", "\"data\":\"23000000\""];
            for told in [&json[..], &["KEY_H", "35 1 ", " 23000000 ", " 0x23"]].concat() {
                assert!(!hidden.contains(told), "{told} in {hidden}");
            }
        }
        for told in shown.into_iter().chain([named]) {
            let told = told.end().lines.join("\n");
            assert!(told.contains("EV_KEY KEY_H press"), "{told}");
        }
    }
}

/// C10: nor does a recording have them.
#[test]
fn c10_a_recording_has_keys_only_if_they_are_asked_for() {
    let count = FEWEST.to_string();
    for (show, wanted) in [
        (&[][..], "EV_KEY KEY_RESERVED press"),
        (&["--show-keys"], "EV_KEY KEY_H press"),
    ] {
        const PATH: &str = "/tmp/keys.evq";
        let _ = std::fs::remove_file(PATH);
        let record = Watch::record(&[&[PATH, "-n", &count], show].concat());
        keyboard::press(&KEYS);
        let ended = record.end();
        assert_eq!(ended.code(), 0, "{ended:?}");
        assert_eq!(
            ended.errors.contains("are hidden"),
            show.is_empty(),
            "{ended:?}"
        );
        let converted = run(&["convert", "--show-keys", PATH]).lines.join("\n");
        assert!(converted.contains(wanted), "{converted}");
        assert_eq!(
            converted.contains("KEY_H "),
            !show.is_empty(),
            "{converted}"
        );
        let _ = std::fs::remove_file(PATH);
    }
}

/// C6: evdev drops what nobody reads in time, and says that it has; so does the
/// client, and ends if it was told to.
#[test]
fn an_overflow_of_the_device_is_told() {
    let (node, _) = keyboard::find();
    let watch = Watch::start(&["--device", &node, "--fail-on-loss"]);
    watch.stop();
    // Three events for each press and for each release; evdev keeps 64 or so.
    keyboard::press(&["h"; 40]);
    watch.signal(Signal::SIGCONT);
    let ended = watch.end();
    assert_eq!(ended.code(), 5, "{ended:?}");
    let account = ", overflows 1 (events were lost)";
    assert!(ended.errors.contains(account), "{ended:?}");
}
