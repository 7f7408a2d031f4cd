//! Grouped bars with intervals.

use super::{Draw, Drawn, owned, padded};
use crate::axis::{Axis, AxisKind};
use crate::canvas::{Anchor, Canvas, Style, fill, stroke};
use crate::dropped::Dropped;
use crate::estimate::Estimate;
use crate::frame::{Frame, Side, Space};
use crate::number;
use crate::palette::{Key, Palette};
use crate::scale::{Base, Scale};
use crate::table::Row;
use crate::text::width;
use crate::theme::Theme;

/// Part of a category's room that its bars take.
const FILLED: f64 = 0.78;
const THICKEST: f64 = 72.0;
const VALUE_SIZE: f64 = 10.0;
const ROW: f64 = 15.0;
const TALLEST: f64 = 3000.0;

/// Bars of one or several series over categories; horizontal ones leave room for long labels.
#[derive(Debug, Clone, Default)]
pub struct Bars {
    categories: Vec<String>,
    series: Vec<(String, Vec<Estimate>)>,
    is_horizontal: bool,
    value_digits: Option<usize>,
}

impl Bars {
    /// Bars over these categories.
    pub fn new(categories: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { categories: owned(categories), ..Self::default() }
    }

    /// Adds a series: one value per category.
    pub fn series<E: Into<Estimate>>(mut self, name: impl Into<String>, values: impl IntoIterator<Item = E>) -> Self {
        self.series.push((name.into(), values.into_iter().map(Into::into).collect()));
        self
    }

    /// Draws the bars from left to right, the first category at the top. The x axis is then that of the values.
    pub fn horizontal(self) -> Self {
        Self { is_horizontal: true, ..self }
    }

    /// Writes each value at its bar, with so many decimals, where there is room.
    pub fn with_values(self, digits: usize) -> Self {
        Self { value_digits: Some(digits.min(12)), ..self }
    }

    fn labels(&self) -> Vec<String> {
        let longest = self.series.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
        padded(&self.categories, longest)
    }

    /// Values a bit beyond the ends, if numbers are to be written there.
    fn room_for_numbers(&self, axis: &Axis, values: impl Iterator<Item = f64>) -> Vec<f64> {
        if self.value_digits.is_none() || axis.kind == AxisKind::Log10 {
            return Vec::new();
        }
        let usable = values.filter(|value| number::is_usable(*value));
        let (low, high) = usable.fold((0.0_f64, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        let room = (high - low) * if self.is_horizontal { 0.02 } else { 0.05 };
        let ends = [(low, low - room), (high, high + room)];
        ends.into_iter().filter(|(end, _)| *end != 0.0).map(|(_, beyond)| beyond).collect()
    }

    fn scale(&self, axis: &Axis) -> Scale {
        let values = || self.series.iter().flat_map(|(_, values)| values).flat_map(|value| value.extent());
        Scale::over(axis, values().chain(self.room_for_numbers(axis, values())), Base::Zero)
    }
}

impl Draw for Bars {
    fn series(&self) -> Vec<(&str, Key)> {
        self.series.iter().map(|(name, _)| (name.as_str(), Key::Area)).collect()
    }

    fn wanted_height(&self, _width: f64) -> Option<f64> {
        let per_category = (ROW * self.series.len().max(1) as f64 / FILLED).max(24.0);
        self.is_horizontal.then(|| (per_category * self.labels().len() as f64).clamp(80.0, TALLEST))
    }

    fn draw(&self, space: &Space<'_>, palette: &Palette<'_>, theme: Theme) -> Drawn {
        let labels = self.labels();
        let scale = self.scale(if self.is_horizontal { space.x } else { space.y });
        let (across, along) = (Side::Categories(&labels), Side::Numeric(scale));
        let frame = if self.is_horizontal {
            Frame::new(space, along, across, 12.0)
        } else {
            Frame::new(space, across, along, 4.0)
        };
        let mut drawing = Drawing { bars: self, frame, scale, canvas: Canvas::new(theme), count: labels.len() };
        drawing.frame.draw_grid(&mut drawing.canvas);
        let dropped = drawing.draw_all(palette);
        drawing.frame.draw_axes(&mut drawing.canvas);
        drawing.draw_zero();
        let height = space.height + drawing.frame.depth();
        Drawn { canvas: drawing.canvas, height, notes: dropped.notes() }
    }

    fn rows(&self, _space: &Space<'_>) -> Vec<Row> {
        let labels = self.labels();
        let row = |name: &str, label: &String, value: Option<&Estimate>| {
            let value = value.copied().unwrap_or_else(Estimate::missing);
            let (low, high) = value.interval.unwrap_or((f64::NAN, f64::NAN));
            Row::new("bar", name).x_label(label).y(value.value).interval(low, high)
        };
        let of_series = |(name, values): &(String, Vec<Estimate>)| {
            labels.iter().enumerate().map(|(index, label)| row(name, label, values.get(index))).collect::<Vec<_>>()
        };
        self.series.iter().flat_map(of_series).collect()
    }

    fn kind(&self) -> &'static str {
        "bars"
    }
}

struct Drawing<'a> {
    bars: &'a Bars,
    frame: Frame<'a>,
    scale: Scale,
    canvas: Canvas,
    count: usize,
}

impl Drawing<'_> {
    fn draw_all(&mut self, palette: &Palette<'_>) -> Dropped {
        let mut dropped = Dropped::default();
        for (index, (name, values)) in self.bars.series.iter().enumerate() {
            let look = fill(palette.look(name).colour);
            for category in 0..self.count {
                let value = values.get(category).copied().unwrap_or_else(Estimate::missing);
                let place = self.scale.place(value.value);
                if dropped.keep(place).is_some() || place == Err(crate::scale::Unplaced::Outside) {
                    self.draw_bar(category, index, value, &look);
                }
            }
        }
        dropped
    }

    fn draw_bar(&mut self, category: usize, index: usize, value: Estimate, look: &str) {
        let (start, room) = self.frame.slot(category, self.count, self.bars.is_horizontal);
        let count = self.bars.series.len() as f64;
        let thickness = (room * FILLED / count).min(THICKEST);
        let across = start + (room - thickness * count) / 2.0 + thickness * index as f64;
        let (base, tip) = (self.scale.nearest(0.0), self.scale.nearest(value.value));
        let gap = (thickness * 0.06).min(1.0);
        let (low, high) = (base.min(tip), base.max(tip));
        let (from, to) = (self.at(across + gap, low), self.at(across + thickness - gap, high));
        let (width, height) = ((to.0 - from.0).abs(), (to.1 - from.1).abs());
        self.canvas.rect([from.0.min(to.0), from.1.min(to.1), width, height], look);
        let end = self.draw_interval(across + thickness / 2.0, thickness, value);
        self.draw_value(across + thickness / 2.0, thickness, value.value, tip, end);
    }

    /// The place where the interval ends on the value's side of zero, if there is one.
    fn draw_interval(&mut self, middle: f64, thickness: f64, value: Estimate) -> Option<f64> {
        let (low, high) = value.ends()?;
        let (low_place, high_place) = (self.scale.nearest(low), self.scale.nearest(high));
        let cap = (thickness * 0.22).min(5.0);
        let look = stroke(self.canvas.theme.ink(), 1.2);
        let lines = [
            ((middle, low_place), (middle, high_place)),
            ((middle - cap, low_place), (middle + cap, low_place)),
            ((middle - cap, high_place), (middle + cap, high_place)),
        ];
        for (from, to) in lines {
            let (from, to) = (self.at(from.0, from.1), self.at(to.0, to.1));
            self.canvas.segment(from, to, &look);
        }
        Some(if value.value < 0.0 { low_place } else { high_place })
    }

    fn draw_value(&mut self, middle: f64, thickness: f64, value: f64, tip: f64, end: Option<f64>) {
        let Some(digits) = self.bars.value_digits else { return };
        let text = number::fixed(value, digits);
        let (needed, is_down) = (width(&text, VALUE_SIZE), value < 0.0);
        let style = Style::new(VALUE_SIZE, self.canvas.theme.ink());
        let (x, y) = self.at(middle, end.map_or(tip, |end| if is_down { end.min(tip) } else { end.max(tip) }));
        if self.bars.is_horizontal {
            let right = self.frame.left + self.frame.width + 12.0;
            let is_free = if is_down { x - needed - 7.0 > self.frame.left } else { x + needed + 5.0 < right };
            if thickness >= VALUE_SIZE && is_free {
                let (shift, anchor) = if is_down { (-5.0, Anchor::End) } else { (5.0, Anchor::Start) };
                self.canvas.text((x + shift, y + VALUE_SIZE * 0.36), &text, style.anchor(anchor));
            }
        } else if needed + 2.0 <= thickness / FILLED {
            let shift = if is_down { (VALUE_SIZE + 3.0).min(self.frame.height - 2.0 - y) } else { -4.0 };
            self.canvas.text((x, y + shift), &text, style.anchor(Anchor::Middle));
        }
    }

    /// A line at zero, where bars of both signs begin.
    fn draw_zero(&mut self) {
        if let Ok(zero) = self.scale.place(0.0)
            && zero > 0.0
        {
            let ends = if self.bars.is_horizontal { (0.0, self.frame.height) } else { (self.frame.left, self.right()) };
            let (from, to) = (self.at(ends.0, zero), self.at(ends.1, zero));
            self.canvas.segment(from, to, &stroke(self.canvas.theme.frame(), 1.0));
        }
    }

    fn right(&self) -> f64 {
        self.frame.left + self.frame.width
    }

    /// A point from where it lies across the bars and along them.
    fn at(&self, across: f64, place: f64) -> (f64, f64) {
        if self.bars.is_horizontal { (self.frame.x(place), across) } else { (across, self.frame.y(place)) }
    }
}
