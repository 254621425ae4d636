// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program as a user starts it, and the sources for it.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::pty;
use nix::sys::signal::{kill, SigSet, Signal};
use nix::sys::stat::Mode;
use nix::unistd::Pid;

/// `evdev-client watch`, armed: its banner is what says so.
pub(crate) struct Watch {
    pub(crate) child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
    pub(crate) banner: String,
}

/// What was left to say.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) lines: Vec<String>,
    pub(crate) errors: String,
}

/// The command; one that hangs is killed.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evdev-client"));
    command.arg("watch").args(arguments).stdin(Stdio::null());
    limit(&mut command);
    command
}

/// Has a program end with SIGALRM that hangs, and begin with no signal blocked.
pub(crate) fn limit(command: &mut Command) {
    // SAFETY: System calls only, between fork and exec.
    unsafe {
        command.pre_exec(|| {
            SigSet::all().thread_unblock()?;
            nix::unistd::alarm::set(60);
            Ok(())
        })
    };
}

impl Watch {
    pub(crate) fn start(arguments: &[&str]) -> Watch {
        Watch::start_with(arguments, |_| ())
    }

    pub(crate) fn start_with(arguments: &[&str], change: impl FnOnce(&mut Command)) -> Watch {
        let mut command = command(arguments);
        command.arg("--banner");
        change(&mut command);
        Watch::spawn(command)
    }

    /// Starts any command that ends up as the program.
    pub(crate) fn spawn(mut command: Command) -> Watch {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut watch = Watch {
            child,
            stdout,
            stderr,
            banner: String::new(),
        };
        watch.banner = watch.line();
        if !watch.banner.contains("watching") {
            let banner = watch.banner.clone();
            panic!("no banner but {banner:?}: {:?}", watch.end());
        }
        watch
    }

    /// The next line of its output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Reads lines until there is one with `text`.
    pub(crate) fn until(&mut self, text: &str) -> String {
        loop {
            let line = self.line();
            assert_ne!(line, "", "it has ended, or printed nothing for {text:?}");
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Reads lines of its messages until there is one with `text`; gives all.
    pub(crate) fn told(&mut self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            self.stderr.read_line(&mut line).unwrap();
            assert_ne!(line, "", "it has ended; no {text:?} in {lines:?}");
            let found = line.contains(text);
            lines.push(line);
            if found {
                return lines;
            }
        }
    }

    /// Closes the reading end of its output.
    pub(crate) fn close_output(&mut self) {
        // Before it can notice and end.
        let output = self.output();
        let (reader, _writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).unwrap();
        let reader = ChildStdout::from(reader);
        self.stdout = BufReader::new(reader);
        // Others that have just forked, and have not become a program yet, have it too.
        until(&output, |state| state.contains(PollFlags::POLLERR));
    }

    /// Waits until the pipe of its output takes no more.
    pub(crate) fn until_output_is_full(&self) {
        until(&self.output(), |state| state.is_empty());
    }

    /// The writing end of its output.
    fn output(&self) -> File {
        writer(Path::new(&format!("/proc/{}/fd/1", self.child.id())))
    }

    /// Waits until it sleeps in a system call: it has done what it was told.
    pub(crate) fn until_asleep(&self) {
        let read = |name| std::fs::read_to_string(format!("/proc/{}/{name}", self.child.id()));
        loop {
            let (call, stat) = (read("syscall").unwrap(), read("stat").unwrap());
            let (_, state) = stat.rsplit_once(") ").unwrap();
            if !call.starts_with("running") && state.starts_with('S') {
                return;
            }
            std::thread::yield_now();
        }
    }

    /// Waits until SIGSTOP has stopped it.
    pub(crate) fn until_stopped(&self) {
        let stat = || std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        while !stat().rsplit_once(") ").unwrap().1.starts_with('T') {
            std::thread::yield_now();
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap());
        kill(pid, signal).unwrap();
    }

    /// Reads all that it still says.
    pub(crate) fn end(mut self) -> Ended {
        drop(self.child.stdin.take());
        self.rest()
    }

    fn rest(mut self) -> Ended {
        let _open = self.child.stdin.take();
        let lines = self.stdout.lines().map(Result::unwrap).collect();
        let mut errors = String::new();
        self.stderr.read_to_string(&mut errors).unwrap();
        Ended {
            status: self.child.wait().unwrap(),
            lines,
            errors,
        }
    }

    /// Ends it by SIGTERM.
    pub(crate) fn stop(self) -> Ended {
        self.signal(Signal::SIGTERM);
        let ended = self.rest();
        assert_eq!(ended.status.code(), Some(143), "{ended:?}");
        ended
    }
}

/// Waits until poll says this of a pipe's writing end.
fn until(output: &File, reached: impl Fn(PollFlags) -> bool) {
    loop {
        let mut fds = [PollFd::new(output.as_fd(), PollFlags::POLLOUT)];
        nix::poll::poll(&mut fds, PollTimeout::ZERO).unwrap();
        if reached(fds[0].revents().unwrap()) {
            return;
        }
        std::thread::yield_now();
    }
}

/// A FIFO in a folder.
pub(crate) fn fifo(dir: &Path) -> PathBuf {
    let path = dir.join("fifo");
    nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
    path
}

/// Its writing end. Does not wait: the program has it open.
pub(crate) fn writer(path: &Path) -> File {
    File::options().write(true).open(path).unwrap()
}

/// A FIFO with a writer, made elsewhere and moved to `path`: a blocking read needs
/// the writer first.
pub(crate) fn appear(path: &Path) -> (File, File) {
    let dir = tempfile::tempdir().unwrap();
    let hidden = fifo(dir.path());
    let both = File::options().read(true).write(true).open(&hidden);
    let (reader, other) = (both.unwrap(), writer(&hidden));
    std::fs::rename(&hidden, path).unwrap();
    (reader, other)
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Writes a line.
pub(crate) fn say(mut to: impl std::io::Write, line: &str) {
    to.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// A pseudoterminal: its other end, which children do not inherit, and its path.
pub(crate) fn terminal() -> (File, PathBuf) {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let master = pty::posix_openpt(flags).unwrap();
    pty::grantpt(&master).unwrap();
    pty::unlockpt(&master).unwrap();
    let path = pty::ptsname_r(&master).unwrap();
    (File::from(OwnedFd::from(master)), path.into())
}
