// SPDX-License-Identifier: MIT OR Apache-2.0
//! `convert` and `replay` where there is no queue: files, pipes, bad input.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use evq::recording::{Item, Reader, Segment, Writer};
use evq::Event;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use tempfile::TempDir;

struct Said {
    status: i32,
    stdout: String,
    stderr: String,
}

fn run(args: &[&str], stdin: &str) -> Said {
    let output = Command::cargo_bin("evdev-client")
        .unwrap()
        .args(args)
        .write_stdin(stdin)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said {
        status: output.status.code().unwrap(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// Two segments of three events each; one event says that two were lost.
fn sample(folder: &TempDir) -> (PathBuf, Vec<Item>) {
    let mut items = Vec::new();
    let mut writer = Writer::new(Vec::new(), "a test").unwrap();
    for (device, first) in [("/dev/evq", 5), ("/dev/evq-other", 1)] {
        let segment = Segment {
            instance: 0xfedc_ba98_7654_3210,
            boot_id: 0x0123,
            monotonic_ns: 10,
            realtime_ns: 1_700_000_000_000_000_000,
            ..Segment::unknown(device, first)
        };
        let mut events = [first, first + 1, first + 4].map(|seq| Event {
            seq,
            time_ns: seq * 1_000_000,
            source: 0x8001_0000,
            ..Event::new(1, 30, &1_i32.to_ne_bytes()).unwrap()
        });
        events[2].lost = 2;
        writer.begin(&segment).unwrap();
        writer.append(&events).unwrap();
        items.push(Item::Segment(segment));
        items.extend(events.map(Item::Event));
    }
    let path = folder.path().join("sample.evq");
    fs::write(&path, writer.get_mut()).unwrap();
    (path, items)
}

/// The line of event 5 as that of another one.
fn numbered(line: &str, seq: u64) -> String {
    let line = line.replace("\"seq\":5,", &format!("\"seq\":{seq},"));
    line.replace("\"seq_str\":\"5\"", &format!("\"seq_str\":\"{seq}\""))
}

fn items(path: &Path) -> Vec<Item> {
    Reader::open(path).unwrap().map(Result::unwrap).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn there_and_back() {
    let folder = TempDir::new().unwrap();
    let (path, expected) = sample(&folder);
    let lines = run(&["convert", "--show-keys", text(&path)], "");
    assert_eq!((lines.status, lines.stderr.as_str()), (0, ""));
    assert_eq!(lines.stdout.lines().count(), expected.len());
    let back = folder.path().join("back.evq");
    // By a pipe, with an empty line and a banner in between.
    let banner = r#"{"v":1,"watching":["/dev/evq"],"via":"sigio"}"#;
    let stdin = format!("{banner}\n\n{}", lines.stdout);
    let said = run(&["convert", "-", text(&back)], &stdin);
    assert_eq!((said.status, said.stderr.as_str()), (0, ""));
    assert_eq!(items(&back), expected);
    let mode = fs::metadata(&back).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "for its owner alone: {mode:o}");
}

/// What `watch` prints has no segments: what is known of them follows.
#[test]
fn lines_of_watch_are_a_recording_too() {
    let folder = TempDir::new().unwrap();
    let (path, expected) = sample(&folder);
    let lines = run(&["convert", "--show-keys", text(&path)], "").stdout;
    // The third event alone, before which two were lost.
    let line = lines.lines().nth(3).unwrap();
    let back = folder.path().join("back.evq");
    assert_eq!(run(&["convert", "-", text(&back)], line).status, 0);
    // Of the clocks it knows what the line says: the event's.
    let dated = Segment {
        boot_id: 0x0123,
        monotonic_ns: 9_000_000,
        realtime_ns: 1_700_000_000_008_999_990,
        ..Segment::unknown("/dev/evq", 7)
    };
    assert_eq!(items(&back), [Item::Segment(dated), expected[3].clone()]);
    // Lines of before had no clock.
    let old = line.split(",\"time\"").next().unwrap().to_owned() + "}";
    fs::remove_file(&back).unwrap();
    assert_eq!(run(&["convert", "-", text(&back)], &old).status, 0);
    let unknown = Item::Segment(Segment::unknown("/dev/evq", 7));
    assert_eq!(items(&back), [unknown, expected[3].clone()]);
}

/// C8: dates of a recording are those of when it was recorded, on the machine that it
/// was recorded on; where the wall clock was set, another segment begins.
#[test]
fn c8_a_recording_keeps_its_dates() {
    let folder = TempDir::new().unwrap();
    let (path, _) = sample(&folder);
    let json = run(&["convert", "--show-keys", text(&path)], "").stdout;
    let boot = r#""boot_id":"00000000000000000000000000000123""#;
    for (seq, time) in [
        (5, "2023-11-14T22:13:20.004999990Z"),
        (9, "2023-11-14T22:13:20.008999990Z"),
    ] {
        let wanted = [
            format!("\"seq\":{seq},"),
            format!("\"time\":\"{time}\",{boot}"),
        ];
        let found = |line: &&str| wanted.iter().all(|wanted| line.contains(wanted));
        assert!(
            json.lines().any(|line| found(&line)),
            "{wanted:?} in {json}"
        );
    }
    // The events alone, and of the last the wall clock an hour later.
    let mut lines: Vec<String> = json.lines().skip(1).take(3).map(str::to_owned).collect();
    lines[2] = lines[2].replace("T22:", "T23:");
    let back = folder.path().join("back.evq");
    let said = run(&["convert", "-", text(&back)], &lines.join("\n"));
    assert_eq!((said.status, said.stderr.as_str()), (0, ""));
    let found = items(&back);
    let [Item::Segment(first), _, _, Item::Segment(second), _] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!((first.next, second.next), (5, 7));
    let hour = 3_600_000_000_000;
    let ahead = |segment: &Segment| segment.realtime_ns - segment.monotonic_ns;
    assert_eq!(ahead(second) - ahead(first), hour);
    // And so the dates come back.
    let again = run(&["convert", "--show-keys", text(&back)], "").stdout;
    let events = again.lines().filter(|line| !line.contains("segment"));
    assert_eq!(events.collect::<Vec<_>>(), lines);
}

/// C10: no format tells which keys were pressed unless it is asked for; the lines are
/// lines all the same.
#[test]
fn c10_keys_are_hidden_unless_they_are_asked_for() {
    let folder = TempDir::new().unwrap();
    let (path, expected) = sample(&folder);
    let fast = ["--speed", "max"];
    for arguments in [
        &["convert", text(&path)][..],
        &["replay", text(&path), "--format", "json", fast[0], fast[1]],
        &["replay", text(&path), fast[0], fast[1]],
    ] {
        let hidden = run(arguments, "").stdout;
        assert!(!hidden.contains("KEY_A"), "{hidden}");
        assert!(!hidden.contains("\"code\":30"), "{hidden}");
        assert_eq!(
            hidden.matches("EV_KEY KEY_(hidden) press").count(),
            6,
            "{hidden}"
        );
        let shown = run(&[arguments, &["--show-keys"]].concat(), "").stdout;
        assert_eq!(shown.matches("EV_KEY KEY_A press").count(), 6, "{shown}");
        assert!(!shown.contains("hidden"), "{shown}");
    }
    let hidden = run(&["convert", text(&path)], "").stdout;
    assert_eq!(hidden.matches("\"code\":0").count(), 6, "{hidden}");
    assert_eq!(hidden.matches("\"hidden\":true").count(), 6, "{hidden}");
    // As a recording again, it is one of keys that are hidden.
    let back = folder.path().join("back.evq");
    assert_eq!(run(&["convert", "-", text(&back)], &hidden).status, 0);
    let hidden = |item| match item {
        Item::Event(event) => Item::Event(Event { code: 0, ..event }),
        other => other,
    };
    assert_eq!(
        items(&back),
        expected.into_iter().map(hidden).collect::<Vec<_>>()
    );
    let again = run(&["convert", "--show-keys", text(&back)], "").stdout;
    assert_eq!(
        again.matches("EV_KEY KEY_RESERVED press").count(),
        6,
        "{again}"
    );
}

/// S4: what reads JSON with floats of 64 bits only rounds numbers; the digits beside
/// them are exact.
#[test]
fn numbers_that_were_rounded_come_back_exact() {
    let folder = TempDir::new().unwrap();
    let number = (1 << 60) + 1;
    let event = Event {
        seq: number,
        time_ns: number + 2,
        ..Event::default()
    };
    let mut writer = Writer::new(Vec::new(), "a test").unwrap();
    writer.begin(&Segment::unknown("/dev/evq", number)).unwrap();
    writer.append(&[event]).unwrap();
    let path = folder.path().join("large.evq");
    fs::write(&path, writer.get_mut()).unwrap();
    let lines = run(&["convert", "--show-keys", text(&path)], "").stdout;
    // As jq 1.6 writes it.
    let rounded = [number + 2, number]
        .iter()
        .fold(lines.clone(), |lines, number| {
            lines.replace(&format!(":{number},"), ":1152921504606847000,")
        });
    assert_ne!(rounded, lines);
    let back = folder.path().join("back.evq");
    let said = run(&["convert", "-", text(&back)], &rounded);
    assert_eq!((said.status, said.stderr.as_str()), (0, ""));
    assert_eq!(items(&back), items(&path));
}

/// PowerShell and some editors begin a file with a byte order mark; files put
/// together have more of them.
#[test]
fn a_byte_order_mark_is_skipped() {
    let folder = TempDir::new().unwrap();
    let (path, expected) = sample(&folder);
    let lines = run(&["convert", "--show-keys", text(&path)], "").stdout;
    let middle = lines
        .find("{\"v\":1,\"segment\":{\"device\":\"/dev/evq-other")
        .unwrap();
    let (first, second) = lines.split_at(middle);
    let back = folder.path().join("back.evq");
    let stdin = format!("\u{feff}{first}\u{feff}{second}\u{feff}\n");
    let said = run(&["convert", "-", text(&back)], &stdin);
    assert_eq!((said.status, said.stderr.as_str()), (0, ""));
    assert_eq!(items(&back), expected);
    // UTF-16, which PowerShell writes too, is named.
    let utf16 = std::iter::once(0xfeff_u16).chain(lines.encode_utf16());
    let utf16: Vec<u8> = utf16.flat_map(u16::to_le_bytes).collect();
    let from = folder.path().join("utf16.jsonl");
    fs::write(&from, utf16).unwrap();
    let said = run(
        &["convert", text(&from), text(&folder.path().join("x"))],
        "",
    );
    assert_eq!(said.status, 2, "{}", said.stderr);
    assert!(
        said.stderr.contains("line 1: this is UTF-16"),
        "{}",
        said.stderr
    );
}

/// C7: a recording is not text: a terminal does not get it.
#[test]
fn c7_a_recording_is_not_written_to_a_terminal() {
    let folder = TempDir::new().unwrap();
    let (path, _) = sample(&folder);
    let lines = folder.path().join("lines.jsonl");
    fs::write(
        &lines,
        run(&["convert", "--show-keys", text(&path)], "").stdout,
    )
    .unwrap();
    let pty = nix::pty::openpty(None, None).unwrap();
    let terminal = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_evdev-client"));
        let stdout = pty.slave.try_clone().unwrap();
        let output = command.args(arguments).stdout(stdout).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let written = || {
        let mut fds = [PollFd::new(pty.master.as_fd(), PollFlags::POLLIN)];
        nix::poll::poll(&mut fds, PollTimeout::ZERO).unwrap() > 0
    };
    for arguments in [
        &["convert", text(&lines)][..],
        &["convert", text(&lines), "-"],
    ] {
        let (status, said) = terminal(arguments);
        assert_eq!(status, Some(1), "{said}");
        assert!(
            said.contains("send standard output to a file or a pipe"),
            "{said}"
        );
        assert!(!written(), "it has written to the terminal");
    }
    // Lines are for terminals.
    assert_eq!(terminal(&["convert", text(&path)]).0, Some(0));
    assert!(written());
}

/// C7: the line and what is wrong with it; the lines before it are kept.
#[test]
fn a_bad_line_is_named_and_those_before_it_are_converted() {
    let folder = TempDir::new().unwrap();
    let (path, expected) = sample(&folder);
    let lines = run(&["convert", "--show-keys", text(&path)], "").stdout;
    let good: Vec<&str> = lines.lines().take(3).collect();
    let long = format!("{{\"v\":1,\"x\":\"{}\"}}", "x".repeat(100_000));
    for (bad, wanted) in [
        ("{\"v\":1", "column"),
        ("{\"v\":9}", "v is 9"),
        ("\u{1}\u{fffd}", "column 1"),
        (good[1], "seq is 5: a number from 7 on"),
        (
            &numbered(good[1], 7).replace("/dev/evq", "/dev/evq2"),
            "one device at a time",
        ),
        (
            &numbered(good[1], 7).replace("/dev/evq", "\\u001b[2J"),
            "an event of \\x1b[2J after",
        ),
        (
            &good[1].replace("\"seq\":5", "\"seq\":7"),
            "seq is 7 and seq_str is",
        ),
        (
            &numbered(good[1], 7).replace("2023-", "2023"),
            "time is \"202311",
        ),
        (&good[1].replace("input:0", "mouse"), "mouse"),
        (&good[1].replace("01000000", &"00".repeat(33)), "at most 32"),
        (
            &good[0].replace("\"next\":5", "\"next\":0"),
            "next is 0 and",
        ),
        (
            &good[0]
                .replace("next\":5", "next\":0")
                .replace("\"5\"", "\"0\""),
            "next is 0: numbers begin",
        ),
        (&good[0].replace("fedcba", "+edcba"), "hex digits"),
        (&long, "longer than 65536 bytes"),
    ] {
        let back = folder.path().join("back.evq");
        let stdin = format!("{}\n{bad}\n", good.join("\n"));
        let said = run(&["convert", "-", text(&back)], &stdin);
        assert_eq!(said.status, 2, "{bad}: {}", said.stderr);
        for wanted in ["standard input, line 4: ", wanted] {
            assert!(said.stderr.contains(wanted), "{wanted} in {}", said.stderr);
        }
        assert_eq!(items(&back), expected[..3], "{bad}");
        fs::remove_file(&back).unwrap();
    }
}

/// C7: what could not be printed, and why.
#[test]
fn c7_a_full_standard_output_is_told() {
    let folder = TempDir::new().unwrap();
    let (path, _) = sample(&folder);
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    for args in [
        &["convert", text(&path)][..],
        &["replay", "--speed", "max", text(&path)],
        &["info", "--via"],
        &["doctor"],
        &["watch", "--every", "1ms"],
    ] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_evdev-client"));
        let output = command.args(args).stdout(full()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        let wanted = "evdev-client: cannot write to standard output: No space left on device";
        assert!(said.contains(wanted), "{args:?}: {said}");
    }
}

/// Numbers end somewhere, and lines may have any.
#[test]
fn the_last_number_of_all_is_followed_by_nothing() {
    let folder = TempDir::new().unwrap();
    let (path, expected) = sample(&folder);
    let lines = run(&["convert", "--show-keys", text(&path)], "").stdout;
    let lines: Vec<&str> = lines.lines().take(2).collect();
    let last = numbered(lines[1], u64::MAX);
    let back = folder.path().join("back.evq");
    let stdin = format!("{}\n{last}\n{last}\n", lines.join("\n"));
    let said = run(&["convert", "-", text(&back)], &stdin);
    assert_eq!(said.status, 2, "{}", said.stderr);
    assert!(said.stderr.contains("line 4: seq is"), "{}", said.stderr);
    let Item::Event(first) = &expected[1] else {
        panic!("{expected:?}");
    };
    let last = Event {
        seq: u64::MAX,
        ..*first
    };
    let expected = [&expected[..2], &[Item::Event(last)]].concat();
    assert_eq!(items(&back), expected);
}

/// C7: what is whole is converted and replayed, then it says where it ends.
#[test]
fn a_damaged_recording_gives_what_is_whole() {
    let folder = TempDir::new().unwrap();
    let (path, _) = sample(&folder);
    let whole = fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    // Within the second segment, when the events of the first wait for the next.
    let second = whole.windows(14).position(|w| w == b"/dev/evq-other");
    let middle = &whole[..second.unwrap()];
    for (bytes, wanted, segments) in [
        (
            &whole[..whole.len() - 1],
            "ends in the middle of a frame",
            2,
        ),
        (&damaged, "is damaged in the frame at byte", 2),
        (middle, "ends in the middle of a frame", 1),
    ] {
        fs::write(&path, bytes).unwrap();
        let mut found = Vec::new();
        for command in ["convert", "replay"] {
            let fast = ["--speed", "max"];
            let fast = if command == "replay" { &fast[..] } else { &[] };
            let said = run(&[&[command, text(&path)], fast].concat(), "");
            assert_eq!(said.status, 1, "{command}");
            for wanted in [text(&path), wanted] {
                assert!(said.stderr.contains(wanted), "{wanted} in {}", said.stderr);
            }
            found.push(said.stdout.lines().count());
        }
        // The events of the first segment; and a line for its loss.
        assert_eq!(found, [segments + 3, 4], "{wanted}");
    }
}

#[test]
fn a_replay_prints_what_watch_would() {
    let folder = TempDir::new().unwrap();
    let (path, _) = sample(&folder);
    let said = run(
        &["replay", text(&path), "--speed", "max", "--show-keys"],
        "",
    );
    assert_eq!(said.status, 0, "{}", said.stderr);
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(lines.len(), 8);
    assert!(
        lines[0].ends_with("input:0   EV_KEY KEY_A press"),
        "{lines:?}"
    );
    assert_eq!(lines[2], "lost 2 just before 9");
    assert!(said.stderr.contains("replayed 6 events"), "{}", said.stderr);
    assert!(said.stderr.contains("4 were lost"), "{}", said.stderr);
    // As JSON it is the events of the conversion.
    let json = run(
        &["replay", text(&path), "--speed", "9", "--format", "json"],
        "",
    );
    let converted = run(&["convert", text(&path)], "").stdout;
    let events = converted.lines().filter(|line| !line.contains("segment"));
    assert_eq!(
        json.stdout.lines().collect::<Vec<_>>(),
        events.collect::<Vec<_>>()
    );
}

/// A replay has the filters, formats and clocks of a watch; dates are those of when it
/// was recorded.
#[test]
fn a_replay_has_filters_formats_and_clocks() {
    let folder = TempDir::new().unwrap();
    let (path, _) = sample(&folder);
    let replay = |arguments: &[&str]| {
        let said = run(
            &[&["replay", text(&path), "--speed", "max"], arguments].concat(),
            "",
        );
        assert_eq!(said.status, 0, "{arguments:?}: {}", said.stderr);
        said
    };
    let lines = |said: &Said| said.stdout.lines().map(str::to_owned).collect::<Vec<_>>();
    let dates = replay(&["--format", "%n %t %b", "--time", "utc"]);
    let first = "5 2023-11-14T22:13:20.004999990Z 00000000000000000000000000000123";
    assert_eq!(lines(&dates)[0], first);
    assert_eq!(lines(&dates).len(), 6);
    let deltas = replay(&["--format", "%t", "--time", "delta"]);
    assert_eq!(
        lines(&deltas)[..3],
        ["0.000000000", "0.001000000", "0.003000000"]
    );
    let csv = replay(&["--format", "csv", "--code", "KEY_A"]);
    assert!(lines(&csv)[0].starts_with("device,seq,"), "{}", csv.stdout);
    assert!(csv.stdout.contains("EV_KEY KEY_A press"), "{}", csv.stdout);
    // What does not pass is not replayed; what was lost is counted all the same.
    let none = replay(&["--type", "EV_REL"]);
    assert_eq!(none.stdout, "");
    let account = "replayed 0 events";
    assert!(none.stderr.contains(account), "{}", none.stderr);
    assert!(none.stderr.contains("; 4 were lost"), "{}", none.stderr);
}

#[test]
fn nothing_is_overwritten_and_other_files_are_named() {
    let folder = TempDir::new().unwrap();
    let (path, _) = sample(&folder);
    let letter = folder.path().join("letter.txt");
    fs::write(&letter, "Dear all").unwrap();
    let there = run(&["convert", text(&path), text(&letter)], "");
    assert_eq!(there.status, 1);
    assert!(
        there.stderr.contains("letter.txt") && there.stderr.contains("another name"),
        "{}",
        there.stderr
    );
    assert_eq!(fs::read(&letter).unwrap(), b"Dear all");
    let said = run(&["replay", text(&letter)], "");
    assert_eq!(said.status, 1);
    assert!(
        said.stderr.contains("letter.txt is no recording"),
        "{}",
        said.stderr
    );
    let said = run(&["convert", "/nonexistent/x"], "");
    assert_eq!(said.status, 1);
    assert!(said.stderr.contains("/nonexistent/x"), "{}", said.stderr);
}

/// C6, C7: a full disk is named, a reader that has gone is no error.
#[test]
fn full_disks_and_closed_pipes() {
    let folder = TempDir::new().unwrap();
    let (path, _) = sample(&folder);
    let lines = folder.path().join("lines.json");
    // More than any buffer on the way holds.
    let event = run(&["convert", "--show-keys", text(&path)], "")
        .stdout
        .lines()
        .nth(1)
        .unwrap()
        .to_owned();
    let many = (5..5000).map(|seq| numbered(&event, seq) + "\n");
    fs::write(&lines, many.collect::<String>()).unwrap();
    for (command, path) in [("convert", &path), ("replay", &path), ("convert", &lines)] {
        let program = assert_cmd::cargo::cargo_bin("evdev-client");
        let to = |stdout: fs::File| {
            std::process::Command::new(&program)
                .args([command, text(path)])
                .stdout(stdout)
                .output()
                .unwrap()
        };
        let full = to(fs::File::options().write(true).open("/dev/full").unwrap());
        let errors = String::from_utf8_lossy(&full.stderr);
        assert_eq!(full.status.code(), Some(1), "{errors}");
        assert!(errors.contains("No space left"), "{errors}");
        let (reader, writer) = nix::unistd::pipe().unwrap();
        drop(reader);
        let closed = to(writer.into());
        let errors = String::from_utf8_lossy(&closed.stderr);
        assert_eq!(closed.status.code(), Some(0), "{errors}");
        assert!(!errors.contains("roken pipe"), "{errors}");
    }
}

/// C5: a signal ends it in the middle of a pause; what it has done is told.
#[test]
fn a_signal_ends_a_replay_that_waits() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("slow.evq");
    let mut writer = Writer::new(Vec::new(), "a test").unwrap();
    writer.begin(&Segment::unknown("/dev/evq", 1)).unwrap();
    let events = [1, 2].map(|seq| Event {
        seq,
        // An hour, and at half the speed two.
        time_ns: seq * 3_600_000_000_000,
        ..Event::default()
    });
    writer.append(&events).unwrap();
    fs::write(&path, writer.get_mut()).unwrap();
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("evdev-client"))
        .args(["replay", text(&path), "--speed", "0.5"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    assert!(line.contains("type 0 code 0"), "{line}");
    let pid = Pid::from_raw(child.id().try_into().unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    assert_eq!(stdout.read_line(&mut line).unwrap(), 0, "{line}");
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(143), "{errors}");
    assert!(errors.contains("replayed 1 event "), "{errors}");
}
