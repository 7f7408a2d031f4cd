//! A figure: titles, legend and panels, and what can be made of it.

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::panel::Panel;
use crate::theme::Theme;
use crate::{layout, png, table};

/// Widths that make sense.
const SMALLEST: f64 = 200.0;
const LARGEST: f64 = 10_000.0;
/// PNG files have so many pixels per unit.
const FILE_SCALE: f32 = 2.0;

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// The picture as vectors.
    Svg,
    /// The picture as pixels, two per unit.
    Png,
    /// The data.
    Csv,
}

impl Format {
    /// What the file's name ends in.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Svg => "svg",
            Self::Png => "png",
            Self::Csv => "csv",
        }
    }
}

/// Panels under a common title and legend. A series looks the same in all panels in which its name occurs.
#[derive(Debug, Clone)]
pub struct Figure {
    pub(crate) title: String,
    pub(crate) subtitle: String,
    pub(crate) note: String,
    pub(crate) panels: Vec<Panel>,
    pub(crate) columns: usize,
    pub(crate) width: f64,
    pub(crate) panel_height: f64,
    pub(crate) theme: Theme,
}

impl Figure {
    /// A figure without panels, 900 units wide.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            subtitle: String::new(),
            note: String::new(),
            panels: Vec::new(),
            columns: 1,
            width: 900.0,
            panel_height: 300.0,
            theme: Theme::Light,
        }
    }

    /// A line below the title.
    pub fn subtitle(self, subtitle: impl Into<String>) -> Self {
        Self { subtitle: subtitle.into(), ..self }
    }

    /// A remark below the panels.
    pub fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    /// Adds a panel; the panels fill the grid row by row.
    pub fn panel(mut self, panel: Panel) -> Self {
        self.panels.push(panel);
        self
    }

    /// How many panels stand beside each other (1 to 12; fewer if the figure is too narrow).
    pub fn columns(self, columns: usize) -> Self {
        Self { columns: columns.clamp(1, 12), ..self }
    }

    /// The figure's width in units (200 to 10 000); its height follows the panels.
    pub fn width(self, width: f64) -> Self {
        let width = if width.is_nan() { self.width } else { width.clamp(SMALLEST, LARGEST) };
        Self { width, ..self }
    }

    /// The height of panels between their axes (60 to 4000), for those that do not set their own.
    pub fn panel_height(self, height: f64) -> Self {
        let panel_height = if height.is_nan() { self.panel_height } else { height.clamp(60.0, 4000.0) };
        Self { panel_height, ..self }
    }

    /// The colours of paper, ink and series.
    pub fn theme(self, theme: Theme) -> Self {
        Self { theme, ..self }
    }

    /// The picture as SVG that needs no script, no file and no network.
    pub fn svg(&self) -> String {
        layout::svg(self)
    }

    /// The picture as PNG, with so many pixels per unit of the SVG.
    ///
    /// # Errors
    /// The scale is not above zero, or the picture would be too large.
    pub fn png(&self, scale: f32) -> Result<Vec<u8>, Error> {
        png::png_of_svg(&self.svg(), scale)
    }

    /// The data as CSV in long form, with the columns `panel, kind, series, x, y, low, high, x_low, x_high`. A value that
    /// is missing is an empty field.
    pub fn csv(&self) -> String {
        let named = self.panels.iter().enumerate().map(|(index, panel)| match panel.title.as_str() {
            "" => ((index + 1).to_string(), panel),
            title => (title.to_owned(), panel),
        });
        table::csv(named.flat_map(|(name, panel)| {
            let rows = panel.plot.drawable().rows(&panel.space(self.width, self.panel_height));
            rows.into_iter().map(move |row| (name.clone(), row))
        }))
    }

    /// Writes `stem.svg`, `stem.png` and `stem.csv`, as asked for, and makes the folder. The answer are the files.
    ///
    /// # Errors
    /// A file can't be written or the PNG can't be drawn.
    pub fn write(&self, stem: impl AsRef<Path>, formats: &[Format]) -> Result<Vec<PathBuf>, Error> {
        let stem = stem.as_ref();
        if let Some(folder) = stem.parent() {
            std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        }
        formats.iter().map(|format| self.write_one(stem, *format)).collect()
    }

    fn write_one(&self, stem: &Path, format: Format) -> Result<PathBuf, Error> {
        let bytes = match format {
            Format::Svg => self.svg().into_bytes(),
            Format::Png => self.png(FILE_SCALE)?,
            Format::Csv => self.csv().into_bytes(),
        };
        // A stem such as `llama-3.1` keeps its dot.
        let mut path = stem.as_os_str().to_owned();
        path.push(".");
        path.push(format.extension());
        let path = PathBuf::from(path);
        std::fs::write(&path, bytes).map_err(Error::io(&path))?;
        Ok(path)
    }
}
