//! Views of a record without a browser: tables, pictures and the standalone page.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::aggregate::{Choice, Matrix, largest, layer_heads, layer_profile, span_steps, token_rows};
use crate::container::AttentionRecord;
use crate::error::Error;
use crate::html::standalone_html;
use crate::pictures;

/// Pixels per unit of a PNG.
const PIXELS: f32 = 2.0;

/// What [`export_record`] writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportOptions {
    /// Span that layers and heads are compared on.
    pub span: String,
    /// Layers, heads and sinks.
    pub choice: Choice,
    /// The standalone page.
    pub html: bool,
    /// Tables.
    pub csv: bool,
    /// Pictures as SVG.
    pub svg: bool,
    /// Pictures as PNG.
    pub png: bool,
}

/// A table with named rows and columns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct View {
    /// Part of the file's name.
    pub(crate) name: &'static str,
    pub(crate) title: String,
    /// What rows and columns are.
    pub(crate) axes: (&'static str, &'static str),
    pub(crate) rows: Vec<String>,
    pub(crate) columns: Vec<String>,
    pub(crate) values: Matrix,
}

/// Writes the views of one record into a folder and gives the files.
///
/// # Errors
/// The record can't be read, does not have the span, layers or heads, or a file can't be written.
pub fn export_record(file: &Path, out: &Path, options: &ExportOptions) -> Result<Vec<PathBuf>, Error> {
    let record = AttentionRecord::read(file)?;
    std::fs::create_dir_all(out).map_err(Error::io(out))?;
    let stem = file.file_stem().map_or_else(|| "record".into(), |stem| stem.to_string_lossy().into_owned());
    let mut written = Vec::new();
    let mut write = |name: String, bytes: &[u8]| {
        let path = out.join(name);
        std::fs::write(&path, bytes).map_err(Error::io(&path))?;
        written.push(path);
        Ok::<_, Error>(())
    };
    if options.html {
        write(format!("{stem}.html"), standalone_html(&record).as_bytes())?;
    }
    if options.csv || options.svg || options.png {
        for view in views(&record, &options.span, &options.choice)? {
            let name = format!("{stem}.{}", view.name);
            if options.csv {
                write(format!("{name}.csv"), csv(&view).as_bytes())?;
            }
            for (name, svg) in pictures_of(&view, &record, &name, options.svg || options.png) {
                if options.svg {
                    write(format!("{name}.svg"), svg.as_bytes())?;
                }
                if options.png {
                    write(format!("{name}.png"), &charts::png_of_svg(&svg, PIXELS)?)?;
                }
            }
        }
    }
    Ok(written)
}

/// A view's pictures as SVG, with their names. Tokens have two: the map, and the most attended ones.
fn pictures_of(view: &View, record: &AttentionRecord, name: &str, wanted: bool) -> Vec<(String, String)> {
    let mut pictures = Vec::new();
    if wanted {
        pictures.push((name.to_owned(), pictures::of(view, record).svg()));
    }
    if wanted && view.name == "tokens" {
        let stem = name.trim_end_matches("tokens");
        pictures.push((format!("{stem}map"), pictures::map(record, &view.values)));
    }
    pictures
}

/// All views that the record has data for.
pub(crate) fn views(record: &AttentionRecord, span: &str, choice: &Choice) -> Result<Vec<View>, Error> {
    let capture = &record.capture;
    let prompt = capture.first_position + 1;
    let new_tokens = || record.token_texts[prompt..].to_vec();
    let numbered = |what: &str, count: usize| (0..count).map(|number| format!("{what} {number}")).collect();
    let profile = layer_profile(capture, span, choice.sink)?;
    // Some spans only help measurements; the page does not show them either.
    let helps = |label: &str| label.contains(":without_last") || label.starts_with("control_");
    let shown: Vec<usize> = (0..capture.spans.len()).filter(|at| !helps(&capture.spans[*at].label)).collect();
    let mut views = vec![
        View {
            name: "spans",
            title: "attention of each new token to each span".into(),
            axes: ("span", "new token"),
            rows: shown.iter().map(|span| capture.spans[*span].label.clone()).collect(),
            columns: new_tokens(),
            values: columns_as_rows(&span_steps(capture, choice)?, &shown),
        },
        View {
            name: "heads",
            title: format!("attention to {span} by layer and head"),
            axes: ("layer", "head"),
            rows: numbered("layer", capture.layers),
            columns: numbered("head", capture.heads),
            values: layer_heads(capture, span, choice.sink)?,
        },
        View {
            name: "layers",
            title: format!("attention to {span} by layer"),
            axes: ("span", "layer"),
            rows: vec![span.to_owned()],
            columns: numbered("layer", capture.layers),
            values: Matrix { rows: 1, columns: profile.len(), values: profile },
        },
    ];
    if !capture.layer_rows.is_empty() {
        let rows = token_rows(capture, choice)?;
        views.push(View {
            name: "tokens",
            title: "attention of each new token to each token".into(),
            axes: ("new token", "token"),
            rows: new_tokens(),
            columns: record.token_texts[..rows.columns].to_vec(),
            values: rows,
        });
    }
    Ok(views)
}

/// Some columns of a matrix as the rows of another.
fn columns_as_rows(matrix: &Matrix, columns: &[usize]) -> Matrix {
    let values = columns.iter().flat_map(|column| (0..matrix.rows).map(move |row| matrix.row(row)[*column]));
    Matrix { rows: columns.len(), columns: matrix.rows, values: values.collect() }
}

/// One line per cell: row number and name, column number and name, value.
fn csv(view: &View) -> String {
    let (row_axis, column_axis) = view.axes;
    let mut text = format!("row,{},column,{},attention\n", quoted(row_axis), quoted(column_axis));
    for (row, row_name) in view.rows.iter().enumerate() {
        for (column, (name, value)) in view.columns.iter().zip(view.values.row(row)).enumerate() {
            let _ = writeln!(text, "{row},{},{column},{},{value:e}", quoted(row_name), quoted(name));
        }
    }
    text
}

fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

/// Describes a record in plain text: what it is, where attention goes, and how layers differ on a span.
///
/// # Errors
/// As [`export_record`].
pub fn show_record(file: &Path, span: &str, choice: &Choice) -> Result<String, Error> {
    let record = AttentionRecord::read(file)?;
    let (info, capture) = (&record.info, &record.capture);
    let mut text = String::new();
    let _ = writeln!(text, "{}: {} · {} · turn {} · {}", info.id, info.strategy, info.layout, info.turn, info.model);
    let _ = writeln!(
        text,
        "{} prompt tokens, {} new, {} layers × {} heads",
        capture.first_position + 1,
        capture.rows,
        capture.layers,
        capture.heads
    );
    let _ = writeln!(text, "response: {}\n\nattention by span (mean over new tokens)", info.response.trim());
    let all: Vec<usize> = (0..capture.spans.len()).collect();
    let steps = columns_as_rows(&span_steps(capture, choice)?, &all);
    for (number, part) in capture.spans.iter().enumerate() {
        let mass = steps.row(number).iter().sum::<f64>() / capture.rows as f64;
        let tokens = part.tokens.len();
        let _ =
            writeln!(text, "  {:<32} {tokens:>5} tokens  {mass:.4}  ({:.6} a token)", part.label, mass / tokens as f64);
    }
    if !capture.layer_rows.is_empty() {
        let rows = token_rows(capture, choice)?;
        let _ = writeln!(text, "\nmost attended tokens (mean over new tokens)");
        for (position, mean) in largest(&pictures::mean_of_rows(&rows), 20) {
            let _ = writeln!(text, "  {position:>6}  {:.5}  {:?}", mean, record.token_texts[position]);
        }
    }
    let _ = writeln!(text, "\nattention to {span} by layer");
    for (layer, value) in layer_profile(capture, span, choice.sink)?.iter().enumerate() {
        let _ = writeln!(text, "  {layer:>4}  {value:.5}");
    }
    Ok(text)
}
