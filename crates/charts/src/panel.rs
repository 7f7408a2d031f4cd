//! One part of a figure: a plot with its axes.

use crate::axis::Axis;
use crate::frame::Space;
use crate::number::is_usable;
use crate::plots::Plot;

/// Heights between the axes that make sense.
const SMALLEST: f64 = 60.0;
const LARGEST: f64 = 4000.0;

/// A plot with a title and axes.
#[derive(Debug, Clone)]
pub struct Panel {
    pub(crate) title: String,
    pub(crate) plot: Plot,
    x: Axis,
    y: Axis,
    height: Option<f64>,
}

impl Panel {
    /// A panel with axes that have no titles; an empty title takes no room.
    pub fn new(title: impl Into<String>, plot: impl Into<Plot>) -> Self {
        Self { title: title.into(), plot: plot.into(), x: Axis::default(), y: Axis::default(), height: None }
    }

    /// The horizontal axis.
    pub fn x(self, x: Axis) -> Self {
        Self { x, ..self }
    }

    /// The vertical axis.
    pub fn y(self, y: Axis) -> Self {
        Self { y, ..self }
    }

    /// The height between the axes, instead of the figure's (or, for horizontal bars and heatmaps, one that follows the
    /// number of rows). At least 60.
    pub fn height(self, height: f64) -> Self {
        let height = Some(height).filter(|height| is_usable(*height));
        Self { height: height.map(|height| height.clamp(SMALLEST, LARGEST)), ..self }
    }

    pub(crate) fn space(&self, width: f64, usual: f64) -> Space<'_> {
        let wanted = || self.plot.drawable().wanted_height(width);
        Space { width, height: self.height.or_else(wanted).unwrap_or(usual), x: &self.x, y: &self.y }
    }

    pub(crate) fn described(&self) -> String {
        let part = |before: &str, text: &str| if text.is_empty() { String::new() } else { format!("{before}{text}") };
        let plot = self.plot.drawable();
        let mut names: Vec<&str> = plot.series().into_iter().map(|(name, _)| name).collect();
        names.retain(|name| !name.is_empty());
        format!(
            "{}{}{}{}{}.",
            if self.title.is_empty() { String::new() } else { format!("{}: ", self.title) },
            plot.kind(),
            part(" of ", &self.y.title),
            part(" by ", &self.x.title),
            part("; series: ", &names.join(", "))
        )
    }
}
