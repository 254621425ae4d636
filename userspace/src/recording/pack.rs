// SPDX-License-Identifier: MIT OR Apache-2.0
//! Events in the body of a frame: what does not change takes a byte.
//!
//! Numbers are LEB128: seven bits a byte, the lowest first, the eighth bit set
//! in all but the last. For each event: how many numbers lie between the one
//! before and its own, `lost`, the difference of the times (zigzag), source,
//! type, code, the length of the payload and the payload. Before the first
//! event of a frame number and time are 0, so that each frame can be read
//! without the others.

use crate::uapi::{Event, DATA_MAX};

/// The longest event: 10 + 5 + 10 + 5 + 3 + 3 + 1 bytes and the payload.
const EVENT_MAX: usize = 37 + DATA_MAX;

/// Events in one frame: what always fits.
pub(super) const EVENTS_MAX: usize = super::frame::BODY_MAX / EVENT_MAX;

fn put(number: u64, body: &mut Vec<u8>) {
    let mut rest = number;
    while rest >= 0x80 {
        body.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    body.push(rest as u8);
}

/// A number from the beginning of `body`, which it takes off.
fn take(body: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = body.split_first()?;
        *body = rest;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Small for small differences of either sign.
fn zigzag(difference: i64) -> u64 {
    ((difference << 1) ^ (difference >> 63)) as u64
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// The body of a frame with these events, whose numbers ascend from 1.
pub(super) fn pack(events: &[Event]) -> Vec<u8> {
    let mut body = Vec::new();
    let (mut seq, mut time_ns) = (0_u64, 0_u64);
    for event in events {
        put(event.seq - seq - 1, &mut body);
        put(event.lost.into(), &mut body);
        put(
            zigzag(event.time_ns.wrapping_sub(time_ns) as i64),
            &mut body,
        );
        put(event.source.into(), &mut body);
        put(event.type_.into(), &mut body);
        put(event.code.into(), &mut body);
        body.push(event.payload().len() as u8);
        body.extend_from_slice(event.payload());
        (seq, time_ns) = (event.seq, event.time_ns);
    }
    body
}

/// The reverse of [`pack`]; None if these bytes are not what it makes.
pub(super) fn unpack(mut body: &[u8]) -> Option<Vec<Event>> {
    let mut events = Vec::new();
    let (mut seq, mut time_ns) = (0_u64, 0_u64);
    while !body.is_empty() {
        seq = take(&mut body)?.checked_add(seq)?.checked_add(1)?;
        let lost = take(&mut body)?.try_into().ok()?;
        time_ns = time_ns.wrapping_add(unzigzag(take(&mut body)?) as u64);
        let source = take(&mut body)?.try_into().ok()?;
        let type_ = take(&mut body)?.try_into().ok()?;
        let code = take(&mut body)?.try_into().ok()?;
        let (&length, rest) = body.split_first()?;
        let (payload, rest) = rest.split_at_checked(length.into())?;
        body = rest;
        events.push(Event {
            seq,
            time_ns,
            source,
            lost,
            ..Event::new(type_, code, payload)?
        });
    }
    Some(events)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_go_both_ways(number: u64) {
            let mut body = Vec::new();
            put(number, &mut body);
            let mut rest = &body[..];
            prop_assert_eq!(take(&mut rest), Some(number));
            prop_assert!(rest.is_empty());
            prop_assert_eq!(zigzag(unzigzag(number)), number);
        }

        #[test]
        fn garbage_is_no_event_and_no_panic(body: Vec<u8>) {
            if let Some(events) = unpack(&body) {
                prop_assert!(events.windows(2).all(|pair| pair[0].seq < pair[1].seq));
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        // 2^64, and a number without an end.
        for bytes in [
            &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2][..],
            &[0x80; 11],
        ] {
            assert_eq!(take(&mut &bytes[..]), None);
        }
        // The greatest number, and one more behind it.
        let last = Event {
            seq: u64::MAX,
            ..Event::default()
        };
        let mut body = pack(&[last]);
        assert_eq!(unpack(&body).unwrap()[0].seq, u64::MAX);
        body.extend(pack(&[Event { seq: 1, ..last }]));
        assert_eq!(unpack(&body), None);
    }

    #[test]
    fn the_longest_event_is_as_long_as_said() {
        let longest = Event {
            seq: u64::MAX,
            time_ns: 1 << 63,
            source: u32::MAX,
            lost: u32::MAX,
            ..Event::new(u16::MAX, u16::MAX, &[0xff; DATA_MAX]).unwrap()
        };
        assert_eq!(pack(&[longest]).len(), EVENT_MAX);
    }

    #[test]
    fn a_key_takes_a_third_of_a_record() {
        let mut key = Event::new(1, 30, &1_i32.to_ne_bytes()).unwrap();
        (key.seq, key.time_ns, key.source) = (1, 5_000_000_000, 0x8001_0000);
        let next = Event {
            seq: 2,
            time_ns: key.time_ns + 100_000_000,
            ..key
        };
        let length = pack(&[key, next]).len() - pack(&[key]).len();
        assert!(length <= 64 / 3, "{length} bytes");
    }
}
