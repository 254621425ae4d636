// SPDX-License-Identifier: MIT OR Apache-2.0
//! `evdev-client record` and `replay` on the real queue: whatever ends a
//! recording, the next one goes on where it was (Q2, Q3).

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::Arc;

use evq::recording::{Item, Reader, Segment};
use evq::via::Kind;
use nix::mount::{mount, umount, MsFlags};
use nix::sys::resource::{setrlimit, Resource};
use nix::sys::signal::Signal;

use crate::support::client::{client, run, Ended, Watch};
use crate::support::device::*;
use crate::support::modules::{Timer, Unloaded};
use crate::support::worker::{until, Worker};

/// A file that is gone after the test.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Place(PathBuf::from(format!("/tmp/recording-{number}.evq")))
    }

    fn text(&self) -> &str {
        self.0.to_str().expect("it is ASCII")
    }

    fn length(&self) -> u64 {
        fs::metadata(&self.0).map_or(0, |file| file.len())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Its segments, each with its events; panics unless all of it is whole.
fn segments(path: &Path) -> Vec<(Segment, Vec<Event>)> {
    let mut segments = Vec::new();
    for item in Reader::open(path).expect("a recording") {
        match item.expect("a whole recording") {
            Item::Segment(segment) => segments.push((segment, Vec::new())),
            Item::Event(event) => segments.last_mut().expect("a segment first").1.push(event),
        }
    }
    segments
}

/// The events of its only segment, whose account ends with `posted`.
fn accounted(path: &Path, posted: u64) -> Vec<Event> {
    let mut segments = segments(path);
    assert_eq!(segments.len(), 1, "{segments:?}");
    let (segment, events) = segments.remove(0);
    assert_eq!(check_account(segment.next, &events), posted + 1);
    events
}

fn killed(record: Watch) {
    record.signal(Signal::SIGKILL);
    record.ended();
}

/// Ends it in the way that a user does.
fn stopped(record: Watch) -> Ended {
    record.signal(Signal::SIGTERM);
    let ended = record.end();
    assert_eq!(ended.code(), 143, "{ended:?}");
    ended
}

/// Q2: killed at any moment while events come, and its file cut on top of it:
/// each event is there once, as the ring still holds it.
#[test]
fn nothing_is_missing_or_twice_after_a_kill() {
    let (place, writer) = (Place::new(), open_rw());
    // All of them together fit into the ring: a round may end before much of it
    // has been recorded.
    let burst = u64::from(info(&writer).capacity) / 16;
    for round in 0..8 {
        let record = Watch::record(&[place.text()]);
        let before = place.length();
        let fd = open_rw();
        let poster = Worker::start(move || post_numbers(&fd, round * burst..(round + 1) * burst));
        until(|| place.length() > before, || "something recorded".into());
        killed(record);
        poster.join();
        // A write that was not completed.
        let file = File::options().write(true).open(&place.0).expect("it");
        file.set_len(place.length() - round).expect("cutting it");
    }
    let ended = stopped(Watch::record(&[place.text()]));
    assert!(ended.errors.contains("lost 0"), "{ended:?}");
    assert!(ended.errors.contains("cut "), "{ended:?}");
    let events = accounted(&place.0, info(&writer).posted);
    assert_eq!(numbers(&events), (0..8 * burst).collect::<Vec<_>>());
}

/// Q3: under a storm that laps it, too, the account is exact.
#[test]
fn the_account_is_exact_under_a_storm() {
    let (place, writer) = (Place::new(), open_rw());
    let first = info(&writer).posted + 1;
    let done = Arc::new(AtomicBool::new(false));
    let poster = Worker::start({
        let done = Arc::clone(&done);
        let fd = open_rw();
        move || {
            let mut number = 0;
            while !done.load(Ordering::Relaxed) {
                post_numbers(&fd, number..number + 64);
                number += 64;
            }
        }
    });
    for _ in 0..6 {
        let from = first.to_string();
        let from = if place.length() == 0 {
            &["--from", &from][..]
        } else {
            &[]
        };
        let record = Watch::record(&[&[place.text()], from].concat());
        let before = place.length();
        until(|| place.length() > before, || "something recorded".into());
        killed(record);
    }
    let last = Watch::record(&[place.text()]);
    done.store(true, Ordering::Relaxed);
    poster.join();
    stopped(last);
    for event in accounted(&place.0, info(&writer).posted) {
        assert_eq!(number(&event), event.seq - first);
    }
}

/// Q3: what the queue did not keep meanwhile is counted.
#[test]
fn what_was_overwritten_meanwhile_is_counted() {
    let (place, writer) = (Place::new(), open_rw());
    let record = Watch::record(&[place.text()]);
    post_numbers(&writer, 0..5);
    stopped(record);
    let capacity = u64::from(info(&writer).capacity);
    post_numbers(&writer, 5..5 + capacity + 7);
    let ended = stopped(Watch::record(&[place.text()]));
    assert!(ended.errors.contains("lost 7"), "{ended:?}");
    let events = accounted(&place.0, info(&writer).posted);
    assert_eq!(events.iter().map(|e| e.lost).sum::<u32>(), 7);
}

/// C5: what was posted before the signal is recorded.
#[test]
fn a_signal_ends_it_behind_what_was_posted_before() {
    let (place, writer) = (Place::new(), open_rw());
    let record = Watch::record(&[place.text(), "--sync", "always"]);
    record.stop();
    post_numbers(&writer, 0..500);
    record.signal(Signal::SIGTERM);
    record.signal(Signal::SIGCONT);
    let ended = record.end();
    assert_eq!(ended.code(), 143, "{ended:?}");
    assert!(ended.errors.contains("recorded 500, lost 0"), "{ended:?}");
    assert_eq!(accounted(&place.0, info(&writer).posted).len(), 500);
}

/// C1: all mechanisms record the same.
#[test]
fn every_mechanism_records() {
    let writer = open_rw();
    for kind in Kind::ALL {
        let place = Place::new();
        let record = Watch::record(&[place.text(), "--via", kind.name(), "-n", "100"]);
        post_numbers(&writer, 0..100);
        let ended = record.end();
        assert_eq!(ended.code(), 0, "{kind}: {ended:?}");
        let events = accounted(&place.0, info(&writer).posted);
        assert_eq!(numbers(&events), (0..100).collect::<Vec<_>>(), "{kind}");
    }
}

/// Another load of the module is another queue, whose numbers begin at 1: all
/// of them are in a segment of their own.
#[test]
fn a_queue_that_was_made_anew_is_a_segment_of_its_own() {
    let place = Place::new();
    let record = Watch::record(&[place.text()]);
    post_numbers(open_rw(), 0..3);
    stopped(record);
    drop(Unloaded::new());
    post_numbers(open_rw(), 10..14);
    let ended = stopped(Watch::record(&[place.text()]));
    assert!(ended.errors.contains("a new segment begins"), "{ended:?}");
    let segments = segments(&place.0);
    let recorded: Vec<_> = segments.iter().map(|(_, e)| numbers(e)).collect();
    assert_eq!(recorded, [vec![0, 1, 2], vec![10, 11, 12, 13]]);
    assert_ne!(segments[0].0.instance, segments[1].0.instance);
    assert_eq!(segments[0].0.boot_id, segments[1].0.boot_id);
    assert_eq!((segments[1].0.next, segments[1].1[0].seq), (1, 1));
}

/// So is another device: nothing of the first one is said to be missing.
#[test]
fn another_device_is_a_segment_of_its_own() {
    let place = Place::new();
    let record = Watch::record(&[place.text()]);
    post_numbers(open_rw(), 0..3);
    stopped(record);
    let _timer = Timer::load("own=64 rate=10000 count=10");
    let device = "/dev/evq-timer";
    let options = ["--device", device, "--from", "1", "-n", "10"];
    let ended = Watch::record(&[&[place.text()], &options[..]].concat()).end();
    assert_eq!(ended.code(), 0, "{ended:?}");
    assert!(ended.errors.contains("is of /dev/evq so far"), "{ended:?}");
    let segments = segments(&place.0);
    let told: Vec<_> = segments
        .iter()
        .map(|(segment, events)| (segment.device.as_str(), events.len()))
        .collect();
    assert_eq!(told, [("/dev/evq", 3), (device, 10)]);
    // It goes on where the last segment ends; nothing more comes.
    let ended = stopped(Watch::record(&[place.text(), "--device", device]));
    assert!(ended.errors.contains("goes on with event 11"), "{ended:?}");
}

/// C7: a full disk and a file that may not grow: the file and the remedy are
/// named, what was recorded is whole, and the next recording goes on.
#[test]
fn a_full_disk_costs_nothing_that_was_recorded() {
    let folder = "/tmp/small-disk";
    fs::create_dir_all(folder).expect("a folder");
    mount(
        Some("tmpfs"),
        folder,
        Some("tmpfs"),
        MsFlags::empty(),
        Some("size=16k"),
    )
    .expect("mounting a small disk");
    for (path, limit, wanted) in [
        (format!("{folder}/full.evq"), None, "No space left"),
        ("/tmp/limited.evq".into(), Some(5000), "File too large"),
    ] {
        let writer = open_rw();
        let first = info(&writer).posted + 1;
        post_numbers(&writer, 0..2000);
        let from = first.to_string();
        let mut command = client(&["record", &path, "--from", &from, "-n", "2000"]);
        if let Some(limit) = limit {
            // SAFETY: A single system call between fork and exec.
            unsafe {
                command.pre_exec(move || Ok(setrlimit(Resource::RLIMIT_FSIZE, limit, limit)?))
            };
        }
        let output = command.output().expect("starting it");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        for wanted in [&path, wanted, "what was recorded before is whole"] {
            assert!(errors.contains(wanted), "{wanted} in {errors}");
        }
        let kept = segments(Path::new(&path)).remove(0).1.len();
        assert!(kept < 2000, "{kept} events fit");
        // Where there is room.
        let place = Place::new();
        fs::copy(&path, &place.0).expect("copying it");
        fs::remove_file(&path).expect("removing it");
        let ended = stopped(Watch::record(&[place.text()]));
        assert!(ended.errors.contains("2000 events in all"), "{ended:?}");
        let events = accounted(&place.0, info(&writer).posted);
        assert_eq!(numbers(&events), (0..2000).collect::<Vec<_>>());
    }
    umount(folder).expect("nobody is in it");
}

/// C7: what cannot be: no queue, another recorder, a place to go on from that is
/// known already.
#[test]
fn what_cannot_be_recorded_is_explained() {
    let place = Place::new();
    let record = Watch::record(&[place.text()]);
    let busy = run(&["record", place.text()]);
    assert_eq!(busy.code(), 1);
    assert!(busy.errors.contains("another program does"), "{busy:?}");
    stopped(record);
    let again = run(&["record", place.text(), "--from", "oldest"]);
    assert_eq!(again.code(), 1);
    assert!(again.errors.contains("leave out --from"), "{again:?}");
    let _unloaded = Unloaded::new();
    let other = Place::new();
    let missing = run(&["record", other.text()]);
    assert_eq!(missing.code(), 1);
    assert!(missing.errors.contains("modprobe evq"), "{missing:?}");
    assert!(!other.0.exists(), "it has left a file behind");
}

/// A replay posts what was recorded, as fast as it is asked to.
#[test]
fn a_replay_posts_it_again() {
    let (place, writer) = (Place::new(), open_nonblock());
    let record = Watch::record(&[place.text()]);
    post_numbers(&writer, 0..200);
    stopped(record);
    let recorded = drain(&writer);
    for speed in ["max", "1", "2.5"] {
        let ended = run(&[
            "replay",
            place.text(),
            "--into",
            "/dev/evq",
            "--speed",
            speed,
        ]);
        assert_eq!(ended.code(), 0, "{ended:?}");
        assert!(ended.errors.contains("replayed 200 events"), "{ended:?}");
        let again = drain(&writer);
        assert_eq!(again.len(), 200);
        for (old, new) in recorded.iter().zip(&again) {
            let what = |e: &Event| (e.type_, e.code, number(e));
            assert_eq!(what(old), what(new));
            assert!(new.seq > old.seq && new.time_ns > old.time_ns);
        }
    }
}
