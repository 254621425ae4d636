// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Python package and the C header: their examples read what the library
//! writes, and they have the numbers of the interface. A FIFO stands for a queue.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use evq::Event;
use nix::sys::stat::Mode;
use tempfile::TempDir;

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn python() -> Command {
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", checkout().join("python"));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| {
        panic!("cannot run {command:?}: {error}; install the packages python3 and gcc")
    });
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Headers as the package installs them, and the program built with them.
fn compiled(folder: &Path, name: &str, source: &Path) -> PathBuf {
    let headers = folder.join("include/evq");
    fs::create_dir_all(&headers).unwrap();
    for (from, to) in [("uapi/evq.h", "evq.h"), ("evq_client.h", "client.h")] {
        fs::copy(checkout().join("include").join(from), headers.join(to)).unwrap();
    }
    let program = folder.join(name);
    let mut compiler = Command::new("cc");
    compiler.args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-I"]);
    compiler
        .arg(folder.join("include"))
        .arg(source)
        .arg("-o")
        .arg(&program);
    output(&mut compiler);
    program
}

/// Three records, with a loss, as a subscriber would read them.
fn records() -> Vec<u8> {
    let events = [(1, 0, &b"hi"[..]), (5, 3, &[]), (6, 0, &[0xff; 32])];
    let records = events.map(|(seq, lost, data)| {
        let event = Event::new(7, 1, data).unwrap();
        Event { seq, lost, ..event }
    });
    let mut bytes = Vec::new();
    for event in records {
        bytes.extend(event.seq.to_ne_bytes());
        bytes.extend(event.time_ns.to_ne_bytes());
        bytes.extend(event.source.to_ne_bytes());
        bytes.extend(event.type_.to_ne_bytes());
        bytes.extend(event.code.to_ne_bytes());
        bytes.extend(event.lost.to_ne_bytes());
        let payload = event.payload();
        bytes.extend((payload.len() as u16).to_ne_bytes());
        bytes.extend([0; 2]);
        let mut data = [0; 32];
        data[..payload.len()].copy_from_slice(payload);
        bytes.extend(data);
    }
    bytes
}

/// What an example prints of the records, each of which comes by itself.
fn printed(mut command: Command, folder: &Path) -> String {
    let fifo = folder.join("fifo");
    nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    // So that the example finds a writer, whenever it opens the other end.
    let options = fs::File::options().read(true).write(true).open(&fifo);
    let mut both = options.unwrap();
    let records = records();
    both.write_all(&records[..64]).unwrap();
    let child = command.arg(&fifo).stdout(Stdio::piped()).spawn().unwrap();
    // Waits for the reader, which both is not.
    let entry = format!("/proc/{}/fd", child.id());
    let is_open = || {
        let fds = fs::read_dir(&entry).into_iter().flatten().flatten();
        fds.filter_map(|fd| fs::read_link(fd.path()).ok())
            .any(|to| to == fifo)
    };
    while !is_open() {
        std::thread::yield_now();
    }
    both.write_all(&records[64..]).unwrap();
    drop(both);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    fs::remove_file(&fifo).unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn wanted() -> String {
    format!(
        "1 7 1 6869\nlost 3 just before 5\n5 7 1 \n6 7 1 {}\n",
        "ff".repeat(32)
    )
}

#[test]
fn c_example_prints_the_events() {
    let folder = TempDir::new().unwrap();
    let source = checkout().join("userspace/examples/tail.c");
    let program = compiled(folder.path(), "tail", &source);
    assert_eq!(printed(Command::new(program), folder.path()), wanted());
}

#[test]
fn python_example_prints_the_events() {
    let folder = TempDir::new().unwrap();
    let mut command = python();
    command.arg(checkout().join("python/examples/tail.py"));
    let text = printed(command, folder.path());
    let (meanwhile, events): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.contains("meanwhile"));
    assert_eq!(meanwhile.len(), 1, "{text}");
    assert_eq!(events.join("\n"), wanted() + "3 events");
}

/// A batch that is posted is what a subscriber reads.
#[test]
fn python_posts_what_it_reads() {
    let folder = TempDir::new().unwrap();
    let fifo = folder.path().join("fifo");
    nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let script = "import evq, sys\n\
        with evq.Queue(sys.argv[1], write=True) as queue:\n    \
            events = [evq.Event(7, 65535, b'x' * size) for size in (0, 1, 32)]\n    \
            print(queue.read(), queue.post(*events), queue.read(2) == events[:2])\n    \
            print(queue.read() == events[2:])\n    \
            try:\n        queue.post(evq.Event(1, 2, b'x' * 33))\n    \
            except ValueError as error:\n        print(error)\n";
    let text = output(python().args(["-c", script]).arg(&fifo));
    let wanted = "[] 3 True\nTrue\na payload has up to 32 bytes, not 33\n";
    assert_eq!(text, wanted);
}

/// The numbers are computed in Python, and come from the header in C.
#[test]
fn python_has_the_numbers_of_the_header() {
    let folder = TempDir::new().unwrap();
    let source = folder.path().join("numbers.c");
    let text = "#include <stdio.h>\n#include <evq/client.h>\nint main(void)\n{\n\
        printf(\"%lu %lu %zu %zu %u\\n\", (unsigned long)EVQ_IOC_INFO, (unsigned long)EVQ_IOC_SEEK,\n\
        sizeof(struct evq_event), sizeof(struct evq_info), EVQ_SOURCE_KERNEL);\nreturn 0;\n}\n";
    fs::write(&source, text).unwrap();
    let program = compiled(folder.path(), "numbers", &source);
    let script = "import evq; print(evq.IOC_INFO, evq.IOC_SEEK, evq._EVENT.size, evq._INFO.size, \
                  evq.SOURCE_KERNEL)";
    let of_python = output(python().args(["-c", script]));
    assert_eq!(of_python, output(&mut Command::new(program)));
}
