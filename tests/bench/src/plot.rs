// SPDX-License-Identifier: MIT OR Apache-2.0
//! Plots, as SVG: each answers one question.

use std::path::Path;

use anyhow::Context as _;
use plotters::prelude::*;

use crate::results::{Percentiles, Results};

const SIZE: (u32, u32) = (900, 480);

/// Colours that can be told apart, also by who sees no red or green
/// (Okabe and Ito's).
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
    RGBColor(120, 120, 120),
];

/// A line: its name, and its points.
type Line = (String, Vec<(f64, f64)>);

/// What is drawn along an axis.
struct Axis<'a> {
    title: &'a str,
    /// Where the marks are, and what they say.
    marks: Vec<(f64, String)>,
}

/// All plots of the page.
pub(crate) fn all(results: &Results, directory: &Path) -> anyhow::Result<()> {
    wakeup(results, &directory.join("wakeup.svg"))?;
    throughput(results, &directory.join("throughput.svg"))?;
    subscribers(results, &directory.join("subscribers.svg"))
}

/// How long until a reader has an event, by percentile.
fn wakeup(results: &Results, path: &Path) -> anyhow::Result<()> {
    let shown = [
        ("evq", "read"),
        ("evq", "epoll"),
        ("evq", "sigio"),
        ("pipe", "read"),
        ("pipe", "epoll"),
        ("evdev", "epoll"),
        ("seqpacket", "epoll"),
        ("mqueue", "epoll"),
    ];
    let points = |due: Percentiles| (0..).map(f64::from).zip(due.micros()).collect();
    let lines = shown.iter().filter_map(|(peer, mechanism)| {
        let row = results.latency.iter().find(|row| {
            row.peer == *peer && row.mechanism == *mechanism && row.placement == "cross-cpu"
        })?;
        Some((format!("{peer}, {mechanism}"), points(row.due)))
    });
    let names = ["p50", "p90", "p99", "p99.9", "max"];
    let axis = Axis {
        title: "percentile",
        marks: (0..).map(f64::from).zip(names.map(String::from)).collect(),
    };
    draw(
        path,
        "Until a reader on another processor has an event",
        &axis,
        "µs",
        &lines.collect::<Vec<_>>(),
    )
}

/// Records a second, by how many are written at once.
fn throughput(results: &Results, path: &Path) -> anyhow::Result<()> {
    let mut lines: Vec<Line> = Vec::new();
    let mut batches = Vec::new();
    for row in &results.throughput {
        if row.placement != "same-cpu" || row.readers != 1 || row.peer == "eventfd" {
            continue;
        }
        let point = ((row.batch as f64).log2(), row.events_per_s.median);
        batches.push(row.batch);
        match lines.iter_mut().find(|(name, _)| *name == row.peer) {
            Some((_, points)) => points.push(point),
            None => lines.push((row.peer.clone(), vec![point])),
        }
    }
    let axis = powers("records in one write", batches);
    draw(
        path,
        "Records a second from one writer to one reader on the same processor",
        &axis,
        "records/s",
        &lines,
    )
}

/// What a post costs, by how many have the queue open.
fn subscribers(results: &Results, path: &Path) -> anyhow::Result<()> {
    let mut lines: Vec<Line> = Vec::new();
    let mut counts = Vec::new();
    for row in &results.post_cost {
        if row.subscribers == 0 {
            continue;
        }
        let point = ((row.subscribers as f64).log2(), row.nanos.median);
        counts.push(row.subscribers);
        match lines.iter_mut().find(|(name, _)| *name == row.state) {
            Some((_, points)) => points.push(point),
            None => lines.push((row.state.clone(), vec![point])),
        }
    }
    let axis = powers("subscribers", counts);
    draw(
        path,
        "Processor time of one post, by what its subscribers do",
        &axis,
        "ns",
        &lines,
    )
}

/// An axis of powers of two.
fn powers(title: &str, mut numbers: Vec<usize>) -> Axis<'_> {
    numbers.sort_unstable();
    numbers.dedup();
    let mark = |number: usize| ((number as f64).log2(), number.to_string());
    Axis {
        title,
        marks: numbers.into_iter().map(mark).collect(),
    }
}

/// 1,500,000 as 1.5 M.
fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{} M", value / 1e6),
        value if value >= 1e3 => format!("{} k", value / 1e3),
        value => value.to_string(),
    }
}

fn draw(
    path: &Path,
    title: &str,
    axis: &Axis<'_>,
    unit: &str,
    lines: &[Line],
) -> anyhow::Result<()> {
    let all = || lines.iter().flat_map(|(_, points)| points.iter());
    let (mut low, mut high) = (f64::MAX, f64::MIN_POSITIVE);
    for (_, y) in all() {
        low = low.min(*y);
        high = high.max(*y);
    }
    anyhow::ensure!(low < f64::MAX, "there is nothing to draw for: {title}");
    let (low, high) = (
        10_f64.powf(low.log10().floor()),
        10_f64.powf(high.log10().ceil()),
    );
    let left = axis.marks.first().map_or(0.0, |mark| mark.0);
    let right = axis.marks.last().map_or(1.0, |mark| mark.0);
    let context = || format!("cannot draw {}", path.display());

    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE).with_context(context)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 20))
        .margin(12)
        .margin_right(170)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(left..right, (low..high).log_scale())
        .with_context(context)?;
    let name = |x: &f64| {
        let near = axis.marks.iter().find(|(at, _)| (at - x).abs() < 0.01);
        near.map(|(_, name)| name.clone()).unwrap_or_default()
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(225, 225, 225))
        .x_desc(axis.title)
        .y_desc(unit)
        // The marks are drawn below, where they belong.
        .x_labels(0)
        .x_label_formatter(&|x| name(x))
        .y_label_formatter(&|y| short(*y))
        .axis_desc_style(("sans-serif", 14))
        .label_style(("sans-serif", 13))
        .draw()
        .with_context(context)?;
    let area = chart.plotting_area();
    for (at, name) in &axis.marks {
        let (x, y) = area.map_coordinate(&(*at, low));
        let style = ("sans-serif", 13).into_font().color(&BLACK);
        let style = style.pos(plotters::style::text_anchor::Pos::new(
            plotters::style::text_anchor::HPos::Center,
            plotters::style::text_anchor::VPos::Top,
        ));
        root.draw_text(name, &style, (x, y + 6))
            .with_context(context)?;
    }
    // Names stand at the right ends of their lines, as far apart as they must.
    let mut ends: Vec<(i32, usize)> = Vec::new();
    for (number, (_, points)) in lines.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        chart
            .draw_series(LineSeries::new(
                points.iter().copied(),
                colour.stroke_width(2),
            ))
            .with_context(context)?;
        let dots = points
            .iter()
            .map(|point| Circle::new(*point, 3, colour.filled()));
        chart.draw_series(dots).with_context(context)?;
        if let Some(last) = points.last() {
            ends.push((chart.plotting_area().map_coordinate(last).1, number));
        }
    }
    ends.sort_unstable();
    let edge = chart.plotting_area().map_coordinate(&(right, low)).0;
    let mut free = i32::MIN;
    for (y, number) in ends {
        let y = y.max(free);
        free = y + 16;
        let colour = COLOURS[number % COLOURS.len()];
        let style = ("sans-serif", 13).into_font().color(&colour);
        root.draw_text(&lines[number].0, &style, (edge + 10, y - 7))
            .with_context(context)?;
    }
    root.present().with_context(context)
}
