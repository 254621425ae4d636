// SPDX-License-Identifier: MIT OR Apache-2.0
//! `qemu/kernel` chooses a kernel, and says what to do when it cannot. The
//! archive is the one that the machine uses; no kernel is made here.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{killpg, Signal};
use nix::unistd::Pid;

/// A cache of its own, and the table of kernel series that the test wants.
struct Cache {
    folder: PathBuf,
}

impl Cache {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("creating a cache");
        Self { folder }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("kernel"));
        command
            .args(arguments)
            .env("EVQ_CACHE", &self.folder)
            .env("EVQ_ARCH", "amd64")
            .env_remove("EVQ_KERNELS")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments)
            .output()
            .expect("qemu/kernel starts")
    }

    /// With a table of these rows.
    fn run_with_table(&self, rows: &str, arguments: &[&str]) -> Output {
        let table = self.folder.join("table");
        fs::write(&table, rows).expect("writing a table");
        self.command(arguments)
            .env("EVQ_KERNELS", table)
            .output()
            .expect("qemu/kernel starts")
    }

    /// The names of what is in the cache besides logs and the lock.
    fn entries(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.folder)
            .expect("the cache is there")
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .filter(|name| !["lock", "log", "table"].contains(&name.as_str()))
            .collect();
        names.sort();
        names
    }
}

/// What it says when it fails.
#[track_caller]
fn refusal(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(output.stdout.is_empty(), "{output:?}");
    text
}

#[track_caller]
fn answer(output: &Output) -> (String, String) {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (answer, text)
}

#[track_caller]
fn assert_says(text: &str, wanted: &[&str]) {
    for part in wanted {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

#[test]
fn kernel_unknown_architecture_lists_supported_ones() {
    let cache = Cache::new("arch");
    let output = cache
        .command(&["stock"])
        .env("EVQ_ARCH", "riscv64")
        .output()
        .expect("qemu/kernel starts");
    assert_says(&refusal(&output), &["riscv64", "amd64", "arm64"]);
    assert!(cache.entries().is_empty());
}

#[test]
fn kernel_unknown_series_lists_known_ones() {
    let cache = Cache::new("series");
    let text = refusal(&cache.run(&["stock-9.9"]));
    assert_says(&text, &["9.9", "known series: 7.", "docs/porting.md"]);
    assert_says(&refusal(&cache.run(&["16k"])), &["amd64", "arm64 only"]);
    assert_says(&refusal(&cache.run(&["sock"])), &["'sock'", "stock, rt"]);
}

/// The series that the archive has now, newest first.
fn on_offer(cache: &Cache) -> Vec<String> {
    let (offers, _) = answer(&cache.run(&["--offers", "trixie-backports"]));
    let mut series: Vec<String> = offers
        .lines()
        .filter_map(|line| Some(line.split(' ').next()?.to_owned()))
        .filter(|series| !series.starts_with("6."))
        .collect();
    series.dedup();
    assert!(!series.is_empty(), "no kernel with Rust in {offers:?}");
    series
}

#[test]
fn kernel_default_is_newest_known_series_on_offer() {
    let cache = Cache::new("default");
    let mut table = String::from("7.99 7.99.1 trixie-backports trixie gcc-14\n");
    let offered = on_offer(&cache);
    for series in offered.iter().rev() {
        table += &format!("{series} {series} trixie-backports trixie gcc-14\n");
    }
    let (newest, _) = answer(&cache.run_with_table(&table, &["--which"]));
    assert!(newest.starts_with(&format!("{} ", offered[0])), "{newest}");
    for series in &offered {
        let name = format!("rt-{series}");
        let (chosen, _) = answer(&cache.run_with_table(&table, &["--which", &name]));
        assert!(chosen.starts_with(&format!("{series} ")), "{chosen}");
        assert!(chosen.contains("-rt-amd64 "), "{chosen}");
    }
}

#[test]
fn kernel_known_series_not_on_offer_takes_next_newer_with_warning() {
    let cache = Cache::new("newer");
    let offered = on_offer(&cache);
    let next = offered.last().expect("at least one");
    let table = "7.0 7.0.99 trixie-backports trixie gcc-14\n";
    let (chosen, text) = answer(&cache.run_with_table(table, &["--which"]));
    assert!(chosen.starts_with(&format!("{next} ")), "{chosen}");
    assert_says(&text, &["warning", "does not know", "docs/porting.md"]);
    let text = refusal(&cache.run_with_table(table, &["--which", "stock-7.0"]));
    assert_says(&text, &["no amd64 kernel of series 7.0", "--kernel stock"]);
}

#[test]
fn kernel_archive_without_kernels_says_what_to_do() {
    let cache = Cache::new("none");
    let table = "7.99 7.99.1 trixie-backports trixie gcc-14\n";
    let text = refusal(&cache.run_with_table(table, &["--which"]));
    assert_says(
        &text,
        &["offers no amd64 kernel", "EVQ_MIRROR", "/path/to/tree"],
    );
    assert!(cache.entries().is_empty(), "{:?}", cache.entries());
}

#[test]
fn kernel_unreachable_mirror_is_not_an_archive_without_kernels() {
    let cache = Cache::new("mirror");
    let output = cache
        .command(&["--which"])
        // The discard port: nothing listens there.
        .env("EVQ_MIRROR", "http://127.0.0.1:9/debian")
        .output()
        .expect("qemu/kernel starts");
    let text = refusal(&output);
    assert_says(&text, &["127.0.0.1", "package lists", "failed with status"]);
    assert!(!text.contains("offers no"), "{text}");
}

#[test]
fn kernel_malformed_table_names_row() {
    let cache = Cache::new("table");
    let text = refusal(&cache.run_with_table("7.3 trixie-backports\n", &["--which"]));
    assert_says(&text, &["five columns", "7.3 trixie-backports"]);
}

#[test]
fn kernel_interrupted_download_leaves_nothing_half_made() {
    let cache = Cache::new("interrupted");
    let mut child = cache
        .command(&["stock"])
        .process_group(0)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("qemu/kernel starts");
    let stderr = child.stderr.take().expect("a pipe");
    let downloads = BufReader::new(stderr)
        .lines()
        .map_while(Result::ok)
        .any(|line| line.contains("packages: download"));
    assert!(downloads, "it never came to a download");
    let group = Pid::from_raw(child.id().try_into().expect("a pid"));
    killpg(group, Signal::SIGKILL).expect("killing qemu/kernel");
    child.wait().expect("waiting for it");
    let left = cache.entries();
    assert!(left.iter().all(|name| name.starts_with("tmp.")), "{left:?}");
    let (_, text) = answer(&cache.run(&["--which"]));
    assert_says(&text, &["left by an interrupted run"]);
    assert!(cache.entries().is_empty(), "{:?}", cache.entries());
}

#[test]
fn kernel_cache_of_earlier_version_is_named_and_pruned() {
    let cache = Cache::new("earlier");
    for name in [
        "kernel-7.2.12+deb13-amd64-d2bc302254",
        "root-trixie-0123456789",
    ] {
        fs::create_dir(cache.folder.join(name)).expect("an old entry");
    }
    let (_, text) = answer(&cache.run(&["--which"]));
    assert_says(&text, &["2 entries of an earlier version", "--prune"]);
    assert_eq!(cache.entries().len(), 2, "only --prune removes them");
    let (_, text) = answer(&cache.run(&["--prune"]));
    assert_says(&text, &["removed 2 entries"]);
    assert!(cache.entries().is_empty(), "{:?}", cache.entries());
}
