//! A record's arrays as the page takes them: rows padded to equal length, whole rows in half precision.

use half::f16;
use llm_runtime::AttentionCapture;

use crate::container::AttentionRecord;

/// Raw little-endian values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tensor {
    /// `F16`, `F32` or `U32`.
    pub(crate) dtype: &'static str,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

/// The array of that name; `head_rows` gives one layer. `None` if the record does not have it.
pub(crate) fn tensor(record: &AttentionRecord, name: &str, layer: Option<usize>) -> Option<Tensor> {
    let capture = &record.capture;
    let AttentionCapture { layers, heads, rows, .. } = *capture;
    let (columns, keys) = (capture.columns(), capture.keys(rows.checked_sub(1)?));
    match name {
        "span_sums" => Some(f32s(&capture.span_sums, vec![rows, layers, columns])),
        "head_profile" => Some(f32s(&capture.head_profile, vec![layers, heads, columns])),
        "layer_rows" if !capture.layer_rows.is_empty() => {
            let row = |row, layer| capture.layer_row(row, layer);
            Some(Tensor { dtype: "F16", shape: vec![rows, layers, keys], bytes: padded(rows, layers, keys, &row) })
        }
        "head_rows" if !capture.head_rows.is_empty() => {
            let layer = layer.filter(|layer| *layer < layers)?;
            let row = |row, head| capture.head_row(row, layer, head);
            Some(Tensor { dtype: "F16", shape: vec![rows, heads, keys], bytes: padded(rows, heads, keys, &row) })
        }
        _ => None,
    }
}

fn f32s(values: &[f32], shape: Vec<usize>) -> Tensor {
    Tensor { dtype: "F32", shape, bytes: values.iter().flat_map(|value| value.to_le_bytes()).collect() }
}

fn padded<'a>(rows: usize, width: usize, keys: usize, of: &dyn Fn(usize, usize) -> Option<&'a [f32]>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(rows * width * keys * 2);
    for row in 0..rows {
        for number in 0..width {
            let values = of(row, number).unwrap_or_default();
            bytes.extend(values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()));
            bytes.resize(bytes.len() + 2 * (keys - values.len()), 0);
        }
    }
    bytes
}
