//! A matrix as coloured cells with a legend bar.

use super::{Draw, Drawn, owned, padded};
use crate::axis::Axis;
use crate::canvas::{Anchor, Canvas, Style, fill, stroke};
use crate::dropped::Dropped;
use crate::frame::{Frame, Side, Space, TICK};
use crate::number;
use crate::palette::{Key, Palette};
use crate::scale::{Base, Scale};
use crate::table::Row;
use crate::text::width;
use crate::theme::{Colour, Theme};

const BAR: f64 = 14.0;
const BAR_GAP: f64 = 18.0;
const BAR_STEPS: usize = 64;
const TALLEST_BAR: f64 = 260.0;
const NUMBER: f64 = 11.0;
const SMALLEST_NUMBER: f64 = 7.0;

/// A matrix with labels. A cell without a value is grey and struck through.
#[derive(Debug, Clone, Default)]
pub struct Heatmap {
    rows: Vec<String>,
    columns: Vec<String>,
    values: Vec<Vec<f64>>,
    colours: Axis,
    middle: Option<f64>,
    ends: Option<[Colour; 2]>,
    digits: Option<usize>,
}

impl Heatmap {
    /// A matrix of rows, the first at the top, with labels for rows and columns. Of very many labels, some are left out:
    /// a figure that is to show all needs about 12 units of width per column.
    pub fn new(
        rows: impl IntoIterator<Item = impl Into<String>>,
        columns: impl IntoIterator<Item = impl Into<String>>,
        values: impl IntoIterator<Item = Vec<f64>>,
    ) -> Self {
        let values = values.into_iter().collect();
        Self { rows: owned(rows), columns: owned(columns), values, ..Self::default() }
    }

    /// The legend bar's title and scale: linear or logarithmic, with ends of its own or those of the values.
    pub fn colours(self, colours: Axis) -> Self {
        Self { colours, ..self }
    }

    /// Colours that go apart from a middle value; both sides reach equally far unless the colours' range says else.
    pub fn diverging(self, middle: f64) -> Self {
        Self { middle: Some(middle).filter(|middle| number::is_usable(*middle)), ..self }
    }

    /// Colours of the two ends, by parts of red, green and blue, instead of the theme's. From the paper's colour they go to
    /// `high`; those that go apart from a middle value go to `low` below it.
    pub fn between(self, low: [u8; 3], high: [u8; 3]) -> Self {
        Self { ends: Some([low, high].map(|[red, green, blue]| Colour(red, green, blue))), ..self }
    }

    /// Writes each value into its cell, with so many decimals, if all fit.
    pub fn with_values(self, digits: usize) -> Self {
        Self { digits: Some(digits.min(12)), ..self }
    }

    fn labels(&self) -> (Vec<String>, Vec<String>) {
        let widest = self.values.iter().map(Vec::len).max().unwrap_or(0);
        (padded(&self.rows, self.values.len()), padded(&self.columns, widest))
    }

    fn value(&self, row: usize, column: usize) -> f64 {
        self.values.get(row).and_then(|values| values.get(column)).copied().unwrap_or(f64::NAN)
    }

    fn scale(&self) -> Scale {
        let values = || self.values.iter().flatten().copied().filter(|value| number::is_usable(*value));
        let mirrored = self.middle.map(|middle| {
            let reach = values().map(|value| (value - middle).abs()).fold(0.0, f64::max);
            [middle - reach, middle + reach]
        });
        Scale::over(&self.colours, values().chain(mirrored.into_iter().flatten()), Base::Tight)
    }
}

impl Draw for Heatmap {
    fn series(&self) -> Vec<(&str, Key)> {
        Vec::new()
    }

    fn wanted_height(&self, width: f64) -> Option<f64> {
        let (rows, columns) = self.labels();
        let room = width * 0.7 / columns.len().max(1) as f64;
        let cell = room.clamp(15.0, 30.0);
        Some((cell * rows.len() as f64).clamp(60.0, 3000.0))
    }

    fn draw(&self, space: &Space<'_>, _palette: &Palette<'_>, theme: Theme) -> Drawn {
        let ((rows, columns), scale) = (self.labels(), self.scale());
        let bar = Bar { heatmap: self, scale, height: space.height.min(TALLEST_BAR) };
        let frame = Frame::new(space, Side::Categories(&columns), Side::Categories(&rows), bar.width());
        let mut canvas = Canvas::new(theme);
        let shape = (rows.len(), columns.len());
        let dropped = self.draw_cells(&mut canvas, &frame, &scale, shape);
        let border = [frame.left, 0.0, frame.width, frame.height];
        canvas.rect(border, &stroke(theme.frame(), 0.8));
        frame.draw_labels(&mut canvas);
        bar.draw(&mut canvas, frame.left + frame.width + BAR_GAP);
        let notes = dropped.notes().into_iter().map(|note| format!("{note} (grey cells, struck through)")).collect();
        Drawn { canvas, height: space.height + frame.depth(), notes }
    }

    fn rows(&self, _space: &Space<'_>) -> Vec<Row> {
        let (rows, columns) = self.labels();
        let cell = |row: usize, column: usize| {
            Row::new("cell", &rows[row]).x_label(&columns[column]).y(self.value(row, column))
        };
        (0..rows.len()).flat_map(|row| (0..columns.len()).map(move |column| cell(row, column))).collect()
    }

    fn kind(&self) -> &'static str {
        "a heatmap"
    }
}

impl Heatmap {
    fn draw_cells(
        &self,
        canvas: &mut Canvas,
        frame: &Frame<'_>,
        scale: &Scale,
        (rows, columns): (usize, usize),
    ) -> Dropped {
        let mut dropped = Dropped::default();
        let number_size = self.number_size(frame, rows, columns);
        for row in 0..rows {
            let (top, height) = frame.slot(row, rows, true);
            for column in 0..columns {
                let (left, width) = frame.slot(column, columns, false);
                let value = self.value(row, column);
                let colour = self.colour(scale, value, canvas.theme, &mut dropped);
                let look = format!("{} shape-rendering=\"crispEdges\"", fill(colour));
                canvas.rect([left, top, width, height], &look);
                if scale.place(value).is_err() {
                    let line = stroke(canvas.theme.frame(), 1.0);
                    canvas.segment((left, top + height), (left + width, top), &line);
                }
                if let Some((size, digits)) = number_size.filter(|_| number::is_usable(value)) {
                    let style = Style::new(size, colour.ink_on()).anchor(Anchor::Middle);
                    let at = (left + width / 2.0, top + height / 2.0 + size * 0.36);
                    canvas.text(at, &number::fixed(value, digits), style);
                }
            }
        }
        dropped
    }

    fn colour(&self, scale: &Scale, value: f64, theme: Theme, dropped: &mut Dropped) -> Colour {
        match dropped.keep(scale.place(value)) {
            Some(place) => self.colour_at(scale, place, theme),
            None => theme.missing(),
        }
    }

    fn colour_at(&self, scale: &Scale, place: f64, theme: Theme) -> Colour {
        let Some(middle) = self.middle else {
            return self.ends.map_or_else(|| theme.sequential(place), |[_, high]| theme.paper().mixed(high, place));
        };
        let middle = scale.nearest(middle);
        let part = if place < middle { place / middle / 2.0 } else { 0.5 + (place - middle) / (1.0 - middle) / 2.0 };
        let part = if part.is_finite() { part } else { 0.5 };
        match self.ends {
            None => theme.diverging(part),
            Some([low, _]) if part < 0.5 => theme.paper().mixed(low, 1.0 - 2.0 * part),
            Some([_, high]) => theme.paper().mixed(high, 2.0 * part - 1.0),
        }
    }

    /// The size at which all numbers fit into their cells, if there is one that can be read.
    fn number_size(&self, frame: &Frame<'_>, rows: usize, columns: usize) -> Option<(f64, usize)> {
        let digits = self.digits?;
        let (_, height) = frame.slot(0, rows, true);
        let (_, room) = frame.slot(0, columns, false);
        let usable = self.values.iter().flatten().filter(|value| number::is_usable(**value));
        let widest = usable.map(|value| width(&number::fixed(*value, digits), 1.0)).fold(0.1, f64::max);
        let size = NUMBER.min((room - 4.0) / widest).min(height * 0.75);
        (size >= SMALLEST_NUMBER).then_some((size, digits))
    }
}

/// The legend bar at the right.
struct Bar<'a> {
    heatmap: &'a Heatmap,
    scale: Scale,
    height: f64,
}

impl Bar<'_> {
    fn width(&self) -> f64 {
        let labels = self.ticks().iter().map(|tick| width(&tick.label, TICK)).fold(0.0, f64::max);
        BAR_GAP + BAR + 6.0 + labels + if self.heatmap.colours.title.is_empty() { 4.0 } else { 22.0 }
    }

    fn ticks(&self) -> Vec<crate::scale::Tick> {
        self.scale.ticks((self.height / 42.0).max(2.0))
    }

    fn draw(&self, canvas: &mut Canvas, left: f64) {
        let step = self.height / BAR_STEPS as f64;
        for index in 0..BAR_STEPS {
            let place = (index as f64 + 0.5) / BAR_STEPS as f64;
            let look = fill(self.heatmap.colour_at(&self.scale, place, canvas.theme));
            let top = self.height - step * (index + 1) as f64;
            canvas.rect([left, top, BAR, step + 0.3], &format!("{look} shape-rendering=\"crispEdges\""));
        }
        canvas.rect([left, 0.0, BAR, self.height], &stroke(canvas.theme.frame(), 0.8));
        let style = Style::new(TICK, canvas.theme.faint_ink());
        for tick in self.ticks() {
            let y = self.height * (1.0 - tick.place);
            canvas.segment((left + BAR, y), (left + BAR + 3.0, y), &stroke(canvas.theme.frame(), 1.0));
            canvas.text((left + BAR + 6.0, y + TICK * 0.36), &tick.label, style);
        }
        let title = Style::new(TICK, canvas.theme.ink()).anchor(Anchor::Middle).turned(-90.0);
        let labels_end = left - BAR_GAP + self.width();
        canvas.text((labels_end - 4.0, self.height / 2.0), &self.heatmap.colours.title, title);
    }
}
