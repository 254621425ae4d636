// SPDX-License-Identifier: MIT OR Apache-2.0
//! The header, the man page, the contract and the package tell the same of the
//! interface: what one of them has, the others have too.

use std::fs;
use std::path::Path;

fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn header() -> String {
    text("include/uapi/evq.h")
}

/// The ioctls that the header defines, in its order.
fn ioctls() -> Vec<String> {
    let header = header();
    let names = header.lines().filter_map(|line| {
        let rest = line.strip_prefix("#define EVQ_IOC_")?;
        let (name, value) = rest.split_once(char::is_whitespace)?;
        value
            .trim()
            .starts_with("_IO")
            .then(|| format!("EVQ_IOC_{name}"))
    });
    names.collect()
}

/// The fields of a structure: type and name, comments left out.
fn fields(text: &str, structure: &str) -> Vec<String> {
    let (_, rest) = text
        .split_once(&format!("\nstruct {structure} {{\n"))
        .unwrap();
    let (body, _) = rest.split_once("\n};").unwrap();
    let field = |line: &str| {
        let line = line.split("/*").next()?.trim().strip_suffix(';')?;
        Some(line.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    body.lines().filter_map(field).collect()
}

fn in_words(count: usize) -> &'static str {
    [
        "no", "one", "two", "three", "four", "five", "six", "seven", "eight",
    ][count]
}

#[test]
fn page_lists_the_ioctls_of_the_header() {
    let page = text("docs/man/evq.4");
    let (_, section) = page.split_once(".Sh IOCTLS\n").unwrap();
    let section = section.split("\n.Sh ").next().unwrap();
    let listed: Vec<&str> = section
        .lines()
        .filter_map(|line| line.strip_prefix(".It Dv "))
        .collect();
    let defined = ioctls();
    assert!(!defined.is_empty());
    assert_eq!(listed, defined);
    let words = in_words(defined.len());
    for path in ["docs/contract.md", "ARCHITECTURE.md"] {
        let text = text(path);
        let counted = text
            .split_once(" ioctls")
            .unwrap_or_else(|| panic!("{path} does not count them"));
        assert_eq!(counted.0.rsplit(' ').next(), Some(words), "{path}");
    }
}

#[test]
fn page_shows_the_record_of_the_header() {
    let page = text("docs/man/evq.4");
    let mut header = fields(&header(), "evq_event");
    for field in &mut header {
        // A page shows numbers.
        *field = field.replace("EVQ_DATA_MAX", "32");
    }
    assert_eq!(fields(&page, "evq_event"), header);
}

/// Programs find the header where the page says, for the package puts it there.
#[test]
fn package_installs_the_header_that_the_page_names() {
    let page = text("docs/man/evq.4");
    let mut named = page.lines().filter_map(|line| line.strip_prefix(".In "));
    let named: &str = named.next().expect("a header in the synopsis");
    let build = text("packaging/build");
    let installed: Vec<&str> = build
        .lines()
        .filter(|line| line.starts_with("install ") && line.contains("/include/uapi/evq.h\""))
        .filter_map(|line| line.split_once("$stage/usr/include/")?.1.strip_suffix('"'))
        .collect();
    assert_eq!(installed, [named]);
}

/// The library has the header's numbers (tests/uapi.rs compares the structures).
#[test]
fn header_has_the_limits_that_the_page_tells() {
    let header = header();
    let number = |name: &str| {
        let line = header.lines().find_map(|line| {
            line.strip_prefix("#define ")?
                .strip_prefix(name)?
                .strip_prefix(char::is_whitespace)
        });
        let line = line.unwrap_or_else(|| panic!("no {name}"));
        let value = line.split_whitespace().next().unwrap();
        value.trim_end_matches(['U', 'u']).parse::<usize>().unwrap()
    };
    assert_eq!(number("EVQ_DATA_MAX"), evq::uapi::DATA_MAX);
    assert_eq!(number("EVQ_FILTER_MAX"), evq::uapi::FILTER_MAX);
    let page = text("docs/man/evq.4");
    for told in [
        format!("up to {} rules", evq::uapi::FILTER_MAX),
        format!("above {} or", evq::uapi::DATA_MAX),
    ] {
        assert!(page.contains(&told), "{told}");
    }
}

/// What the shipped configuration appends to is rotated.
#[test]
fn package_rotates_the_files_of_its_configuration() {
    let rotated = text("packaging/evq-daemon.logrotate");
    let pattern = rotated.lines().find_map(|line| line.strip_suffix(" {"));
    let (before, after) = pattern.unwrap().split_once('*').unwrap();
    let config = text("packaging/daemon.toml");
    let mut count = 0;
    for line in config.lines() {
        if let Some(path) = line.strip_prefix("append = \"") {
            let path = path.trim_end_matches('"');
            assert!(path.starts_with(before) && path.ends_with(after), "{path}");
            count += 1;
        }
    }
    assert!(count > 0, "{config}");
    let build = text("packaging/build");
    assert!(build.contains("evq-daemon.logrotate\" \"$stage/etc/logrotate.d/evq-daemon\""));
    let conffiles = build
        .lines()
        .find(|line| line.ends_with("DEBIAN/conffiles\""));
    assert!(conffiles.unwrap().contains("/etc/logrotate.d/evq-daemon"));
    let unit = text("packaging/evq-daemon.service");
    assert!(
        unit.contains("LogsDirectory=evq") && unit.contains("User=evq"),
        "{unit}"
    );
}
