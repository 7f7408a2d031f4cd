//! What the series are called, in rows above the panels. No name is cut: rows wrap, and so do long names.

use crate::canvas::{Canvas, Style, fill, number, stroke};
use crate::palette::{Key, Look, Palette};
use crate::text::{LINE, width, wrapped};

const SIZE: f64 = 12.0;
const GAP: f64 = 20.0;
const ROW: f64 = SIZE * LINE + 5.0;

/// Draws the legend into a width; the answer is its height.
pub(crate) fn draw(canvas: &mut Canvas, palette: &Palette<'_>, room: f64) -> f64 {
    let (mut x, mut y, mut lines_in_row) = (0.0, 0.0, 0);
    for (name, key, look) in palette.legend() {
        let sample = sample_width(key);
        let lines = wrapped(name, (room - sample).max(40.0), |text| width(text, SIZE));
        let needed = sample + lines.iter().map(|line| width(line, SIZE)).fold(0.0, f64::max);
        if x > 0.0 && x + needed > room {
            (x, y, lines_in_row) = (0.0, y + row_height(lines_in_row), 0);
        }
        lines_in_row = lines_in_row.max(lines.len());
        draw_sample(canvas, (x, y + SIZE * 0.62), key, &look);
        for (row, line) in lines.iter().enumerate() {
            let at = (x + sample, y + SIZE + row as f64 * SIZE * LINE);
            canvas.text(at, line, Style::new(SIZE, canvas.theme.ink()));
        }
        x += needed + GAP;
    }
    if lines_in_row == 0 { 0.0 } else { y + row_height(lines_in_row) }
}

fn row_height(lines: usize) -> f64 {
    ROW + (lines.max(1) as f64 - 1.0) * SIZE * LINE
}

fn sample_width(key: Key) -> f64 {
    match key {
        Key::Area => 21.0,
        Key::Point => 17.0,
        Key::Line => 28.0,
    }
}

fn draw_sample(canvas: &mut Canvas, (x, y): (f64, f64), key: Key, look: &Look) {
    let colour = look.colour.hex();
    match key {
        Key::Area => canvas.rect([x, y - 6.0, 15.0, 12.0], &fill(look.colour)),
        Key::Point => canvas.marker((x + 6.0, y), look.shape, 4.0, &fill(look.colour)),
        Key::Line => {
            canvas.segment((x, y), (x + 22.0, y), &dashed(&stroke(&colour, 2.0), look.dash));
            canvas.marker((x + 11.0, y), look.shape, 3.4, &fill(look.colour));
        }
    }
}

/// A stroke with a series' dashes.
pub(crate) fn dashed(look: &str, dash: &str) -> String {
    if dash.is_empty() { look.to_owned() } else { format!("{look} stroke-dasharray=\"{dash}\"") }
}

/// A fill that lets through what lies behind.
pub(crate) fn faint(look: &Look, opacity: f64) -> String {
    format!("{} fill-opacity=\"{}\"", fill(look.colour), number(opacity))
}
