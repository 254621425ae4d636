// SPDX-License-Identifier: MIT OR Apache-2.0
//! Devices that come: what is told when a node is made.
//!
//! Whoever looks for a path first and asks to be told of it afterwards misses
//! one that comes in between. So asking comes first; and since a folder on the
//! way may be missing too, it is the innermost one there that tells.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};

/// Tells that something at one of several paths may have come.
#[derive(Debug)]
pub(super) struct Hotplug {
    inotify: Inotify,
}

/// What a path waits for: this name in this folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Awaited {
    folder: WatchDescriptor,
    name: OsString,
}

/// What has happened in the folders since the last look.
#[derive(Debug)]
pub(super) struct News(Option<Vec<InotifyEvent>>);

impl Hotplug {
    pub(super) fn new() -> anyhow::Result<Hotplug> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).context(
            "cannot wait for devices: inotify_init1 failed; \
             end other programs that watch files, or raise fs.inotify.max_user_instances",
        )?;
        Ok(Hotplug { inotify })
    }

    /// Has the way to `path` watched from here on, as far as there is one.
    pub(super) fn look_out(&self, path: &Path) -> anyhow::Result<Awaited> {
        let path = std::path::absolute(path)
            .with_context(|| format!("cannot wait for {}", path.display()))?;
        let mut last = None;
        loop {
            let found = self.innermost(&path)?;
            // What was made on the way meanwhile has told nobody: again, until
            // nothing was.
            if last.as_ref() == Some(&found) {
                return Ok(found);
            }
            last = Some(found);
        }
    }

    fn innermost(&self, path: &Path) -> anyhow::Result<Awaited> {
        // By the mode a node gets afterwards, udev lets others than root in.
        let what = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        let (mut folder, mut name) = split(path)?;
        loop {
            match self.inotify.add_watch(&folder, what) {
                Ok(watched) => {
                    return Ok(Awaited {
                        folder: watched,
                        name,
                    });
                }
                Err(Errno::ENOENT) => (folder, name) = split(&folder)?,
                Err(errno) => {
                    return Err(errno).with_context(|| {
                        let remedy = match errno {
                            Errno::ENOSPC => "raise fs.inotify.max_user_watches",
                            _ => "check the path",
                        };
                        format!(
                            "cannot wait for {}: watching {} failed; {remedy}",
                            path.display(),
                            folder.display()
                        )
                    });
                }
            }
        }
    }

    /// Takes what has been told.
    pub(super) fn news(&self) -> anyhow::Result<News> {
        let mut all = Vec::new();
        loop {
            match self.inotify.read_events() {
                Ok(events) => all.extend(events),
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno).context("cannot read what inotify tells"),
            }
        }
        // Then anything may have happened.
        let overflow = |event: &InotifyEvent| event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW);
        Ok(News(if all.iter().any(overflow) {
            None
        } else {
            Some(all)
        }))
    }
}

impl AsFd for Hotplug {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

impl News {
    /// Whether what was waited for may be there, or a folder on its way may have
    /// come or gone.
    pub(super) fn concerns(&self, awaited: &Awaited) -> bool {
        let Some(events) = &self.0 else {
            return true;
        };
        events.iter().any(|event| {
            event.wd == awaited.folder
                && event.name.as_ref().is_none_or(|name| *name == awaited.name)
        })
    }
}

/// A path as its folder and the name there.
fn split(path: &Path) -> anyhow::Result<(PathBuf, OsString)> {
    let name = match path.components().next_back() {
        Some(Component::Normal(name)) => name,
        Some(Component::ParentDir) => OsStr::new(".."),
        _ => anyhow::bail!("cannot wait for {}: no folder has it", path.display()),
    };
    let folder = path.parent().unwrap_or(Path::new("/"));
    Ok((folder.into(), name.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_comes_is_told_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("device");
        let hotplug = Hotplug::new().unwrap();
        let awaited = hotplug.look_out(&path).unwrap();
        assert!(!hotplug.news().unwrap().concerns(&awaited));
        fs::write(dir.path().join("other"), "").unwrap();
        assert!(!hotplug.news().unwrap().concerns(&awaited));
        fs::write(&path, "").unwrap();
        assert!(hotplug.news().unwrap().concerns(&awaited));
        // It may be opened only now.
        let mut mode = fs::metadata(&path).unwrap().permissions();
        mode.set_readonly(true);
        fs::set_permissions(&path, mode).unwrap();
        assert!(hotplug.news().unwrap().concerns(&awaited));
    }

    #[test]
    fn folders_on_the_way_come_and_go() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("one/two");
        let path = folder.join("device");
        let hotplug = Hotplug::new().unwrap();
        for _ in 0..2 {
            let outer = hotplug.look_out(&path).unwrap();
            assert_eq!(outer.name, "one");
            fs::create_dir_all(&folder).unwrap();
            assert!(hotplug.news().unwrap().concerns(&outer));
            let inner = hotplug.look_out(&path).unwrap();
            assert_eq!(inner.name, "device");
            fs::rename(dir.path().join("one/two"), dir.path().join("gone")).unwrap();
            assert!(hotplug.news().unwrap().concerns(&inner));
            fs::remove_dir_all(dir.path().join("one")).unwrap();
            fs::remove_dir_all(dir.path().join("gone")).unwrap();
            hotplug.news().unwrap();
        }
    }

    #[test]
    fn the_root_is_in_no_folder() {
        let error = Hotplug::new()
            .unwrap()
            .look_out(Path::new("/"))
            .unwrap_err();
        assert!(error.to_string().contains("no folder has it"), "{error}");
    }
}
