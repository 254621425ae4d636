// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Rust mirrors against the C headers themselves: a C program prints what
//! the compiler makes of them, and Rust prints the same list.

use std::fmt::Write as _;
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;

use evq::sys;
use evq::uapi::{self, Event, FilterArg, Info, Match, SeekArg, WakeupArg};

/// Collects one side's list and, for each line, the C expression of the other.
#[derive(Default)]
struct Both {
    rust: String,
    c: String,
}

impl Both {
    fn value(&mut self, expression: &str, value: u64) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.rust, "{expression} = {value}");
        let _ = writeln!(
            self.c,
            "\tprintf(\"%s = %llu\\n\", \"{expression}\", (unsigned long long)({expression}));"
        );
    }
}

macro_rules! fields {
    ($both:ident, $rust:ty, $c:literal, $($field:ident as $name:literal),+ $(,)?) => {
        $both.value(concat!("sizeof(struct ", $c, ")"), size_of::<$rust>() as u64);
        $both.value(concat!("_Alignof(struct ", $c, ")"), align_of::<$rust>() as u64);
        $($both.value(
            concat!("offsetof(struct ", $c, ", ", $name, ")"),
            offset_of!($rust, $field) as u64,
        );
        $both.value(
            concat!("sizeof(((struct ", $c, " *)0)->", $name, ")"),
            field_size(|value: &$rust| &raw const value.$field) as u64,
        );)+
    };
}

fn field_size<T: Default, F>(_field: fn(&T) -> *const F) -> usize {
    size_of::<F>()
}

fn run_c(body: &str) -> String {
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("../include/uapi");
    let dir = tempfile::tempdir().unwrap();
    let (source, program) = (dir.path().join("layout.c"), dir.path().join("layout"));
    let text = format!(
        "#define _GNU_SOURCE\n#include <fcntl.h>\n#include <stddef.h>\n#include <stdio.h>\n\
         #include <evq.h>\n\nint main(void)\n{{\n{body}\treturn 0;\n}}\n"
    );
    std::fs::write(&source, text).unwrap();
    let status = Command::new("cc")
        .args(["-Wall", "-Werror", "-I"])
        .arg(&include)
        .arg("-o")
        .args([&program, &source])
        .status()
        .expect("cc runs (package gcc)");
    assert!(status.success(), "the C side does not compile");
    String::from_utf8(Command::new(&program).output().unwrap().stdout).unwrap()
}

#[test]
fn mirrors_match_the_headers() {
    let mut both = Both::default();
    fields!(
        both, Event, "evq_event",
        seq as "seq", time_ns as "time_ns", source as "source", type_ as "type",
        code as "code", lost as "lost", len as "len", reserved as "reserved", data as "data",
    );
    fields!(
        both, Info, "evq_info",
        abi as "abi", capacity as "capacity", posted as "posted", oldest as "oldest",
        next as "next", delivered as "delivered", lost as "lost",
        overwritten as "overwritten", refused as "refused", subscribers as "subscribers",
        flags as "flags", instance as "instance",
        wakeups as "wakeups", signals as "signals", skipped as "skipped", reserved as "reserved",
    );
    fields!(
        both, SeekArg, "evq_seek",
        whence as "whence", reserved as "reserved", seq as "seq",
    );
    fields!(
        both, Match, "evq_match",
        source as "source", source_mask as "source_mask", type_first as "type_first",
        type_last as "type_last", reserved as "reserved",
    );
    fields!(
        both, FilterArg, "evq_filter",
        count as "count", reserved as "reserved", rules as "match",
    );
    fields!(
        both, WakeupArg, "evq_wakeup",
        events as "events", reserved as "reserved", max_delay_ns as "max_delay_ns",
    );
    fields!(both, sys::OwnerEx, "f_owner_ex", type_ as "type", pid as "pid");
    for (name, value) in [
        ("EVQ_DATA_MAX", uapi::DATA_MAX as u64),
        ("EVQ_ABI", uapi::ABI.into()),
        ("EVQ_SOURCE_KERNEL", uapi::SOURCE_KERNEL.into()),
        ("EVQ_CLASS_NONE", uapi::CLASS_NONE.into()),
        ("EVQ_CLASS_INPUT", uapi::CLASS_INPUT.into()),
        ("EVQ_CLASS_TIMER", uapi::CLASS_TIMER.into()),
        ("EVQ_CLASS_FREE", uapi::CLASS_FREE.into()),
        ("EVQ_INFO_RETIRED", uapi::INFO_RETIRED.into()),
        ("EVQ_SEEK_NEWEST", uapi::SEEK_NEWEST.into()),
        ("EVQ_SEEK_OLDEST", uapi::SEEK_OLDEST.into()),
        ("EVQ_SEEK_SEQ", uapi::SEEK_SEQ.into()),
        ("offsetof(struct evq_map, newest)", uapi::MAP_NEWEST as u64),
        ("EVQ_IOC_MAGIC", uapi::IOC_MAGIC.into()),
        ("EVQ_IOC_INFO", uapi::IOC_INFO),
        ("EVQ_IOC_SEEK", uapi::IOC_SEEK),
        ("EVQ_IOC_FILTER", uapi::IOC_FILTER),
        ("EVQ_IOC_WAKEUP", uapi::IOC_WAKEUP),
        ("EVQ_FILTER_MAX", uapi::FILTER_MAX as u64),
        ("EVQ_DELAY_MAX_NS", uapi::DELAY_MAX_NS),
        ("F_SETSIG", sys::F_SETSIG as u64),
        ("F_GETSIG", sys::F_GETSIG as u64),
        ("F_SETOWN_EX", sys::F_SETOWN_EX as u64),
        ("F_GETOWN_EX", sys::F_GETOWN_EX as u64),
        ("F_OWNER_TID", sys::F_OWNER_TID as u64),
        ("F_OWNER_PID", sys::F_OWNER_PID as u64),
        ("F_OWNER_PGRP", sys::F_OWNER_PGRP as u64),
    ] {
        both.value(name, value);
    }
    assert_eq!(run_c(&both.c), both.rust);
}
