// SPDX-License-Identifier: MIT OR Apache-2.0
//! When events come: at any time, and all of them are told (C2).

use evq::via::Kind;

use crate::source::{make, Origin};
use crate::watch::Watch;

pub(crate) fn before_arming(kind: Kind, origin: Origin) {
    let (reader, writer) = make(origin);
    writer.post([1]);
    let mut watch = Watch::new(kind, reader);
    assert_eq!(watch.collect(64, 1), [1]);
}

pub(crate) fn before_waiting(kind: Kind, origin: Origin) {
    let (reader, writer) = make(origin);
    let mut watch = Watch::new(kind, reader);
    writer.post([1]);
    assert_eq!(watch.collect(64, 1), [1]);
    // And with the report of arming out of the way.
    watch.drain();
    writer.post([2]);
    assert_eq!(watch.collect(64, 1), [2]);
}

/// U2: what a reader leaves behind is nobody's news.
pub(crate) fn partial_reads(kind: Kind, origin: Origin) {
    let (reader, writer) = make(origin);
    let mut watch = Watch::new(kind, reader);
    watch.drain();
    writer.post(1..=3);
    assert_eq!(watch.collect(1, 3), [1, 2, 3]);
    writer.post([4]);
    assert_eq!(watch.collect(1, 1), [4]);
}
