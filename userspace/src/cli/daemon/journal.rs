// SPDX-License-Identifier: MIT OR Apache-2.0
//! Events as entries of systemd's journal, one each, with a field for each part
//! of the event. By the journal's native protocol: a datagram for an entry.

use std::io;
use std::os::unix::net::UnixDatagram;

/// Where the journal listens.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";
/// The priority of an entry: informational, as `log` has it.
const PRIORITY: &str = "6";

/// The connection to the journal, made when it is needed.
#[derive(Debug)]
pub(super) struct Journal {
    path: &'static str,
    socket: Option<UnixDatagram>,
}

impl Default for Journal {
    fn default() -> Journal {
        Journal {
            path: SOCKET,
            socket: None,
        }
    }
}

impl Journal {
    /// Sends an entry. After a failure the next one connects anew: the journal may
    /// have been started again.
    pub(super) fn send(
        &mut self,
        rule: &str,
        message: &str,
        variables: &[(String, String)],
    ) -> io::Result<()> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => connect(self.path)?,
        };
        socket.send(&entry(rule, message, variables))?;
        self.socket = Some(socket);
        Ok(())
    }
}

fn connect(path: &str) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    // A journal that takes nothing must not stop the loop.
    socket.set_nonblocking(true)?;
    socket.connect(path)?;
    Ok(socket)
}

/// The bytes of an entry.
fn entry(rule: &str, message: &str, variables: &[(String, String)]) -> Vec<u8> {
    let fixed = [
        ("MESSAGE", message),
        ("PRIORITY", PRIORITY),
        ("SYSLOG_IDENTIFIER", "evdev-client"),
        ("EVQ_RULE", rule),
    ];
    let variables = variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let mut bytes = Vec::new();
    for (name, value) in fixed.into_iter().chain(variables) {
        bytes.extend_from_slice(name.as_bytes());
        if value.contains('\n') {
            // By its length, or its second line would be another field.
            bytes.push(b'\n');
            bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
        } else {
            bytes.push(b'=');
        }
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(b'\n');
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_those_of_the_protocol() {
        let variables = [("EVQ_SEQ", "7"), ("EVQ_DEVICE", "a\nMESSAGE=b")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut wanted = b"MESSAGE=hello\nPRIORITY=6\nSYSLOG_IDENTIFIER=evdev-client\n\
            EVQ_RULE=all\nEVQ_SEQ=7\nEVQ_DEVICE\n"
            .to_vec();
        wanted.extend(11_u64.to_le_bytes());
        wanted.extend(b"a\nMESSAGE=b\n");
        assert_eq!(entry("all", "hello", &variables), wanted);
    }

    #[test]
    fn a_journal_that_comes_back_is_connected_to_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let mut journal = Journal {
            path: path.to_str().unwrap().to_owned().leak(),
            socket: None,
        };
        assert!(journal.send("rule", "first", &[]).is_err());
        let mut buffer = [0; 1024];
        for message in ["second", "third"] {
            let listener = UnixDatagram::bind(&path).unwrap();
            // The first one may find the connection of before, which is gone.
            let sent = journal.send("rule", message, &[]);
            if sent.is_err() {
                journal.send("rule", message, &[]).unwrap();
            }
            let count = listener.recv(&mut buffer).unwrap();
            let wanted = format!("MESSAGE={message}\n");
            assert!(buffer[..count].starts_with(wanted.as_bytes()));
            std::fs::remove_file(&path).unwrap();
        }
    }
}
