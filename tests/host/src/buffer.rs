// SPDX-License-Identifier: GPL-2.0
//! The buffer that the driver fills record by record, beside a vector: whatever
//! is done to it in whatever order. Miri sees whether anything is read that was
//! not written.

use core::mem::MaybeUninit;

use crate::glue::borrowed_buf::BorrowedBuf;

/// Each does one thing to both, given a number that is not there yet.
type Step = fn(&mut BorrowedBuf<'_, u64>, &mut Vec<u64>, room: usize, number: u64);

const STEPS: [Step; 4] = [
    |buf, vec, room, number| {
        // Two, so that there may be room for one of them.
        let items = [number, number + 100];
        buf.extend(items.into_iter());
        vec.extend(items);
        vec.truncate(room);
    },
    |buf, vec, _, _| {
        buf.remove(1, usize::MAX);
        vec.truncate(1);
    },
    |buf, vec, _, _| {
        buf.remove(0, 1);
        vec.drain(..vec.len().min(1));
    },
    |buf, vec, _, number| {
        if let Some(last) = buf.filled_mut().last_mut() {
            *last = number;
        }
        if let Some(last) = vec.last_mut() {
            *last = number;
        }
    },
];

#[test]
fn it_holds_what_a_vector_would() {
    // It is two thousand times slower.
    const LENGTH: u32 = if cfg!(miri) { 4 } else { 6 };
    for room in 0..=3 {
        for sequence in 0..STEPS.len().pow(LENGTH) {
            let mut memory = [const { MaybeUninit::uninit() }; 3];
            let mut buf = BorrowedBuf::new(&mut memory[..room]);
            let mut vec = Vec::new();
            for at in 0..LENGTH {
                let step = sequence / STEPS.len().pow(at) % STEPS.len();
                STEPS[step](&mut buf, &mut vec, room, at.into());
                assert_eq!(buf.filled(), vec, "room {room}, sequence {sequence}");
                assert_eq!(buf.len(), vec.len());
            }
        }
    }
}
