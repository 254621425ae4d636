// SPDX-License-Identifier: MIT OR Apache-2.0
//! The metrics of the daemon, as HTTP clients ask for them (RFC 9110, RFC 9112)
//! and as readers of OpenMetrics parse them.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use openmetrics_parser::openmetrics::parse_openmetrics;
use tempfile::TempDir;

struct Daemon {
    child: Child,
    socket: PathBuf,
    _folder: TempDir,
}

impl Daemon {
    /// One that waits for a device that never comes, and answers.
    fn start() -> Daemon {
        let folder = TempDir::new().unwrap();
        let [config, socket] = ["daemon.toml", "socket"].map(|name| folder.path().join(name));
        let text = format!(
            "[[device]]\npath = \"/nonexistent\"\nwait = true\n\
             [metrics]\nlisten = \"unix:{}\"\n",
            socket.display()
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_evdev-client"));
        command.args(["daemon", "--config"]).arg(config);
        // SAFETY: A system call only, between fork and exec: one that hangs is killed.
        unsafe {
            command.pre_exec(|| {
                nix::unistd::alarm::set(60);
                Ok(())
            })
        };
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let ready = lines.find(|line| line.as_ref().unwrap().contains("watches"));
        ready.expect("it has ended").unwrap();
        // Nothing that it still says may stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Daemon {
            child,
            socket,
            _folder: folder,
        }
    }

    /// The whole answer: head and content.
    fn ask(&self, request: &str) -> (String, String) {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, content) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), content.to_owned())
    }

    fn stop(mut self) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut headers = head.lines().filter_map(|line| line.split_once(": "));
    let found = headers.find(|(other, _)| other.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value)
}

#[test]
fn requests_are_answered_as_http_says() {
    let daemon = Daemon::start();
    for (request, status) in [
        ("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK"),
        ("GET /metrics HTTP/1.0\r\n\r\n", "200 OK"),
        ("GET /metrics?a=b HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK"),
        ("GET /metrics? HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK"),
        (
            "GET http://localhost:9752/metrics HTTP/1.1\r\nHost: localhost:9752\r\n\r\n",
            "200 OK",
        ),
        (
            "GET HTTP://x/metrics?a=b HTTP/1.1\r\nhost: x\r\n\r\n",
            "200 OK",
        ),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "404 Not Found"),
        (
            "GET /metrics/x HTTP/1.1\r\nHost: x\r\n\r\n",
            "404 Not Found",
        ),
        ("GET http://x HTTP/1.1\r\nHost: x\r\n\r\n", "404 Not Found"),
        (
            "POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
            "405 Method Not Allowed",
        ),
        (
            "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
            "405 Method Not Allowed",
        ),
        (
            "BREW /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
            "501 Not Implemented",
        ),
        ("GET /metrics HTTP/1.1\r\n\r\n", "400 Bad Request"),
        (
            "GET /metrics HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
            "400 Bad Request",
        ),
        ("\x01\x02\x03\r\n\r\n", "400 Bad Request"),
        (
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "505 HTTP Version Not Supported",
        ),
    ] {
        let (head, content) = daemon.ask(request);
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{request}: {head}"
        );
        let length: usize = header(&head, "Content-Length").unwrap().parse().unwrap();
        assert_eq!(content.len(), length, "{request}: {head}");
        assert!(
            header(&head, "Date").is_some_and(|date| date.ends_with(" GMT")),
            "{head}"
        );
        assert_eq!(header(&head, "Connection"), Some("close"));
        let allow = status.starts_with("405").then_some("GET, HEAD");
        assert_eq!(header(&head, "Allow"), allow, "{request}: {head}");
    }
    let long = format!(
        "GET /metrics HTTP/1.1\r\nHost: x\r\nX: {}",
        "x".repeat(9000)
    );
    assert!(daemon.ask(&long).0.starts_with("HTTP/1.1 431 "));
    daemon.stop();
}

/// The same head as for GET, and no content.
#[test]
fn head_is_answered_with_the_head_only() {
    let daemon = Daemon::start();
    for target in ["/metrics", "/metrics?a=b", "http://x/metrics", "/"] {
        let ask = |method| {
            let request = format!("{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n");
            let (head, content) = daemon.ask(&request);
            let lines = head.lines().filter(|line| !line.starts_with("Date: "));
            (lines.map(str::to_owned).collect::<Vec<_>>(), content)
        };
        let (get, page) = ask("GET");
        let (head, nothing) = ask("HEAD");
        assert_eq!(head, get, "{target}");
        assert!(
            !page.is_empty() && nothing.is_empty(),
            "{target}: {nothing}"
        );
    }
    daemon.stop();
}

#[test]
fn exposition_is_openmetrics() {
    let daemon = Daemon::start();
    let (head, page) = daemon.ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    let kind = header(&head, "Content-Type").unwrap();
    assert!(
        kind.starts_with("application/openmetrics-text; version=1.0.0"),
        "{kind}"
    );
    let parsed = parse_openmetrics(&page).unwrap_or_else(|error| panic!("{error}: {page}"));
    for (name, type_) in [
        ("evq_signal_overflows", "counter"),
        ("evq_hooks_running", "gauge"),
        ("evq_build", "info"),
    ] {
        let line = format!("# TYPE {name} {type_}");
        assert!(page.lines().any(|other| other == line), "{line}: {page}");
        let help = format!("# HELP {name} ");
        assert!(
            page.lines().any(|line| line.starts_with(&help)),
            "{help}: {page}"
        );
    }
    // Those without a label have a value from the start.
    for name in [
        "evq_signal_overflows",
        "evq_reloads",
        "evq_hooks_running",
        "evq_build",
    ] {
        assert!(parsed.families.contains_key(name), "{name}: {page}");
    }
    let version = env!("CARGO_PKG_VERSION");
    let info = format!("evq_build_info{{version=\"{version}\",abi=\"1\"}} 1");
    assert!(page.lines().any(|line| line == info), "{page}");
    assert!(
        page.lines()
            .any(|line| line == "evq_signal_overflows_total 0"),
        "{page}"
    );
    daemon.stop();
}
