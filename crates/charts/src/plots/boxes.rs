//! Box plots: median, quartiles, whiskers of 1.5 interquartile ranges, outliers.

use std::collections::HashSet;

use super::{Draw, Drawn, is_new, owned, padded};
use crate::axis::{Axis, AxisKind};
use crate::canvas::{Canvas, number, stroke};
use crate::dropped::Dropped;
use crate::frame::{Frame, Side, Space};
use crate::legend::faint;
use crate::palette::{Key, Look, Palette};
use crate::scale::{Base, Scale};
use crate::statistics::BoxSummary;
use crate::table::Row;
use crate::theme::Theme;

const FILLED: f64 = 0.76;
const WIDEST: f64 = 46.0;

/// Boxes of one or several series over categories. Quartiles are those of the values themselves, on a logarithmic axis
/// too; values that have no place there are left out first and counted in a note.
#[derive(Debug, Clone, Default)]
pub struct Boxes {
    categories: Vec<String>,
    series: Vec<(String, Vec<Vec<f64>>)>,
}

impl Boxes {
    /// Boxes over these categories.
    pub fn new(categories: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { categories: owned(categories), ..Self::default() }
    }

    /// Adds a series: one sample per category.
    pub fn series<S: Into<Vec<f64>>>(mut self, name: impl Into<String>, samples: impl IntoIterator<Item = S>) -> Self {
        self.series.push((name.into(), samples.into_iter().map(Into::into).collect()));
        self
    }

    fn labels(&self) -> Vec<String> {
        let longest = self.series.iter().map(|(_, samples)| samples.len()).max().unwrap_or(0);
        padded(&self.categories, longest)
    }
}

impl Draw for Boxes {
    fn series(&self) -> Vec<(&str, Key)> {
        self.series.iter().map(|(name, _)| (name.as_str(), Key::Area)).collect()
    }

    fn draw(&self, space: &Space<'_>, palette: &Palette<'_>, theme: Theme) -> Drawn {
        let labels = self.labels();
        let values = self.series.iter().flat_map(|(_, samples)| samples.iter().flatten().copied());
        let scale = Scale::over(space.y, values, Base::Values);
        let frame = Frame::new(space, Side::Categories(&labels), Side::Numeric(scale), 4.0);
        let mut canvas = Canvas::new(theme);
        frame.draw_grid(&mut canvas);
        let mut dropped = Dropped::default();
        for (index, (name, samples)) in self.series.iter().enumerate() {
            for (category, sample) in samples.iter().enumerate() {
                let (start, room) = frame.slot(category, labels.len(), false);
                let width = room * FILLED / self.series.len() as f64;
                let middle = start + room * (1.0 - FILLED) / 2.0 + width * (index as f64 + 0.5);
                let place = Place { frame: &frame, scale, middle, width: (width * 0.84).min(WIDEST) };
                place.draw(&mut canvas, sample, &palette.look(name), &mut dropped);
            }
        }
        frame.draw_axes(&mut canvas);
        Drawn { canvas, height: space.height + frame.depth(), notes: dropped.notes() }
    }

    fn rows(&self, space: &Space<'_>) -> Vec<Row> {
        let labels = self.labels();
        let mut rows = Vec::new();
        for (name, samples) in &self.series {
            for (label, sample) in labels.iter().zip(samples) {
                let row = |kind| Row::new(kind, name).x_label(label);
                if let Some(summary) = BoxSummary::of(&drawable(space.y, sample)) {
                    let ends = (summary.lower_quartile, summary.upper_quartile);
                    rows.push(row("box").y(summary.median).interval(ends.0, ends.1));
                    rows.push(row("whiskers").interval(summary.lower_whisker, summary.upper_whisker));
                }
                rows.extend(sample.iter().map(|value| row("value").y(*value)));
            }
        }
        rows
    }

    fn kind(&self) -> &'static str {
        "box plots"
    }
}

fn drawable(axis: &Axis, sample: &[f64]) -> Vec<f64> {
    let is_placed = |value: &&f64| axis.kind != AxisKind::Log10 || **value > 0.0;
    sample.iter().filter(is_placed).copied().collect()
}

/// Where one box stands.
struct Place<'a> {
    frame: &'a Frame<'a>,
    scale: Scale,
    middle: f64,
    width: f64,
}

impl Place<'_> {
    fn draw(&self, canvas: &mut Canvas, sample: &[f64], look: &Look, dropped: &mut Dropped) {
        let is_drawn = |value: &f64| {
            let place = self.scale.place(*value);
            dropped.keep(place).is_some() || place == Err(crate::scale::Unplaced::Outside)
        };
        let values: Vec<f64> = sample.iter().copied().filter(is_drawn).collect();
        let Some(summary) = BoxSummary::of(&values) else { return };
        self.draw_whiskers(canvas, &summary, look);
        self.draw_box(canvas, &summary, look);
        self.draw_outliers(canvas, &summary, look);
    }

    fn draw_whiskers(&self, canvas: &mut Canvas, summary: &BoxSummary, look: &Look) {
        let line = stroke(&look.colour.hex(), 1.4);
        let cap = self.width * 0.25;
        let pairs = [(summary.lower_quartile, summary.lower_whisker), (summary.upper_quartile, summary.upper_whisker)];
        for (quartile, whisker) in pairs {
            let end = self.y(whisker);
            canvas.segment((self.middle, self.y(quartile)), (self.middle, end), &line);
            canvas.segment((self.middle - cap, end), (self.middle + cap, end), &line);
        }
    }

    fn draw_box(&self, canvas: &mut Canvas, summary: &BoxSummary, look: &Look) {
        let (left, top, bottom) =
            (self.middle - self.width / 2.0, self.y(summary.upper_quartile), self.y(summary.lower_quartile));
        let area = [left, top, self.width, bottom - top];
        canvas.rect(area, &format!("fill=\"{}\"", canvas.theme.paper().hex()));
        let border = format!("stroke=\"{}\" stroke-width=\"{}\"", look.colour.hex(), number(1.4));
        canvas.rect(area, &format!("{} {border}", faint(look, 0.35)));
        let median = self.y(summary.median);
        canvas.segment((left, median), (left + self.width, median), &stroke(canvas.theme.ink(), 2.0));
    }

    fn draw_outliers(&self, canvas: &mut Canvas, summary: &BoxSummary, look: &Look) {
        let mut seen = HashSet::new();
        let places = summary.outliers.iter().filter_map(|value| self.scale.place(*value).ok());
        for at in places.map(|place| (self.middle, self.frame.y(place))) {
            if is_new(&mut seen, at) {
                canvas.marker(at, 0, 2.2, &faint(look, 0.75));
            }
        }
    }

    fn y(&self, value: f64) -> f64 {
        self.frame.y(self.scale.nearest(value))
    }
}
