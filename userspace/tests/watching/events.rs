// SPDX-License-Identifier: MIT OR Apache-2.0
//! Events one after the other: as an iterator, by each mechanism, and as a
//! stream.

use crate::carrier::{alone, flags, post, record, watchdog, Carrier, CARRIERS};
use evq::via::Kind;
use evq::{Error, Event, Filled};
use std::io::Write as _;
use std::thread;

#[test]
fn the_iterator_ends_with_the_file_and_when_empty() {
    let (queue, mut writer) = Carrier::Pipe.open();
    post(&mut writer, 1..=100);
    drop(writer);
    let mut events = queue.events();
    let seqs: Vec<u64> = events.by_ref().map(|event| event.unwrap().seq).collect();
    assert!(seqs.into_iter().eq(1..=100));
    assert!(events.next().is_none());
    assert_eq!(queue.read(&mut [Event::default()]).unwrap(), Filled::End);
}

/// C1: the loop is the same whatever tells it when to read.
#[test]
fn c1_the_iterator_waits_by_any_mechanism() {
    const COUNT: u64 = 300;
    let behaviour = |kind, carrier: Carrier| {
        let (queue, mut writer) = carrier.open();
        let before = flags(&queue);
        let mut events = queue.events_via(kind).unwrap();
        let nonblocking = flags(&queue) & libc::O_NONBLOCK != 0;
        assert_eq!(nonblocking, kind.drains(), "{kind} is what waits");
        let poster = thread::spawn(move || {
            for seq in 1..=COUNT {
                post(&mut writer, [seq]);
            }
        });
        for seq in 1..=COUNT {
            let event = events.next().expect("another event follows").unwrap();
            assert_eq!(event.seq, seq, "{kind}");
        }
        poster.join().unwrap();
        assert!(events.next().is_none(), "{kind}: the end of the file");
        drop(events);
        assert_eq!(flags(&queue), before, "{kind}");
    };
    watchdog();
    for &kind in Kind::ALL {
        for carrier in CARRIERS {
            if kind == Kind::Rtsig {
                alone(|| behaviour(kind, carrier));
            } else {
                behaviour(kind, carrier);
            }
        }
    }
}

#[test]
fn an_error_is_the_last_item() {
    let (queue, mut writer) = Carrier::Pipe.open();
    post(&mut writer, [1]);
    let mut events = queue.events_via(Kind::Poll).unwrap();
    assert_eq!(events.next().unwrap().unwrap().seq, 1);
    writer.write_all(&record(2)[..10]).unwrap();
    let error = events.next().unwrap().unwrap_err();
    assert!(matches!(error, Error::Torn { bytes: 10, .. }), "{error}");
    post(&mut writer, [3]);
    assert!(events.next().is_none());
}

#[cfg(feature = "tokio")]
mod stream {
    use super::*;

    use std::future::poll_fn;
    use std::pin::Pin;
    use std::task::Poll;
    use std::time::Duration;

    use evq::EventStream;
    use futures_core::Stream as _;
    use tokio::runtime::{Builder, Runtime};
    use tokio::time::timeout;

    fn runtime() -> Runtime {
        watchdog();
        Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn the_stream_gives_all_events_and_ends_with_the_file() {
        const COUNT: u64 = 300;
        for carrier in CARRIERS {
            let (queue, mut writer) = carrier.open();
            let poster = thread::spawn(move || {
                for seq in 1..=COUNT {
                    post(&mut writer, [seq]);
                }
            });
            runtime().block_on(async {
                let mut events = EventStream::new(queue).unwrap();
                for seq in 1..=COUNT {
                    assert_eq!(events.next().await.unwrap().unwrap().seq, seq);
                }
                assert!(events.next().await.is_none());
                assert!(events.next().await.is_none(), "and stays at its end");
            });
            poster.join().unwrap();
        }
    }

    /// What others do with it: the trait, not the method.
    #[test]
    fn it_is_a_stream() {
        let (queue, mut writer) = Carrier::Pipe.open();
        runtime().block_on(async {
            let mut events = EventStream::new(queue).unwrap();
            let first = poll_fn(|cx| Poll::Ready(Pin::new(&mut events).poll_next(cx))).await;
            assert!(first.is_pending());
            post(&mut writer, [1]);
            let event = poll_fn(|cx| Pin::new(&mut events).poll_next(cx)).await;
            assert_eq!(event.unwrap().unwrap().seq, 1);
        });
    }

    #[test]
    fn a_call_that_is_given_up_loses_nothing() {
        let (queue, mut writer) = Carrier::Pipe.open();
        runtime().block_on(async {
            let mut events = EventStream::new(queue).unwrap();
            for seq in 1..=200 {
                // Pending for one, then given up.
                assert!(timeout(Duration::ZERO, events.next()).await.is_err());
                post(&mut writer, [2 * seq - 1, 2 * seq]);
                assert_eq!(events.next().await.unwrap().unwrap().seq, 2 * seq - 1);
                assert_eq!(events.next().await.unwrap().unwrap().seq, 2 * seq);
            }
        });
    }

    #[test]
    fn the_description_is_put_back_and_the_queue_goes_on() {
        let (queue, mut writer) = Carrier::Pipe.open();
        let shared = std::os::fd::AsFd::as_fd(&queue)
            .try_clone_to_owned()
            .unwrap();
        let before = flags(&shared);
        runtime().block_on(async {
            let events = EventStream::new(queue).unwrap();
            assert_ne!(flags(&shared), before, "non-blocking while it lives");
            drop(events);
        });
        assert_eq!(flags(&shared), before);
        post(&mut writer, [1]);
    }

    #[test]
    fn outside_of_a_runtime_it_says_so() {
        let (queue, _writer) = Carrier::Pipe.open();
        let error = EventStream::new(queue).unwrap_err();
        assert!(
            error.to_string().contains("call it from async code"),
            "{error}"
        );
    }

    /// So that a task of a runtime with many threads can have one.
    #[test]
    fn it_can_move_to_another_thread() {
        fn movable<T: Send + Unpin + 'static>() {}
        movable::<EventStream>();
    }
}
