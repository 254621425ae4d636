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
mod several;
mod source;
mod uinput;
mod watch;

use std::time::Instant;

use evq::via::Kind;
use source::Origin;

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

const BEHAVIOURS: &[Behaviour] = &[
    always("event before arming", arrival::before_arming),
    always("event before waiting", arrival::before_waiting),
    always("event while draining", arrival::while_draining),
    always("partial reads", arrival::partial_reads),
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
            _ => (kind == Kind::Rtsig)
                .then_some("a signal for the process must be blocked in all its threads"),
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
    always("stop under load", life::stop),
    always("errno and canary", life::canary),
    always("device removed", life::removal),
    always("storm", arrival::storm),
];

enum Outcome {
    Passed,
    Failed,
    Cannot(&'static str),
    NotAsked,
}

fn main() {
    let filters: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    let start = Instant::now();
    let (mut passed, mut failed, mut filtered) = (0, 0, 0);
    for origin in Origin::ALL {
        let mut rows = Vec::new();
        for behaviour in BEHAVIOURS {
            let from = Instant::now();
            let mut row = Vec::new();
            for &kind in Kind::ALL {
                let name = format!("{}::{kind}::{origin}", behaviour.name);
                row.push(if let Some(reason) = (behaviour.cannot)(kind, origin) {
                    Outcome::Cannot(reason)
                } else if !filters.is_empty() && !filters.iter().any(|f| name.contains(f)) {
                    filtered += 1;
                    Outcome::NotAsked
                } else if let Err(why) = cell::run(|| (behaviour.run)(kind, origin)) {
                    failed += 1;
                    println!("{name}: FAILED: {why}");
                    Outcome::Failed
                } else {
                    passed += 1;
                    Outcome::Passed
                });
            }
            rows.push((behaviour.name, row, from.elapsed().as_secs_f64()));
        }
        print(origin, &rows);
    }
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; \
         {filtered} filtered out; finished in {:.2}s\n",
        start.elapsed().as_secs_f64()
    );
    std::process::exit(if failed == 0 { 0 } else { 101 });
}

fn print(origin: Origin, rows: &[(&str, Vec<Outcome>, f64)]) {
    let mut notes: Vec<&str> = Vec::new();
    print!("\n{:<26}", format!("on {origin}"));
    for kind in Kind::ALL {
        print!(" {kind:<12}");
    }
    println!(" seconds");
    for (name, row, seconds) in rows {
        print!("{name:<26}");
        for outcome in row {
            let text = match outcome {
                Outcome::Passed => "ok".into(),
                Outcome::Failed => "FAIL".into(),
                Outcome::NotAsked => "".into(),
                Outcome::Cannot(reason) => {
                    let at = notes.iter().position(|note| note == reason);
                    let at = at.unwrap_or_else(|| {
                        notes.push(reason);
                        notes.len() - 1
                    });
                    format!("– [{}]", at + 1)
                }
            };
            print!(" {text:<12}");
        }
        println!(" {seconds:.1}");
    }
    for (at, note) in notes.iter().enumerate() {
        println!("  [{}] cannot, because {note}", at + 1);
    }
}
