// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's input devices: written through uinput, read from
//! `/dev/input/eventN`.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use anyhow::Context as _;
use evdev::uinput::VirtualDevice;
use evdev::{AttributeSet, EventType, MiscCode, SynchronizationCode};
use nix::unistd::{read, write};

use super::{bytes, Link, Poster, Taker, BATCH};

/// Records under way without a loss: the buffer of a reader has 64 entries.
pub(super) const WINDOW: usize = 16;

/// Bytes of `struct input_event`, of which a record has two.
const ENTRY: usize = size_of::<libc::input_event>();

/// Where type, code and value are in it: behind the time.
const TYPE: usize = ENTRY - 8;

struct Device {
    uinput: VirtualDevice,
    records: Vec<u8>,
}

/// One entry as uinput takes it; it stamps the time itself.
fn entry(kind: EventType, code: u16, value: i32) -> [u8; ENTRY] {
    let mut bytes = [0; ENTRY];
    bytes[TYPE..TYPE + 2].copy_from_slice(&kind.0.to_ne_bytes());
    bytes[TYPE + 2..TYPE + 4].copy_from_slice(&code.to_ne_bytes());
    bytes[TYPE + 4..].copy_from_slice(&value.to_ne_bytes());
    bytes
}

impl Poster for Device {
    fn post(&mut self, count: usize) -> anyhow::Result<()> {
        let size = count * 2 * ENTRY;
        let written = write(&self.uinput, &self.records[..size]).context("writing to uinput")?;
        anyhow::ensure!(written == size, "uinput took {written} of {size} bytes");
        Ok(())
    }
}

struct Reader {
    node: File,
    buffer: Vec<u8>,
}

impl Taker for Reader {
    fn take(&mut self) -> anyhow::Result<usize> {
        let size = bytes(read(&self.node, &mut self.buffer)).context("reading an input device")?;
        let last = size.checked_sub(ENTRY).map(|at| &self.buffer[at + TYPE..]);
        let dropped = SynchronizationCode::SYN_DROPPED.0.to_ne_bytes();
        anyhow::ensure!(
            last.is_none_or(|last| last[2..4] != dropped),
            "the input device has dropped events"
        );
        Ok(size / ENTRY / 2)
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.node.as_fd()
    }
}

/// Makes an input device, which lives as long as the first; and its node.
pub(in super::super) fn create() -> anyhow::Result<(VirtualDevice, PathBuf)> {
    let mut codes = AttributeSet::<MiscCode>::new();
    codes.insert(MiscCode::MSC_SCAN);
    let mut uinput = VirtualDevice::builder()
        .context("opening /dev/uinput (is uinput.ko loaded, are you root?)")?
        .name("evq bench")
        .with_msc(&codes)
        .and_then(evdev::uinput::VirtualDeviceBuilder::build)
        .context("making an input device with uinput")?;
    let nodes: Vec<PathBuf> = uinput
        .enumerate_dev_nodes_blocking()
        .and_then(Iterator::collect)
        .context("looking for the input device's node")?;
    let node = nodes
        .into_iter()
        .find(|node| node.to_string_lossy().contains("/event"))
        .context("the input device has no event node (is evdev.ko loaded?)")?;
    Ok((uinput, node))
}

pub(super) fn open(readers: usize) -> anyhow::Result<Link> {
    let (uinput, node) = create()?;
    let mut takers: Vec<Box<dyn Taker>> = Vec::new();
    for _ in 0..readers {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_CLOEXEC)
            .open(&node)
            .with_context(|| format!("opening {}", node.display()))?;
        takers.push(Box::new(Reader {
            node: file,
            buffer: vec![0; 2 * ENTRY * BATCH],
        }));
    }
    let mut records = Vec::new();
    for number in 0..BATCH {
        // Other types are dropped when the value stays the same.
        records.extend(entry(EventType::MISC, MiscCode::MSC_SCAN.0, number as i32));
        records.extend(entry(EventType::SYNCHRONIZATION, 0, 0));
    }
    Ok(Link {
        poster: Box::new(Device { uinput, records }),
        takers,
        window: Some(WINDOW),
    })
}
