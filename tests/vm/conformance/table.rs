// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table of a kind of source: behaviours by mechanisms.

use std::fmt::Write as _;

use evq::via::Kind;

use crate::source::Origin;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    /// Because of this.
    Cannot(&'static str),
    NotAsked,
}

pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// One for each of `Kind::ALL`.
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) seconds: Option<f64>,
}

/// A row has one line, and each reason why a cell cannot be one below. Rows of
/// which nothing was asked are left out; nothing is left of a table without any.
pub(crate) fn text(origin: Origin, rows: &[Row]) -> String {
    let asked = |outcome: &Outcome| matches!(outcome, Outcome::Passed | Outcome::Failed);
    let rows: Vec<_> = rows
        .iter()
        .filter(|row| row.outcomes.iter().any(asked))
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut notes: Vec<&str> = Vec::new();
    let mut text = format!("\n{:<27}", format!("on {origin}"));
    for kind in Kind::ALL {
        let width = width(*kind);
        let _ = write!(text, "{kind:<width$}");
    }
    end_line(&mut text);
    for row in rows {
        let _ = write!(text, "{:<27}", row.name);
        for (kind, outcome) in Kind::ALL.iter().zip(&row.outcomes) {
            let cell = match outcome {
                Outcome::Passed => "ok".into(),
                Outcome::Failed => "FAIL".into(),
                Outcome::NotAsked => String::new(),
                Outcome::Cannot(reason) => {
                    let at = notes.iter().position(|note| note == reason);
                    let at = at.unwrap_or_else(|| {
                        notes.push(reason);
                        notes.len() - 1
                    });
                    format!("– [{}]", at + 1)
                }
            };
            let width = width(*kind);
            let _ = write!(text, "{cell:<width$}");
        }
        if let Some(seconds) = row.seconds {
            let _ = write!(text, "{seconds:.1} s");
        }
        end_line(&mut text);
    }
    for (at, note) in notes.iter().enumerate() {
        let _ = writeln!(text, "[{}] cannot, because {note}", at + 1);
    }
    text
}

fn width(kind: Kind) -> usize {
    kind.name().len().max("– [1]".chars().count()) + 2
}

fn end_line(text: &mut String) {
    text.truncate(text.trim_end().len());
    text.push('\n');
}
