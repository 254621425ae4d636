// SPDX-License-Identifier: MIT OR Apache-2.0
//! The columns of the table: as many as fit, the most useful ones first.

use super::account::Row;
use super::screen::time;

/// Between two columns.
const GAP: usize = 1;
/// What is left for the command at least, which is always there.
const COMMAND: usize = 8;

/// A column of numbers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) width: usize,
    pub(super) cells: Vec<String>,
}

type Value = fn(&Row) -> String;

/// In the order in which they stand, with their rank: the lowest are left out
/// last.
const COLUMNS: [(u8, &str, Value); 12] = [
    (0, "PID", |row| row.pid.to_string()),
    (7, "FD", |row| row.fd.to_string()),
    (3, "BEHIND", |row| row.behind.to_string()),
    (6, "OLDEST", |row| time(row.age_ns)),
    (10, "P50", |row| time(row.ages.age_p50_ns)),
    (9, "P99", |row| time(row.ages.age_p99_ns)),
    (5, "DELIVERED", |row| row.delivered.to_string()),
    (8, "/S", |row| rate(row.delivered_per_s)),
    (1, "LOST", |row| row.lost.to_string()),
    (4, "/S", |row| rate(row.lost_per_s)),
    (2, "PENDING", |row| row.pending_lost.to_string()),
    (11, "SKIPPED", |row| row.skipped.to_string()),
];

fn rate(rate: Option<f64>) -> String {
    rate.map_or("-".into(), |rate| format!("{rate:.0}"))
}

/// The columns for a table of this width; what they leave is for the command.
pub(super) fn fitting(rows: &[Row], width: usize) -> Vec<Column> {
    let all: Vec<(u8, Column)> = COLUMNS
        .iter()
        .map(|(rank, title, value)| {
            let cells: Vec<String> = rows.iter().map(value).collect();
            let widest = cells.iter().map(String::len).max().unwrap_or(0);
            let width = widest.max(title.len());
            let column = Column {
                title,
                width,
                cells,
            };
            (*rank, column)
        })
        .collect();
    let mut left = width.saturating_sub(COMMAND);
    let mut last = None;
    for rank in 0..=u8::MAX {
        let Some((_, column)) = all.iter().find(|(other, _)| *other == rank) else {
            break;
        };
        match left.checked_sub(column.width + GAP) {
            Some(rest) => (left, last) = (rest, Some(rank)),
            None => break,
        }
    }
    let shown = all.into_iter();
    shown
        .filter(|(rank, _)| last.is_some_and(|last| *rank <= last))
        .map(|(_, column)| column)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::account::tests::example;
    use super::*;

    fn titles(width: usize) -> Vec<&'static str> {
        let columns = fitting(&example().subscribers, width);
        columns.iter().map(|column| column.title).collect()
    }

    #[test]
    fn narrow_tables_have_the_columns_that_matter() {
        assert_eq!(titles(0), [""; 0]);
        assert_eq!(titles(12), ["PID"]);
        assert_eq!(titles(20), ["PID", "LOST"]);
        assert_eq!(titles(38), ["PID", "BEHIND", "LOST", "/S", "PENDING"]);
        assert_eq!(
            titles(78),
            [
                "PID",
                "FD",
                "BEHIND",
                "OLDEST",
                "P50",
                "P99",
                "DELIVERED",
                "/S",
                "LOST",
                "/S",
                "PENDING"
            ]
        );
        assert_eq!(titles(120).len(), COLUMNS.len());
    }

    /// However much they need, the command has its room.
    #[test]
    fn the_command_has_room_at_any_width() {
        let mut rows = example().subscribers;
        (rows[0].behind, rows[0].delivered) = (u64::MAX, u64::MAX);
        for width in 0..200 {
            let columns = fitting(&rows, width);
            let used: usize = columns.iter().map(|column| column.width + GAP).sum();
            assert!(used == 0 || used + COMMAND <= width, "{width}: {used}");
        }
    }
}
