//! Distributions of samples: bars for one, outlines for several.

use super::{Draw, Drawn};
use crate::axis::Axis;
use crate::canvas::{Canvas, step, stroke};
use crate::dropped::Dropped;
use crate::frame::{Frame, Side, Space};
use crate::legend::{dashed, faint};
use crate::palette::{Key, Look, Palette};
use crate::scale::{Base, Scale};
use crate::table::Row;
use crate::theme::Theme;

const MOST_BINS: usize = 1000;

/// How often values occur, in bins that are equally wide on the axis (on a logarithmic one too).
#[derive(Debug, Clone)]
pub struct Histogram {
    bins: usize,
    series: Vec<(String, Vec<f64>)>,
    is_part: bool,
}

impl Histogram {
    /// A histogram of so many bins (1 to 1000).
    pub fn new(bins: usize) -> Self {
        Self { bins: bins.clamp(1, MOST_BINS), series: Vec::new(), is_part: false }
    }

    /// Adds a sample.
    pub fn series(mut self, name: impl Into<String>, values: impl IntoIterator<Item = f64>) -> Self {
        self.series.push((name.into(), values.into_iter().collect()));
        self
    }

    /// Shows the part of each sample that lies in a bin (from 0 to 1), not the count: samples of different sizes can
    /// then be compared.
    pub fn as_parts(self) -> Self {
        Self { is_part: true, ..self }
    }

    fn x_scale(&self, axis: &Axis) -> Scale {
        Scale::over(axis, self.series.iter().flat_map(|(_, values)| values.iter().copied()), Base::Tight)
    }

    fn heights(&self, values: &[f64], scale: &Scale, dropped: &mut Dropped) -> Vec<f64> {
        let mut counts = vec![0.0; self.bins];
        for place in values.iter().filter_map(|value| dropped.keep(scale.place(*value))) {
            counts[((place * self.bins as f64) as usize).min(self.bins - 1)] += 1.0;
        }
        let total: f64 = counts.iter().sum();
        if self.is_part && total > 0.0 { counts.iter().map(|count| count / total).collect() } else { counts }
    }
}

impl Draw for Histogram {
    fn series(&self) -> Vec<(&str, Key)> {
        self.series.iter().map(|(name, _)| (name.as_str(), Key::Area)).collect()
    }

    fn draw(&self, space: &Space<'_>, palette: &Palette<'_>, theme: Theme) -> Drawn {
        let (x, mut dropped) = (self.x_scale(space.x), Dropped::default());
        let heights: Vec<_> = self.series.iter().map(|(_, values)| self.heights(values, &x, &mut dropped)).collect();
        let y = Scale::over(space.y, heights.iter().flatten().copied(), Base::Zero);
        let frame = Frame::new(space, Side::Numeric(x), Side::Numeric(y), 14.0);
        let mut canvas = Canvas::new(theme);
        frame.draw_grid(&mut canvas);
        for ((name, _), heights) in self.series.iter().zip(&heights) {
            draw_outline(&mut canvas, &frame, &y, heights, &palette.look(name), self.series.len());
        }
        frame.draw_axes(&mut canvas);
        Drawn { canvas, height: space.height + frame.depth(), notes: dropped.notes() }
    }

    fn rows(&self, space: &Space<'_>) -> Vec<Row> {
        let scale = self.x_scale(space.x);
        let edge = |index: usize| scale.value(index as f64 / self.bins as f64);
        let mut rows = Vec::new();
        for (name, values) in &self.series {
            let heights = self.heights(values, &scale, &mut Dropped::default());
            rows.extend(
                heights
                    .iter()
                    .enumerate()
                    .map(|(index, height)| Row::new("bin", name).x_between(edge(index), edge(index + 1)).y(*height)),
            );
        }
        rows
    }

    fn kind(&self) -> &'static str {
        "a histogram"
    }
}

fn draw_outline(canvas: &mut Canvas, frame: &Frame<'_>, y: &Scale, heights: &[f64], look: &Look, series: usize) {
    let x = |index: usize| frame.x(index as f64 / heights.len() as f64);
    let mut path = step('M', (x(0), frame.y(0.0)));
    for (index, height) in heights.iter().enumerate() {
        let level = frame.y(y.nearest(*height));
        path += &step('L', (x(index), level));
        path += &step('L', (x(index + 1), level));
    }
    path += &step('L', (x(heights.len()), frame.y(0.0)));
    canvas.path(&path, &faint(look, if series > 1 { 0.16 } else { 0.55 }));
    canvas.path(&path, &dashed(&stroke(&look.colour.hex(), 1.7), look.dash));
}
