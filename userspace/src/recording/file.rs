// SPDX-License-Identifier: MIT OR Apache-2.0
//! A recording that is appended to.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::error::{Error, Result};
use super::reader::{Item, Reader};
use super::segment::Segment;
use super::writer::Writer;
use crate::uapi::Event;

/// What [`Recording::open`] may cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// The beginning of a frame whose writer was interrupted.
    Torn,
    /// Whatever is behind the last whole frame, damaged or not.
    Damaged,
}

/// What a recording holds already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// The last segment; None if there is none yet.
    pub segment: Option<Segment>,
    /// The sequence number that is to follow in that segment.
    pub next: Option<u64>,
    /// Events in all segments.
    pub events: u64,
    /// Bytes that were cut off.
    pub cut: u64,
}

/// A file that is appended to, frame by frame. What was appended is whole
/// whatever happens after; what could not be appended leaves no trace.
///
/// The file is locked (flock) until this is dropped.
#[derive(Debug)]
pub struct Recording {
    file: Flock<File>,
    /// Frames on their way.
    writer: Writer<Vec<u8>>,
    /// Where the last whole frame ends.
    whole: u64,
    /// The folder, which has to be written as well until the file is in it for
    /// good.
    unsynced_folder: Option<PathBuf>,
}

impl Recording {
    /// Opens a recording to append to it, or makes one that only its owner may
    /// read. Cuts off what `repair` allows and says how much.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`], [`Error::NotAFile`], [`Error::Io`]; those of [`Reader`]
    /// for what may not be cut off: the file is as it was then.
    pub fn open(path: impl AsRef<Path>, repair: Repair) -> Result<(Recording, Opened)> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            // What was typed may be in it.
            .mode(0o600)
            .open(path)
            .map_err(Error::io("open", &name))?;
        let metadata = file.metadata().map_err(Error::io("look at", &name))?;
        if !metadata.is_file() {
            return Err(Error::NotAFile { name });
        }
        let file =
            Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(
                |(_, errno)| match errno {
                    Errno::EWOULDBLOCK => Error::Busy { name: name.clone() },
                    errno => Error::io("lock", &name)(errno.into()),
                },
            )?;
        let (mut opened, whole) = survey(&file, &name, repair)?;
        let length = file.metadata().map_err(Error::io("look at", &name))?.len();
        opened.cut = length - whole;
        if opened.cut > 0 {
            file.set_len(whole).map_err(Error::io("truncate", &name))?;
        }
        let folder = path.canonicalize().ok();
        let mut recording = Recording {
            file,
            writer: match whole {
                0 => Writer::new(Vec::new(), name)?,
                _ => Writer::resumed(Vec::new(), name, opened.next.unwrap_or(0)),
            },
            whole,
            unsynced_folder: folder.and_then(|path| Some(path.parent()?.to_owned())),
        };
        recording.keep(|_| Ok(()))?;
        Ok((recording, opened))
    }

    /// Begins a segment.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; nothing is appended then.
    pub fn begin(&mut self, segment: &Segment) -> Result<()> {
        self.keep(|writer| writer.begin(segment))
    }

    /// Appends events to the segment.
    ///
    /// # Errors
    ///
    /// Those of [`Writer::append`]; nothing is appended then.
    pub fn append(&mut self, events: &[Event]) -> Result<()> {
        self.keep(|writer| writer.append(events))
    }

    /// Waits until all that was appended is on the disk, so that it survives a
    /// power failure too.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn sync(&mut self) -> Result<()> {
        let name = self.writer.name();
        let synced = self.file.sync_data();
        synced.map_err(Error::io("sync", name))?;
        if let Some(folder) = self.unsynced_folder.take() {
            File::open(&folder)
                .and_then(|folder| folder.sync_all())
                .map_err(Error::io("sync the folder of", name))?;
        }
        Ok(())
    }

    /// Appends all that `append` writes, or nothing.
    fn keep(&mut self, append: impl FnOnce(&mut Writer<Vec<u8>>) -> Result<()>) -> Result<()> {
        let before = self.writer.next_seq();
        append(&mut self.writer)?;
        let frames = std::mem::take(self.writer.get_mut());
        if let Err(error) = (&*self.file).write_all(&frames) {
            // If this fails too, the rest is cut off when it is opened again.
            let _ = self.file.set_len(self.whole);
            self.writer.go_back(before);
            return Err(Error::io("write to", self.writer.name())(error));
        }
        self.whole += frames.len() as u64;
        Ok(())
    }
}

/// What is in the file, and where what is whole ends.
fn survey(file: &File, name: &str, repair: Repair) -> Result<(Opened, u64)> {
    let mut opened = Opened::default();
    let may_cut = |error: Error| match error {
        Error::Torn { .. } => Ok(()),
        Error::Damaged { at, .. } if at > 0 && repair == Repair::Damaged => Ok(()),
        error => Err(error),
    };
    let mut reader = match Reader::new(BufReader::new(file), name) {
        Ok(reader) => reader,
        Err(error) => return may_cut(error).map(|()| (opened, 0)),
    };
    for item in &mut reader {
        match item {
            Ok(Item::Segment(segment)) => opened.segment = Some(segment),
            Ok(Item::Event(_)) => opened.events += 1,
            Err(error) => may_cut(error)?,
        }
    }
    opened.next = reader.next_seq();
    Ok((opened, reader.whole()))
}
