// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes cpio archives of the kind that the kernel unpacks ("newc").

use std::collections::BTreeSet;

const DIRECTORY: u32 = 0o040_755;
const SYMLINK: u32 = 0o120_777;
const REGULAR: u32 = 0o100_000;
const CHARACTER: u32 = 0o020_000;

/// An archive in memory. Parents of an entry are added by themselves.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
    directories: BTreeSet<String>,
}

impl Archive {
    /// Adds a regular file with these permission bits.
    pub fn file(&mut self, path: &str, mode: u32, data: &[u8]) {
        self.parents(path);
        self.entry(path, REGULAR | mode, (0, 0), data);
    }

    /// Adds a symbolic link.
    pub fn symlink(&mut self, path: &str, target: &str) {
        self.parents(path);
        self.entry(path, SYMLINK, (0, 0), target.as_bytes());
    }

    /// Adds a directory.
    pub fn directory(&mut self, path: &str) {
        self.parents(&format!("{path}/"));
    }

    /// Adds a character device node.
    pub fn character(&mut self, path: &str, mode: u32, major: u32, minor: u32) {
        self.parents(path);
        self.entry(path, CHARACTER | mode, (major, minor), b"");
    }

    /// Ends the archive.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), b"");
        self.bytes
    }

    fn parents(&mut self, path: &str) {
        for (end, _) in path.match_indices('/') {
            let parent = &path[..end];
            if !parent.is_empty() && self.directories.insert(parent.to_owned()) {
                self.entry(parent, DIRECTORY, (0, 0), b"");
            }
        }
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), data: &[u8]) {
        let name = path.trim_start_matches('/');
        self.entries += 1;
        let fields: [u32; 13] = [
            self.entries,
            mode,
            0,
            0,
            1,
            0,
            u32::try_from(data.len()).expect("an initramfs file is far below 4 GiB"),
            0,
            0,
            device.0,
            device.1,
            u32::try_from(name.len() + 1).expect("a path is short"),
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(data);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    #[test]
    fn busybox_unpacks_it() {
        let mut archive = Archive::default();
        archive.directory("/tmp");
        archive.file("/etc/deep/file", 0o640, b"content");
        archive.file("/etc/deep/odd", 0o755, b"x");
        archive.symlink("/bin/sh", "busybox");
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 4, 0);

        let mut list = Command::new("busybox")
            .args(["cpio", "-tv"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("busybox is needed: apt-get install busybox-static");
        list.stdin.take().unwrap().write_all(&bytes).unwrap();
        let list = list.wait_with_output().unwrap();
        assert!(list.status.success());
        let list = String::from_utf8(list.stdout).unwrap();
        let names: Vec<&str> = list
            .lines()
            .map(|line| line.split_once(":00 ").map_or(line, |(_, name)| name))
            .collect();
        assert_eq!(
            names,
            [
                "tmp",
                "etc",
                "etc/deep",
                "etc/deep/file",
                "etc/deep/odd",
                "bin",
                "bin/sh -> busybox"
            ],
            "{list}"
        );
        assert!(list.contains("-rw-r-----"), "{list}");
    }
}
