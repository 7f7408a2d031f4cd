//! Writes small attention files: `cargo run --example write_samples -- FOLDER` (a temporary folder unless one is named). They show how a record is made, and serve as seeds for
//! fuzzing.

use std::path::PathBuf;

use attention_viz::{AttentionRecord, Precision, RecordInfo};
use llm_runtime::{AttentionCapture, Span};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).map_or_else(|| std::env::temp_dir().join("attention-samples"), PathBuf::from);
    std::fs::create_dir_all(&folder)?;
    for (name, layers, heads, precision) in
        [("one", 1, 1, Precision::F32), ("two", 2, 2, Precision::F16), ("three", 3, 1, Precision::F16)]
    {
        sample(name, layers, heads).write(&folder.join(format!("{name}.attn")), precision)?;
    }
    println!("{}", folder.display());
    Ok(())
}

/// Two new tokens after three: every row is uniform over what it sees.
fn sample(name: &str, layers: usize, heads: usize) -> AttentionRecord {
    let uniform = |row: usize| 1.0 / (3 + row) as f32;
    let sums = |row: usize| [uniform(row), uniform(row), uniform(row)];
    let repeated = |row: usize, times: usize| vec![uniform(row); (3 + row) * times];
    let capture = AttentionCapture {
        layers,
        heads,
        rows: 2,
        first_position: 2,
        sinks: vec![0],
        spans: vec![Span { label: "strategy_name".into(), bytes: 4..8, tokens: 1..2 }],
        span_sums: (0..2).flat_map(|row| sums(row).repeat(layers)).collect(),
        head_profile: [(uniform(0) + uniform(1)) / 2.0; 3].repeat(layers * heads),
        // What the sink leaves: 1/3 of 2/3, then 1/4 of 3/4.
        head_shares: vec![(1.0 / 2.0 + 1.0 / 3.0) / 2.0; layers * heads],
        head_span_sums: (0..2).flat_map(|row| sums(row).repeat(layers * heads)).collect(),
        layer_rows: (0..2).flat_map(|row| repeated(row, layers)).collect(),
        head_rows: (0..2).flat_map(|row| repeated(row, layers * heads)).collect(),
        ..AttentionCapture::default()
    };
    let info = RecordInfo { id: name.into(), strategy: "Offer Hope".into(), ..RecordInfo::default() };
    let token_texts = ["<s>", " hope", " it", " will", "."].map(String::from).to_vec();
    AttentionRecord { info, token_ids: (0..5).collect(), token_texts, capture }
}
