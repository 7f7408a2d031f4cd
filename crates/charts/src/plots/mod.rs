//! The kinds of plots.

mod bars;
mod boxes;
mod heatmap;
mod histogram;
mod lines;
mod parallel;
mod scatter;

pub use self::bars::Bars;
pub use self::boxes::Boxes;
pub use self::heatmap::Heatmap;
pub use self::histogram::Histogram;
pub use self::lines::Lines;
pub use self::parallel::ParallelCoordinates;
pub use self::scatter::Scatter;

use crate::canvas::Canvas;
use crate::frame::Space;
use crate::palette::{Key, Palette};
use crate::table::Row;
use crate::theme::Theme;

/// A panel that is drawn; its upper end is that of the area between the axes.
#[derive(Debug)]
pub(crate) struct Drawn {
    pub(crate) canvas: Canvas,
    pub(crate) height: f64,
    pub(crate) notes: Vec<String>,
}

/// What every kind of plot can do.
pub(crate) trait Draw {
    /// The names of its series.
    fn series(&self) -> Vec<(&str, Key)>;
    /// The height that its area wants, if not the panel's.
    fn wanted_height(&self, _width: f64) -> Option<f64> {
        None
    }
    fn draw(&self, space: &Space<'_>, palette: &Palette<'_>, theme: Theme) -> Drawn;
    /// Its data, in rows of the CSV file.
    fn rows(&self, space: &Space<'_>) -> Vec<Row>;
    /// What it is, in words.
    fn kind(&self) -> &'static str;
}

/// One kind of plot with its data.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Plot {
    /// Grouped bars.
    Bars(Bars),
    /// Box plots.
    Boxes(Boxes),
    /// Lines with bands.
    Lines(Lines),
    /// Points.
    Scatter(Scatter),
    /// Distributions.
    Histogram(Histogram),
    /// A matrix.
    Heatmap(Heatmap),
    /// Lines across parallel axes.
    ParallelCoordinates(ParallelCoordinates),
}

impl Plot {
    pub(crate) fn drawable(&self) -> &dyn Draw {
        match self {
            Self::Bars(plot) => plot,
            Self::Boxes(plot) => plot,
            Self::Lines(plot) => plot,
            Self::Scatter(plot) => plot,
            Self::Histogram(plot) => plot,
            Self::Heatmap(plot) => plot,
            Self::ParallelCoordinates(plot) => plot,
        }
    }
}

macro_rules! into_plot {
    ($($kind:ident)*) => {$(
        impl From<$kind> for Plot {
            fn from(plot: $kind) -> Self {
                Self::$kind(plot)
            }
        }
    )*};
}
into_plot!(Bars Boxes Lines Scatter Histogram Heatmap ParallelCoordinates);

/// Texts of any kind.
fn owned(texts: impl IntoIterator<Item = impl Into<String>>) -> Vec<String> {
    texts.into_iter().map(Into::into).collect()
}

/// Labels for so many places; those that were not given are empty.
fn padded(labels: &[String], count: usize) -> Vec<String> {
    (0..count.max(labels.len())).map(|index| labels.get(index).cloned().unwrap_or_default()).collect()
}

/// Keeps the first of points that can't be told apart, so that many points do not make an endless picture.
fn is_new(seen: &mut std::collections::HashSet<(i64, i64)>, (x, y): (f64, f64)) -> bool {
    seen.insert(((x * 5.0).round() as i64, (y * 5.0).round() as i64))
}
