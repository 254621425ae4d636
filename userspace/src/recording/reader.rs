// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a recording up to its last whole frame.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;
use std::vec;

use super::error::{Error, Result};
use super::frame::{self, Beginning, Head, HEAD};
use super::pack;
use super::segment::Segment;
use super::VERSION;
use crate::uapi::Event;

/// What a recording consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// Events of this queue follow.
    Segment(Segment),
    /// An event, as it was read: `lost` says how many are missing before it.
    Event(Event),
}

/// Reads a recording: an iterator over what is whole, whose last item is an
/// error if that is not all.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    name: String,
    /// Where the last whole frame ends.
    whole: u64,
    /// The lowest number that can follow; 0 if a segment has to.
    next: u64,
    segment: Option<Segment>,
    events: vec::IntoIter<Event>,
    done: bool,
}

/// Why there is no next frame.
enum Stop {
    End,
    Torn,
    Damaged(String),
    Io(std::io::Error),
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Stop {
        Stop::Io(error)
    }
}

impl Reader<BufReader<File>> {
    /// Opens a file.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], and those of [`Reader::new`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let name = path.as_ref().display().to_string();
        let file = File::open(path).map_err(Error::io("open", &name))?;
        Reader::new(BufReader::new(file), name)
    }
}

impl<R: Read> Reader<R> {
    /// Reads the beginning. `name` is for messages.
    ///
    /// # Errors
    ///
    /// [`Error::NotARecording`], [`Error::WrongVersion`], [`Error::Damaged`],
    /// [`Error::Io`]; [`Error::Torn`] if even the beginning is not whole.
    pub fn new(mut source: R, name: impl Into<String>) -> Result<Reader<R>> {
        let name = name.into();
        let mut head = [0; HEAD];
        let length = fill(&mut source, &mut head).map_err(Error::io("read", &name))?;
        if length < HEAD {
            return Err(if frame::beginning().starts_with(&head[..length]) {
                Error::Torn { name, at: 0 }
            } else {
                Error::NotARecording { name }
            });
        }
        match frame::read_beginning(&head) {
            Beginning::Version(VERSION) => {}
            Beginning::Version(found) => return Err(Error::WrongVersion { name, found }),
            Beginning::Other => return Err(Error::NotARecording { name }),
            Beginning::Damaged => {
                let why = "the checksum of the file's beginning is wrong".into();
                return Err(Error::Damaged { name, at: 0, why });
            }
        }
        Ok(Reader {
            source,
            name,
            whole: HEAD as u64,
            next: 0,
            segment: None,
            events: Vec::new().into_iter(),
            done: false,
        })
    }

    /// Where the last whole frame ends that it has come to, in bytes.
    #[must_use]
    pub fn whole(&self) -> u64 {
        self.whole
    }

    /// The lowest sequence number that can follow in the segment; None before
    /// the first one, and behind the last number of all.
    #[must_use]
    pub fn next_seq(&self) -> Option<u64> {
        Some(self.next).filter(|&next| next != 0)
    }

    fn frame(&mut self) -> Result<Option<Item>, Stop> {
        let mut head = [0; HEAD];
        match fill(&mut self.source, &mut head)? {
            0 => return Err(Stop::End),
            HEAD => {}
            _ => return Err(Stop::Torn),
        }
        if head == [0; HEAD] && only_zeros(&mut self.source)? {
            // Space that was given to the file and never written (power failure).
            return Err(Stop::Torn);
        }
        let head = Head::read(&head).map_err(Stop::Damaged)?;
        let mut body = vec![0; head.length];
        if fill(&mut self.source, &mut body)? < body.len() {
            return Err(Stop::Torn);
        }
        if !head.fits(&body) {
            return Err(Stop::Damaged("the checksum of its body is wrong".into()));
        }
        let item = match head.kind {
            frame::SEGMENT => {
                let segment = Segment::unpack(&body).map_err(Stop::Damaged)?;
                self.next = segment.next;
                self.segment = Some(segment.clone());
                Some(Item::Segment(segment))
            }
            _ => {
                self.events = self.events(&body)?.into_iter();
                None
            }
        };
        self.whole += (HEAD + body.len()) as u64;
        Ok(item)
    }

    /// The events in a body, if they can follow.
    fn events(&mut self, body: &[u8]) -> Result<Vec<Event>, Stop> {
        let events = pack::unpack(body)
            .ok_or_else(|| Stop::Damaged("what is in it is not events".into()))?;
        if let Some((first, last)) = events.first().zip(events.last()) {
            if self.next == 0 || first.seq < self.next {
                let why = format!("event {} cannot follow", first.seq);
                return Err(Stop::Damaged(why));
            }
            self.next = last.seq.wrapping_add(1);
        }
        Ok(events)
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Item>;

    fn next(&mut self) -> Option<Result<Item>> {
        loop {
            if let Some(event) = self.events.next() {
                return Some(Ok(Item::Event(event)));
            }
            if self.done {
                return None;
            }
            let (name, at) = (self.name.clone(), self.whole);
            let error = match self.frame() {
                Ok(Some(item)) => return Some(Ok(item)),
                Ok(None) => continue,
                Err(Stop::End) => None,
                Err(Stop::Torn) => Some(Error::Torn { name, at }),
                Err(Stop::Damaged(why)) => Some(Error::Damaged { name, at, why }),
                Err(Stop::Io(error)) => Some(Error::io("read", &name)(error)),
            };
            self.done = true;
            return error.map(Err);
        }
    }
}

/// Reads until `bytes` is full or the source ends; how many there are.
fn fill(source: &mut impl Read, bytes: &mut [u8]) -> std::io::Result<usize> {
    let mut count = 0;
    while count < bytes.len() {
        match source.read(&mut bytes[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

fn only_zeros(source: &mut impl Read) -> std::io::Result<bool> {
    let mut bytes = [0; 4096];
    loop {
        match fill(source, &mut bytes)? {
            0 => return Ok(true),
            count if bytes[..count].iter().any(|&byte| byte != 0) => return Ok(false),
            _ => {}
        }
    }
}
