// SPDX-License-Identifier: MIT OR Apache-2.0
//! The control port: reports to the host, and requests of `vm-ctl` passed on.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::Context;
use evq_vm::wire::{path, Report};
use nix::sys::termios::{cfmakeraw, tcdrain, tcgetattr, tcsetattr, SetArg};

const PORT: &str = "/dev/ttyS2";

/// Opens a serial port in raw mode.
pub(crate) fn open_raw(port: &str) -> anyhow::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(port)
        .with_context(|| {
            format!("opening {port} in the guest (the kernel needs four 8250 ports)")
        })?;
    let mut modes = tcgetattr(&file).with_context(|| format!("tcgetattr of {port}"))?;
    cfmakeraw(&mut modes);
    tcsetattr(&file, SetArg::TCSANOW, &modes).with_context(|| format!("tcsetattr of {port}"))?;
    Ok(file)
}

#[derive(Default)]
struct Shared {
    /// Who waits for the answer to which request.
    waiting: Mutex<HashMap<u64, Sender<String>>>,
    last_id: AtomicU64,
    /// The slave of the command's terminal, if it has one.
    terminal: Mutex<Option<String>>,
    bye: Mutex<Option<Sender<()>>>,
}

/// The guest's end of the control port.
#[derive(Clone)]
pub(crate) struct Control {
    port: Arc<Mutex<File>>,
    shared: Arc<Shared>,
}

impl Control {
    pub(crate) fn open() -> anyhow::Result<Self> {
        Ok(Self {
            port: Arc::new(Mutex::new(open_raw(PORT)?)),
            shared: Arc::default(),
        })
    }

    /// Sends one report and waits until the port has taken it.
    pub(crate) fn send(&self, report: &Report) -> anyhow::Result<()> {
        let mut port = self.port.lock().unwrap_or_else(PoisonError::into_inner);
        port.write_all(format!("{report}\n").as_bytes())
            .with_context(|| format!("writing to {PORT}"))?;
        tcdrain(&*port).with_context(|| format!("draining {PORT}"))
    }

    /// Sizes that the host sends are for this terminal from now on.
    pub(crate) fn set_terminal(&self, slave: String) {
        *self
            .shared
            .terminal
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(slave);
    }

    /// Receives when the host has all the output.
    pub(crate) fn bye(&self) -> Receiver<()> {
        let (sender, receiver) = channel();
        *self
            .shared
            .bye
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(sender);
        receiver
    }

    /// Starts to take lines of the host and requests of vm-ctl.
    pub(crate) fn serve(&self) -> anyhow::Result<()> {
        let port = {
            let port = self.port.lock().unwrap_or_else(PoisonError::into_inner);
            port.try_clone()
                .with_context(|| format!("duplicating {PORT}"))?
        };
        let shared = Arc::clone(&self.shared);
        thread::spawn(move || {
            for line in BufReader::new(port).lines().map_while(Result::ok) {
                shared.take(&line);
            }
        });
        let listener = UnixListener::bind(path::CONTROL)
            .with_context(|| format!("binding {} in the guest", path::CONTROL))?;
        let control = self.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let control = control.clone();
                // A client that goes away early is its own business.
                thread::spawn(move || control.relay(&client));
            }
        });
        Ok(())
    }

    fn relay(&self, client: &UnixStream) -> anyhow::Result<()> {
        let mut answers = client.try_clone()?;
        for words in BufReader::new(client).lines() {
            let id = self.shared.last_id.fetch_add(1, Ordering::Relaxed) + 1;
            let (sender, answer) = channel();
            self.shared
                .waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(id, sender);
            self.send(&Report::Ask { id, words: words? })?;
            writeln!(answers, "{}", answer.recv()?)?;
        }
        Ok(())
    }
}

impl Shared {
    fn take(&self, line: &str) {
        if let Some((id, answer)) = line
            .strip_prefix("answer ")
            .and_then(|rest| rest.split_once(' '))
        {
            let waiting = id.parse().ok().and_then(|id: u64| {
                self.waiting
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(&id)
            });
            if let Some(waiting) = waiting {
                // It may have gone away meanwhile.
                let _ = waiting.send(answer.to_owned());
            }
        } else if let Some((rows, columns)) = line
            .strip_prefix("size ")
            .and_then(|rest| rest.split_once(' '))
        {
            let terminal = self.terminal.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(slave) = terminal.as_deref() {
                // stty sends SIGWINCH as a side effect. A size is not worth a failure.
                let _ = Command::new("/bin/busybox")
                    .args(["stty", "-F", slave, "rows", rows, "cols", columns])
                    .status();
            }
        } else if line == "bye" {
            if let Some(bye) = &*self.bye.lock().unwrap_or_else(PoisonError::into_inner) {
                // Init has given up on it then.
                let _ = bye.send(());
            }
        } else {
            eprintln!("evq-init: a line of the host that is not understood: {line:?}");
        }
    }
}
