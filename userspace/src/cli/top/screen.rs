// SPDX-License-Identifier: MIT OR Apache-2.0
//! The picture.

use std::env;

use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Cell, Paragraph, Row as Cells, Table};
use ratatui::{DefaultTerminal, Frame};

use super::account::{Row, View};

/// The terminal, and what is on it.
pub(super) struct Screen {
    terminal: DefaultTerminal,
    pub(super) views: Vec<View>,
    colour: bool,
}

impl Screen {
    pub(super) fn new(terminal: DefaultTerminal) -> Screen {
        Screen {
            terminal,
            views: Vec::new(),
            colour: env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }

    pub(super) fn draw(&mut self, frozen: bool) -> anyhow::Result<()> {
        let (views, colour) = (&self.views, self.colour);
        self.terminal
            .draw(|frame| picture(frame, views, frozen, colour))?;
        Ok(())
    }
}

fn picture(frame: &mut Frame<'_>, views: &[View], frozen: bool, colour: bool) {
    let mut heights = vec![Constraint::Fill(1); views.len()];
    heights.push(Constraint::Length(1));
    let areas = Layout::vertical(heights).split(frame.area());
    for (view, area) in views.iter().zip(areas.iter()) {
        queue(frame, view, *area, colour);
    }
    let keys = if frozen {
        " FROZEN: f goes on   r reset   q end"
    } else {
        " f freeze   r reset   q end"
    };
    if let Some(area) = areas.last() {
        frame.render_widget(Line::from(keys).style(Modifier::BOLD), *area);
    }
}

fn queue(frame: &mut Frame<'_>, view: &View, area: Rect, colour: bool) {
    let retired = if view.retired { " (retired)" } else { "" };
    let title = format!(
        " {}{retired}: holds {} of {} ",
        view.device, view.held, view.capacity
    );
    let block = Block::bordered().title(title);
    let inside = block.inner(area);
    frame.render_widget(block, area);
    let [counts, table] =
        Layout::vertical([Constraint::Length(2), Constraint::Fill(1)]).areas(inside);
    let lines = vec![
        Line::from(format!(
            "posted {}{}   overwritten {}   refused {}",
            view.posted,
            rate(view.posted_per_s),
            view.overwritten,
            view.refused
        )),
        Line::from(format!(
            "wake-ups {}{}   signals {}{}   open files {}   oldest unread p50 {} p99 {}",
            view.wakeups,
            rate(view.wakeups_per_s),
            view.signals,
            rate(view.signals_per_s),
            view.open,
            time(view.ages.age_p50_ns),
            time(view.ages.age_p99_ns)
        )),
    ];
    frame.render_widget(Paragraph::new(lines), counts);
    let names = [
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
        "SKIPPED",
        "COMMAND",
    ];
    let widths = [8, 5, 9, 8, 8, 8, 12, 9, 12, 9, 10, 0].map(|width| match width {
        0 => Constraint::Fill(1),
        width => Constraint::Length(width),
    });
    let rows = view.subscribers.iter().map(|row| cells(row, colour));
    let head = Cells::new(names).style(Modifier::REVERSED);
    frame.render_widget(Table::new(rows, widths).header(head), table);
}

fn cells(row: &Row, colour: bool) -> Cells<'_> {
    let number = |rate: Option<f64>| rate.map_or("-".into(), |rate| format!("{rate:.0}"));
    let loses = row.lost_per_s.is_some_and(|rate| rate > 0.0);
    let style = match (loses, colour) {
        (false, _) => Style::new(),
        (true, true) => Style::new().fg(Color::Red),
        (true, false) => Style::new().add_modifier(Modifier::BOLD),
    };
    let texts = [
        row.pid.to_string(),
        row.fd.to_string(),
        row.behind.to_string(),
        time(row.age_ns),
        time(row.ages.age_p50_ns),
        time(row.ages.age_p99_ns),
        row.delivered.to_string(),
        number(row.delivered_per_s),
        row.lost.to_string(),
        number(row.lost_per_s),
        row.skipped.to_string(),
        row.command.clone(),
    ];
    Cells::new(texts.map(Cell::from)).style(style)
}

/// With three digits, which fit into seven columns.
fn time(ns: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")];
    if ns == 0 {
        return "-".into();
    }
    let (size, unit) = UNITS
        .into_iter()
        .find(|(size, _)| ns >= *size)
        .unwrap_or((1, "ns"));
    let value = ns as f64 / size as f64;
    let digits = match value {
        _ if value >= 100.0 => 0,
        _ if value >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$}{unit}")
}

fn rate(per_second: Option<f64>) -> String {
    per_second.map_or(String::new(), |rate| format!(" ({rate:.0}/s)"))
}

#[cfg(test)]
mod tests {
    use ratatui::backend::TestBackend;
    use ratatui::Terminal;

    use super::super::account::tests::example;
    use super::*;

    fn drawn(width: u16, height: u16, frozen: bool) -> Terminal<TestBackend> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let views = [example()];
        terminal
            .draw(|frame| picture(frame, &views, frozen, true))
            .unwrap();
        terminal
    }

    #[test]
    fn the_picture_has_the_numbers() {
        let terminal = drawn(120, 10, false);
        let text = terminal.backend().to_string();
        let words: Vec<_> = text.split_whitespace().collect();
        let words = words.join(" ");
        for wanted in [
            "/dev/evq: holds 64 of 64",
            "posted 700 (300/s)",
            "open files 2",
            "│42 4 3 2.00ms 2.01ms 2.01ms 60 5 520 250 0 reader",
            "oldest unread p50 2.01ms p99 2.01ms",
            "f freeze",
        ] {
            assert!(words.contains(wanted), "{wanted} in {text}");
        }
        // Who loses is red.
        let red = |y| terminal.backend().buffer()[(1, y)].fg == Color::Red;
        assert_eq!((red(4), red(5)), (true, false), "{text}");
        assert!(drawn(120, 10, true)
            .backend()
            .to_string()
            .contains("FROZEN"));
    }

    #[test]
    fn times_have_three_digits() {
        for (ns, text) in [
            (0, "-"),
            (7, "7.00ns"),
            (12_345, "12.3us"),
            (999_000_000, "999ms"),
            (3_600_000_000_000, "3600s"),
        ] {
            assert_eq!(time(ns), text);
        }
    }

    #[test]
    fn any_size_can_be_drawn() {
        for (width, height) in [(0, 0), (1, 1), (3, 2), (20, 3), (500, 200)] {
            drawn(width, height, false);
        }
    }
}
