//! Two records side by side: what the second one attends to more or less.

use charts::{Axis, Bars, Figure, Panel};
use llm_runtime::Span;

use crate::aggregate::{Choice, HeadMean, Matrix, layer_heads_as, span_steps, token_rows};
use crate::container::AttentionRecord;
use crate::error::Error;
use crate::export::ExportOptions;
use crate::flow::{Colours, Flow, strength};
use crate::sheets::{Picture, Sheet, matrix_figure, restriction, shown_spans, subtitle, whole};
use crate::table::Table;

/// A span's mass in two records, mean over new tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanDifference {
    /// The span.
    pub label: String,
    /// Mass in the first record.
    pub a: f64,
    /// Mass in the second record.
    pub b: f64,
}

/// Attention to a span by layer and head in two records of models of one shape.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadDifference {
    /// How means are taken, in both alike.
    pub mean: HeadMean,
    /// `[layers, heads]` of the first record.
    pub a: Matrix,
    /// The same of the second record.
    pub b: Matrix,
}

/// A token that both records have in the same span.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenDifference {
    /// The span.
    pub label: String,
    /// Its position in the first and in the second record.
    pub positions: (usize, usize),
    /// Attention that it receives in the first record, mean over new tokens.
    pub a: f64,
    /// The same in the second record.
    pub b: f64,
}

/// Masses of the spans that both records have. Layers and heads are chosen in both alike.
///
/// # Errors
/// One of them does not have the layers or heads.
pub fn span_differences(
    a: &AttentionRecord,
    b: &AttentionRecord,
    choice: &Choice,
) -> Result<Vec<SpanDifference>, Error> {
    let means = [a, b].map(|record| Ok(span_steps(&record.capture, choice)?.mean_row()));
    let [in_a, in_b]: [Result<Vec<f64>, Error>; 2] = means;
    let (in_a, in_b) = (in_a?, in_b?);
    let difference = |number: usize| {
        let label = &a.capture.spans[number].label;
        let other = b.capture.spans.iter().position(|span| span.label == *label)?;
        Some(SpanDifference { label: label.clone(), a: in_a[number], b: in_b[other] })
    };
    Ok(shown_spans(a).into_iter().filter_map(difference).collect())
}

/// Attention to a span by layer and head in both records.
///
/// # Errors
/// One of them does not have the span, or the models differ in layers or heads.
pub fn head_difference(
    a: &AttentionRecord,
    b: &AttentionRecord,
    span: &str,
    choice: &Choice,
) -> Result<HeadDifference, Error> {
    let shape = |record: &AttentionRecord| (record.capture.layers, record.capture.heads);
    let (of_a, of_b) = (shape(a), shape(b));
    if of_a != of_b {
        let named = |(layers, heads): (usize, usize)| format!("{layers} layers × {heads} heads");
        return Err(Error::Missing(format!("the models differ: {} and {}", named(of_a), named(of_b))));
    }
    let kinds = [a, b].map(|record| HeadMean::of(&record.capture, choice.sink));
    // A mean of rows and a ratio of means must not be subtracted from each other.
    let mean = if kinds[0] == kinds[1] { kinds[0] } else { HeadMean::RatioOfMeans };
    let matrix = |record: &AttentionRecord| layer_heads_as(&record.capture, span, choice.sink, mean);
    Ok(HeadDifference { mean, a: matrix(a)?, b: matrix(b)? })
}

/// Tokens of spans that read the same in both records, each once, in the order of the first.
///
/// # Errors
/// One of them has no whole rows or does not have the layers or heads.
pub fn token_differences(
    a: &AttentionRecord,
    b: &AttentionRecord,
    choice: &Choice,
) -> Result<Vec<TokenDifference>, Error> {
    let (in_a, in_b) = (token_rows(&a.capture, choice)?.mean_row(), token_rows(&b.capture, choice)?.mean_row());
    let mut differences = Vec::new();
    for (span, other) in same_texts(a, b) {
        for (at, to) in span.tokens.clone().zip(other.tokens.clone()) {
            let label = span.label.clone();
            differences.push(TokenDifference { label, positions: (at, to), a: in_a[at], b: in_b[to] });
        }
    }
    Ok(differences)
}

/// Spans with the same text in both, by place, without those that others are part of.
fn same_texts<'a>(a: &'a AttentionRecord, b: &'a AttentionRecord) -> Vec<(&'a Span, &'a Span)> {
    let pair = |number: usize| {
        let span = &a.capture.spans[number];
        let (_, other) = b.capture.span(&span.label)?;
        let (left, right) = (a.token_texts.get(span.tokens.clone())?, b.token_texts.get(other.tokens.clone())?);
        (left == right).then_some((span, other))
    };
    let all: Vec<(&Span, &Span)> = shown_spans(a).into_iter().filter_map(pair).collect();
    let is_whole = |inner: &Span, outer: &Span| {
        let (inner, outer) = (&inner.tokens, &outer.tokens);
        outer.start <= inner.start && inner.end <= outer.end && inner.len() < outer.len()
    };
    let mut parts: Vec<_> =
        all.iter().filter(|(outer, _)| !all.iter().any(|(inner, _)| is_whole(inner, outer))).copied().collect();
    parts.sort_by_key(|(span, _)| span.tokens.start);
    let mut end = 0;
    parts.retain(|(span, _)| {
        let is_free = span.tokens.start >= end;
        end = if is_free { span.tokens.end } else { end };
        is_free
    });
    parts
}

/// What a comparison gives, and what is left out of it and why.
pub(crate) fn sheets(
    a: &AttentionRecord,
    b: &AttentionRecord,
    options: &ExportOptions,
) -> Result<(Vec<Sheet>, Vec<String>), Error> {
    let mut sheets = vec![spans_sheet(a, b, &span_differences(a, b, &options.choice)?, &options.choice)];
    let mut left_out = Vec::new();
    match head_difference(a, b, &options.span, &options.choice) {
        Ok(heads) => sheets.push(heads_sheet(a, b, options, &heads)),
        Err(error) => left_out.push(error.to_string()),
    }
    match token_differences(a, b, &options.choice) {
        Ok(tokens) => sheets.push(tokens_sheet(a, b, &tokens, &options.choice)),
        Err(error) => left_out.push(error.to_string()),
    }
    Ok((sheets, left_out))
}

fn sides(a: &AttentionRecord, b: &AttentionRecord) -> [String; 2] {
    [format!("A: {}", subtitle(a)), format!("B: {}", subtitle(b))]
}

fn spans_sheet(a: &AttentionRecord, b: &AttentionRecord, spans: &[SpanDifference], choice: &Choice) -> Sheet {
    let cells = spans
        .iter()
        .map(|SpanDifference { label, a, b }| vec![label.as_str().into(), (*a).into(), (*b).into(), (b - a).into()]);
    let plot = Bars::new(spans.iter().map(|span| &span.label))
        .series("A", spans.iter().map(|span| span.a))
        .series("B", spans.iter().map(|span| span.b))
        .horizontal();
    let panel = Panel::new("", plot).x(Axis::linear("attention (mass), mean over new tokens").starting_at(0.0));
    let title = format!("attention to spans{}", restriction(choice));
    let figure = Figure::new(title).subtitle(sides(a, b).join("; "));
    Sheet {
        name: "compare",
        table: Table::new(["span", "A", "B", "difference"], cells.collect()),
        picture: figure.panel_height(60.0 + 34.0 * spans.len() as f64).panel(panel).into(),
    }
}

fn heads_sheet(a: &AttentionRecord, b: &AttentionRecord, options: &ExportOptions, heads: &HeadDifference) -> Sheet {
    let remark = heads.mean.remark();
    let restriction = restriction(&whole(options.choice.sink));
    let mut difference = heads.b.clone();
    difference.values.iter_mut().zip(&heads.a.values).for_each(|(value, of_a)| *value -= of_a);
    let cells = difference.cells().map(|(layer, head, difference)| {
        let (of_a, of_b) = (heads.a.row(layer)[head], heads.b.row(layer)[head]);
        vec![layer.into(), head.into(), of_a.into(), of_b.into(), difference.into()]
    });
    let columns = ["layer", "head"].map(str::to_owned).into_iter();
    let columns = columns.chain(["A", "B", "difference"].map(|name| format!("{name}{remark}")));
    let title = format!("difference of attention to {}, B − A{remark}{restriction}", options.span);
    let figure = Figure::new(title).subtitle(sides(a, b).join("; "));
    Sheet {
        name: "compare-heads",
        table: Table::new(columns, cells.collect()),
        picture: matrix_figure(figure, &difference, Colours::Difference).into(),
    }
}

fn tokens_sheet(a: &AttentionRecord, b: &AttentionRecord, tokens: &[TokenDifference], choice: &Choice) -> Sheet {
    let text = |token: &TokenDifference| a.token_texts[token.positions.0].as_str();
    let cells = tokens.iter().map(|token| {
        let (at, to) = token.positions;
        let (of_a, of_b) = (token.a.into(), token.b.into());
        vec![
            token.label.as_str().into(),
            at.into(),
            to.into(),
            text(token).into(),
            of_a,
            of_b,
            (token.b - token.a).into(),
        ]
    });
    let most = tokens.iter().map(|token| (token.b - token.a).abs()).fold(0.0, f64::max);
    let legend =
        format!("B − A, mean over new tokens: blue, more in A; orange, more in B; up to ±{most:.4} (root scale)");
    let title = format!("difference by token{}", restriction(choice));
    let mut flow = Flow::new(Colours::Difference, &title, &sides(a, b), &legend);
    let mut label = "";
    for token in tokens {
        if token.label != label {
            label = &token.label;
            flow.heading(label);
        }
        flow.token(text(token), strength(token.b - token.a, most));
    }
    Sheet {
        name: "compare-tokens",
        table: Table::new(["span", "position in A", "position in B", "token", "A", "B", "difference"], cells.collect()),
        picture: Picture::Svg(flow.svg()),
    }
}
