//! Tables by hand.

use attention_viz::{Choice, SinkHandling, largest, layer_heads, layer_profile, span_steps, token_rows};
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

#[test]
fn what_was_not_kept_is_named() {
    let mut capture = by_hand();
    let head = Choice { heads: "0".parse().unwrap(), ..Choice::default() };
    assert!(token_rows(&capture, &head).unwrap_err().to_string().contains("--attention full"));
    assert!(span_steps(&capture, &head).unwrap_err().to_string().contains("--attention full"));
    capture.layer_rows.clear();
    assert!(token_rows(&capture, &Choice::default()).unwrap_err().to_string().contains("--attention layers"));
    assert!(layer_heads(&capture, "first", SinkHandling::Keep).unwrap_err().to_string().contains("last"));
    let beyond = Choice { layers: "7".parse().unwrap(), ..Choice::default() };
    assert!(span_steps(&capture, &beyond).unwrap_err().to_string().contains("counted from 0"));
}
