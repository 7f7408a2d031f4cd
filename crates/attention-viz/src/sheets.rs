//! The views of one record as tables with their pictures.

use std::ops::Range;

use charts::{Axis, Bars, Figure, Heatmap, Lines, Panel};

use llm_runtime::Selection;

use crate::aggregate::{
    Choice, HeadMean, Matrix, SinkHandling, largest, layer_heads, layer_profile, span_steps, token_rows, token_values,
};
use crate::container::AttentionRecord;
use crate::error::Error;
use crate::export::ExportOptions;
use crate::flow::{BLUE, Colours, Flow, ORANGE, shown, strength};
use crate::table::Table;

/// Most attended tokens that are drawn.
const TOP: usize = 20;

/// A table and its picture, named as their files are.
pub(crate) struct Sheet {
    pub(crate) name: &'static str,
    pub(crate) table: Table,
    pub(crate) picture: Picture,
}

/// A picture that is drawn when it is asked for.
pub(crate) enum Picture {
    Figure(Box<Figure>),
    Svg(String),
}

impl Picture {
    pub(crate) fn svg(&self) -> String {
        match self {
            Self::Figure(figure) => figure.svg(),
            Self::Svg(svg) => svg.clone(),
        }
    }
}

impl From<Figure> for Picture {
    fn from(figure: Figure) -> Self {
        Self::Figure(Box::new(figure))
    }
}

/// All views that the record has data for.
pub(crate) fn sheets(record: &AttentionRecord, options: &ExportOptions) -> Result<Vec<Sheet>, Error> {
    let capture = &record.capture;
    let mut sheets = vec![spans(record, options)?];
    if capture.span(&options.span).is_some() {
        sheets.push(heads(record, options)?);
        sheets.push(layers(record, options)?);
    }
    if !capture.layer_rows.is_empty() {
        let rows = token_rows(capture, &options.choice)?;
        sheets.push(map(record, &rows, options)?);
        sheets.push(tokens(record, &rows, &options.choice));
    } else if options.select.is_some() {
        return Err(Error::Missing("single tokens can't be selected: the record has no whole rows".into()));
    }
    Ok(sheets)
}

/// Spans that people ask for, by number; the others help measurements, and the page does not show them either.
pub(crate) fn shown_spans(record: &AttentionRecord) -> Vec<usize> {
    let helps = |label: &str| label.contains(":without_last") || label.starts_with("control_");
    let spans = &record.capture.spans;
    (0..spans.len()).filter(|number| !helps(&spans[*number].label)).collect()
}

fn spans(record: &AttentionRecord, options: &ExportOptions) -> Result<Sheet, Error> {
    let steps = span_steps(&record.capture, &options.choice)?;
    let (new_tokens, shown_spans) = (new_tokens(record), shown_spans(record));
    let label = |span: usize| record.capture.spans[span].label.as_str();
    let mut rows = Vec::new();
    for &span in &shown_spans {
        for (row, text) in new_tokens.iter().enumerate() {
            rows.push(vec![label(span).into(), row.into(), text.as_str().into(), steps.row(row)[span].into()]);
        }
    }
    let values = shown_spans.iter().map(|span| (0..steps.rows).map(|row| steps.row(row)[*span]).collect());
    let plot = Heatmap::new(
        shown_spans.iter().map(|span| label(*span)),
        new_tokens.iter().map(|text| shown(text)),
        values.collect::<Vec<Vec<f64>>>(),
    );
    let title = format!("attention of each new token to each span{}", restriction(&options.choice));
    let figure = Figure::new(title).subtitle(subtitle(record));
    Ok(Sheet {
        name: "spans",
        table: Table::new(["span", "new token", "text", "attention"], rows),
        picture: heatmap(figure, plot, (shown_spans.len(), new_tokens.len()), ("span", "new token"), Colours::Amount)
            .into(),
    })
}

fn heads(record: &AttentionRecord, options: &ExportOptions) -> Result<Sheet, Error> {
    let sink = options.choice.sink;
    let matrix = layer_heads(&record.capture, &options.span, sink)?;
    let remark = HeadMean::of(&record.capture, sink).remark();
    let cells = matrix.cells().map(|(layer, head, value)| vec![layer.into(), head.into(), value.into()]);
    let title = format!("attention to {} by layer and head{remark}{}", options.span, restriction(&whole(sink)));
    Ok(Sheet {
        name: "heads",
        table: Table::new(["layer", "head", &format!("attention{remark}")], cells.collect()),
        picture: matrix_figure(Figure::new(title).subtitle(subtitle(record)), &matrix, Colours::Amount).into(),
    })
}

fn layers(record: &AttentionRecord, options: &ExportOptions) -> Result<Sheet, Error> {
    let profile = layer_profile(&record.capture, &options.span, options.choice.sink)?;
    let cells = profile.iter().enumerate().map(|(layer, value)| vec![layer.into(), (*value).into()]);
    let points = profile.iter().enumerate().map(|(layer, value)| (layer as f64, *value));
    let panel = Panel::new("", Lines::new().series(&options.span, points))
        .x(Axis::linear("layer").whole_numbers())
        .y(Axis::linear("attention (mass)").starting_at(0.0));
    let restriction = restriction(&whole(options.choice.sink));
    let title = format!("attention to {} by layer, mean over heads and new tokens{restriction}", options.span);
    Ok(Sheet {
        name: "layers",
        table: Table::new(["layer", "attention"], cells.collect()),
        picture: Figure::new(title).subtitle(subtitle(record)).panel(panel).into(),
    })
}

fn map(record: &AttentionRecord, rows: &Matrix, options: &ExportOptions) -> Result<Sheet, Error> {
    let capture = &record.capture;
    let values = token_values(capture, rows, options.select.as_ref())?;
    let is_sink = |at: &usize| options.choice.sink == SinkHandling::Keep && capture.sinks.contains(at);
    let most = values.iter().enumerate().filter(|(at, _)| !is_sink(at)).map(|(_, value)| *value).fold(0.0, f64::max);
    let prompt = capture.first_position + 1;
    let title = format!("prompt and new tokens{}", restriction(&options.choice));
    let legend = legend(options.select.as_ref(), prompt, most);
    let mut flow = Flow::new(Colours::Amount, &title, &[subtitle(record)], &legend);
    for (at, (text, value)) in record.token_texts.iter().zip(&values).enumerate() {
        match at {
            0 => flow.heading(&format!("Prompt · {prompt} tokens")),
            _ if at == prompt => flow.heading(&format!("New · {} tokens", capture.rows)),
            _ => {}
        }
        flow.token(text, strength(*value, most));
    }
    let shown_spans = shown_spans(record);
    let spans_at = |at: usize| {
        let spans = shown_spans.iter().map(|span| &capture.spans[*span]).filter(|span| span.tokens.contains(&at));
        spans.map(|span| span.label.as_str()).collect::<Vec<_>>().join(" ")
    };
    let cells = values.iter().enumerate().map(|(at, value)| {
        vec![at.into(), record.token_texts[at].as_str().into(), spans_at(at).as_str().into(), (*value).into()]
    });
    Ok(Sheet {
        name: "map",
        table: Table::new(["position", "token", "spans", "attention"], cells.collect()),
        picture: Picture::Svg(flow.svg()),
    })
}

fn legend(selected: Option<&Range<usize>>, prompt: usize, most: f64) -> String {
    let what = match selected {
        None => "attention that all new tokens give to each token".to_owned(),
        Some(tokens) if tokens.end <= prompt => {
            format!("mass that each new token gives to tokens {} to {}", tokens.start, tokens.end - 1)
        }
        Some(tokens) => {
            format!("attention that new tokens {} to {} give to each token", tokens.start.max(prompt), tokens.end - 1)
        }
    };
    format!("{what}, from 0 to {most:.4} (root scale)")
}

/// Every weight, and the tokens that all new tokens together attend to most as the picture.
fn tokens(record: &AttentionRecord, matrix: &Matrix, choice: &Choice) -> Sheet {
    let new_tokens = new_tokens(record);
    let cells = matrix.cells().map(|(row, position, value)| {
        let texts = (new_tokens[row].as_str(), record.token_texts[position].as_str());
        vec![row.into(), texts.0.into(), position.into(), texts.1.into(), value.into()]
    });
    let top = largest(&matrix.mean_row(), TOP);
    let names = top.iter().map(|(position, _)| format!("{} ({position})", shown(&record.token_texts[*position])));
    let plot = Bars::new(names).series("", top.iter().map(|(_, value)| *value)).horizontal();
    let panel = Panel::new("", plot).x(Axis::linear("attention, mean over new tokens").starting_at(0.0));
    let title = format!("most attended tokens{}", restriction(choice));
    let figure = Figure::new(title).subtitle(subtitle(record)).panel_height(520.0);
    Sheet {
        name: "tokens",
        table: Table::new(["new token", "text", "position", "token", "attention"], cells.collect()),
        picture: figure.panel(panel).into(),
    }
}

fn new_tokens(record: &AttentionRecord) -> &[String] {
    &record.token_texts[record.capture.first_position + 1..]
}

/// What a record is, in a line.
pub(crate) fn subtitle(record: &AttentionRecord) -> String {
    let info = &record.info;
    format!("{} · {} · turn {} · {} · {}", info.strategy, info.layout, info.turn, info.model, info.id)
}

/// What is shown of layers and heads, and whether with sinks, as part of a title.
pub(crate) fn restriction(choice: &Choice) -> String {
    let of = |what: &str, selection: &Selection| match selection {
        Selection::All => None,
        Selection::Only(ranges) if ranges.iter().map(|range| range.len()).sum::<usize>() == 1 => {
            Some(format!("{what} {selection}"))
        }
        Selection::Only(_) => Some(format!("{what}s {selection}")),
    };
    let sinks = (choice.sink == SinkHandling::Keep).then(|| "sinks kept".to_owned());
    let parts = [of("layer", &choice.layers), of("head", &choice.heads), sinks];
    let parts = parts.into_iter().flatten().collect::<Vec<_>>();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}

/// All layers and heads.
pub(crate) fn whole(sink: SinkHandling) -> Choice {
    Choice { sink, ..Choice::default() }
}

/// Layers by heads; values of a difference go apart from 0.
pub(crate) fn matrix_figure(figure: Figure, matrix: &Matrix, colours: Colours) -> Figure {
    let numbered = |count: usize| (0..count).map(|number| number.to_string());
    let values = (0..matrix.rows).map(|row| matrix.row(row).to_vec());
    let plot = Heatmap::new(numbered(matrix.rows), numbered(matrix.columns), values.collect::<Vec<_>>());
    heatmap(figure, plot, (matrix.rows, matrix.columns), ("layer", "head"), colours)
}

/// Colours are those of the page, and on its scale of roots, from 0 on.
fn heatmap(
    figure: Figure,
    plot: Heatmap,
    (rows, columns): (usize, usize),
    (vertical, horizontal): (&str, &str),
    colours: Colours,
) -> Figure {
    let (width, height) = (260.0 + 13.0 * columns as f64, 60.0 + 18.0 * rows as f64);
    let plot = match colours {
        Colours::Amount => plot.colours(Axis::root("mass, root scale").starting_at(0.0)).between(BLUE, BLUE),
        Colours::Difference => plot.colours(Axis::root("B − A, root scale")).diverging(0.0).between(BLUE, ORANGE),
    };
    let panel = Panel::new("", plot).x(Axis::linear(horizontal)).y(Axis::linear(vertical));
    figure.width(width.clamp(760.0, 5000.0)).panel_height(height.clamp(220.0, 3000.0)).panel(panel)
}
