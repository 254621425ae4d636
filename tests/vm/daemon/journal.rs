// SPDX-License-Identifier: MIT OR Apache-2.0
//! C6: events as entries of the journal, whose place this test takes.

use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixDatagram;

use super::{Daemon, Place};
use crate::support::device::*;
use crate::support::until_readable;

const SOCKET: &str = "/run/systemd/journal/socket";

fn listen() -> UnixDatagram {
    UnixDatagram::bind(SOCKET).expect("taking the place of the journal")
}

fn fields(journal: &UnixDatagram) -> Vec<String> {
    let mut buffer = [0; 4096];
    until_readable(journal.as_fd(), "an entry");
    let count = journal.recv(&mut buffer).expect("an entry");
    let text = String::from_utf8(buffer[..count].to_vec()).expect("text");
    text.lines().map(str::to_owned).collect()
}

/// An entry for each event; while there is no journal, the events wait.
#[test]
fn c6_events_are_entries_of_the_journal() {
    fs::create_dir_all("/run/systemd/journal").expect("its folder");
    let place = Place::new("[[rule]]\nname = \"all\"\ntype = 0x100\njournal = true\n");
    let journal = listen();
    let daemon = Daemon::start(&place);
    let writer = open_rw();
    let first = info(&writer).posted + 1;
    post(&writer, &[record(0xabcd), record(1)]);
    for seq in [first, first + 1] {
        let entry = fields(&journal);
        for field in [
            "PRIORITY=6".to_owned(),
            "SYSLOG_IDENTIFIER=evdev-client".into(),
            "EVQ_RULE=all".into(),
            "EVQ_DEVICE=/dev/evq".into(),
            format!("EVQ_SEQ={seq}"),
            "EVQ_TYPE=256".into(),
            "EVQ_CODE=7".into(),
        ] {
            assert!(entry.contains(&field), "{field}: {entry:?}");
        }
        let message = entry.iter().find(|field| field.starts_with("MESSAGE="));
        assert!(
            message.is_some_and(|text| text.contains("type 256 code 7")),
            "{entry:?}"
        );
    }
    drop(journal);
    fs::remove_file(SOCKET).expect("it was made");
    post(&writer, &[record(2)]);
    place.until_metric("evq_journal_failures_total{rule=\"all\"} 1");
    let journal = listen();
    assert!(fields(&journal).contains(&format!("EVQ_SEQ={}", first + 2)));
    fs::remove_file(SOCKET).expect("it was made");
    daemon.stop();
}
