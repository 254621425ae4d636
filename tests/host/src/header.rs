// SPDX-License-Identifier: GPL-2.0
//! The record against the C header, with a C compiler.

use crate::event::{Event, DATA_MAX, EVENT_SIZE, SOURCE_KERNEL};
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Fills a record in C, field by field, and prints its bytes and the constants.
const PROGRAM: &str = r#"
#include <stdio.h>
#include <string.h>
#include <evq.h>
int main(void)
{
    struct evq_event e;
    unsigned char *p = (unsigned char *)&e;
    memset(&e, 0, sizeof(e));
    e.seq = 0x0102030405060708ULL;
    e.time_ns = 0x1112131415161718ULL;
    e.source = 0x21222324U;
    e.type = 0x3132;
    e.code = 0x4142;
    e.lost = 0x51525354U;
    e.len = 0x6162;
    e.reserved = 0x7172;
    for (int i = 0; i < EVQ_DATA_MAX; i++)
        e.data[i] = 0x80 + i;
    printf("%zu %u %u\n", sizeof(e), EVQ_DATA_MAX, EVQ_SOURCE_KERNEL);
    for (size_t i = 0; i < sizeof(e); i++)
        printf("%02x", p[i]);
    return 0;
}
"#;

#[test]
fn the_record_is_that_of_the_header() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let dir = std::env::temp_dir().join(format!("evq-header-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let binary = dir.join("layout");
    let mut cc = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Werror", "-xc", "-", "-o"])
        .arg(&binary)
        .arg(format!("-I{root}/include/uapi"))
        .stdin(Stdio::piped())
        .spawn()
        .expect("a C compiler is needed: install gcc");
    cc.stdin
        .take()
        .unwrap()
        .write_all(PROGRAM.as_bytes())
        .unwrap();
    assert!(cc.wait().unwrap().success());
    let output = Command::new(&binary).output().unwrap();
    std::fs::remove_dir_all(&dir).unwrap();

    let event = Event {
        seq: 0x0102_0304_0506_0708,
        time_ns: 0x1112_1314_1516_1718,
        source: 0x2122_2324,
        kind: 0x3132,
        code: 0x4142,
        lost: 0x5152_5354,
        len: 0x6162,
        reserved: 0x7172,
        data: core::array::from_fn(|i| 0x80 + i as u8),
    };
    let bytes: String = event
        .to_words()
        .iter()
        .flat_map(|word| word.to_ne_bytes())
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!("{EVENT_SIZE} {DATA_MAX} {SOURCE_KERNEL}\n{bytes}")
    );
}
