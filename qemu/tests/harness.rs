// SPDX-License-Identifier: MIT OR Apache-2.0
//! The harness itself is tested: whatever can go wrong in a guest is reported
//! as exactly that. These tests boot VMs, through qemu/run as users do, and
//! need no module of the project.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

/// `qemu/run` of this checkout, without the project's modules. What the
/// environment of the test run says of a kernel holds for it too.
fn run(options: &[&str], command: &[&str]) -> Command {
    let mut run = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("run"));
    run.args(["--no-evq", "--smp", "1"])
        .args(options)
        .arg("--")
        .args(command);
    run.stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    run
}

/// Runs a script of the guest's shell.
fn shell(options: &[&str], script: &str) -> Output {
    run(options, &["sh", "-c", script])
        .output()
        .expect("qemu/run starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The kinds of failure that were reported, by their exit codes, after a check
/// that the first one is the exit code and that the run can be replayed.
#[track_caller]
fn failures(output: &Output) -> Vec<i32> {
    let err = text(&output.stderr);
    let kinds: Vec<i32> = err
        .lines()
        .filter_map(|line| {
            line.strip_prefix("evq-vm: FAILED (")?
                .split_once(')')?
                .0
                .parse()
                .ok()
        })
        .collect();
    assert_eq!(output.status.code(), kinds.first().copied(), "{err}");
    assert!(
        err.contains("\nreplay: ") && err.contains("--no-evq"),
        "{err}"
    );
    assert!(err.contains("kernel.log"), "{err}");
    kinds
}

#[track_caller]
fn passes(output: &Output, code: i32) {
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{err}");
    assert!(!err.contains("FAILED"), "{err}");
}

#[test]
fn status_streams_words_input_and_environment_pass_through_exactly() {
    let script =
        r#"printf '<%s>' "$@"; printf '[%s]' "$RUST_LOG" "${SECRET-unset}" >&2; cat; exit 7"#;
    let words = [
        "sh",
        "-c",
        script,
        "sh",
        "a b",
        "it's \"q\"",
        "$HOME",
        "",
        "-x\n\\",
    ];
    let mut child = run(&[], &words)
        .env("RUST_LOG", "debug, x=y")
        .env("SECRET", "not forwarded")
        .stdin(Stdio::piped())
        .spawn()
        .expect("qemu/run starts");
    // All byte values, and more than any buffer on the way holds.
    let input: Vec<u8> = (0..200_000_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    let mut stdin = child.stdin.take().expect("a pipe");
    let copy = input.clone();
    let writer = thread::spawn(move || stdin.write_all(&copy));
    let output = child.wait_with_output().expect("qemu/run ends");
    writer
        .join()
        .expect("no panic")
        .expect("the input was taken");
    passes(&output, 7);
    let mut expected = b"<a b><it's \"q\"><$HOME><><-x\n\\>".to_vec();
    expected.extend(input);
    assert!(
        output.stdout == expected,
        "{} bytes came back",
        output.stdout.len()
    );
    assert!(text(&output.stderr).contains("[debug, x=y][unset]"));
}

#[test]
fn a_flood_arrives_whole() {
    const BYTES: usize = 50_000_000;
    let script = format!("yes 0123456789abcde | head -c {BYTES}; echo on stderr >&2");
    let output = shell(&[], &script);
    passes(&output, 0);
    assert_eq!(output.stdout.len(), BYTES);
    let line = b"0123456789abcde\n";
    let odd = output
        .stdout
        .chunks(line.len())
        .position(|chunk| chunk != line);
    assert_eq!(odd, None, "in this chunk of {} bytes", line.len());
    assert!(text(&output.stderr).contains("on stderr"));
}

#[test]
fn output_also_arrives_over_a_plain_serial_port() {
    // What is left running in the background must not hold the end up.
    let script = "seq 1 20000; cat >&2; (exec sleep 1000000) & exit 0";
    let mut child = run(&["--append", "evq_vm.data=serial"], &["sh", "-c", script])
        .stdin(Stdio::piped())
        .spawn()
        .expect("qemu/run starts");
    let input = "x".repeat(10_000);
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(input.as_bytes())
        .expect("taken");
    let output = child.wait_with_output().expect("qemu/run ends");
    passes(&output, 0);
    let expected: String = (1..=20_000).map(|n| format!("{n}\n")).collect();
    assert!(
        text(&output.stdout) == expected,
        "{} bytes",
        output.stdout.len()
    );
    assert!(text(&output.stderr).contains(&input));
}

#[test]
fn missing_and_garbled_output_are_told() {
    let serial = ["--append", "evq_vm.data=serial"];
    // One valid frame that init knows nothing of: the counts differ.
    let output = shell(&serial, r"printf '1\003\000abc' > /dev/ttyS1");
    assert_eq!(failures(&output), [208]);
    assert!(text(&output.stderr).contains("of 0 bytes of stdout 3 have arrived"));
    let output = shell(&serial, "echo garbage > /dev/ttyS1");
    assert_eq!(failures(&output)[0], 208);
    assert!(text(&output.stderr).contains("garbled"));
}

#[test]
fn signals_are_told_from_statuses() {
    passes(&shell(&[], "kill -9 $$"), 128 + 9);
    // A realtime signal, which not every library knows.
    passes(&shell(&[], "kill -40 $$"), 128 + 40);
}

#[test]
fn a_command_that_is_not_there_is_127() {
    let output = run(&[], &["/bin/no-such-thing"])
        .output()
        .expect("qemu/run starts");
    passes(&output, 127);
    assert!(text(&output.stderr).contains("/bin/no-such-thing"));
}

#[test]
fn a_panic_is_a_panic() {
    // What is still on its way when the kernel panics is lost.
    let script = "echo before; read go; echo c > /proc/sysrq-trigger; sleep 1000000";
    let mut child = run(&[], &["sh", "-c", script])
        .stdin(Stdio::piped())
        .spawn()
        .expect("qemu/run starts");
    let mut stdout = child.stdout.take().expect("a pipe");
    let mut before = [0; 7];
    stdout.read_exact(&mut before).expect("the line before it");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(b"go\n").expect("the guest reads a line");
    let output = child.wait_with_output().expect("qemu/run ends");
    assert_eq!(failures(&output)[0], 203);
    assert_eq!(text(&before), "before\n");
    assert!(text(&output.stderr).contains("sysrq triggered crash"));
}

#[test]
fn a_guest_that_dies_before_its_init_is_started_once_more() {
    // With input too, none of which is read for nothing.
    let output = run(&["--append", "rdinit=/nowhere"], &["cat"])
        .stdin(Stdio::piped())
        .output()
        .expect("qemu/run starts");
    assert_eq!(failures(&output)[0], 203);
    assert_eq!(text(&output.stdout), "");
    assert_eq!(
        text(&output.stderr)
            .matches("starting it once more")
            .count(),
        1
    );
}

#[test]
fn a_hang_is_a_hang() {
    let output = shell(&["--timeout", "2"], "echo before; sleep 1000000");
    assert_eq!(failures(&output), [206]);
    assert_eq!(text(&output.stdout), "before\n");
}

#[test]
fn a_warning_is_found_even_when_the_console_is_turned_down() {
    let script = "dmesg -n 1; echo '<4>WARNING: drivers/x.c:1 at x+0x1/0x2' > /dev/kmsg; exit 7";
    let output = shell(&[], script);
    assert_eq!(failures(&output), [204]);
    let err = text(&output.stderr);
    assert!(err.contains("WARNING: drivers/x.c:1 at x+0x1/0x2"), "{err}");
    assert!(err.contains("the command itself: exit status 7"), "{err}");
}

#[test]
fn a_taint_is_a_taint() {
    let output = shell(&[], "echo 64 > /proc/sys/kernel/tainted");
    assert_eq!(failures(&output), [205]);
    assert!(text(&output.stderr).contains("run: U ("));
}

#[test]
fn a_reset_leaves_no_status() {
    assert_eq!(failures(&shell(&[], "echo before; reboot -f")), [207]);
}

#[test]
fn a_module_that_is_none_is_told_before_the_command() {
    let output = shell(&["--module", "/proc/version"], "echo never");
    assert_eq!(failures(&output), [202]);
    assert_eq!(text(&output.stdout), "");
    assert!(text(&output.stderr).contains("/lib/evq/version"));
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let mut child = run(&[], &["sh", "-c", "yes"])
        .spawn()
        .expect("qemu/run starts");
    let mut stdout = child.stdout.take().expect("a pipe");
    let mut some = [0; 4];
    stdout.read_exact(&mut some).expect("output");
    drop(stdout);
    let output = child.wait_with_output().expect("qemu/run ends");
    passes(&output, 128 + 13);
    assert_eq!(&some, b"y\ny\n");
}

#[test]
fn keys_arrive_in_order_and_each_request_is_answered() {
    // In a struct input_event, the 16-bit words 9, 10 and 11 are type, code
    // and the value's lower half; EV_KEY is 1. Each request returns after the input layer has seen
    // the key, so the reader that was started before has all of them. The AT keyboard of x86-64
    // gives three events a stroke, the virtio keyboard of arm64 two.
    let script = r#"
        keyboard=/dev/input/$(sed -n '/[Kk]eyboard/,/^$/s/.*Handlers=.*\(event[0-9]*\).*/\1/p' \
            /proc/bus/input/devices)
        exec 3<"$keyboard"
        vm-ctl key a shift-b || exit 1
        vm-ctl down c && vm-ctl up c || exit 1
        vm-ctl key no_such_key && exit 1
        events=2
        ! grep -q 'AT Translated' /proc/bus/input/devices || events=3
        head -c $((8 * events * 24)) <&3 | od -An -v -w24 -t u2 | awk '$9 == 1 { print $10, $11 }'
    "#;
    let output = shell(&["--timeout", "60"], script);
    passes(&output, 0);
    // KEY_A 30, KEY_LEFTSHIFT 42, KEY_B 48, KEY_C 46.
    let expected = "30 1\n30 0\n42 1\n48 1\n48 0\n42 0\n46 1\n46 0\n";
    assert_eq!(text(&output.stdout), expected);
    assert!(text(&output.stderr).contains("no_such_key"));
}

#[test]
fn what_is_not_there_is_said_before_anything_boots() {
    let output = run(&[], &["true"])
        .env("EVQ_KERNEL_DIR", "/nonexistent")
        .output()
        .expect("qemu/run starts");
    assert_eq!(output.status.code(), Some(200));
    assert!(text(&output.stderr).contains("/nonexistent"));
    let output = run(&["--file", "relative:path"], &["true"])
        .output()
        .expect("qemu/run starts");
    assert_eq!(output.status.code(), Some(2));
    let dynamic = std::env::current_exe().expect("a path");
    let dynamic = dynamic.to_str().expect("UTF-8");
    let output = run(&["--cargo"], &[dynamic])
        .output()
        .expect("qemu/run starts");
    assert_eq!(output.status.code(), Some(200));
    assert!(text(&output.stderr).contains("linked dynamically"));
}
