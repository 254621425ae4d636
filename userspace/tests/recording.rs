// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recordings survive whatever ends their writing: cut at every byte, with
//! every byte changed, and appended to again.

use std::fs::{self, Permissions};
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use evq::recording::{Error, Item, Reader, Recording, Repair, Segment, Writer};
use evq::Event;
use proptest::prelude::*;
use tempfile::TempDir;

fn event(seq: u64) -> Event {
    Event {
        seq,
        time_ns: 1_000_000 * seq,
        source: 0x8001_0000,
        ..Event::new(1, 30, &seq.to_ne_bytes()).unwrap()
    }
}

fn segment(device: &str, next: u64) -> Segment {
    Segment {
        instance: 7,
        boot_id: 9,
        ..Segment::unknown(device, next)
    }
}

/// A recording of two queues, and what it holds up to the end of each frame:
/// where that is, and how many items.
struct Sample {
    bytes: Vec<u8>,
    items: Vec<Item>,
    ends: Vec<(usize, usize)>,
}

fn sample() -> Sample {
    let mut writer = Writer::new(Vec::new(), "a test").unwrap();
    let (mut items, mut ends) = (Vec::new(), Vec::new());
    let mut end = |writer: &mut Writer<Vec<u8>>, items: &[Item]| {
        ends.push((writer.get_mut().len(), items.len()));
    };
    end(&mut writer, &items);
    for (device, first) in [("/dev/evq", 5), ("/dev/evq2", 1)] {
        let segment = segment(device, first);
        writer.begin(&segment).unwrap();
        items.push(Item::Segment(segment));
        end(&mut writer, &items);
        for seqs in [first..first + 1, first + 1..first + 4] {
            let events: Vec<Event> = seqs.map(event).collect();
            writer.append(&events).unwrap();
            items.extend(events.into_iter().map(Item::Event));
            end(&mut writer, &items);
        }
    }
    let bytes = std::mem::take(writer.get_mut());
    Sample { bytes, items, ends }
}

/// What is read, and the error at its end.
fn read(bytes: &[u8]) -> (Vec<Item>, Option<Error>) {
    let reader = match Reader::new(Cursor::new(bytes), "a test") {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut items = Vec::new();
    for item in reader {
        match item {
            Ok(item) => items.push(item),
            Err(error) => return (items, Some(error)),
        }
    }
    (items, None)
}

impl Sample {
    /// The last frame that ends at or before `offset`; None if not even the
    /// beginning of the file does.
    fn whole_at(&self, offset: usize) -> Option<(usize, usize)> {
        self.ends.iter().copied().rfind(|(end, _)| *end <= offset)
    }
}

#[test]
fn what_was_written_is_read() {
    let sample = sample();
    let (items, error) = read(&sample.bytes);
    assert_eq!(items, sample.items);
    assert!(error.is_none(), "{error:?}");
}

/// The format is what evq-recording(5) says: these bytes were put together from
/// that page by another program.
#[test]
fn the_bytes_are_those_of_the_manual() {
    let hex = "\
        896576717265630a01000000b27c20f00100000040000000576248f89bdfa25f\
        0100000040000000887766554433221100112233445566778899aabbccddeeff\
        00f2052a0100000000002a36fe9c97172c010000000000002f6465762f657671\
        020000003f000000855b477cac7ae697ab020080f085da2c8080848008011e04\
        01000000020209e724b424ffff0320000102030405060708090a0b0c0d0e0f10\
        1112131415161718191a1b1c1d1e1f";
    let bytes: Vec<u8> = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect();
    let segment = Segment {
        device: "/dev/evq".into(),
        abi: 1,
        instance: 0x1122_3344_5566_7788,
        boot_id: 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff,
        monotonic_ns: 5_000_000_000,
        realtime_ns: 1_700_000_000_000_000_000,
        next: 300,
    };
    let first = Event {
        seq: 300,
        time_ns: 6_000_000_000,
        source: 0x8001_0000,
        ..Event::new(1, 30, &1_i32.to_le_bytes()).unwrap()
    };
    let data: Vec<u8> = (0..32).collect();
    let second = Event {
        seq: 303,
        time_ns: first.time_ns - 5,
        source: 4711,
        lost: 2,
        ..Event::new(0x1234, 0xffff, &data).unwrap()
    };
    let mut writer = Writer::new(Vec::new(), "a test").unwrap();
    writer.begin(&segment).unwrap();
    writer.append(&[first, second]).unwrap();
    assert_eq!(*writer.get_mut(), bytes);
    let (items, error) = read(&bytes);
    let events = [first, second].map(Item::Event);
    assert_eq!(items[0], Item::Segment(segment));
    assert_eq!((&items[1..], error.is_none()), (&events[..], true));
}

/// Whatever is cut off: what is whole is read, and the end is where it says.
#[test]
fn cut_at_every_byte() {
    let sample = sample();
    for cut in 0..sample.bytes.len() {
        let (items, error) = read(&sample.bytes[..cut]);
        let (end, count) = sample.whole_at(cut).unwrap_or((0, 0));
        assert_eq!(items, sample.items[..count], "cut at {cut}");
        match error {
            None => assert_eq!((end, cut > 0), (cut, true), "cut at {cut}"),
            Some(Error::Torn { at, .. }) => {
                assert_eq!(at, end as u64, "cut at {cut}");
                assert!(end < cut || cut == 0, "cut at {cut}");
            }
            Some(error) => panic!("cut at {cut}: {error}"),
        }
    }
}

/// What was typed may be in it: nobody but its owner reads a recording that was
/// made without further ado, and one that was there keeps its mode.
#[test]
fn a_new_recording_is_for_its_owner() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("new.evq");
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    drop(Recording::open(&path, Repair::Torn).unwrap());
    assert_eq!(mode() & 0o077, 0, "{:o}", mode());
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    drop(Recording::open(&path, Repair::Torn).unwrap());
    assert_eq!(mode(), 0o640);
}

/// Whatever is cut off and however the rest of it was given to the file:
/// appending goes on after the last whole frame.
#[test]
fn appending_goes_on_wherever_it_was_cut() {
    let (sample, folder) = (sample(), TempDir::new().unwrap());
    let path = folder.path().join("cut.evq");
    for cut in 0..sample.bytes.len() {
        for zeros in [0, 16, 5000] {
            let mut bytes = sample.bytes[..cut].to_vec();
            let (end, count) = sample.whole_at(cut).unwrap_or((0, 0));
            if zeros > 0 && (end != cut || cut == 0) {
                // Zeros within a frame are damage, nothing but zeros is no recording.
                continue;
            }
            bytes.resize(cut + zeros, 0);
            fs::write(&path, &bytes).unwrap();
            let (mut recording, opened) = Recording::open(&path, Repair::Torn).unwrap();
            assert_eq!(opened.cut, (bytes.len() - end) as u64, "cut at {cut}");
            let mut expected = sample.items[..count].to_vec();
            let next = opened.next.unwrap_or_else(|| {
                let segment = segment("/dev/evq", 5);
                recording.begin(&segment).unwrap();
                expected.push(Item::Segment(segment));
                5
            });
            recording.append(&[event(next)]).unwrap();
            recording.sync().unwrap();
            expected.push(Item::Event(event(next)));
            let (items, error) = read(&fs::read(&path).unwrap());
            assert_eq!(items, expected, "cut at {cut}, {zeros} zeros");
            assert!(error.is_none(), "cut at {cut}: {error:?}");
        }
    }
}

/// Whatever is changed: nothing wrong is read, all before it is, and the place
/// is named. Such a file is left alone unless it is to be repaired.
#[test]
fn every_byte_changed() {
    let (sample, folder) = (sample(), TempDir::new().unwrap());
    let path = folder.path().join("damaged.evq");
    for at in 0..sample.bytes.len() {
        for mask in [0x01, 0x80, 0xff] {
            let mut bytes = sample.bytes.clone();
            bytes[at] ^= mask;
            let (items, error) = read(&bytes);
            let (end, count) = sample.whole_at(at).unwrap_or((0, 0));
            assert_eq!(items, sample.items[..count], "byte {at}");
            match error {
                Some(Error::Damaged { at: place, .. }) => assert_eq!(place, end as u64),
                Some(Error::NotARecording { .. }) if at < 8 => {}
                other => panic!("byte {at}: {other:?}"),
            }
        }
        let mut bytes = sample.bytes.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, &bytes).unwrap();
        Recording::open(&path, Repair::Torn).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), bytes, "byte {at}");
        let repaired = Recording::open(&path, Repair::Damaged);
        match sample.whole_at(at) {
            Some((end, _)) => {
                assert_eq!(repaired.unwrap().1.cut, (bytes.len() - end) as u64);
                assert_eq!(fs::read(&path).unwrap(), bytes[..end], "byte {at}");
            }
            None => {
                repaired.unwrap_err();
                assert_eq!(fs::read(&path).unwrap(), bytes, "byte {at}");
            }
        }
    }
}

/// What says how much is there is believed by nobody before it is checked.
#[test]
fn an_impossible_length_allocates_nothing() {
    let mut bytes = Writer::new(Vec::new(), "a test").unwrap().get_mut().clone();
    let mut head = [0_u8; 12];
    head[..4].copy_from_slice(&2_u32.to_le_bytes());
    head[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    bytes.extend(head);
    bytes.extend(crc32fast::hash(&head).to_le_bytes());
    match read(&bytes).1 {
        Some(Error::Damaged { at: 16, why, .. }) => assert!(why.contains("length"), "{why}"),
        other => panic!("{other:?}"),
    }
}

/// Zeros at the end were never written; zeros before something else are damage.
#[test]
fn zeros_in_the_middle_are_damage() {
    let mut bytes = sample().bytes;
    let end = bytes.len() as u64;
    bytes.resize(bytes.len() + 5000, 0);
    assert!(matches!(read(&bytes).1, Some(Error::Torn { at, .. }) if at == end));
    bytes.push(1);
    assert!(matches!(read(&bytes).1, Some(Error::Damaged { at, .. }) if at == end));
}

#[test]
fn a_newer_version_is_named() {
    let mut bytes = Writer::new(Vec::new(), "a test").unwrap().get_mut().clone();
    bytes[8] = 2;
    let checksum = crc32fast::hash(&bytes[..12]);
    bytes[12..].copy_from_slice(&checksum.to_le_bytes());
    let (_, error) = read(&bytes);
    assert!(
        matches!(error, Some(Error::WrongVersion { found: 2, .. })),
        "{error:?}"
    );
}

#[test]
fn numbers_ascend_within_a_segment() {
    let mut writer = Writer::new(Vec::new(), "a test").unwrap();
    assert!(matches!(
        writer.append(&[event(1)]),
        Err(Error::Order {
            next: 0,
            seq: 1,
            ..
        })
    ));
    writer.begin(&segment("/dev/evq", 5)).unwrap();
    let before = writer.get_mut().clone();
    for bad in [
        &[event(4)][..],
        &[event(5), event(5)],
        &[event(6), event(5)],
    ] {
        assert!(matches!(writer.append(bad), Err(Error::Order { .. })));
        assert_eq!(*writer.get_mut(), before, "nothing of it is written");
    }
    // The last number of all is followed by nothing, but by a segment.
    let last = Event {
        seq: u64::MAX,
        ..event(5)
    };
    assert!(writer.append(&[last, last]).is_err());
    writer.append(&[last]).unwrap();
    let end = writer.get_mut().len();
    let error = writer.append(&[last]).unwrap_err();
    assert!(error.to_string().contains("a segment has to follow"));
    // Nor may it be there twice in a file.
    let frame = writer.get_mut()[before.len()..end].to_vec();
    let (items, error) = read(&[writer.get_mut(), &frame[..]].concat());
    assert_eq!(items.len(), 2);
    assert!(matches!(error, Some(Error::Damaged { .. })), "{error:?}");
    writer.begin(&segment("/dev/evq", 5)).unwrap();
    // Numbers may be missing: those are in `lost`, or did not pass a filter.
    writer.append(&[event(5), event(9)]).unwrap();
}

#[test]
fn one_writer_at_a_time() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("busy.evq");
    let first = Recording::open(&path, Repair::Torn).unwrap();
    assert!(matches!(
        Recording::open(&path, Repair::Torn),
        Err(Error::Busy { .. })
    ));
    drop(first);
    Recording::open(&path, Repair::Torn).unwrap();
}

#[test]
fn other_files_are_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("letter.txt");
    fs::write(&path, "Dear all").unwrap();
    for repair in [Repair::Torn, Repair::Damaged] {
        let error = Recording::open(&path, repair).unwrap_err();
        assert!(matches!(error, Error::NotARecording { .. }), "{error}");
        assert!(error.to_string().contains("letter.txt"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"Dear all");
    }
    for path in ["/dev/null", "/dev/full"] {
        let error = Recording::open(path, Repair::Damaged).unwrap_err();
        assert!(matches!(error, Error::NotAFile { .. }), "{error}");
    }
    let missing = PathBuf::from("/nonexistent/x.evq");
    let error = Recording::open(missing, Repair::Torn).unwrap_err();
    assert!(error.to_string().contains("check the path"), "{error}");
}

prop_compose! {
    fn any_event()(
        gap in 1_u64..1 << 40, time_ns: u64, source: u32, type_: u16, code: u16, lost: u32,
        data in proptest::collection::vec(any::<u8>(), 0..=32),
    ) -> Event {
        Event { seq: gap, time_ns, source, lost, ..Event::new(type_, code, &data).unwrap() }
    }
}

proptest! {
    /// Any events, in frames of any size.
    #[test]
    fn any_events_go_both_ways(
        frames in proptest::collection::vec(proptest::collection::vec(any_event(), 0..20), 0..8),
        device in ".*",
    ) {
        let first = segment(&device, 1);
        let (mut items, mut seq) = (vec![Item::Segment(first.clone())], 0);
        let mut writer = Writer::new(Vec::new(), "a test").unwrap();
        writer.begin(&first).unwrap();
        for mut events in frames {
            for event in &mut events {
                seq += event.seq;
                event.seq = seq;
            }
            writer.append(&events).unwrap();
            items.extend(events.into_iter().map(Item::Event));
        }
        let (found, error) = read(writer.get_mut());
        prop_assert_eq!(found, items);
        prop_assert!(error.is_none());
    }

    /// Bytes that nobody has written are refused and never believed.
    #[test]
    fn garbage_is_an_error_not_a_panic(bytes: Vec<u8>) {
        let mut whole = sample().bytes;
        let (before, _) = read(&whole);
        whole.extend(&bytes);
        let (items, error) = read(&whole);
        prop_assert_eq!(items, before);
        prop_assert_eq!(error.is_some(), !bytes.is_empty());
        prop_assert!(!read(&bytes).1.unwrap().to_string().is_empty());
    }
}

/// A batch larger than a frame can be is several frames.
#[test]
fn a_large_batch_is_split() {
    let events: Vec<Event> = (1..=80_000).map(event).collect();
    let mut writer = Writer::new(Vec::new(), "a test").unwrap();
    writer.begin(&segment("/dev/evq", 1)).unwrap();
    writer.append(&events).unwrap();
    let (items, error) = read(writer.get_mut());
    assert!(error.is_none(), "{error:?}");
    assert_eq!(items.len(), events.len() + 1);
}
