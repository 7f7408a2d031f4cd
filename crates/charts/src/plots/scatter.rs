//! Points, and lines of least squares through them.

use std::collections::HashSet;

use super::{Draw, Drawn, is_new};
use crate::axis::AxisKind;
use crate::canvas::{Canvas, step, stroke};
use crate::dropped::Dropped;
use crate::frame::{Frame, Side, Space};
use crate::legend::{dashed, faint};
use crate::number::short;
use crate::palette::{Key, Look, Palette};
use crate::scale::{Base, Scale};
use crate::statistics::LinearFit;
use crate::table::Row;
use crate::theme::Theme;

/// More points than this are drawn smaller and paler.
const MANY: usize = 300;
/// A fitted line is drawn in so many steps; they lie on one line unless the picture cuts it.
const STEPS: u32 = 64;

/// Points of one or several series.
#[derive(Debug, Clone, Default)]
pub struct Scatter {
    series: Vec<(String, Vec<(f64, f64)>)>,
    lines: Vec<(String, Vec<(f64, f64)>)>,
    has_fit: bool,
}

impl Scatter {
    /// No points yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a series of x and y.
    pub fn series(mut self, name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.series.push((name.into(), points.into_iter().collect()));
        self
    }

    /// Adds a line over the points, through x and y in their order.
    pub fn line(mut self, name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.lines.push((name.into(), points.into_iter().collect()));
        self
    }

    /// Draws a line of least squares through each series and tells it in a note. Where an axis is logarithmic, the line
    /// is fitted to logarithms, as it is seen.
    pub fn with_fit(self) -> Self {
        Self { has_fit: true, ..self }
    }
}

impl Draw for Scatter {
    fn series(&self) -> Vec<(&str, Key)> {
        let points = self.series.iter().map(|(name, _)| (name.as_str(), Key::Point));
        points.chain(self.lines.iter().map(|(name, _)| (name.as_str(), Key::Line))).collect()
    }

    fn draw(&self, space: &Space<'_>, palette: &Palette<'_>, theme: Theme) -> Drawn {
        let points = || self.series.iter().chain(&self.lines).flat_map(|(_, points)| points);
        let x = Scale::over(space.x, points().map(|(x, _)| *x), Base::Values);
        let y = Scale::over(space.y, points().map(|(_, y)| *y), Base::Values);
        let frame = Frame::new(space, Side::Numeric(x), Side::Numeric(y), 14.0);
        let (mut canvas, mut dropped) = (Canvas::new(theme), Dropped::default());
        frame.draw_grid(&mut canvas);
        frame.draw_axes(&mut canvas);
        let (radius, opacity) = if points().count() > MANY { (2.2, 0.45) } else { (3.6, 0.75) };
        for (name, points) in &self.series {
            let (look, mut seen) = (palette.look(name), HashSet::new());
            let placed = points.iter().filter_map(|(px, py)| dropped.keep_both(x.place(*px), y.place(*py)));
            for at in placed.map(|(x, y)| (frame.x(x), frame.y(y))).filter(|at| is_new(&mut seen, *at)) {
                canvas.marker(at, look.shape, radius, &faint(&look, opacity));
            }
        }
        for (name, points) in &self.lines {
            let places = points.iter().filter_map(|(px, py)| dropped.keep_both(x.place(*px), y.place(*py)));
            let steps = places.enumerate().map(|(place, (x, y))| {
                let command = if place == 0 { 'M' } else { 'L' };
                step(command, (frame.x(x), frame.y(y)))
            });
            let look = palette.look(name);
            canvas.path(&steps.collect::<String>(), &dashed(&stroke(&look.colour.hex(), 1.8), look.dash));
        }
        let mut notes = self.draw_fits(&mut canvas, &frame, (x, y), palette);
        notes.extend(dropped.notes());
        Drawn { canvas, height: space.height + frame.depth(), notes }
    }

    fn rows(&self, space: &Space<'_>) -> Vec<Row> {
        let kinds = (space.x.kind, space.y.kind);
        let mut rows = Vec::new();
        for (name, points) in &self.series {
            rows.extend(points.iter().map(|(x, y)| Row::new("point", name).x(*x).y(*y)));
            let Some(fit) = self.fit(points, kinds) else { continue };
            let xs = points.iter().map(|(x, _)| *x).filter(|x| placed(kinds.0, *x).is_some());
            let (first, last) = xs.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
            let on_line = |x: f64| fit.at(placed(kinds.0, x).unwrap_or(f64::NAN));
            rows.extend([first, last].map(|x| Row::new("fit", name).x(x).y(kinds.1.value(on_line(x)))));
        }
        let line = |name: &str, (x, y): &(f64, f64)| Row::new("line", name).x(*x).y(*y);
        rows.extend(self.lines.iter().flat_map(|(name, points)| points.iter().map(move |point| line(name, point))));
        rows
    }

    fn kind(&self) -> &'static str {
        "points"
    }
}

impl Scatter {
    fn fit(&self, points: &[(f64, f64)], (x, y): (AxisKind, AxisKind)) -> Option<LinearFit> {
        let points: Vec<_> = points.iter().filter_map(|(px, py)| Some((placed(x, *px)?, placed(y, *py)?))).collect();
        LinearFit::through(&points).filter(|_| self.has_fit)
    }

    /// The answer are notes that tell the lines.
    fn draw_fits(
        &self,
        canvas: &mut Canvas,
        frame: &Frame<'_>,
        scales: (Scale, Scale),
        palette: &Palette<'_>,
    ) -> Vec<String> {
        let kinds = (scales.0.kind(), scales.1.kind());
        let fits = self.series.iter().filter_map(|(name, points)| Some((name, points, self.fit(points, kinds)?)));
        let mut notes = Vec::new();
        for (name, points, fit) in fits {
            draw_fit(canvas, frame, scales, points, &fit, &palette.look(name));
            notes.push(told(name, &fit, kinds));
        }
        notes
    }
}

/// Draws a line over the series' own points, as far as it is within the axes.
fn draw_fit(
    canvas: &mut Canvas,
    frame: &Frame<'_>,
    (x, y): (Scale, Scale),
    points: &[(f64, f64)],
    fit: &LinearFit,
    look: &Look,
) {
    let places = points.iter().filter_map(|(px, _)| x.place(*px).ok());
    let (first, last) = places.fold((1.0_f64, 0.0_f64), |(low, high), place| (low.min(place), high.max(place)));
    let at = |part: u32| {
        let place = first + (last - first) * f64::from(part) / f64::from(STEPS);
        let value = y.kind().value(fit.at(placed(x.kind(), x.value(place))?));
        Some((frame.x(place), frame.y(y.place(value).ok()?)))
    };
    let drawn: Vec<_> = (0..=STEPS).filter_map(at).collect();
    if let (Some(from), Some(to)) = (drawn.first(), drawn.last()) {
        // Darker or lighter than its points, with a seam, so that it is seen among many.
        let colour = look.colour.mixed(canvas.theme.paper().opposite(), 0.3);
        canvas.segment(*from, *to, &stroke(&canvas.theme.paper().hex(), 4.6));
        canvas.segment(*from, *to, &dashed(&stroke(&colour.hex(), 2.2), look.dash));
    }
}

/// Where a value lies on its axis.
fn placed(kind: AxisKind, value: f64) -> Option<f64> {
    kind.transformed(value).filter(|value| value.is_finite())
}

fn told(name: &str, fit: &LinearFit, (x, y): (AxisKind, AxisKind)) -> String {
    let axis = |kind, name| match kind {
        AxisKind::Linear => String::from(name),
        AxisKind::Log10 => format!("log₁₀ {name}"),
        AxisKind::Root => format!("√{name}"),
    };
    let (sign, slope) = if fit.slope < 0.0 { ('−', -fit.slope) } else { ('+', fit.slope) };
    let name = if name.is_empty() { "fit" } else { name };
    let (x, y) = (axis(x, "x"), axis(y, "y"));
    let (intercept, slope, explained) = (short(fit.intercept), short(slope), crate::number::fixed(fit.r_squared, 2));
    format!("{name}: {y} = {intercept} {sign} {slope} {x}, R² = {explained}")
}
