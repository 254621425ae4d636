// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that rules append to: whole lines only, also on a full disk.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Files that are open, by their path.
#[derive(Debug, Default)]
pub(super) struct Files {
    open: HashMap<PathBuf, File>,
}

impl Files {
    /// Appends a line. After a failure nothing of it is in the file, and the
    /// file is opened anew the next time.
    pub(super) fn append(&mut self, path: &Path, line: &str) -> io::Result<()> {
        if !self.open.contains_key(path) {
            let mut options = OpenOptions::new();
            // A FIFO that nobody reads would have everything wait.
            options.custom_flags(libc::O_NONBLOCK);
            let file = options.append(true).create(true).open(path)?;
            self.open.insert(path.to_owned(), file);
        }
        let Some(file) = self.open.get_mut(path) else {
            return Ok(());
        };
        let before = file.metadata()?.len();
        let result = file.write_all(line.as_bytes());
        if result.is_err() {
            // A part of a line would make the next one unreadable. This fails for
            // what is no regular file, and there nothing can be taken back.
            let _ = file.set_len(before);
            self.open.remove(path);
        }
        result
    }

    /// Closes all of them, so that the next line goes to a new file where the
    /// old one was moved away.
    pub(super) fn reopen(&mut self) {
        self.open.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use nix::errno::Errno;
    use nix::sys::stat::Mode;

    use super::*;

    #[test]
    fn a_fifo_without_a_reader_keeps_nobody_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || sender.send(Files::default().append(&path, "a line\n")));
        let appended = receiver.recv_timeout(Duration::from_secs(60));
        let error = appended.expect("it waits for a reader").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::ENXIO as i32));
    }
}
