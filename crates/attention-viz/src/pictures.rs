//! Views as pictures.

use std::fmt::Write;

use charts::{Axis, Bars, Figure, Heatmap, Lines, Panel};

use crate::aggregate::{Matrix, largest};
use crate::container::AttentionRecord;
use crate::export::View;

/// Most attended tokens that are drawn.
const TOP: usize = 20;

/// The figure of a view.
pub(crate) fn of(view: &View, record: &AttentionRecord) -> Figure {
    let info = &record.info;
    let subtitle = format!("{} · {} · turn {} · {}", info.strategy, info.layout, info.turn, info.model);
    let figure = Figure::new(&view.title).subtitle(subtitle);
    match view.name {
        "layers" => figure.panel(line(view)),
        "tokens" => figure.panel_height(520.0).panel(bars(view)),
        _ => {
            let width = 260.0 + 13.0 * view.columns.len() as f64;
            let height = 60.0 + 18.0 * view.rows.len() as f64;
            figure.width(width.clamp(760.0, 5000.0)).panel_height(height.clamp(220.0, 3000.0)).panel(heatmap(view))
        }
    }
}

fn line(view: &View) -> Panel {
    let points: Vec<(f64, f64)> =
        view.values.row(0).iter().enumerate().map(|(at, value)| (at as f64, *value)).collect();
    let plot = Lines::new().series(&view.rows[0], points);
    Panel::new("", plot).x(Axis::linear(view.axes.1)).y(Axis::linear("attention (mass)").starting_at(0.0))
}

fn heatmap(view: &View) -> Panel {
    let values: Vec<Vec<f64>> = (0..view.values.rows).map(|row| view.values.row(row).to_vec()).collect();
    let columns = view.columns.iter().map(|text| shown(text));
    let plot = Heatmap::new(view.rows.clone(), columns, values).colours(Axis::linear("attention (mass)"));
    Panel::new("", plot).x(Axis::linear(view.axes.1)).y(Axis::linear(view.axes.0))
}

/// The tokens that all new tokens together attend to most.
fn bars(view: &View) -> Panel {
    let top = largest(&mean_of_rows(&view.values), TOP);
    let names = top.iter().map(|(position, _)| format!("{} ({position})", shown(&view.columns[*position])));
    let plot = Bars::new(names).series("", top.iter().map(|(_, value)| *value)).horizontal();
    Panel::new("most attended tokens", plot).x(Axis::linear("attention, mean over new tokens").starting_at(0.0))
}

pub(crate) fn mean_of_rows(matrix: &Matrix) -> Vec<f64> {
    let mut means = vec![0.0; matrix.columns];
    for row in 0..matrix.rows {
        means.iter_mut().zip(matrix.row(row)).for_each(|(sum, value)| *sum += value / matrix.rows as f64);
    }
    means
}

/// How a token reads on one line.
fn shown(text: &str) -> String {
    if text.is_empty() { "∅".into() } else { text.replace('\n', "¶").replace('\t', "⇥") }
}

/// Letters of a line of the map.
const LINE: usize = 112;
const LETTER: f64 = 7.2;
const LEADING: usize = 19;

/// Prompt and new tokens as flowing text, each on the colour of the attention it receives from all new tokens (root
/// scale, so that small values stay visible).
pub(crate) fn map(record: &AttentionRecord, rows: &Matrix) -> String {
    let values = mean_of_rows(rows);
    let most = values.iter().copied().fold(0.0, f64::max);
    let (mut body, mut line, mut used) = (String::new(), 0, 0);
    for (position, text) in record.token_texts.iter().enumerate() {
        let (shown, new_line) = (shown(text), text.contains('\n'));
        let letters = shown.chars().count();
        let begins_answer = position == record.capture.first_position + 1;
        if begins_answer || used + letters > LINE {
            line += if begins_answer { 2 } else { 1 };
            used = 0;
        }
        let value = values.get(position).copied().unwrap_or(0.0);
        token(
            &mut body,
            &shown,
            (12.0 + used as f64 * LETTER, 10 + line * LEADING),
            letters,
            (value / most.max(1e-12)).sqrt(),
        );
        used += letters;
        if new_line {
            line += 1;
            used = 0;
        }
    }
    let (width, height) = (24.0 + LINE as f64 * LETTER, 30 + (line + 1) * LEADING);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         role=\"img\"><title>attention received by each token</title>\n<rect width=\"{width}\" height=\"{height}\" \
         fill=\"#ffffff\"/>\n{body}</svg>\n"
    )
}

fn token(body: &mut String, text: &str, (x, y): (f64, usize), letters: usize, share: f64) {
    let width = letters as f64 * LETTER;
    if share > 0.0 {
        let opacity = 0.55 * share;
        let height = LEADING - 3;
        let _ = writeln!(
            body,
            "<rect x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{height}\" fill=\"#2166ac\" fill-opacity=\"{opacity:.3}\"/>"
        );
    }
    let _ = writeln!(
        body,
        "<text x=\"{x:.1}\" y=\"{}\" font-family=\"DejaVu Sans, sans-serif\" font-size=\"11\" fill=\"#1c2024\" \
         xml:space=\"preserve\" textLength=\"{width:.1}\" lengthAdjust=\"spacingAndGlyphs\">{}</text>",
        y + 12,
        escaped(text)
    );
}

fn escaped(text: &str) -> String {
    let allowed = |letter: &char| !letter.is_control();
    text.chars().filter(allowed).collect::<String>().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
