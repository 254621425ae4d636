// SPDX-License-Identifier: MIT OR Apache-2.0
//! Devices that come: which folders say so.
//!
//! Each folder on the way to a path is watched: a name that is made there may be
//! the device, a folder, or a link, whose target has a way of its own. A folder is
//! watched before the name in it is looked up, so that no change between the two is
//! missed.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};

/// Links on the way to a path, as the kernel counts them (`MAXSYMLINKS`).
const LINKS_MAX: usize = 40;

/// Tells that something at one of several paths may have come.
#[derive(Debug)]
pub(super) struct Hotplug {
    inotify: Inotify,
    /// All folders that are watched.
    folders: RefCell<BTreeSet<WatchDescriptor>>,
}

/// What a path waits for: a change of one of these names in their folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Awaited {
    steps: Vec<(WatchDescriptor, OsString)>,
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
        Ok(Hotplug {
            inotify,
            folders: RefCell::default(),
        })
    }

    /// Watches the way to `path` from here on, as far as there is one.
    pub(super) fn look_out(&self, path: &Path) -> anyhow::Result<Awaited> {
        let absolute = std::path::absolute(path)
            .with_context(|| format!("cannot wait for {}", path.display()))?;
        let mut steps = Vec::new();
        let mut folder = PathBuf::from("/");
        // The next name is the last one.
        let mut names = names(&absolute);
        let mut links = 0;
        // A folder that may be passed through and not be read, like the last one.
        let mut unwatched = None;
        while let Some(name) = names.pop() {
            // `folder` has no links any more.
            if name == ".." {
                folder.pop();
                continue;
            }
            match self.watch(&folder) {
                Ok(watched) => {
                    steps.push((watched, name.clone()));
                    unwatched = None;
                }
                // The folder above it says when it is one again.
                Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => break,
                Err(Errno::EACCES) => unwatched = Some((folder.clone(), Errno::EACCES)),
                Err(errno) => {
                    unwatched = Some((folder.clone(), errno));
                    break;
                }
            }
            folder.push(&name);
            match fs::read_link(&folder) {
                Ok(target) if links < LINKS_MAX => {
                    links += 1;
                    folder.pop();
                    if target.is_absolute() {
                        folder = PathBuf::from("/");
                    }
                    names.extend(self::names(&target));
                }
                // Not a link, so perhaps a folder.
                Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => {}
                // Missing, or out of reach.
                _ => break,
            }
        }
        if let Some((folder, errno)) = unwatched {
            let remedy = match errno {
                Errno::ENOSPC => "raise fs.inotify.max_user_watches",
                _ => "check the path",
            };
            let (path, folder) = (path.display(), folder.display());
            return Err(errno).with_context(|| {
                format!("cannot wait for {path}: watching {folder} failed; {remedy}")
            });
        }
        if steps.is_empty() {
            anyhow::bail!("cannot wait for {}: no folder has it", path.display());
        }
        Ok(Awaited { steps })
    }

    fn watch(&self, folder: &Path) -> Result<WatchDescriptor, Errno> {
        // By the mode a node gets afterwards, udev lets others than root in.
        let what = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        let watched = self.inotify.add_watch(folder, what)?;
        self.folders.borrow_mut().insert(watched);
        Ok(watched)
    }

    /// Forgets the folders that are on no way any more.
    pub(super) fn keep<'a>(&self, awaited: impl Iterator<Item = &'a Awaited>) {
        let steps = awaited.flat_map(|awaited| &awaited.steps);
        let used: BTreeSet<_> = steps.map(|(folder, _)| *folder).collect();
        self.folders.borrow_mut().retain(|folder| {
            let keep = used.contains(folder);
            if !keep {
                // It fails for one that has been removed, which is not watched any more.
                let _ = self.inotify.rm_watch(*folder);
            }
            keep
        });
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
            let is_step = |(folder, awaited): &(_, _)| {
                event.wd == *folder && event.name.as_ref().is_none_or(|name| name == awaited)
            };
            awaited.steps.iter().any(is_step)
        })
    }
}

/// The names in a path, the first one last.
fn names(path: &Path) -> Vec<OsString> {
    let name = |component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsStr::new("..").to_owned()),
        _ => None,
    };
    path.components().rev().filter_map(name).collect()
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

    /// The name that is waited for.
    fn last(awaited: &Awaited) -> &OsStr {
        &awaited.steps.last().unwrap().1
    }

    #[test]
    fn folders_on_the_way_come_and_go() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("one/two");
        let path = folder.join("device");
        let hotplug = Hotplug::new().unwrap();
        for _ in 0..2 {
            let outer = hotplug.look_out(&path).unwrap();
            assert_eq!(last(&outer), "one");
            fs::create_dir_all(&folder).unwrap();
            assert!(hotplug.news().unwrap().concerns(&outer));
            let inner = hotplug.look_out(&path).unwrap();
            assert_eq!(last(&inner), "device");
            // Any of them may be replaced.
            fs::rename(dir.path().join("one"), dir.path().join("gone")).unwrap();
            hotplug.news().unwrap();
            fs::create_dir(dir.path().join("one")).unwrap();
            assert!(hotplug.news().unwrap().concerns(&inner));
            fs::remove_dir_all(dir.path().join("one")).unwrap();
            fs::remove_dir_all(dir.path().join("gone")).unwrap();
            hotplug.news().unwrap();
        }
    }

    #[test]
    fn links_on_the_way_are_followed() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("links")).unwrap();
        symlink("links/second/device", at("first")).unwrap();
        let hotplug = Hotplug::new().unwrap();
        let awaits = |name: &str| {
            let awaited = hotplug.look_out(&at("first")).unwrap();
            assert_eq!(last(&awaited), name);
            hotplug.news().unwrap();
            awaited
        };
        let awaited = awaits("second");
        symlink("../nowhere/..//./folder", at("links/second")).unwrap();
        assert!(hotplug.news().unwrap().concerns(&awaited));
        let awaited = awaits("nowhere");
        fs::create_dir(at("nowhere")).unwrap();
        assert!(hotplug.news().unwrap().concerns(&awaited));
        let awaited = awaits("folder");
        fs::create_dir(at("folder")).unwrap();
        assert!(hotplug.news().unwrap().concerns(&awaited));
        let awaited = awaits("device");
        fs::write(at("folder/device"), "").unwrap();
        assert!(hotplug.news().unwrap().concerns(&awaited));
        // The first link leads elsewhere.
        let awaited = awaits("device");
        symlink(at("loop"), at("new")).unwrap();
        fs::rename(at("new"), at("first")).unwrap();
        assert!(hotplug.news().unwrap().concerns(&awaited));
        let awaited = awaits("loop");
        hotplug.keep([&awaited].into_iter());
        fs::write(at("folder/other"), "").unwrap();
        assert!(hotplug
            .news()
            .unwrap()
            .0
            .unwrap()
            .iter()
            .all(|event| event.name.is_none()));
        // One that leads to itself is no way without end.
        symlink("loop", at("loop")).unwrap();
        hotplug.look_out(&at("first")).unwrap();
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
