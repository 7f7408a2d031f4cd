//! Tables by hand.

use attention_viz::{
    Choice, HeadMean, SinkHandling, largest, layer_heads, layer_profile, span_steps, token_rows, token_values,
};
use llm_runtime::{AttentionCapture, Selection, Span};

use crate::sample::{SMALL, info, record};

/// Two layers, one head, one row over three positions; the last one is a span.
fn by_hand() -> AttentionCapture {
    AttentionCapture {
        layers: 2,
        heads: 1,
        rows: 1,
        first_position: 2,
        sinks: vec![0],
        spans: vec![Span { label: "last".into(), bytes: 0..0, tokens: 2..3 }],
        span_sums: vec![0.5, 0.5, 0.2, 0.8, 0.8, 0.1],
        head_profile: vec![0.5, 0.5, 0.2, 0.8, 0.8, 0.1],
        layer_rows: vec![0.5, 0.3, 0.2, 0.8, 0.1, 0.1],
        ..AttentionCapture::default()
    }
}

fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().zip(expected).all(|(left, right)| (left - right).abs() < 1e-6), "{found:?} {expected:?}");
}

#[test]
fn layers_are_renormalised_one_by_one() {
    let capture = by_hand();
    let drop = Choice::default();
    close(token_rows(&capture, &drop).unwrap().row(0), &[0.0, 0.55, 0.45]);
    close(span_steps(&capture, &drop).unwrap().row(0), &[0.45]);
    let first = Choice { layers: "0".parse().unwrap(), ..Choice::default() };
    close(token_rows(&capture, &first).unwrap().row(0), &[0.0, 0.6, 0.4]);
    let keep = Choice { sink: SinkHandling::Keep, ..Choice::default() };
    close(token_rows(&capture, &keep).unwrap().row(0), &[0.65, 0.2, 0.15]);
    // One row: its ratio of means is its mean.
    close(&layer_heads(&capture, "last", SinkHandling::Drop).unwrap().values, &[0.4, 0.5]);
    close(&layer_profile(&capture, "last", SinkHandling::Keep).unwrap(), &[0.2, 0.1]);
    assert_eq!(largest(&[0.1, 0.5, 0.5], 2), [(1, 0.5), (2, 0.5)]);
}

#[test]
fn sums_and_rows_agree() {
    let capture = record(2, SMALL, info(2, 1, 4, "c1_hf", "x")).capture;
    for heads in [Selection::All, "1,3".parse().unwrap()] {
        for sink in [SinkHandling::Drop, SinkHandling::Keep] {
            let choice = Choice { heads: heads.clone(), sink, layers: "0,2".parse().unwrap() };
            let (rows, steps) = (token_rows(&capture, &choice).unwrap(), span_steps(&capture, &choice).unwrap());
            for row in 0..capture.rows {
                let of = |span: &Span| rows.row(row)[span.tokens.clone()].iter().sum();
                let expected: Vec<f64> = capture.spans.iter().map(of).collect();
                close(steps.row(row), &expected);
                assert!((rows.row(row).iter().sum::<f64>() - 1.0).abs() < 1e-5);
            }
        }
    }
}

/// Two rows of one head that differ in what the sink takes: the mean of the rows' values is 0.7, that of means 0.5 / 0.6.
fn uneven() -> AttentionCapture {
    AttentionCapture {
        layers: 1,
        heads: 1,
        rows: 2,
        first_position: 2,
        sinks: vec![0],
        spans: vec![Span { label: "last".into(), bytes: 0..0, tokens: 2..3 }],
        span_sums: vec![0.8, 0.8, 0.08, 0.0, 0.0, 1.0],
        head_profile: vec![0.4, 0.4, 0.54],
        ..AttentionCapture::default()
    }
}

#[test]
fn a_mean_over_rows_of_one_head_is_exact_or_says_that_it_is_not() {
    let heads = |capture: &AttentionCapture| layer_heads(capture, "last", SinkHandling::Drop).unwrap().values;
    let only_means = uneven();
    assert_eq!(HeadMean::of(&only_means, SinkHandling::Drop), HeadMean::RatioOfMeans);
    close(&heads(&only_means), &[0.9]);
    let sums = AttentionCapture { head_span_sums: only_means.span_sums.clone(), ..uneven() };
    assert_eq!(HeadMean::of(&sums, SinkHandling::Drop), HeadMean::OfRows);
    close(&heads(&sums), &[0.7]);
    let shares = AttentionCapture { head_shares: vec![0.7], ..uneven() };
    close(&heads(&shares), &[0.7]);
    // With sinks kept there is nothing to divide by.
    assert_eq!(HeadMean::of(&only_means, SinkHandling::Keep), HeadMean::OfRows);
    close(&layer_heads(&only_means, "last", SinkHandling::Keep).unwrap().values, &[0.54]);
    close(&layer_profile(&only_means, "last", SinkHandling::Drop).unwrap(), &[0.7]);
}

#[test]
fn sinks_are_no_part_of_a_span_that_holds_them() {
    // Sinks at 0 and 2, four positions, one row.
    let weights = [0.4f32, 0.1, 0.2, 0.3];
    let span = |label: &str, tokens: std::ops::Range<usize>| Span { label: label.into(), bytes: 0..0, tokens };
    let spans = vec![span("none", 3..4), span("first", 0..2), span("second", 1..3), span("both", 0..3)];
    let masses = spans.iter().map(|span| weights[span.tokens.clone()].iter().sum::<f32>());
    let capture = AttentionCapture {
        layers: 1,
        heads: 1,
        rows: 1,
        first_position: 3,
        sinks: vec![0, 2],
        span_sums: [0.4, 0.6].into_iter().chain(masses).collect(),
        spans,
        layer_rows: weights.to_vec(),
        ..AttentionCapture::default()
    };
    let rows = token_rows(&capture, &Choice::default()).unwrap();
    let expected: Vec<f64> = capture.spans.iter().map(|span| rows.row(0)[span.tokens.clone()].iter().sum()).collect();
    close(&expected, &[0.75, 0.25, 0.25, 0.25]);
    close(span_steps(&capture, &Choice::default()).unwrap().row(0), &expected);
}

#[test]
fn a_selection_of_tokens_gives_every_token_a_value() {
    let capture = record(2, SMALL, info(2, 1, 4, "c1_hf", "x")).capture;
    let rows = token_rows(&capture, &Choice::default()).unwrap();
    let all = token_values(&capture, &rows, None).unwrap();
    assert_eq!(all.len(), 72);
    close(&all, &token_values(&capture, &rows, Some(&(60..72))).unwrap());
    assert!((all.iter().sum::<f64>() - 1.0).abs() < 1e-6 && all[71] == 0.0, "nothing sees the last token");
    let one = token_values(&capture, &rows, Some(&(65..66))).unwrap();
    close(&one[..71], rows.row(5));
    // A span of the prompt: its mass at each new token.
    let span = token_values(&capture, &rows, Some(&(12..18))).unwrap();
    let steps = span_steps(&capture, &Choice::default()).unwrap();
    close(&span[60..], &(0..12).map(|row| steps.row(row)[2]).collect::<Vec<_>>());
    assert!(span[..60].iter().all(|value| *value == 0.0));
    for outside in [70..73, 72..73, 5..5] {
        assert!(token_values(&capture, &rows, Some(&outside)).unwrap_err().to_string().contains("has 72"));
    }
}

#[test]
fn what_was_not_kept_is_named() {
    let mut capture = by_hand();
    let head = Choice { heads: "0".parse().unwrap(), ..Choice::default() };
    assert!(token_rows(&capture, &head).unwrap_err().to_string().contains("--attention full"));
    assert!(span_steps(&capture, &head).unwrap_err().to_string().contains("--attention full"));
    capture.layer_rows.clear();
    assert!(token_rows(&capture, &Choice::default()).unwrap_err().to_string().contains("--attention layers"));
    assert!(layer_heads(&capture, "first", SinkHandling::Keep).unwrap_err().to_string().contains("last"));
    for beyond in ["7", "0-99", "1,2"] {
        let beyond = Choice { layers: beyond.parse().unwrap(), ..Choice::default() };
        assert!(span_steps(&capture, &beyond).unwrap_err().to_string().contains("has 2, counted from 0"));
    }
}
