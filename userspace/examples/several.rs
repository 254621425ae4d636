// SPDX-License-Identifier: MIT OR Apache-2.0
//! One loop over sources of different kinds: a queue, standard input, a timer,
//! and the signals that end it.

use std::time::Duration;

use evq::via::Kind;
use evq::{Bytes, Event, Filled, Queue, StopSignals, Timer, Watcher};
use nix::sys::signal::Signal;

fn main() -> evq::Result<()> {
    // First of all: threads that start later inherit the mask.
    let stop = StopSignals::new(&[Signal::SIGINT, Signal::SIGTERM])?;
    let queue = Queue::open(evq::device::DEFAULT_PATH)?;
    let input = Bytes::stdin()?;
    let timer = Timer::every(Duration::from_secs(1))?;

    let mut watcher = Watcher::new(Kind::default())?;
    let stopped = watcher.also(&stop, "the signalfd")?;
    let posted = watcher.arm(&queue, queue.name())?;
    // It may be anything: what sends no signals is watched all the same.
    let typed = input.arm(&mut watcher)?;
    let ticked = watcher.arm_or_also(&timer, timer.name())?;
    println!("watching");

    let mut events = [Event::default(); 64];
    let mut bytes = [0; 1024];
    loop {
        for ready in watcher.wait(None)? {
            if ready == stopped {
                // Taken, or it would end the program when the mask is put back.
                if stop.next()?.is_some() {
                    return Ok(());
                }
            } else if ready == ticked {
                println!("ticks: {}", timer.read()?.unwrap_or(0));
            } else if ready == posted {
                while let Filled::Records(count) = queue.read(&mut events)? {
                    println!("events: {count}, the first is {}", events[0].seq);
                }
            } else if ready == typed {
                match input.read(&mut bytes)? {
                    Filled::Records(count) => {
                        println!("bytes: {count}");
                        // One read was enough for it to have its turn.
                        watcher.more(typed);
                    }
                    Filled::Empty => {}
                    Filled::End => watcher.disarm(typed),
                }
            }
        }
    }
}
