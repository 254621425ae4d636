// SPDX-License-Identifier: MIT OR Apache-2.0
//! C1, Q3: one storm, watched by the program with every mechanism at once.

use std::thread;

use evq::via::Kind;
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::unistd::write;

use crate::support::client::{no_limit, Watch};
use crate::support::device::*;
use crate::support::worker::until_asleep;

/// Whoever posts as fast as it can. More of them only wait for one another.
const WRITERS: u64 = 2;

/// How many events: `EVQ_STORM` says less where the kernel's checkers are on.
fn posted() -> u64 {
    match std::env::var("EVQ_STORM") {
        Ok(count) => count.parse().expect("EVQ_STORM is a number of events"),
        Err(_) => 1_000_000,
    }
}

/// The records are made once: that takes longer than posting them.
fn post_without_pause(count: u64) {
    let fd = open(OFlag::O_WRONLY);
    let batch = bytes(&vec![record(1); 64]);
    let mut left = usize::try_from(count).expect("it fits") * EVENT_SIZE;
    while left > 0 {
        let size = left.min(batch.len());
        assert_eq!(write(&fd, &batch[..size]), Ok(size), "posting");
        left -= size;
    }
}

/// A million events, by programs that write whole batches without a pause: each
/// `watch --via NAME` ends with `delivered + lost == posted`, having read all
/// that there was before it went to sleep.
#[test]
fn a_storm_by_every_mechanism() {
    let posted = posted() / WRITERS * WRITERS;
    let probe = open(OFlag::O_RDONLY);
    let first = info(&probe).next;
    let watches: Vec<_> = Kind::ALL
        .iter()
        .map(|kind| {
            let arguments = ["--quiet", "--via", kind.name()];
            (kind, Watch::start_with(&arguments, no_limit))
        })
        .collect();
    thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| post_without_pause(posted / WRITERS));
        }
    });
    assert_eq!(
        info(&probe).posted,
        first + posted - 1,
        "nothing else posts meanwhile"
    );
    for (kind, watch) in watches {
        // Whoever has not read all of it sleeps on something it will not be told.
        until_asleep(watch.pid());
        watch.signal(Signal::SIGTERM);
        let ended = watch.end();
        assert_eq!(ended.code(), 143, "{kind}: {ended:?}");
        let (delivered, lost) = ended.account();
        assert_eq!(
            delivered + lost,
            posted,
            "{kind}: delivered + lost == posted; {ended:?}"
        );
        println!("{kind}: delivered {delivered}, lost {lost}");
    }
}
