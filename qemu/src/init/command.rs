// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs the command and carries its stdio over the data port.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::Context;
use evq_vm::wire::{
    path, read_frame, write_frame, DataPort, Report, Status, Stream, FRAME_MAX, SERIAL_DATA,
    VIRTIO_PORT,
};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::pty::{openpty, Winsize};
use nix::sys::signal::{kill, Signal};
use nix::unistd::pipe2;
use nix::unistd::Pid;

use crate::control::{open_raw, Control};
use crate::read;

const SERIAL: &str = "/dev/ttyS1";

/// How the command ended and how much it has written.
pub(crate) struct Ended {
    pub(crate) status: Status,
    pub(crate) out: u64,
    pub(crate) err: u64,
}

type Port = Arc<Mutex<File>>;

/// Runs the command to its end, then ends whatever it has left behind.
pub(crate) fn run(control: &Control) -> anyhow::Result<Ended> {
    let argv = words(path::ARGV)?;
    let (program, arguments) = argv.split_first().context("the command is empty")?;
    let stdio = read(path::STDIO)?;
    let (kind, port) = open_port()?;
    let input = port.try_clone().context("duplicating the data port")?;
    let port: Port = Arc::new(Mutex::new(port));

    let terminal = stdio.strip_prefix("tty ");
    let mut command = if terminal.is_some() {
        // Gives the command a session with its standard input as the terminal.
        let mut command = Command::new("/bin/busybox");
        command.args(["setsid", "-c"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.args(arguments);
    command.env_clear();
    for variable in words(path::ENV)? {
        let text = variable.as_bytes();
        let end = text
            .iter()
            .position(|&byte| byte == b'=')
            .unwrap_or(text.len());
        command.env(
            OsStr::from_bytes(&text[..end]),
            OsStr::from_bytes(text.get(end + 1..).unwrap_or_default()),
        );
    }
    // Spawn looks the program up in this PATH, not in that of init.
    command.current_dir("/tmp");

    let (streams, to_child): (Vec<_>, File) = if let Some(size) = terminal {
        let (rows, columns) = size.trim().split_once(' ').unwrap_or(("24", "80"));
        let size = Winsize {
            ws_row: rows.parse().unwrap_or(24),
            ws_col: columns.parse().unwrap_or(80),
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(Some(&size), None).context("openpty in the guest")?;
        control.set_terminal(
            nix::unistd::ttyname(&pty.slave)
                .context("the name of the guest's terminal")?
                .to_string_lossy()
                .into_owned(),
        );
        let copy = |fd: &OwnedFd| fd.try_clone().context("duplicating a terminal");
        command
            .stdin(Stdio::from(copy(&pty.slave)?))
            .stdout(Stdio::from(copy(&pty.slave)?))
            .stderr(Stdio::from(pty.slave));
        let to_child = File::from(copy(&pty.master)?);
        (vec![(Stream::Stdout, File::from(pty.master))], to_child)
    } else {
        let pipe = || pipe2(OFlag::O_CLOEXEC).context("a pipe for the command");
        let ((stdin, to_child), (out, stdout), (err, stderr)) = (pipe()?, pipe()?, pipe()?);
        command.stdin(stdin).stdout(stdout).stderr(stderr);
        (
            vec![
                (Stream::Stdout, File::from(out)),
                (Stream::Stderr, File::from(err)),
            ],
            File::from(to_child),
        )
    };

    control.send(&Report::Start(kind))?;
    let child = command.spawn();
    // It holds ends of the pipes, which would keep them from ending.
    drop(command);
    let child = match child {
        Ok(child) => child,
        Err(error) => return refused(program, &error, &port),
    };
    let relays: Vec<JoinHandle<io::Result<u64>>> = streams
        .into_iter()
        .map(|(stream, from)| {
            let port = Arc::clone(&port);
            thread::spawn(move || relay(stream, from, &port))
        })
        .collect();
    let acknowledge = Arc::clone(&port);
    thread::spawn(move || feed(input, to_child, &acknowledge));
    let status = wait_for(i32::try_from(child.id())?)?;
    end_the_rest()?;
    finish(status, relays, &port)
}

/// The command could not be started: says so on its stderr, and gives the
/// status that shells give.
fn refused(program: &OsStr, error: &io::Error, port: &Port) -> anyhow::Result<Ended> {
    let code = if error.kind() == io::ErrorKind::NotFound {
        127
    } else {
        126
    };
    let text = format!(
        "evq-init: cannot run {} in the guest: {error}\n",
        program.to_string_lossy()
    );
    let text = &text.as_bytes()[..text.len().min(FRAME_MAX)];
    let mut port = port.lock().unwrap_or_else(PoisonError::into_inner);
    write_frame(&mut *port, Stream::Stderr, text)
        .and_then(|()| write_frame(&mut *port, Stream::Stdout, b""))
        .context("writing to the data port")?;
    Ok(Ended {
        status: Status::Exited(code),
        out: 0,
        err: text.len() as u64,
    })
}

fn finish(
    status: Status,
    relays: Vec<JoinHandle<io::Result<u64>>>,
    port: &Port,
) -> anyhow::Result<Ended> {
    let mut written = relays.into_iter().map(|relay| {
        relay
            .join()
            .map_err(|_| anyhow::anyhow!("a relay of the guest's init panicked"))?
            .context("relaying the command's output")
    });
    let out = written.next().transpose()?.unwrap_or(0);
    let err = written.next().transpose()?.unwrap_or(0);
    let mut port = port.lock().unwrap_or_else(PoisonError::into_inner);
    write_frame(&mut *port, Stream::Stdout, b"").context("writing to the data port")?;
    Ok(Ended { status, out, err })
}

/// The virtio port, or else the serial one.
fn open_port() -> anyhow::Result<(DataPort, File)> {
    if !read("/proc/cmdline")?.contains(SERIAL_DATA) {
        // Without the driver there is no such folder.
        let ports = fs::read_dir("/sys/class/virtio-ports");
        for port in ports.into_iter().flatten().flatten() {
            let name = fs::read_to_string(port.path().join("name")).unwrap_or_default();
            if name.trim() == VIRTIO_PORT {
                let path = Path::new("/dev").join(port.file_name());
                let file = OpenOptions::new()
                    .read(true)
                    .write(true)
                    .open(&path)
                    .with_context(|| format!("opening {} in the guest", path.display()))?;
                return Ok((DataPort::Virtio, file));
            }
        }
    }
    Ok((DataPort::Serial, open_raw(SERIAL)?))
}

fn words(file: &str) -> anyhow::Result<Vec<OsString>> {
    let bytes = fs::read(file).with_context(|| format!("reading {file} in the guest"))?;
    Ok(bytes
        .split_inclusive(|&byte| byte == 0)
        .map(|word| OsStr::from_bytes(word.strip_suffix(b"\0").unwrap_or(word)).to_owned())
        .collect())
}

/// Copies until the last writer has gone; returns how many bytes that was.
fn relay(stream: Stream, mut from: File, port: &Port) -> io::Result<u64> {
    let mut buffer = [0; FRAME_MAX];
    let mut total = 0;
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(total),
            // The last slave of a terminal was closed.
            Err(error) if error.raw_os_error() == Some(Errno::EIO as i32) => return Ok(total),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
            Ok(count) => count,
        };
        let mut port = port.lock().unwrap_or_else(PoisonError::into_inner);
        write_frame(&mut *port, stream, &buffer[..count])?;
        total += count as u64;
    }
}

/// Hands the host's input to the command, a frame at a time.
fn feed(mut input: File, to_child: File, port: &Port) {
    let mut to_child = Some(to_child);
    while let Ok(Some((Stream::Stdin, data))) = read_frame(&mut input) {
        let gone = match to_child.as_mut() {
            // The end of the input.
            _ if data.is_empty() => true,
            // A command that does not read any more: take the rest, drop it.
            Some(child) => child.write_all(&data).is_err(),
            None => false,
        };
        if gone {
            to_child = None;
        }
        let mut port = port.lock().unwrap_or_else(PoisonError::into_inner);
        if write_frame(&mut *port, Stream::Stdin, b"").is_err() {
            return;
        }
    }
}

/// Waits for the command, and on the way reaps orphans as PID 1 has to.
fn wait_for(command: i32) -> anyhow::Result<Status> {
    loop {
        match wait() {
            Ok((pid, status)) if pid == command => {
                return Ok(match (status.code(), status.signal()) {
                    (Some(code), _) => Status::Exited(u8::try_from(code & 0xff)?),
                    (None, Some(signal)) => Status::Signalled(signal),
                    (None, None) => anyhow::bail!("a status that is no end: {status:?}"),
                });
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => anyhow::bail!("waiting for the command in the guest: {errno}"),
        }
    }
}

/// Waits for any child. nix's own call fails for a child that a realtime
/// signal has killed, and the status is gone then.
fn wait() -> Result<(i32, ExitStatus), Errno> {
    let mut status = 0;
    // SAFETY: the pointer is to a live local, and nothing else is passed.
    let pid = unsafe { nix::libc::waitpid(-1, &raw mut status, 0) };
    Errno::result(pid).map(|pid| (pid, ExitStatus::from_raw(status)))
}

fn end_the_rest() -> anyhow::Result<()> {
    match kill(Pid::from_raw(-1), Signal::SIGKILL) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(errno) => anyhow::bail!("ending the processes that the command has left: {errno}"),
    }
    loop {
        match wait() {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(Errno::ECHILD) => return Ok(()),
            Err(errno) => anyhow::bail!("waiting for what the command has left: {errno}"),
        }
    }
}
