// SPDX-License-Identifier: MIT OR Apache-2.0
//! Prints events in an async program, and says so when none has come for a
//! while: a wait that is given up loses nothing.

use std::time::Duration;

use evq::{EventStream, Queue};
use tokio::runtime::Builder;
use tokio::time::timeout;

const QUIET: Duration = Duration::from_secs(10);

fn main() -> evq::Result<()> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs a few descriptors");
    runtime.block_on(print())
}

async fn print() -> evq::Result<()> {
    let mut events = EventStream::new(Queue::open(evq::device::DEFAULT_PATH)?)?;
    println!("watching");
    loop {
        match timeout(QUIET, events.next()).await {
            Ok(None) => return Ok(()),
            Ok(Some(event)) => {
                let event = event?;
                println!(
                    "{} {:02x?} (lost {})",
                    event.seq,
                    event.payload(),
                    event.lost
                );
            }
            Err(_) => println!("nothing for {QUIET:?}"),
        }
    }
}
