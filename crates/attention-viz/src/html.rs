//! One record as a page that needs nothing else: scripts, styles and arrays are part of it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::assets::{self, Asset, asset_of};
use crate::container::AttentionRecord;
use crate::server::manifest_of;
use crate::tensors::{Found, LAYER_ROWS, OF_HEADS, WHOLE, tensor};

/// Rows of single heads are part of the page up to this size; with more of them it would be too large.
const MOST_HEAD_VALUES: usize = 4 << 20;

/// The page of one record. All texts are data in it: none becomes markup.
pub fn standalone_html(record: &AttentionRecord) -> String {
    let mut page = String::new();
    for line in assets::text("index.html").lines() {
        match asset_of(line) {
            Some(Asset::Style(path)) => page += &format!("<style>\n{}</style>\n", assets::text(path)),
            Some(Asset::Script(path)) => page += &format!("<script>\n{}</script>\n", assets::text(path)),
            None if line.trim() == "</head>" => page += &format!("{line}\n"),
            None if line.trim().starts_with("<body") => page += &format!("{line}\n{}\n", embedded(record)),
            None => page += &format!("{line}\n"),
        }
    }
    page
}

fn embedded(record: &AttentionRecord) -> String {
    let mut tensors = Map::new();
    for (name, layer) in wanted(record) {
        if let Found::Array(tensor) = tensor(record, name, layer) {
            let key = layer.map_or_else(|| name.to_owned(), |layer| format!("{name}/{layer}"));
            let data = STANDARD.encode(&tensor.bytes);
            tensors.insert(key, json!({ "dtype": tensor.dtype, "shape": tensor.shape, "data": data }));
        }
    }
    let value = json!({ "manifest": manifest_of(record), "tensors": Value::Object(tensors) });
    // No text can end the element it stands in.
    let text = value.to_string().replace('<', "\\u003c");
    format!("<script type=\"application/json\" id=\"embedded\">{text}</script>")
}

/// Single heads have all of their arrays or none: the page must not show a head in one view and the whole layer in another.
fn wanted(record: &AttentionRecord) -> Vec<(&'static str, Option<usize>)> {
    let has_heads = record.capture.head_rows.len() <= MOST_HEAD_VALUES;
    let layers = record.capture.layers;
    let of_layers = (0..layers).map(|layer| (LAYER_ROWS, Some(layer)));
    let of_heads = (0..if has_heads { layers } else { 0 }).flat_map(|layer| OF_HEADS.map(|name| (name, Some(layer))));
    WHOLE.map(|name| (name, None)).into_iter().chain(of_layers).chain(of_heads).collect()
}
