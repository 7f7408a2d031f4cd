//! Figures for papers as SVG, PNG and CSV, without a plotting stack.
//!
//! A [`Figure`] holds [`Panel`]s in a grid; a panel is one plot with its axes: grouped [`Bars`], [`Boxes`], [`Lines`] with
//! bands, [`Scatter`] with fitted lines, a [`Histogram`], a [`Heatmap`] or [`ParallelCoordinates`]. The SVG stands alone, the PNG is drawn with an
//! embedded font and is the same on every machine, the CSV holds the data. Nothing that is drawn can fail: values that
//! have no place (missing, infinite, not above zero on a logarithmic axis) leave a gap and are counted in a note.
//!
//! ```
//! use charts::{Axis, Bars, Estimate, Figure, Panel};
//!
//! let bars = Bars::new(["7B", "70B"])
//!     .series("standard", [Estimate::new(0.41).plus_minus(0.03), Estimate::new(0.52).plus_minus(0.02)])
//!     .series("expanded", [Estimate::new(0.47).between(0.44, 0.49), Estimate::missing()]);
//! let panel = Panel::new("", bars).x(Axis::linear("model size")).y(Axis::linear("accuracy").range(0.0, 1.0));
//! let figure = Figure::new("Accuracy by prompt").panel(panel);
//!
//! assert!(figure.svg().contains("1 value is missing"));
//! assert!(figure.csv().contains("1,bar,expanded,7B,0.47,0.44,0.49,,"));
//! assert!(figure.png(2.0)?.starts_with(b"\x89PNG"));
//! # Ok::<(), charts::Error>(())
//! ```

mod axis;
mod canvas;
mod dropped;
mod error;
mod estimate;
mod figure;
mod frame;
mod layout;
mod legend;
mod number;
mod palette;
mod panel;
mod plots;
mod png;
mod scale;
mod statistics;
mod table;
mod text;
mod theme;

pub use self::axis::{Axis, AxisKind};
pub use self::error::Error;
pub use self::estimate::Estimate;
pub use self::figure::{Figure, Format};
pub use self::panel::Panel;
pub use self::plots::{Bars, Boxes, Heatmap, Histogram, Lines, ParallelCoordinates, Plot, Scatter};
pub use self::png::png_of_svg;
pub use self::statistics::{BoxSummary, LinearFit};
pub use self::table::csv_field;
pub use self::text::{escaped, text_width, turns_direction};
pub use self::theme::Theme;
