// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is printed, and when it ends.

use std::process::Stdio;

use crate::program::{command, fifo, say, text, writer, Watch};

/// Starts a watch of standard input.
fn stdin(arguments: &[&str]) -> Watch {
    Watch::start_with(&[&["--device", "-"], arguments].concat(), |command| {
        command.stdin(Stdio::piped());
    })
}

/// C6: values for programs: titles, then one line each, and the banner is told
/// apart.
#[test]
fn c6_csv_has_titles_and_quotes() {
    let mut watch = stdin(&["--format", "csv"]);
    assert!(watch.banner.starts_with("# evdev-client: watching stdin"));
    assert_eq!(
        watch.line(),
        "device,seq,time,source,type,code,lost,value,data,text,utc,boot_id"
    );
    say(watch.child.stdin.as_ref().unwrap(), "one,two");
    let line = watch.line();
    assert!(line.starts_with("stdin,,"), "{line}");
    assert!(
        line.contains(",stdin,,,0,,6f6e652c74776f0a,\"one,two\","),
        "{line}"
    );
    watch.stop();
}

/// C6: a line of one's own, with the time as a date.
#[test]
fn c6_custom_lines_have_the_fields() {
    let mut watch = stdin(&["--format", "%s|%x|%t|%n", "--time", "utc"]);
    say(watch.child.stdin.as_ref().unwrap(), "words");
    let line = watch.line();
    let fields: Vec<&str> = line.split('|').collect();
    assert_eq!((fields[0], fields[1], fields[3]), ("stdin", "words", "-"));
    // 2026-11-21T12:34:56.123456789Z
    assert_eq!(fields[2].len(), 30, "{line}");
    assert!(
        fields[2].ends_with('Z') && fields[2].contains('T'),
        "{line}"
    );
    watch.stop();
}

/// The first event is the beginning of relative times.
#[test]
fn relative_times_begin_with_the_first_event() {
    let mut watch = stdin(&["--format", "%t %x", "--time", "relative"]);
    say(watch.child.stdin.as_ref().unwrap(), "first");
    assert_eq!(watch.line(), "0.000000000 first");
    watch.stop();
}

/// The time since the event before.
#[test]
fn c6_deltas_begin_with_0() {
    let mut watch = stdin(&["--format", "%t %x", "--time", "delta"]);
    say(watch.child.stdin.as_ref().unwrap(), "first");
    assert_eq!(watch.line(), "0.000000000 first");
    say(watch.child.stdin.as_ref().unwrap(), "second");
    let line = watch.line();
    let (delta, text) = line.split_once(' ').unwrap();
    assert_eq!(text, "second");
    assert!(delta.parse::<f64>().unwrap() > 0.0, "{line}");
    watch.stop();
}

/// What is hex is also there in ASCII, if it is asked for.
#[test]
fn c6_payloads_in_hex_have_an_ascii_column() {
    let mut watch = stdin(&["--ascii"]);
    let mut send = |bytes: &[u8]| {
        std::io::Write::write_all(&mut watch.child.stdin.as_ref().unwrap(), bytes).unwrap();
        watch.line()
    };
    let line = send(b"\0ding\n");
    assert!(
        line.ends_with("  |.ding.|") && line.contains("data 0064696e670a "),
        "{line}"
    );
    let line = send(b"words\n");
    assert!(line.ends_with(" words"), "{line}");
    watch.stop();
    let mut watch = stdin(&["--format", "%a|%x"]);
    say(watch.child.stdin.as_ref().unwrap(), "words");
    assert_eq!(watch.line(), "words.|words");
    watch.stop();
}

/// A limit of time is what was asked for, unless something else was too.
#[test]
fn the_status_tells_whether_time_or_count_was_reached() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = fifo(dir.path());
    let limited = ["--device", text(&fifo), "--timeout", "20ms"];
    let ended = Watch::start(&limited).end();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(ended.errors.contains("(time is up)"), "{ended:?}");
    let ended = Watch::start(&[&limited[..], &["-n", "1"]].concat()).end();
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");

    let watch = Watch::start(&["--device", text(&fifo), "--timeout", "1h", "-n", "1"]);
    say(writer(&fifo), "in time");
    let ended = watch.end();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(ended.errors.contains("(count reached)"), "{ended:?}");
}

/// C6: a reader of messages that has left ends nothing.
#[test]
fn c6_nobody_has_to_read_the_messages() {
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    drop(reader);
    let mut command = command(&["--device", "-", "--num-events", "1"]);
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(writer)
        .spawn()
        .unwrap();
    say(child.stdin.as_ref().unwrap(), "one");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(String::from_utf8(output.stdout).unwrap().ends_with("one\n"));
}

/// C7: what cannot be meant.
#[test]
fn c7_wrong_options_say_what_there_is() {
    let cases: [(&[&str], i32, &str); 12] = [
        (&["--format", "xml"], 2, "give text, json, csv"),
        (&["--format", "%q"], 2, "no field is called %q"),
        (
            &["--time", "noon"],
            2,
            "monotonic, relative, delta, utc, local",
        ),
        (&["--since", "noon"], 2, "how long ago"),
        (&["--since", "1h", "--last", "2"], 2, "cannot be used with"),
        (&["--from", "1", "--last", "2"], 2, "cannot be used with"),
        (
            &["--every", "1h", "--last", "2"],
            1,
            "--from works on queues only, as --last and --since do",
        ),
        (&["--type", "KEY_A"], 2, "give it as code"),
        (&["--code", "EV_KEY"], 2, "give it as type"),
        (&["--source", "me"], 2, "pid:N"),
        (&["--every", "0"], 2, "number of seconds above 0"),
        (
            &["--device", "-", "--via", "blocking", "--timeout", "1"],
            1,
            "--timeout cannot be kept by --via blocking",
        ),
    ];
    for (arguments, status, message) in cases {
        let output = command(arguments).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            output.status.code(),
            Some(status),
            "{arguments:?}: {errors}"
        );
        assert!(errors.contains(message), "{arguments:?}: {errors}");
    }
}
