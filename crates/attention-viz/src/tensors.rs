//! A record's arrays as the page takes them: rows padded to equal length, whole rows in half precision.

use half::f16;
use llm_runtime::AttentionCapture;

use crate::aggregate::{Choice, SinkHandling, head_shares, token_rows};
use crate::container::AttentionRecord;

/// Raw little-endian values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tensor {
    /// `F16`, `F32` or `U32`.
    pub(crate) dtype: &'static str,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

/// What there is under a name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Found {
    Array(Tensor),
    /// Records have such an array, this one does not: it was captured with less.
    NotKept,
    /// No record has such an array, or the record has no such layer.
    Unknown,
}

/// Arrays of single heads, which may be large; they are asked for layer by layer.
pub(crate) const OF_HEADS: [&str; 2] = ["head_rows", "head_span_sums"];
/// Whole rows; the page asks for them layer by layer, too.
pub(crate) const LAYER_ROWS: &str = "layer_rows";
/// The other arrays: sums, and the means of whole rows over layers, without sinks and with them. A page that waits for all rows
/// of a long record before it shows colours is slow.
pub(crate) const WHOLE: [&str; 5] = ["span_sums", "head_profile", "head_shares", "rows_drop", "rows_keep"];

/// The array of that name: [`WHOLE`], [`OF_HEADS`] with a layer, or [`LAYER_ROWS`] with or without one.
pub(crate) fn tensor(record: &AttentionRecord, name: &str, layer: Option<usize>) -> Found {
    let capture = &record.capture;
    match layer {
        None => whole(capture, name),
        Some(layer) if layer < capture.layers => of_layer(capture, name, layer),
        Some(_) => Found::Unknown,
    }
}

fn whole(capture: &AttentionCapture, name: &str) -> Found {
    let AttentionCapture { layers, heads, rows, .. } = *capture;
    let columns = capture.columns();
    match name {
        "span_sums" => f32s(&capture.span_sums, vec![rows, layers, columns]),
        "head_profile" => f32s(&capture.head_profile, vec![layers, heads, columns]),
        "head_shares" => f32s(&head_shares(capture), vec![layers, heads, capture.spans.len()]),
        "rows_drop" => mean_rows(capture, SinkHandling::Drop),
        "rows_keep" => mean_rows(capture, SinkHandling::Keep),
        LAYER_ROWS if capture.layer_rows.is_empty() => Found::NotKept,
        LAYER_ROWS => f16s(capture, layers, |row, layer| capture.layer_row(row, layer)),
        _ => Found::Unknown,
    }
}

/// `[rows, keys of the last row]`.
fn mean_rows(capture: &AttentionCapture, sink: SinkHandling) -> Found {
    let Ok(rows) = token_rows(capture, &Choice { sink, ..Choice::default() }) else { return Found::NotKept };
    f32s(&rows.values.iter().map(|value| *value as f32).collect::<Vec<f32>>(), vec![rows.rows, rows.columns])
}

fn of_layer(capture: &AttentionCapture, name: &str, layer: usize) -> Found {
    let AttentionCapture { layers, heads, rows, .. } = *capture;
    let columns = capture.columns();
    match name {
        LAYER_ROWS if capture.layer_rows.is_empty() => Found::NotKept,
        LAYER_ROWS => f16s(capture, 1, |row, _| capture.layer_row(row, layer)),
        "head_rows" if capture.head_rows.is_empty() => Found::NotKept,
        "head_rows" => f16s(capture, heads, |row, head| capture.head_row(row, layer, head)),
        "head_span_sums" => {
            let width = heads * columns;
            let rows_of_layer = capture.head_span_sums.chunks(width).skip(layer).step_by(layers);
            f32s(&rows_of_layer.flatten().copied().collect::<Vec<f32>>(), vec![rows, heads, columns])
        }
        _ => Found::Unknown,
    }
}

fn f32s(values: &[f32], shape: Vec<usize>) -> Found {
    if values.is_empty() {
        return Found::NotKept;
    }
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Found::Array(Tensor { dtype: "F32", shape, bytes })
}

/// `[rows, width, keys of the last row]`.
fn f16s<'a>(capture: &AttentionCapture, width: usize, of: impl Fn(usize, usize) -> Option<&'a [f32]>) -> Found {
    let keys = capture.keys(capture.rows.saturating_sub(1));
    let mut bytes = vec![0; capture.rows * width * keys * 2];
    for (at, vector) in bytes.chunks_exact_mut(keys * 2).enumerate() {
        let values = of(at / width, at % width).unwrap_or_default();
        for (place, value) in vector.as_chunks_mut().0.iter_mut().zip(values) {
            *place = f16::from_f32(*value).to_le_bytes();
        }
    }
    Found::Array(Tensor { dtype: "F16", shape: vec![capture.rows, width, keys], bytes })
}
