//! SRA by hand: the numbers of the specification's examples, for every preset.

use llm_runtime::{AttentionCapture, PromptReport, Span};
use strategy_prompting::{
    Error, NormaliseOrder, SRA_PRESETS, SinkHandling, SpanEnd, SraOptions, SraRows, part, part_labels, sra,
    sra_controls, strategy_spans,
};

fn span(label: &str, tokens: std::ops::Range<usize>) -> Span {
    Span { label: label.into(), bytes: tokens.clone(), tokens }
}

/// A capture from raw rows `[row][layer][head][key]`.
fn capture(rows: &[Vec<Vec<Vec<f32>>>], sinks: &[usize], spans: Vec<Span>) -> AttentionCapture {
    let (layers, heads) = (rows[0].len(), rows[0][0].len());
    let mut capture = AttentionCapture {
        layers,
        heads,
        rows: rows.len(),
        first_position: rows[0][0][0].len() - 1,
        sinks: sinks.to_vec(),
        spans,
        ..AttentionCapture::default()
    };
    for layer in rows.iter().flatten() {
        let columns: Vec<Vec<f32>> = layer
            .iter()
            .map(|weights| {
                let mut sums = vec![weights[0], sinks.iter().map(|sink| weights[*sink]).sum()];
                sums.extend(capture.spans.iter().map(|span| weights[span.tokens.clone()].iter().sum::<f32>()));
                sums
            })
            .collect();
        for column in 0..columns[0].len() {
            capture.span_sums.push(columns.iter().map(|head| head[column]).sum::<f32>() / heads as f32);
        }
        capture.head_span_sums.extend(columns.concat());
    }
    capture
}

/// The same with whole rows.
fn with_rows(rows: &[Vec<Vec<Vec<f32>>>], sinks: &[usize], spans: Vec<Span>) -> AttentionCapture {
    let mut capture = capture(rows, sinks, spans);
    for layer in rows.iter().flatten() {
        let mean = |key: usize| layer.iter().map(|head| head[key]).sum::<f32>() / layer.len() as f32;
        capture.layer_rows.extend((0..layer[0].len()).map(mean));
        capture.head_rows.extend(layer.concat());
    }
    capture
}

fn named(name: std::ops::Range<usize>, word: std::ops::Range<usize>) -> Vec<Span> {
    let cut = |range: &std::ops::Range<usize>| range.start..range.end - 1;
    let mut spans = vec![span(part::STRATEGY_NAME, name.clone()), span(part::STRATEGY_NAME_WORD, word.clone())];
    for (label, range) in [(part::STRATEGY_NAME, cut(&name)), (part::STRATEGY_NAME_WORD, cut(&word))] {
        spans.push(span(&format!("{label}:without_last"), range));
    }
    spans
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
}

#[test]
fn one_layer_by_hand() {
    let one = capture(&[vec![vec![vec![0.5, 0.3, 0.2]]]], &[0], named(1..2, 1..3));
    let ours = sra(&one, &SraOptions::ours()).unwrap();
    close(ours.value, 0.6);
    close(ours.log_value, 0.6f64.ln());
    close(sra(&one, &SraOptions::preset("paper").unwrap()).unwrap().value, 0.3);
    let inclusive = SraOptions { span_end: SpanEnd::Inclusive, ..SraOptions::preset("reference-prompting").unwrap() };
    close(sra(&one, &inclusive).unwrap().value, 0.6);
    // Name and word are positions 1 and 2; without the last one, position 1 alone.
    close(sra(&one, &SraOptions::preset("reference-eval").unwrap()).unwrap().value, 0.6);
    // A uniform row over the two positions that are no sinks gives 0.5.
    close(ours.uniform_ratio, 0.6 / 0.5);
}

#[test]
fn each_layer_is_renormalised_before_the_mean() {
    let rows = [vec![vec![vec![0.5, 0.3, 0.2]], vec![vec![0.8, 0.1, 0.1]]]];
    let two = capture(&rows, &[0], named(1..2, 1..3));
    close(sra(&two, &SraOptions::ours()).unwrap().value, 0.55);
    let after = SraOptions { order: NormaliseOrder::AfterMean, ..SraOptions::ours() };
    close(sra(&two, &after).unwrap().value, 0.2 / 0.35);
    close(sra(&two, &SraOptions { layers: "1".parse().unwrap(), ..SraOptions::ours() }).unwrap().value, 0.5);
}

#[test]
fn every_preset_by_hand() {
    // Two rows of 6 and 7 keys, one layer, two heads; sinks at 0 and 3, name 1..3, name and word 1..3 and 4.
    let rows = [
        vec![vec![vec![0.4, 0.1, 0.1, 0.2, 0.1, 0.1], vec![0.6, 0.2, 0.0, 0.0, 0.1, 0.1]]],
        vec![vec![vec![0.2, 0.2, 0.2, 0.1, 0.1, 0.1, 0.1], vec![0.4, 0.1, 0.3, 0.1, 0.0, 0.0, 0.1]]],
    ];
    let record = capture(&rows, &[0, 3], named(1..3, 1..3));
    let preset = |name: &str| sra(&record, &SraOptions::preset(name).unwrap()).unwrap();
    // Head means of the name: row 0: 0.15 + 0.05, row 1: 0.15 + 0.25; position 0: 0.5, 0.3; sinks: 0.6, 0.4.
    close(preset("paper").value, (0.2 + 0.4) / 2.0 / 2.0);
    close(preset("ours").value, (0.2 / 0.4 + 0.4 / 0.6) / 2.0 / 2.0);
    close(preset("ours").mass, (0.2 / 0.4 + 0.4 / 0.6) / 2.0);
    close(preset("reference-prompting").value, (0.15 / 0.5 + 0.15 / 0.7) / 2.0);
    close(preset("reference-eval").value, 0.15 / 0.5);
    assert_eq!((preset("ours").rows, preset("reference-eval").rows), (2, 1));
    let second = SraOptions { heads: "1".parse().unwrap(), rows: SraRows::Only(1), ..SraOptions::ours() };
    close(sra(&record, &second).unwrap().value, 0.4 / 0.5 / 2.0);
}

#[test]
fn what_is_not_there_is_named() {
    let mut record = capture(&[vec![vec![vec![0.5, 0.3, 0.2]]]], &[0], named(1..2, 1..3));
    record.head_span_sums.clear();
    let refused = |options: SraOptions| sra(&record, &options).unwrap_err().to_string();
    let ours = SraOptions::ours;
    assert!(refused(SraOptions { span: "situation".into(), ..ours() }).contains("strategy_name"));
    assert!(refused(SraOptions { layers: "3".parse().unwrap(), ..ours() }).contains("counted from 0"));
    assert!(refused(SraOptions { heads: "0".parse().unwrap(), ..ours() }).contains("--attention full"));
    assert!(refused(SraOptions { rows: SraRows::Only(1), ..ours() }).contains("no such row"));
    record.spans[0].tokens = 0..2;
    assert!(sra(&record, &ours()).unwrap_err().to_string().contains("sink"));
    assert!(sra(&record, &SraOptions { sink: SinkHandling::Keep, ..ours() }).is_ok());
    assert!(SraOptions::preset("mine").unwrap_err().to_string().contains("reference-eval"));
    for name in SRA_PRESETS {
        let options = SraOptions::preset(name).unwrap();
        assert_eq!(serde_json::from_str::<SraOptions>(&serde_json::to_string(&options).unwrap()).unwrap(), options);
    }
}

#[test]
fn a_row_that_gives_all_to_its_sink_leaves_nothing() {
    let record = capture(&[vec![vec![vec![1.0, 0.0, 0.0]]]], &[0], named(1..2, 1..3));
    let found = sra(&record, &SraOptions::ours()).unwrap();
    assert_eq!((found.value, found.log_value), (0.0, f64::NEG_INFINITY));
}

#[test]
fn controls_have_the_names_length_and_stand_beside_it() {
    let spans = vec![span(part::STRATEGY_NAME, 10..14), span(part::STRATEGY_NAME_WORD, 10..15)];
    let prompt = PromptReport { tokens: vec![5; 40], spans, ..PromptReport::default() };
    let found = strategy_spans().of(&prompt);
    let at = |label: &str| found.iter().find(|span| span.label == label).unwrap().tokens.clone();
    assert_eq!((at("control_before"), at("control_after")), (6..10, 14..18));
    assert_eq!((at("strategy_name:without_last"), at("strategy_name_word:without_last")), (10..13, 10..14));
}

/// A new token's rows by layer and head.
type Rows = Vec<Vec<Vec<f32>>>;

/// Two rows of 7 and 8 keys, one layer, two heads; the description at 2..5.
fn described() -> (Vec<Rows>, Vec<Span>) {
    let rows = vec![
        vec![vec![vec![0.2, 0.1, 0.1, 0.2, 0.1, 0.2, 0.1], vec![0.4, 0.1, 0.0, 0.2, 0.1, 0.1, 0.1]]],
        vec![vec![vec![0.1, 0.2, 0.3, 0.1, 0.1, 0.1, 0.05, 0.05], vec![0.5, 0.1, 0.1, 0.1, 0.1, 0.1, 0.0, 0.0]]],
    ];
    (rows, vec![span(part::STRATEGY_NAME, 1..2), span(part::STRATEGY_DESCRIPTION, 2..5)])
}

#[test]
fn any_part_loses_its_last_token_where_whole_rows_are_kept() {
    let (rows, spans) = described();
    let options =
        |preset: &str| SraOptions { span: part::STRATEGY_DESCRIPTION.into(), ..SraOptions::preset(preset).unwrap() };
    let whole = with_rows(&rows, &[0], spans.clone());
    // Head means of positions 2 and 3: 0.25 and 0.3; of position 0: 0.3 and 0.3.
    let found = sra(&whole, &options("reference-prompting")).unwrap();
    close(found.value, (0.25 + 0.3) / 0.7 / 2.0 / 2.0);
    assert_eq!(found.span_tokens, 2);
    close(sra(&whole, &options("reference-eval")).unwrap().value, 0.25 / 0.7 / 2.0);
    // One head: 0.2 of 0.6, and 0.2 of 0.5.
    let second = SraOptions { heads: "1".parse().unwrap(), ..options("reference-prompting") };
    close(sra(&whole, &second).unwrap().value, (0.2 / 0.6 + 0.2 / 0.5) / 2.0 / 2.0);

    let sums = capture(&rows, &[0], spans);
    assert!(sra(&sums, &options("ours")).is_ok());
    let refused = |options: &SraOptions| sra(&sums, options).unwrap_err().to_string();
    let message = refused(&options("reference-prompting"));
    assert!(message.contains("--attention layers") && !message.contains("without_last"), "{message}");
    assert!(refused(&second).contains("--attention full"));
    let name = SraOptions { span: part::STRATEGY_NAME.into(), ..options("reference-prompting") };
    assert!(matches!(sra(&whole, &name), Err(Error::Unmeasured { .. })), "a part of one token");
}

#[test]
fn controls_are_as_long_as_the_chosen_part() {
    let (rows, spans) = described();
    let spans =
        [spans, vec![span(part::HISTORY, 5..6), span("control_before", 0..1), span("control_after", 2..3)]].concat();
    let whole = with_rows(&rows, &[0], spans.clone());
    let of = |label: &str| SraOptions { span: label.into(), sink: SinkHandling::Keep, ..SraOptions::ours() };
    let value = |found: Option<f64>| found.unwrap();
    // Three tokens before the description are not there, nor after it within the prompt of seven.
    let found = sra_controls(&whole, &of(part::STRATEGY_DESCRIPTION)).unwrap();
    assert_eq!((found.before, found.after, found.mean(), found.needs_rows), (None, None, None, false));
    // One token beside the history: head means 0.1 and 0.1 before, 0.1 and 0.025 after.
    let found = sra_controls(&whole, &of(part::HISTORY)).unwrap();
    close(value(found.before), 0.1);
    close(value(found.after), (0.1 + 0.025) / 2.0);
    close(value(found.mean()), (0.1 + 0.0625) / 2.0);

    // Beside the name there are sums; beside anything else there are not.
    let sums = capture(&rows, &[0], spans);
    let found = sra_controls(&sums, &of(part::STRATEGY_NAME)).unwrap();
    close(value(found.before), 0.3);
    close(value(found.after), (0.05 + 0.2) / 2.0);
    let found = sra_controls(&sums, &of(part::HISTORY)).unwrap();
    assert_eq!((found.mean(), found.needs_rows), (None, true));
    // A sink is no control.
    let ours = SraOptions::ours();
    assert_eq!(sra_controls(&sums, &ours).unwrap().before, None);
    assert!(sra_controls(&sums, &ours).unwrap().after.is_some());
}

#[test]
fn a_part_that_a_prompt_lacks_is_told_apart_from_a_wrong_wish() {
    let record = capture(&[vec![vec![vec![0.5, 0.3, 0.2]]]], &[0], named(1..2, 1..3));
    assert_eq!(part_labels(&record), [part::STRATEGY_NAME, part::STRATEGY_NAME_WORD]);
    let of = |options: SraOptions| sra(&record, &options).unwrap_err();
    let absent = of(SraOptions { span: "turn:7".into(), ..SraOptions::ours() });
    assert!(matches!(&absent, Error::Unmeasured { problem, .. } if problem.contains("turn:7")));
    assert!(!absent.to_string().contains("without_last"), "{absent}");
    assert!(matches!(of(SraOptions { rows: SraRows::Only(5), ..SraOptions::ours() }), Error::Unmeasured { .. }));
    assert!(matches!(of(SraOptions { layers: "5".parse().unwrap(), ..SraOptions::ours() }), Error::Setting { .. }));
    assert!(matches!(of(SraOptions { rows: SraRows::First(0), ..SraOptions::ours() }), Error::Setting { .. }));
}
