//! Lines across parallel axes, one for each of many things with several properties.

use super::{Draw, Drawn, owned};
use crate::axis::Axis;
use crate::canvas::{Anchor, Canvas, Style, fill, step, stroke};
use crate::dropped::Dropped;
use crate::frame::{Space, TICK, TITLE};
use crate::palette::{Key, Palette};
use crate::scale::{Base, Scale, Tick, Unplaced};
use crate::table::Row;
use crate::text::{LINE, width, wrapped};
use crate::theme::Theme;

/// Between a tick and its label.
const GAP: f64 = 5.0;
/// Between the axes and their titles.
const TITLE_GAP: f64 = 20.0;
/// Titles take no more room in width than this.
const WIDEST_TITLE: f64 = 160.0;
/// Lines of the colour's weakest end are still seen.
const WEAKEST: f64 = 0.25;
/// More lines than this are paler.
const MANY: usize = 60;

/// A line for each thing, across axes of their own scales and of categories. The first axis colours the lines; the strongest lie on top. A
/// value that is missing interrupts a line.
#[derive(Debug, Clone, Default)]
pub struct ParallelCoordinates {
    axes: Vec<Coordinate>,
    low_is_strong: bool,
}

#[derive(Debug, Clone)]
enum Coordinate {
    Numeric { axis: Axis, values: Vec<f64> },
    Categories { title: String, labels: Vec<String>, places: Vec<Option<usize>> },
}

impl ParallelCoordinates {
    /// No axes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an axis of numbers, with the value of each thing.
    pub fn axis(mut self, axis: Axis, values: impl IntoIterator<Item = f64>) -> Self {
        self.axes.push(Coordinate::Numeric { axis, values: values.into_iter().collect() });
        self
    }

    /// Adds an axis of categories, from the top, with the place of each thing among them.
    pub fn categories(
        mut self,
        title: impl Into<String>,
        labels: impl IntoIterator<Item = impl Into<String>>,
        places: impl IntoIterator<Item = Option<usize>>,
    ) -> Self {
        let (labels, places) = (owned(labels), places.into_iter().collect());
        self.axes.push(Coordinate::Categories { title: title.into(), labels, places });
        self
    }

    /// Gives the strongest colour to small values of the first axis instead of large ones.
    pub fn low_is_strong(self) -> Self {
        Self { low_is_strong: true, ..self }
    }

    fn placed(&self, height: f64) -> Vec<Placed> {
        let count = self.axes.iter().map(Coordinate::len).max().unwrap_or(0);
        self.axes.iter().map(|axis| axis.placed(height, count)).collect()
    }

    /// From 0 to 1, by the first axis.
    fn strength(&self, place: f64) -> f64 {
        if self.low_is_strong { 1.0 - place } else { place }
    }
}

impl Coordinate {
    fn len(&self) -> usize {
        match self {
            Self::Numeric { values, .. } => values.len(),
            Self::Categories { places, .. } => places.len(),
        }
    }

    fn title(&self) -> &str {
        match self {
            Self::Numeric { axis, .. } => &axis.title,
            Self::Categories { title, .. } => title,
        }
    }

    fn placed(&self, height: f64, count: usize) -> Placed {
        match self {
            Self::Numeric { axis, values } => {
                let scale = Scale::over(axis, values.iter().copied(), Base::Tight);
                let place = |thing: usize| scale.place(values.get(thing).copied().unwrap_or(f64::NAN));
                Placed { ticks: scale.ticks((height / 45.0).max(2.0)), places: (0..count).map(place).collect() }
            }
            Self::Categories { labels, places, .. } => {
                let slot = |place: usize| slot(place, labels.len());
                let ticks = labels.iter().enumerate();
                let place = |thing: usize| {
                    let place = places.get(thing).copied().flatten().filter(|place| *place < labels.len());
                    place.map(slot).ok_or(Unplaced::Missing)
                };
                Placed {
                    ticks: ticks.map(|(place, label)| Tick { place: slot(place), label: label.clone() }).collect(),
                    places: (0..count).map(place).collect(),
                }
            }
        }
    }

    fn row(&self, thing: usize) -> Row {
        let row = Row::new("coordinate", &thing.to_string());
        match self {
            Self::Numeric { axis, values } => {
                row.x_label(&axis.title).y(values.get(thing).copied().unwrap_or(f64::NAN))
            }
            Self::Categories { title, places, .. } => {
                let place = places.get(thing).copied().flatten();
                row.x_label(title).y(place.map_or(f64::NAN, |place| place as f64))
            }
        }
    }
}

/// An axis' ticks, and where each thing lies on it.
struct Placed {
    ticks: Vec<Tick>,
    places: Vec<Result<f64, Unplaced>>,
}

/// The middle of a category's part of the axis, the first at the top.
fn slot(place: usize, count: usize) -> f64 {
    1.0 - (place as f64 + 0.5) / count.max(1) as f64
}

impl Draw for ParallelCoordinates {
    fn series(&self) -> Vec<(&str, Key)> {
        Vec::new()
    }

    fn draw(&self, space: &Space<'_>, _palette: &Palette<'_>, theme: Theme) -> Drawn {
        let placed = self.placed(space.height);
        let mut drawing = Drawing::new(self, space, &placed, theme);
        let notes = drawing.draw_lines(&placed);
        let depth = drawing.draw_axes(&placed);
        Drawn { canvas: drawing.canvas, height: space.height + depth, notes }
    }

    fn rows(&self, _space: &Space<'_>) -> Vec<Row> {
        self.axes.iter().flat_map(|axis| (0..axis.len()).map(|thing| axis.row(thing))).collect()
    }

    fn kind(&self) -> &'static str {
        "lines across parallel axes"
    }
}

struct Drawing<'a> {
    plot: &'a ParallelCoordinates,
    height: f64,
    /// Where each axis stands.
    xs: Vec<f64>,
    canvas: Canvas,
}

impl<'a> Drawing<'a> {
    fn new(plot: &'a ParallelCoordinates, space: &Space<'_>, placed: &[Placed], theme: Theme) -> Self {
        let label = |ticks: &[Tick]| ticks.iter().map(|tick| width(&tick.label, TICK)).fold(0.0, f64::max);
        let half_title =
            |axis: Option<&Coordinate>| axis.map_or(0.0, |axis| width(axis.title(), TITLE).min(WIDEST_TITLE) / 2.0);
        let left = half_title(plot.axes.first()) + 4.0;
        let last_label = placed.last().map_or(0.0, |axis| label(&axis.ticks)) + GAP + 4.0;
        let right = half_title(plot.axes.last()).max(last_label).min(space.width * 0.4);
        let between = (space.width - left - right).max(1.0) / plot.axes.len().saturating_sub(1).max(1) as f64;
        let xs = (0..plot.axes.len()).map(|index| left + between * index as f64).collect();
        Self { plot, height: space.height, xs, canvas: Canvas::new(theme) }
    }

    /// The answer are notes on what was not drawn.
    fn draw_lines(&mut self, placed: &[Placed]) -> Vec<String> {
        let count = placed.first().map_or(0, |axis| axis.places.len());
        let strength = |thing: usize| {
            let first = placed.first().and_then(|axis| axis.places.get(thing).copied());
            first.and_then(Result::ok).map(|place| self.plot.strength(place))
        };
        let mut things: Vec<(Option<f64>, usize)> = (0..count).map(|thing| (strength(thing), thing)).collect();
        things.sort_by(|left, right| left.0.unwrap_or(-1.0).total_cmp(&right.0.unwrap_or(-1.0)));
        let mut dropped = Dropped::default();
        let opacity = if count > MANY { 0.55 } else { 0.8 };
        for (strength, thing) in things {
            let colour = match strength {
                Some(strength) => self.canvas.theme.sequential(WEAKEST + (1.0 - WEAKEST) * strength),
                None => self.canvas.theme.missing(),
            };
            let mut path = String::new();
            let mut is_begun = false;
            for (axis, x) in placed.iter().zip(&self.xs) {
                let place = dropped.keep(axis.places.get(thing).copied().unwrap_or(Err(Unplaced::Missing)));
                if let Some(place) = place {
                    let at = (*x, self.height * (1.0 - place));
                    // A line of no length is a dot: what stands alone is seen, too.
                    path += &if is_begun { step('L', at) } else { step('M', at) + &step('L', at) };
                }
                is_begun = place.is_some();
            }
            let look = format!(
                "{} stroke-opacity=\"{opacity}\" stroke-linejoin=\"round\" stroke-linecap=\"round\"",
                stroke(&colour.hex(), 1.4)
            );
            self.canvas.path(&path, &look);
        }
        dropped.notes()
    }

    /// The answer is how far the titles reach below.
    fn draw_axes(&mut self, placed: &[Placed]) -> f64 {
        let theme = self.canvas.theme;
        let between = self.xs.windows(2).map(|pair| pair[1] - pair[0]).fold(WIDEST_TITLE, f64::min);
        let mut depth = 0.0_f64;
        for (index, (axis, x)) in placed.iter().zip(self.xs.clone()).enumerate() {
            self.canvas.segment((x, 0.0), (x, self.height), &stroke(theme.ink(), 1.2));
            for tick in &axis.ticks {
                let y = self.height * (1.0 - tick.place);
                self.canvas.segment((x, y), (x + 3.0, y), &stroke(theme.ink(), 1.2));
                // Lines pass behind labels.
                let behind = [x + GAP - 1.0, y - TICK * 0.6, width(&tick.label, TICK) + 2.0, TICK * 1.2];
                self.canvas.rect(behind, &format!("{} fill-opacity=\"0.75\"", fill(theme.paper())));
                self.canvas.text((x + GAP, y + TICK * 0.36), &tick.label, Style::new(TICK, theme.ink()));
            }
            let title = self.plot.axes.get(index).map_or("", Coordinate::title);
            let style = Style::new(TITLE, theme.ink()).anchor(Anchor::Middle);
            for (line, text) in wrapped(title, between.max(40.0) - 6.0, |text| width(text, TITLE)).iter().enumerate() {
                let below = TITLE_GAP + line as f64 * TITLE * LINE;
                depth = depth.max(below + TITLE * 0.4);
                self.canvas.text((x, self.height + below), text, style);
            }
        }
        depth
    }
}
