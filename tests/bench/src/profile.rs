// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which functions the instructions of a stretch are spent in.
//!
//! `evdev-client bench --stretches` marks what is to be counted, QEMU records
//! each instruction of the guest, and `/proc/kallsyms` says what was where.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::{ensure, Context as _};
use serde::Serialize;

/// The system calls at either end of a stretch, as the kernel names their functions.
const BEGIN: &str = "__x64_sys_getppid";
const END: &str = "__x64_sys_getpid";

/// What is not the kernel's.
const PROGRAM: &str = "(the program)";

/// Functions of one kind that have a line of their own.
const SHOWN: usize = 15;

/// Functions of the guest's kernel by where they begin, in rising order.
struct Symbols(Vec<(u64, String)>);

impl Symbols {
    /// Lines of `/proc/kallsyms`: address, kind, name, and for those of a module its name.
    fn parse<'a>(lines: impl Iterator<Item = &'a str>) -> anyhow::Result<Symbols> {
        let mut symbols = BTreeMap::new();
        for line in lines {
            let mut words = line.split_whitespace();
            let (Some(address), Some(kind), Some(name)) =
                (words.next(), words.next(), words.next())
            else {
                continue;
            };
            if !["t", "T", "w", "W"].contains(&kind) {
                continue;
            }
            let address = u64::from_str_radix(address, 16)
                .with_context(|| format!("no address in kallsyms: {line}"))?;
            let name = match words.next() {
                Some(module) => format!("{} {module}", function(name)),
                None => function(name),
            };
            symbols.insert(address, name);
        }
        ensure!(
            symbols
                .first_key_value()
                .is_some_and(|(first, _)| *first > 0),
            "no addresses in kallsyms: it was not root who read it"
        );
        Ok(Symbols(symbols.into_iter().collect()))
    }

    fn at(&self, address: u64) -> &str {
        match self.0.partition_point(|(begin, _)| *begin <= address) {
            0 => PROGRAM,
            behind => &self.0[behind - 1].1,
        }
    }

    fn address(&self, name: &str) -> anyhow::Result<u64> {
        let found = self.0.iter().find(|(_, other)| other == name);
        let (address, _) = found.with_context(|| format!("this kernel has no function {name}"))?;
        Ok(*address)
    }
}

/// A name as in the source; of a mangled one without what its types are made of.
fn function(name: &str) -> String {
    let name = format!("{:#}", rustc_demangle::demangle(name));
    let mut depth = 0_u32;
    let mut plain = String::new();
    for char in name.chars() {
        depth += u32::from(char == '<');
        if depth == 0 {
            plain.push(char);
        }
        depth -= u32::from(char == '>' && depth > 0);
    }
    match plain.trim_matches(':') {
        // An implementation of a trait: `<module::Type as Trait>::method`.
        method if name.starts_with('<') => {
            let of = name.trim_start_matches('<');
            let of = of.split([' ', '<', '>']).next().unwrap_or_default();
            format!("{of}::{method}")
        }
        method => method.to_owned(),
    }
}

/// The instructions of one stretch, by where they are.
#[derive(Default)]
struct Stretch {
    places: BTreeMap<u64, u64>,
    instructions: u64,
}

/// What QEMU has recorded, cut into stretches.
fn stretches(
    trace: impl Iterator<Item = std::io::Result<Vec<u8>>>,
    symbols: &Symbols,
) -> anyhow::Result<Vec<Stretch>> {
    let (begin, end) = (symbols.address(BEGIN)?, symbols.address(END)?);
    let mut done = Vec::new();
    let mut stretch: Option<Stretch> = None;
    let mut last = None;
    for line in trace {
        let line = line?;
        let Some(address) = executed(&line) else {
            // It did not come to that: an interrupt was first, or it has to be done once more.
            let undone = [&b"Stopped execution"[..], b"cpu_io_recompile"];
            if let (Some(stretch), Some(last)) = (&mut stretch, last.take()) {
                if undone.iter().any(|start| line.starts_with(start)) {
                    *stretch.places.entry(last).or_default() -= 1;
                    stretch.instructions -= 1;
                }
            }
            continue;
        };
        if address == begin {
            stretch = Some(Stretch::default());
        }
        if address == end {
            done.extend(stretch.take());
        }
        if let Some(stretch) = &mut stretch {
            *stretch.places.entry(address).or_default() += 1;
            stretch.instructions += 1;
        }
        last = Some(address);
    }
    Ok(done)
}

/// The address in `Trace 0: HOST [BASE/ADDRESS/FLAGS/FLAGS] `.
fn executed(line: &[u8]) -> Option<u64> {
    let rest = line.strip_prefix(b"Trace ")?;
    let address = rest.split(|byte| *byte == b'/').nth(1)?;
    u64::from_str_radix(std::str::from_utf8(address).ok()?, 16).ok()
}

/// The median of all stretches of one kind, for each event.
#[derive(Serialize)]
struct Kind {
    name: String,
    events: u32,
    /// For each event, as all that follows.
    instructions: f64,
    functions: BTreeMap<String, f64>,
}

impl Kind {
    /// Of several there is a middle one, and it is what was executed once: no average has a
    /// timer's interrupt in it.
    fn median(
        name: &str,
        events: u32,
        mut stretches: Vec<Stretch>,
        symbols: &Symbols,
    ) -> anyhow::Result<Kind> {
        stretches.sort_by_key(|stretch| stretch.instructions);
        let middle = stretches.len() / 2;
        let stretch = stretches
            .get(middle)
            .with_context(|| format!("no stretch of {name}"))?;
        let each = |count: u64| count as f64 / f64::from(events);
        let mut functions: BTreeMap<String, f64> = BTreeMap::new();
        for (address, count) in &stretch.places {
            *functions
                .entry(symbols.at(*address).to_owned())
                .or_default() += each(*count);
        }
        Ok(Kind {
            name: name.to_owned(),
            events,
            instructions: each(stretch.instructions),
            functions,
        })
    }

    fn of(&self, function: &str) -> f64 {
        self.functions.get(function).copied().unwrap_or_default()
    }
}

/// Reads what `qemu/profile` has collected.
fn kinds(trace: &Path, told: &str) -> anyhow::Result<Vec<Kind>> {
    let (told, kallsyms): (Vec<&str>, Vec<&str>) = told
        .lines()
        .partition(|line| line.starts_with("stretches "));
    let symbols = Symbols::parse(kallsyms.into_iter())?;
    let reading = || format!("reading {}", trace.display());
    let file = BufReader::with_capacity(1 << 20, File::open(trace).with_context(reading)?);
    let mut all = stretches(file.split(b'\n'), &symbols)
        .with_context(reading)?
        .into_iter();
    let mut kinds = Vec::new();
    for line in told {
        let mut words = line.splitn(4, ' ').skip(1);
        let (Some(Ok(count)), Some(Ok(events)), Some(name)) = (
            words.next().map(str::parse),
            words.next().map(str::parse),
            words.next(),
        ) else {
            anyhow::bail!("no `stretches COUNT EVENTS NAME`: {line}");
        };
        let these: Vec<Stretch> = all.by_ref().take(count).collect();
        ensure!(
            these.len() == count,
            "{} of {count} stretches of {name} in {}",
            these.len(),
            trace.display()
        );
        kinds.push(Kind::median(name, events, these, &symbols)?);
    }
    ensure!(
        all.next().is_none(),
        "more stretches in {} than were told of",
        trace.display()
    );
    Ok(kinds)
}

/// Kinds side by side, those functions first in which they differ most; of one kind those that take
/// most.
fn table(text: &mut String, kinds: &[&Kind]) {
    let weight = |name: &str| {
        let counts = || kinds.iter().map(|kind| kind.of(name));
        let least = if kinds.len() > 1 {
            counts().fold(f64::MAX, f64::min)
        } else {
            0.0
        };
        counts().fold(0.0, f64::max) - least
    };
    let mut names: Vec<&str> = kinds
        .iter()
        .flat_map(|kind| kind.functions.keys())
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names.dedup();
    names.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
    let shown = &names[..names.len().min(SHOWN)];
    let mut row = |name: &str, value: &dyn Fn(&Kind) -> f64| {
        let cells: Vec<String> = kinds
            .iter()
            .map(|kind| format!("{:.1}", value(kind)))
            .collect();
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    };
    for name in shown {
        row(&format!("`{name}`"), &|kind| kind.of(name));
    }
    row("the rest", &|kind| {
        kind.instructions - shown.iter().map(|name| kind.of(name)).sum::<f64>()
    });
    row("**together**", &|kind| kind.instructions);
}

/// The page: a table for each thing that is done, a column for who does it.
fn page(kinds: &[Kind], made_with: &str) -> String {
    let mut text = format!(
        "# Where the instructions go\n\n\
         Made by `make profile` with {made_with}.\n\n\
         Instructions of the guest for each event, the median of several; a copy takes one for each\n\
         byte. Those functions are shown in which the columns differ most; a name stands for all that\n\
         the compiler has put into the function. The two empty system calls that mark beginning and\n\
         end are in all of it.\n"
    );
    let mut left = kinds;
    while let Some((what, _)) = left.first().and_then(|kind| kind.name.split_once(", ")) {
        let same = |kind: &&Kind| {
            kind.name
                .split_once(", ")
                .is_some_and(|(other, _)| other == what)
        };
        let (group, rest) = left.split_at(left.iter().take_while(same).count());
        left = rest;
        let group: Vec<&Kind> = group.iter().collect();
        let who = group.iter().filter_map(|kind| kind.name.split_once(", "));
        let who: Vec<&str> = who.map(|(_, who)| who).collect();
        let _ = write!(
            text,
            "\n## A {what}\n\n| function | {} |\n|---|",
            who.join(" | ")
        );
        text += &"---:|".repeat(who.len());
        text.push('\n');
        table(&mut text, &group);
    }
    text
}

/// `evq-bench profile`: all of it.
pub(crate) fn make(
    trace: &Path,
    told: &str,
    json: &Path,
    to: &Path,
    made_with: &str,
) -> anyhow::Result<()> {
    let kinds = kinds(trace, told)?;
    let write = |path: &Path, text: String| {
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    write(json, serde_json::to_string_pretty(&kinds)? + "\n")?;
    write(to, page(&kinds, made_with))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KALLSYMS: &str = "\
ffffffff81000000 T _text
ffffffff81000100 T __x64_sys_getppid
ffffffff81000200 T __x64_sys_getpid
ffffffff81000300 D some_data
ffffffffc0000000 t _RNvXs_NtCsc5DTIF63ihl_3evq10subscriberNtB4_10SubscriberNtNtNtB6_4glue10miscdevice14FileOperations9read_iter\t[evq]
";

    fn counted(trace: &[&str]) -> Vec<BTreeMap<String, u64>> {
        let symbols = Symbols::parse(KALLSYMS.lines()).expect("a table of symbols");
        let lines = trace.iter().map(|line| Ok(line.as_bytes().to_vec()));
        let found = stretches(lines, &symbols).expect("a trace");
        let by_name = |stretch: &Stretch| {
            let mut names = BTreeMap::new();
            for (address, count) in &stretch.places {
                *names.entry(symbols.at(*address).to_owned()).or_default() += count;
            }
            assert_eq!(names.values().sum::<u64>(), stretch.instructions);
            names
        };
        found.iter().map(by_name).collect()
    }

    fn at(address: u64) -> String {
        format!("Trace 0: 0x7f09a827e080 [0000000000000000/{address:016x}/18c0c2b0/ff020201] ")
    }

    #[test]
    fn what_is_between_the_marks_counts_and_only_if_it_was_executed() {
        let (begin, end) = (at(0xffff_ffff_8100_0100), at(0xffff_ffff_8100_0200));
        let (ours, program) = (at(0xffff_ffff_c000_0010), at(0x40_1000));
        let stopped = "Stopped execution of TB chain before 0x7f09a827e1c0 [ffffffffc0000010] ";
        let trace = [
            &ours, &end, &begin, &ours, stopped, &ours, &ours, &program, &end, &ours, &end,
        ];
        let found = counted(&trace.map(|line| line as &str));
        let name = "evq::subscriber::Subscriber::read_iter [evq]";
        let expected = [(BEGIN, 1), (name, 2), (PROGRAM, 1)];
        let expected = expected.map(|(name, count)| (name.to_owned(), count));
        assert_eq!(found, [BTreeMap::from(expected)]);
    }

    #[test]
    fn addresses_that_were_hidden_are_refused() {
        let hidden = "0000000000000000 T _text\n0000000000000000 T __x64_sys_getpid\n";
        assert!(Symbols::parse(hidden.lines()).is_err());
    }

    #[test]
    fn the_functions_of_a_table_and_the_rest_are_all() {
        let functions = (1..=20).map(|n| (format!("f{n}"), f64::from(n)));
        let kind = Kind {
            name: "post, evq".to_owned(),
            events: 1,
            instructions: 210.0,
            functions: functions.collect(),
        };
        let text = page(&[kind], "this");
        assert!(text.contains("| `f20` | 20.0 |"), "{text}");
        assert!(!text.contains("`f5`"), "{text}");
        assert!(text.contains("| the rest | 15.0 |"), "{text}");
    }
}
