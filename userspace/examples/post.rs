// SPDX-License-Identifier: MIT OR Apache-2.0
//! Posts three events in one write: subscribers are notified once.

use evq::{Event, Options};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let queue = Options::new()
        .read(false)
        .write(true)
        .open(evq::device::DEFAULT_PATH)?;
    let event = |code| Event::new(1, code, b"hello").ok_or("the payload is too long");
    let posted = queue
        .post(&[event(1)?, event(2)?, event(3)?])
        .map_err(|(_, error)| error)?;
    println!("posted {posted}");
    Ok(())
}
