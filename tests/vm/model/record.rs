// SPDX-License-Identifier: MIT OR Apache-2.0
//! Records that follow from a number, as a program writes them and as the
//! queue gives them.

use evq::uapi::{Event, DATA_MAX};

use super::step::Flaw;

/// Record `number` as it is written: all that is not the program's to say (W1)
/// holds something that must not come back.
pub(super) fn written(number: u64, flaw: Option<Flaw>) -> Event {
    let mut event = Event {
        seq: !number,
        time_ns: !number,
        source: 0x8001_0000 | number as u32,
        type_: number as u16,
        code: (number >> 3) as u16,
        lost: 77,
        len: (number % (DATA_MAX as u64 + 1)) as u16,
        reserved: 0,
        data: std::array::from_fn(|at| (number as u8).wrapping_add(at as u8) | 1),
    };
    match flaw {
        Some(Flaw::Len(len)) => event.len = len,
        Some(Flaw::Reserved(reserved)) => event.reserved = reserved,
        None => {}
    }
    event
}

/// The same as the queue stamps it, apart from number and time.
pub(super) fn stamped(number: u64, source: u32) -> Event {
    let mut event = Event {
        seq: 0,
        time_ns: 0,
        source,
        lost: 0,
        ..written(number, None)
    };
    event.data[usize::from(event.len)..].fill(0);
    event
}
