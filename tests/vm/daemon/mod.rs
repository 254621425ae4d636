// SPDX-License-Identifier: MIT OR Apache-2.0
//! `evdev-client daemon`: rules and what they do, with a service manager that
//! speaks its protocol for real.

mod hooks;
mod inherited;
mod journal;
mod manager;
mod reload;
mod restart;

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{kill, Signal};
use nix::sys::stat::Mode;
use nix::unistd::{dup2_raw, mkfifo, Pid};

use crate::support::until_readable;
use manager::Manager;

/// A folder for one test, with its configuration; removed at the end.
struct Place {
    folder: PathBuf,
    /// Commands of the shell that becomes the daemon.
    before: &'static str,
    /// The program that starts the daemon, and its arguments.
    through: &'static str,
}

impl Place {
    /// `rules` are TOML; `FOLDER` in them stands for the folder.
    fn new(rules: &str) -> Place {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = PathBuf::from(format!("/tmp/daemon-{number}"));
        fs::create_dir(&folder).expect("a folder in /tmp");
        let place = Place {
            folder,
            before: "",
            through: "",
        };
        place.configure(rules);
        place
    }

    fn configure(&self, rules: &str) {
        let text = format!(
            "[[device]]\npath = \"/dev/evq\"\n[metrics]\nlisten = \"unix:FOLDER/metrics\"\n{rules}"
        );
        let text = text.replace("FOLDER", self.folder.to_str().expect("it is ASCII"));
        fs::write(self.path("daemon.toml"), text).expect("the configuration");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn fifo(&self, name: &str) -> Fifo {
        let path = self.path(name);
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).expect("mkfifo");
        Fifo::open(&path)
    }

    /// Whole lines of a file.
    fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        assert!(text.is_empty() || text.ends_with('\n'), "torn: {text:?}");
        text.lines().map(str::to_owned).collect()
    }

    /// The sequence numbers in a file of JSON lines.
    fn seqs(&self, name: &str) -> Vec<u64> {
        let seq = |line: &String| {
            let (_, rest) = line.split_once("\"seq\":").expect("a sequence number");
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
            digits.expect("digits").parse().expect("a number")
        };
        self.lines(name).iter().map(seq).collect()
    }

    /// What the metrics say; the daemon answers after all that it had to do.
    fn metrics(&self) -> String {
        let answer = self.ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("# EOF\n"), "{answer}");
        answer
    }

    fn ask(&self, request: &str) -> String {
        let mut stream = UnixStream::connect(self.path("metrics")).expect("the metrics' socket");
        stream.write_all(request.as_bytes()).expect("asking");
        let mut answer = String::new();
        until_readable(stream.as_fd(), "the answer");
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// Asks until the metrics have this line: what it tells of may still be on
    /// its way.
    fn until_metric(&self, line: &str) {
        let start = std::time::Instant::now();
        loop {
            let metrics = self.metrics();
            if metrics.lines().any(|other| other == line) {
                return;
            }
            assert!(
                start.elapsed() < crate::support::LIMIT,
                "no {line} in {metrics}"
            );
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A named pipe that never ends, since this keeps it open for writing too.
struct Fifo {
    reader: BufReader<File>,
}

impl Fifo {
    fn open(path: &Path) -> Fifo {
        let file = OpenOptions::new().read(true).write(true).open(path);
        Fifo {
            reader: BufReader::new(file.expect("opening a fifo")),
        }
    }

    /// The next line.
    fn line(&mut self) -> String {
        if self.reader.buffer().is_empty() {
            until_readable(self.reader.get_ref().as_fd(), "a fifo");
        }
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    fn write(&mut self, text: &str) {
        let file = self.reader.get_mut();
        file.write_all(text.as_bytes()).expect("writing to a fifo");
    }
}

/// The daemon, with a service manager of its own.
struct Daemon {
    child: Child,
    manager: Manager,
    log: PathBuf,
}

impl Daemon {
    /// Starts it and waits until it is ready.
    fn start(place: &Place) -> Daemon {
        Daemon::start_with(place, Vec::new(), &[])
    }

    /// With descriptors that were kept for it, and arguments.
    fn start_with(place: &Place, kept: Vec<(String, OwnedFd)>, arguments: &[&str]) -> Daemon {
        let manager = Manager::new(&place.path("notify"));
        let mut daemon = Daemon::spawn(place, manager, kept, arguments);
        daemon.until("READY=1");
        daemon
    }

    fn spawn(
        place: &Place,
        manager: Manager,
        kept: Vec<(String, OwnedFd)>,
        arguments: &[&str],
    ) -> Daemon {
        let log = place.path("log");
        let config = place.path("daemon.toml");
        // Its own process id has to be in the environment: a shell knows it.
        let script = format!(
            "{} LISTEN_PID=$$ exec {} evdev-client daemon \"$@\"",
            place.before, place.through
        );
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", &script, "sh"])
            .arg("--config")
            .arg(&config)
            .args(arguments)
            .env("NOTIFY_SOCKET", place.path("notify"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(
                OpenOptions::new()
                    .append(true)
                    .create(true)
                    .open(&log)
                    .expect("a log"),
            );
        if !kept.is_empty() {
            let names: Vec<&str> = kept.iter().map(|(name, _)| name.as_str()).collect();
            command
                .env("LISTEN_FDS", kept.len().to_string())
                .env("LISTEN_FDNAMES", names.join(":"));
            // Out of the way of the numbers that they get.
            let fds: Vec<OwnedFd> = kept.into_iter().map(|(_, fd)| high(fd)).collect();
            let numbered = move || {
                for (at, fd) in fds.iter().enumerate() {
                    // SAFETY: In the child nobody owns the numbers from 3 on.
                    let copy = unsafe { dup2_raw(fd, 3 + at as i32) }?;
                    std::mem::forget(copy);
                }
                Ok(())
            };
            // SAFETY: System calls only, between fork and exec.
            unsafe { command.pre_exec(numbered) };
        }
        // SAFETY: A system call only, between fork and exec.
        unsafe {
            command.pre_exec(|| {
                crate::support::signals::unblock_all();
                Ok(())
            })
        };
        let child = command.spawn().expect("starting the daemon");
        Daemon {
            child,
            manager,
            log,
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().expect("a process id"))
    }

    fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it is our child");
    }

    /// Waits for a message to the service manager with this line.
    fn until(&mut self, line: &str) {
        let log = self.log.clone();
        self.manager
            .until(line, || fs::read_to_string(&log).unwrap_or_default());
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("its log")
    }

    /// Waits for its end.
    fn end(mut self) -> (ExitStatus, Manager) {
        let status = self.child.wait().expect("waiting for it");
        let manager = std::mem::replace(&mut self.manager, Manager::none());
        (status, manager)
    }

    /// Has it stop, and expects it to do so well.
    fn stop(self) -> Manager {
        self.signal(Signal::SIGTERM);
        let log = self.log.clone();
        let (status, manager) = self.end();
        assert_eq!(
            status.code(),
            Some(0),
            "{status}: {}",
            fs::read_to_string(log).unwrap_or_default()
        );
        manager
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Only after a test has failed; else it has ended.
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A copy with a number of at least 100.
fn high(fd: OwnedFd) -> OwnedFd {
    use nix::fcntl::{fcntl, FcntlArg};
    use std::os::fd::FromRawFd as _;
    let copy = fcntl(&fd, FcntlArg::F_DUPFD_CLOEXEC(100)).expect("a copy");
    // SAFETY: Just made, and nobody else's.
    unsafe { OwnedFd::from_raw_fd(copy) }
}
