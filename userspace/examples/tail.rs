// SPDX-License-Identifier: MIT OR Apache-2.0
//! Prints what is still in the queue and then what comes, by blocking reads.

use evq::{Position, Queue, Source};

fn main() -> evq::Result<()> {
    let queue = Queue::open(evq::device::DEFAULT_PATH)?;
    queue.seek(Position::Oldest)?;
    for event in queue.events() {
        let event = event?;
        if event.lost > 0 {
            println!("(lost {})", event.lost);
        }
        println!(
            "{} {} {:02x?}",
            event.seq,
            Source::from(event.source),
            event.payload()
        );
    }
    Ok(())
}
