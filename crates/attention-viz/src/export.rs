//! Views without a browser: tables, pictures and the standalone page as files.

use std::fmt::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::aggregate::{Choice, largest, layer_profile, span_steps, token_rows};
use crate::container::AttentionRecord;
use crate::error::Error;
use crate::html::standalone_html;
use crate::index::{Listing, RunIndex};
use crate::sheets::{Sheet, subtitle};
use crate::turns::LineBy;
use crate::{compare, sheets, turns};

/// Pixels per unit of a PNG.
const PIXELS: f32 = 2.0;

/// What is written, and of which part of the attention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportOptions {
    /// Span that layers and heads are compared on.
    pub span: String,
    /// Layers, heads and sinks.
    pub choice: Choice,
    /// Tokens that are selected in the map; all new ones unless told otherwise.
    pub select: Option<Range<usize>>,
    /// The standalone page.
    pub html: bool,
    /// Tables.
    pub csv: bool,
    /// Pictures as SVG.
    pub svg: bool,
    /// Pictures as PNG.
    pub png: bool,
}

/// What an export has written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exported {
    /// The files.
    pub files: Vec<PathBuf>,
    /// Views that could not be made of these records, and why.
    pub left_out: Vec<String>,
}

/// Writes the views of one record into a folder, named by the file and the view.
///
/// # Errors
/// The record can't be read, does not have the layers, heads or tokens, or a file can't be written.
pub fn export_record(file: &Path, out: &Path, options: &ExportOptions) -> Result<Exported, Error> {
    let record = AttentionRecord::read(file)?;
    let mut writer = Writer::new(out, options)?;
    if options.html {
        writer.write(format!("{}.html", stem(file)), standalone_html(&record).as_bytes())?;
    }
    if writer.wants_sheets() {
        writer.sheets(&stem(file), &sheets::sheets(&record, options)?)?;
        if record.capture.span(&options.span).is_none() {
            writer.leave_out(&stem(file), &format!("the prompt has no span `{}`", options.span));
        }
    }
    Ok(writer.done)
}

/// Writes what the second record attends to more or less than the first one.
///
/// # Errors
/// As [`export_record`].
pub fn export_comparison(a: &Path, b: &Path, out: &Path, options: &ExportOptions) -> Result<Exported, Error> {
    let mut writer = Writer::new(out, options)?;
    if writer.wants_sheets() {
        let name = format!("{}-against-{}", stem(a), stem(b));
        let (sheets, left_out) = compare::sheets(&AttentionRecord::read(a)?, &AttentionRecord::read(b)?, options)?;
        writer.sheets(&name, &sheets)?;
        left_out.iter().for_each(|why| writer.leave_out(&name, why));
    }
    Ok(writer.done)
}

/// Writes a number of all records over turns, e.g. `sra`.
///
/// # Errors
/// No record has the number, or a file can't be written.
pub fn export_turns(
    listing: &Listing,
    value: &str,
    by: LineBy,
    out: &Path,
    options: &ExportOptions,
) -> Result<Exported, Error> {
    let mut writer = Writer::new(out, options)?;
    if writer.wants_sheets() {
        writer.sheets("", &[turns::sheet(listing, value, by)?])?;
    }
    Ok(writer.done)
}

/// The folder of every run of an index under `out`: that itself for one run, one of the run's name for each of several.
pub fn run_folders(index: &RunIndex, out: &Path) -> Vec<PathBuf> {
    let runs = &index.listing().runs;
    if runs.len() == 1 {
        return vec![out.to_owned()];
    }
    runs.iter().map(|run| out.join(&run.name)).collect()
}

fn stem(file: &Path) -> String {
    file.file_stem().map_or_else(|| "record".into(), |stem| stem.to_string_lossy().into_owned())
}

/// Writes files of the wanted formats into a folder.
struct Writer<'a> {
    out: &'a Path,
    options: &'a ExportOptions,
    done: Exported,
}

impl<'a> Writer<'a> {
    fn new(out: &'a Path, options: &'a ExportOptions) -> Result<Self, Error> {
        std::fs::create_dir_all(out).map_err(Error::io(out))?;
        Ok(Self { out, options, done: Exported::default() })
    }

    fn wants_sheets(&self) -> bool {
        self.options.csv || self.options.svg || self.options.png
    }

    fn sheets(&mut self, stem: &str, sheets: &[Sheet]) -> Result<(), Error> {
        for sheet in sheets {
            let name = if stem.is_empty() { sheet.name.to_owned() } else { format!("{stem}.{}", sheet.name) };
            if self.options.csv {
                self.write(format!("{name}.csv"), sheet.table.csv().as_bytes())?;
            }
            if !self.options.svg && !self.options.png {
                continue;
            }
            let svg = sheet.picture.svg();
            if self.options.svg {
                self.write(format!("{name}.svg"), svg.as_bytes())?;
            }
            if self.options.png {
                self.write(format!("{name}.png"), &charts::png_of_svg(&svg, PIXELS)?)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, name: String, bytes: &[u8]) -> Result<(), Error> {
        let path = self.out.join(name);
        std::fs::write(&path, bytes).map_err(Error::io(&path))?;
        self.done.files.push(path);
        Ok(())
    }

    fn leave_out(&mut self, what: &str, why: &str) {
        self.done.left_out.push(format!("{what}: {why}"));
    }
}

/// Describes a record in plain text: what it is, where attention goes, and how layers differ on a span.
///
/// # Errors
/// As [`export_record`]; the record does not have the span.
pub fn show_record(file: &Path, span: &str, choice: &Choice) -> Result<String, Error> {
    let record = AttentionRecord::read(file)?;
    let (info, capture) = (&record.info, &record.capture);
    if capture.rows == 0 {
        return Err(Error::Missing("the record has no new tokens".into()));
    }
    let mut text = format!("{}\n", subtitle(&record));
    let _ = writeln!(
        text,
        "{} prompt tokens, {} new, {} layers × {} heads",
        capture.first_position + 1,
        capture.rows,
        capture.layers,
        capture.heads
    );
    let _ = writeln!(text, "response: {}\n\nattention by span (mean over new tokens)", info.response.trim());
    for (part, mass) in capture.spans.iter().zip(span_steps(capture, choice)?.mean_row()) {
        let tokens = part.tokens.len();
        let _ =
            writeln!(text, "  {:<32} {tokens:>5} tokens  {mass:.4}  ({:.6} a token)", part.label, mass / tokens as f64);
    }
    if !capture.layer_rows.is_empty() {
        let rows = token_rows(capture, choice)?;
        let _ = writeln!(text, "\nmost attended tokens (mean over new tokens)");
        for (position, mean) in largest(&rows.mean_row(), 20) {
            let _ = writeln!(text, "  {position:>6}  {:.5}  {:?}", mean, record.token_texts[position]);
        }
    }
    let _ = writeln!(text, "\nattention to {span} by layer");
    for (layer, value) in layer_profile(capture, span, choice.sink)?.iter().enumerate() {
        let _ = writeln!(text, "  {layer:>4}  {value:.5}");
    }
    Ok(text)
}
