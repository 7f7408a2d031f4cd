//! Differences of two records.

use attention_viz::{
    Choice, HeadMean, SinkHandling, head_difference, layer_heads, span_differences, span_steps, token_differences,
    token_rows,
};

use crate::sample::{SMALL, Size, info, record};

fn pair() -> [attention_viz::AttentionRecord; 2] {
    [3, 4].map(|number| record(number, SMALL, info(number, 1, 4, "c1_hf", "Offer Hope")))
}

fn mean_of(matrix: &attention_viz::Matrix, column: usize) -> f64 {
    (0..matrix.rows).map(|row| matrix.row(row)[column]).sum::<f64>() / matrix.rows as f64
}

#[test]
fn both_sides_are_restricted_alike() {
    let [a, b] = pair();
    let choice = Choice { layers: "1".parse().unwrap(), heads: "3".parse().unwrap(), ..Choice::default() };
    let spans = span_differences(&a, &b, &choice).unwrap();
    let labels: Vec<&str> = spans.iter().map(|span| span.label.as_str()).collect();
    assert_eq!(
        labels,
        ["system", "situation", "strategy_name", "turn:1", "turn:2"],
        "none that only helps measurements"
    );
    let [in_a, in_b] = [&a, &b].map(|record| span_steps(&record.capture, &choice).unwrap());
    let name = &spans[2];
    assert!((name.a - mean_of(&in_a, 2)).abs() < 1e-12 && (name.b - mean_of(&in_b, 2)).abs() < 1e-12);
    let all = span_differences(&a, &b, &Choice::default()).unwrap();
    assert!((all[2].b - name.b).abs() > 1e-4, "the head differs from the mean over heads");

    let mut lower = b;
    lower.capture.head_span_sums.clear();
    let error = span_differences(&a, &lower, &choice).unwrap_err().to_string();
    assert!(error.contains("--attention full"), "{error}");
}

#[test]
fn tokens_are_those_of_spans_that_read_the_same_each_once() {
    let [a, mut b] = pair();
    b.token_texts[50] = "another".into();
    let tokens = token_differences(&a, &b, &Choice::default()).unwrap();
    // `system` holds others and is no block of its own; token 50 makes turn:2 another one.
    let labels: Vec<&str> = tokens.iter().map(|token| token.label.as_str()).collect();
    assert_eq!(tokens.len(), 4 + 6 + 15);
    assert!(!labels.contains(&"system") && !labels.contains(&"turn:2"), "{labels:?}");
    let [in_a, in_b] = [&a, &b].map(|record| token_rows(&record.capture, &Choice::default()).unwrap());
    let token = &tokens[5];
    assert_eq!((token.label.as_str(), token.positions), ("strategy_name", (13, 13)));
    assert!((token.a - mean_of(&in_a, 13)).abs() < 1e-12 && (token.b - mean_of(&in_b, 13)).abs() < 1e-12);

    b.capture.layer_rows.clear();
    assert!(token_differences(&a, &b, &Choice::default()).is_err());
}

#[test]
fn heads_are_compared_by_means_of_one_kind() {
    let [a, b] = pair();
    let exact = head_difference(&a, &b, "strategy_name", &Choice::default()).unwrap();
    assert_eq!(exact.mean, HeadMean::OfRows);
    assert_eq!(exact.b, layer_heads(&b.capture, "strategy_name", SinkHandling::Drop).unwrap());
    let mut older = b.clone();
    older.capture.head_shares.clear();
    older.capture.head_span_sums.clear();
    let ratio = head_difference(&a, &older, "strategy_name", &Choice::default()).unwrap();
    assert_eq!(ratio.mean, HeadMean::RatioOfMeans);
    assert!(ratio.a != exact.a, "A too is a ratio of means now");

    let other = record(5, Size { layers: 2, ..SMALL }, info(5, 1, 4, "c1_hf", "x"));
    let error = head_difference(&a, &other, "strategy_name", &Choice::default()).unwrap_err().to_string();
    assert!(error.contains("3 layers × 4 heads and 2 layers × 4 heads"), "{error}");
    let mut spanless = b;
    spanless.capture.spans[2].label = "other".into();
    let error = head_difference(&a, &spanless, "strategy_name", &Choice::default()).unwrap_err().to_string();
    assert!(error.contains("no span `strategy_name`"), "{error}");
}
