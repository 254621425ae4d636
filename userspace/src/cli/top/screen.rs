// SPDX-License-Identifier: MIT OR Apache-2.0
//! The picture.

use std::env;

use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Cell, Paragraph, Row as Cells, Table};
use ratatui::{DefaultTerminal, Frame};

use super::account::{Row, View};
use super::columns;

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

/// Below this height or width a border costs more than it gives.
const BORDER_HEIGHT: u16 = 8;
const BORDER_WIDTH: u16 = 60;

fn picture(frame: &mut Frame<'_>, views: &[View], frozen: bool, colour: bool) {
    let [queues, keys] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(frame.area());
    // A line for each at least: the others are counted below.
    let shown = views.len().min(usize::from(queues.height));
    let heights = vec![Constraint::Fill(1); shown];
    let areas = Layout::vertical(heights).split(queues);
    for (view, area) in views.iter().zip(areas.iter()) {
        queue(frame, view, *area, colour);
    }
    let words = if frozen {
        " FROZEN: f goes on   r reset   q end"
    } else {
        " f freeze   r reset   q end"
    };
    let hidden = match views.len() - shown {
        0 => String::new(),
        hidden => format!("   {hidden} more queues: enlarge the terminal"),
    };
    let line = Line::from(format!("{words}{hidden}")).style(Modifier::BOLD);
    frame.render_widget(line, keys);
}

fn queue(frame: &mut Frame<'_>, view: &View, area: Rect, colour: bool) {
    let retired = if view.retired { " (retired)" } else { "" };
    let title = format!(
        " {}{retired}: holds {} of {} ",
        view.device, view.held, view.capacity
    );
    let inside = if area.height >= BORDER_HEIGHT && area.width >= BORDER_WIDTH {
        let block = Block::bordered().title(title);
        let inside = block.inner(area);
        frame.render_widget(block, area);
        inside
    } else {
        let [first, rest] =
            Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
        // Where there is no room for rows, this says how many there are.
        let title = match (rest.height, view.subscribers.len()) {
            (0..=1, readers @ 1..) => format!("{title}{readers} readers not shown "),
            _ => title,
        };
        frame.render_widget(Line::from(title).style(Modifier::BOLD), first);
        rest
    };
    let counts = wrapped(&counts(view), inside.width.into());
    // The table has a head and two rows before all counts have their lines.
    let most = match inside.height {
        0..=3 => 0,
        4..=6 => 1,
        height => usize::from(height - 4),
    };
    let counts: Vec<_> = counts.into_iter().take(most).map(Line::from).collect();
    let lines = u16::try_from(counts.len()).unwrap_or(0);
    let [above, below] =
        Layout::vertical([Constraint::Length(lines), Constraint::Fill(1)]).areas(inside);
    frame.render_widget(Paragraph::new(counts), above);
    table(frame, &view.subscribers, below, colour);
}

/// What there is to say of the queue itself, the most useful first.
fn counts(view: &View) -> Vec<String> {
    vec![
        format!("posted {}{}", view.posted, rate(view.posted_per_s)),
        format!("overwritten {}", view.overwritten),
        format!("refused {}", view.refused),
        format!("open files {}", view.open),
        format!("wake-ups {}{}", view.wakeups, rate(view.wakeups_per_s)),
        format!("signals {}{}", view.signals, rate(view.signals_per_s)),
        format!(
            "oldest unread p50 {} p99 {}",
            time(view.ages.age_p50_ns),
            time(view.ages.age_p99_ns)
        ),
    ]
}

/// Lines of this width that none of the parts is broken over.
fn wrapped(parts: &[String], width: usize) -> Vec<String> {
    const GAP: &str = "   ";
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            Some(line) if line.len() + GAP.len() + part.len() <= width => {
                *line += GAP;
                *line += part;
            }
            _ => lines.push(part.clone()),
        }
    }
    lines
}

fn table(frame: &mut Frame<'_>, rows: &[Row], area: Rect, colour: bool) {
    let room = usize::from(area.height.saturating_sub(1));
    let fits = rows.len() <= room;
    // The last line says what is not shown.
    let shown = if fits {
        rows.len()
    } else {
        room.saturating_sub(1)
    };
    let columns = columns::fitting(rows, area.width.into());
    let mut widths: Vec<_> = columns
        .iter()
        .map(|column| Constraint::Length(u16::try_from(column.width).unwrap_or(u16::MAX)))
        .collect();
    widths.push(Constraint::Fill(1));
    let titles = columns.iter().map(|column| right(column.title.into()));
    let head = Cells::new(titles.chain([Cell::from("COMMAND")])).style(Modifier::REVERSED);
    let lines = rows[..shown].iter().enumerate().map(|(at, row)| {
        let numbers = columns.iter().map(|column| right(column.cells[at].clone()));
        Cells::new(numbers.chain([Cell::from(row.command.clone())])).style(style(row, colour))
    });
    let [top, bottom] = Layout::vertical([
        Constraint::Fill(1),
        Constraint::Length(u16::from(!fits && area.height > 1)),
    ])
    .areas(area);
    frame.render_widget(Table::new(lines, widths).header(head), top);
    let hidden = &rows[shown..];
    let losing = hidden.iter().filter(|row| row.loses()).count();
    let losing = match losing {
        0 => String::new(),
        losing => format!(" ({losing} losing)"),
    };
    let hint = format!("… {} more{losing}: enlarge terminal", hidden.len());
    frame.render_widget(Line::from(hint).style(Modifier::BOLD), bottom);
}

fn right(text: String) -> Cell<'static> {
    Cell::from(Line::from(text).alignment(Alignment::Right))
}

/// Who loses stands out.
fn style(row: &Row, colour: bool) -> Style {
    match (row.loses(), colour) {
        (false, _) => Style::new(),
        (true, true) => Style::new().fg(Color::Red),
        (true, false) => Style::new().add_modifier(Modifier::BOLD),
    }
}

/// With three digits, which fit into seven columns.
pub(super) fn time(ns: u64) -> String {
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
            "│ 42 4 3 2.00ms 2.01ms 2.01ms 60 5 520 250 3 0 reader",
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

    /// Many subscribers, the first of which has been lapped and not read since.
    fn crowd(count: u32) -> View {
        let mut view = example();
        let template = view.subscribers.remove(0);
        view.subscribers = (0..count)
            .map(|at| Row {
                pid: 4_194_000 + at,
                lost: 0,
                lost_per_s: Some(0.0),
                behind: if at == 0 { 24_684 } else { 3 },
                pending_lost: if at == 0 { 23_660 } else { 0 },
                command: format!("reader-{at}"),
                ..template.clone()
            })
            .collect();
        view
    }

    fn lines_of(views: &[View], width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal
            .draw(|frame| picture(frame, views, false, true))
            .unwrap();
        let text = terminal.backend().to_string();
        text.lines()
            .map(|line| line.trim_matches('"').to_owned())
            .collect()
    }

    /// The terminals that people have: the command is whole, what a lapped reader
    /// will lose is there, and numbers end below one another.
    #[test]
    fn usual_sizes_show_commands_and_pending_losses() {
        for (width, height, readers) in [(80, 24, 3), (40, 10, 3), (132, 43, 3)] {
            let lines = lines_of(&[crowd(readers)], width, height);
            let text = lines.join("\n");
            let head = lines.iter().find(|line| line.contains("COMMAND")).unwrap();
            for at in 0..readers {
                let name = format!("reader-{at}");
                let row = lines
                    .iter()
                    .find(|line| line.contains(&name))
                    .unwrap_or_else(|| {
                        panic!("{width}x{height}: no {name} in {text}");
                    });
                assert_eq!(row.find(&name), head.find("COMMAND"), "{text}");
            }
            for (title, value) in [("PENDING", "23660"), ("BEHIND", "24684"), ("PENDING", "0")] {
                let end = head.find(title).unwrap() + title.len();
                let is_there = |line: &&String| line.get(..end).is_some_and(|l| l.ends_with(value));
                assert!(
                    lines.iter().any(|line| is_there(&line)),
                    "{title} {value}: {text}"
                );
            }
            assert!(!text.contains("more"), "{text}");
        }
    }

    #[test]
    fn a_pending_loss_is_highlighted() {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        for (colour, wanted) in [(true, Color::Red), (false, Color::Reset)] {
            terminal
                .draw(|frame| picture(frame, &[crowd(2)], false, colour))
                .unwrap();
            let buffer = terminal.backend().buffer();
            let row = |name: &str| {
                let text = terminal.backend().to_string();
                let at = text.lines().position(|line| line.contains(name)).unwrap();
                &buffer[(3, u16::try_from(at).unwrap())]
            };
            assert_eq!(row("reader-0").fg, wanted);
            assert_eq!(row("reader-0").modifier.contains(Modifier::BOLD), !colour);
            assert_eq!(row("reader-1").fg, Color::Reset);
            assert!(!row("reader-1").modifier.contains(Modifier::BOLD));
        }
    }

    /// Whatever is not shown is counted, also where there is no row at all.
    #[test]
    fn hidden_rows_are_told() {
        for (width, height) in [(80, 24), (40, 10), (40, 6), (40, 5), (40, 4)] {
            let lines = lines_of(&[crowd(50)], width, height);
            let rows = lines.iter().filter(|line| line.contains("reader-")).count();
            let text = lines.join("\n");
            let hint = format!("{} more", 50 - rows);
            assert!(
                text.contains(&hint),
                "{width}x{height}: no {hint} in {text}"
            );
            assert!(text.contains("enlarge"), "{text}");
            assert!(rows > 0 || height < 5, "{width}x{height}: {text}");
        }
        for height in [2, 3] {
            let text = lines_of(&[crowd(50)], 60, height).join("\n");
            assert!(text.contains("50 readers not shown"), "{text}");
        }
        let many: Vec<View> = (0..20).map(|_| crowd(1)).collect();
        let text = lines_of(&many, 80, 10).join("\n");
        assert!(text.contains("11 more queues"), "{text}");
    }

    #[test]
    fn any_size_can_be_drawn() {
        for (width, height) in [(0, 0), (1, 1), (3, 2), (20, 3), (40, 4), (500, 200)] {
            drawn(width, height, false);
        }
    }
}
