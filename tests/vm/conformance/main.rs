// SPDX-License-Identifier: MIT OR Apache-2.0
//! The conformance suite: behaviours × mechanisms × kinds of source.
//!
//! All mechanisms of the library pass one and the same suite (C1), and the
//! queue is held to what a pipe and an input device do. Each cell runs in a
//! process of its own (`cell`), or is one that cannot be, because of a reason
//! that stands here. An argument picks the cells whose name contains it:
//! `behaviour::mechanism::source`.

mod arrival;
mod cell;
mod gaps;
mod gate;
mod life;
mod lines;
mod load;
mod several;
mod source;
mod table;
mod uinput;
mod watch;

use std::time::Instant;

use evq::via::Kind;
use source::Origin;
use table::{Outcome, Row};

struct Behaviour {
    name: &'static str,
    run: fn(Kind, Origin),
    cannot: fn(Kind, Origin) -> Option<&'static str>,
}

const fn always(name: &'static str, run: fn(Kind, Origin)) -> Behaviour {
    Behaviour {
        name,
        run,
        cannot: |_, _| None,
    }
}

/// Mechanisms that take SIGIO without a handler.
fn takes_sigio(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Signalfd | Kind::Pselect | Kind::Rtsig | Kind::RtsigThread
    )
}

const SHARED: &str = "a pipe gives each record to one reader, whoever else has it open";

const NO_LINES: &str = "it carries records of one length, and no lines";

fn only_lines(_: Kind, origin: Origin) -> Option<&'static str> {
    (origin != Origin::Pipe).then_some(NO_LINES)
}

const ONE_TOLD: &str = "a SIGIO for the process, which says that its signal queue was full, \
                        is told to one watcher only";

const BEHAVIOURS: &[Behaviour] = &[
    always("event before arming", arrival::before_arming),
    always("event before waiting", arrival::before_waiting),
    always("event while draining", arrival::while_draining),
    always("partial reads", arrival::partial_reads),
    Behaviour {
        name: "lines of several lengths",
        run: lines::lengths,
        cannot: only_lines,
    },
    Behaviour {
        name: "times of lines",
        run: lines::times,
        cannot: only_lines,
    },
    always("burst of 10,000", arrival::burst),
    always("event in every gap", gaps::event),
    always("signal in every gap", gaps::signal),
    Behaviour {
        name: "two watchers, one thread",
        run: several::two_watchers,
        cannot: |kind, origin| match origin {
            Origin::Pipe => Some(SHARED),
            // The library refuses the second one.
            _ if takes_sigio(kind) => {
                Some("without a handler, only one watcher of a thread would learn of a SIGIO")
            }
            _ => None,
        },
    },
    Behaviour {
        name: "two watchers, two threads",
        run: several::two_threads,
        cannot: |kind, origin| match origin {
            Origin::Pipe => Some(SHARED),
            _ => (kind == Kind::Rtsig).then_some(ONE_TOLD),
        },
    },
    Behaviour {
        name: "two sources",
        run: several::two_sources,
        cannot: |kind, _| {
            (!kind.drains()).then_some("a read that blocks does so on one source only")
        },
    },
    always("dup, original closed", several::dup),
    always("fork", several::fork_holds),
    always("exec", life::exec),
    always("mask of children", life::mask),
    always("number reused", life::reuse),
    always("stop under load", load::stop),
    always("stop, a thread posts", load::stop_beside_thread),
    always("errno and canary", load::canary),
    always("device removed", life::removal),
    always("storm", arrival::storm),
];

fn main() {
    let filters: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    let asked = |name: &str| filters.is_empty() || filters.iter().any(|f| name.contains(f));
    let start = Instant::now();
    let (mut passed, mut failed, mut filtered) = (0, 0, 0);
    let mut count = |name: &str, run: &mut dyn FnMut() -> Result<(), String>| {
        if !asked(name) {
            filtered += 1;
            return Outcome::NotAsked;
        }
        match run() {
            Ok(()) => {
                passed += 1;
                Outcome::Passed
            }
            Err(why) => {
                failed += 1;
                println!("{name}: FAILED: {why}");
                Outcome::Failed
            }
        }
    };
    count("the table in README.md", &mut readme);
    for origin in Origin::ALL {
        let mut rows = Vec::new();
        for behaviour in BEHAVIOURS {
            let from = Instant::now();
            let mut outcome = |&kind: &Kind| {
                if let Some(reason) = (behaviour.cannot)(kind, origin) {
                    return Outcome::Cannot(reason);
                }
                let name = format!("{}::{kind}::{origin}", behaviour.name);
                count(&name, &mut || cell::run(|| (behaviour.run)(kind, origin)))
            };
            rows.push(Row {
                name: behaviour.name,
                outcomes: Kind::ALL.iter().map(&mut outcome).collect(),
                seconds: Some(from.elapsed().as_secs_f64()),
            });
        }
        print!("{}", table::text(origin, &rows));
    }
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; \
         {filtered} filtered out; finished in {:.2}s\n",
        start.elapsed().as_secs_f64()
    );
    std::process::exit(if failed == 0 { 0 } else { 101 });
}

/// README.md shows the table of a queue if all goes well, and says how large the
/// suite is.
fn readme() -> Result<(), String> {
    const README: &str = include_str!("../../../README.md");
    let rows: Vec<_> = BEHAVIOURS
        .iter()
        .map(|behaviour| {
            let outcome = |&kind| {
                (behaviour.cannot)(kind, Origin::Evq).map_or(Outcome::Passed, Outcome::Cannot)
            };
            Row {
                name: behaviour.name,
                outcomes: Kind::ALL.iter().map(outcome).collect(),
                seconds: None,
            }
        })
        .collect();
    let size = format!(
        "{} behaviours by {} mechanisms",
        rows.len(),
        Kind::ALL.len()
    );
    for part in [size, table::text(Origin::Evq, &rows)] {
        if !README.contains(&part) {
            return Err(format!("put this into it:\n{part}"));
        }
    }
    Ok(())
}
