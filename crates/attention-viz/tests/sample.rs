//! Records with the shape of real ones: a sink, a band of near tokens, a bump on the strategy.

use attention_viz::{AttentionRecord, RecordInfo};
use llm_runtime::{AttentionCapture, Span};

/// Sizes of a sample.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) prompt: usize,
    pub(crate) rows: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    /// Keep rows of single heads too.
    pub(crate) full: bool,
}

pub(crate) const SMALL: Size = Size { prompt: 60, rows: 12, layers: 3, heads: 4, full: true };

/// A repeatable number in 0..1.
fn noise(seed: u64) -> f32 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678;
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((state ^ (state >> 31)) >> 40) as f32 / (1u64 << 24) as f32
}

fn spans(prompt: usize) -> Vec<Span> {
    let span = |label: &str, tokens: std::ops::Range<usize>| Span { label: label.into(), bytes: 0..0, tokens };
    vec![
        span("system", 2..prompt / 2),
        span("situation", 5..9),
        span("strategy_name", 12..18),
        span("turn:1", prompt / 2..prompt * 3 / 4),
        span("turn:2", prompt * 3 / 4..prompt - 2),
        span("control_before", 6..12),
    ]
}

pub(crate) fn record(number: u64, size: Size, info: RecordInfo) -> AttentionRecord {
    let Size { prompt, rows, layers, heads, full } = size;
    let spans = spans(prompt);
    let mut capture = AttentionCapture {
        layers,
        heads,
        rows,
        first_position: prompt - 1,
        sinks: vec![0],
        spans,
        ..Default::default()
    };
    let columns = capture.columns();
    capture.head_profile = vec![0.0; layers * heads * columns];
    capture.head_shares = vec![0.0; layers * heads * capture.spans.len()];
    for row in 0..rows {
        for layer in 0..layers {
            let mut mean = vec![0f32; prompt + row];
            let mut sums = vec![0f32; columns];
            for head in 0..heads {
                let seed = number * 1_000_003 + ((row * layers + layer) * heads + head) as u64;
                let weights = weights(prompt + row, seed, (layer + head) as f32);
                mean.iter_mut().zip(&weights).for_each(|(sum, weight)| *sum += weight / heads as f32);
                let of_head = column_sums(&capture, &weights);
                let profile = &mut capture.head_profile[(layer * heads + head) * columns..][..columns];
                for ((profile, sum), value) in profile.iter_mut().zip(&mut sums).zip(&of_head) {
                    *profile += value / rows as f32;
                    *sum += value / heads as f32;
                }
                let shares = &mut capture.head_shares[(layer * heads + head) * (columns - 2)..][..columns - 2];
                for (share, mass) in shares.iter_mut().zip(&of_head[AttentionCapture::SPANS..]) {
                    *share += mass / (1.0 - of_head[AttentionCapture::SINKS]) / rows as f32;
                }
                if full {
                    capture.head_rows.extend(&weights);
                    capture.head_span_sums.extend(&of_head);
                }
            }
            capture.span_sums.extend(sums);
            capture.layer_rows.extend(mean);
        }
    }
    let token_ids = (0..(prompt + rows) as u32).collect();
    AttentionRecord { token_texts: texts(prompt, rows, &info.response), info, token_ids, capture }
}

fn weights(keys: usize, seed: u64, strength: f32) -> Vec<f32> {
    let mut weights: Vec<f32> = (0..keys)
        .map(|key| {
            let near = 1.0 / (keys - key) as f32;
            let strategy = if (12..18).contains(&key) { 0.02 * strength } else { 0.0 };
            let sink = if key == 0 { 0.5 } else { 0.0 };
            noise(seed * 4099 + key as u64) * 0.01 + near * 0.2 + strategy + sink
        })
        .collect();
    let sum: f32 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= sum);
    weights
}

fn column_sums(capture: &AttentionCapture, weights: &[f32]) -> Vec<f32> {
    let mut sums = vec![weights[0], weights[0]];
    sums.extend(capture.spans.iter().map(|span| weights[span.tokens.clone()].iter().sum::<f32>()));
    sums
}

fn texts(prompt: usize, rows: usize, response: &str) -> Vec<String> {
    let words: Vec<String> = response.split_inclusive(' ').map(str::to_owned).collect();
    let text = |at: usize| match at {
        0 => "<s>".to_owned(),
        _ if at + 1 == prompt => "\n".to_owned(),
        _ if at >= prompt => words.get((at - prompt) % words.len().max(1)).cloned().unwrap_or_default(),
        _ if at.is_multiple_of(11) => "<script>window.hacked = 1</script>".to_owned(),
        _ if at.is_multiple_of(13) => " \"quoted\" & 'so'".to_owned(),
        _ => format!(" word{at}"),
    };
    (0..prompt + rows).map(text).collect()
}

pub(crate) fn info(number: u64, conversation: u64, turn: usize, layout: &str, strategy: &str) -> RecordInfo {
    RecordInfo {
        id: format!("record-{number}"),
        example: format!("conversation{conversation}-{turn}"),
        conversation: format!("conversation{conversation}"),
        turn,
        strategy: strategy.into(),
        layout: layout.into(),
        model: "sample".into(),
        situation: "A <b>bold</b> \"situation\" & more".into(),
        response: "I hear <script>alert('x')</script> you, \"friend\".".into(),
        values: [("sra".to_owned(), 0.002 + f64::from(noise(number)) * 0.001)].into(),
    }
}
