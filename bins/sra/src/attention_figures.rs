//! The comparison plots of the paper, from rows of SRA.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use charts::{Axis, Bars, Boxes, Estimate, Figure, Format, Histogram, Lines, Panel, Scatter};
use strategy_prompting::{GroupBy, Interval, SraRow, group_sra};

use crate::failure::Failure;

/// Writes every plot as SVG, PNG and CSV. `margins` are adherence margins by record id.
pub(crate) fn write(out: &Path, rows: &[SraRow], margins: &BTreeMap<String, f64>) -> Result<(), Failure> {
    let mut figures = vec![
        ("sra_by_layout", by_layout(rows)),
        ("sra_by_strategy", by_strategy(rows, GroupBy::Layout)),
        ("sra_by_turn", by_turn(rows)),
        ("sra_over_turns", over_turns(rows)),
        ("sra_regression", regression(rows)),
        ("sra_first_layers", first_layers(rows)),
        ("sra_distribution", distribution(rows)),
        ("sra_controls", controls(rows)),
    ];
    if values(rows, GroupBy::Run).len() > 1 {
        figures.push(("sra_by_strategy_and_run", by_strategy(rows, GroupBy::Run)));
    }
    if !margins.is_empty() {
        figures.push(("sra_and_adherence", adherence(rows, margins)));
    }
    for (name, figure) in figures {
        figure.write(out.join(name), &[Format::Svg, Format::Png, Format::Csv]).map_err(Failure::work)?;
    }
    Ok(())
}

const SRA: &str = "SRA (attention per token of the name)";

fn estimate(interval: &Interval) -> Estimate {
    Estimate::new(interval.mean).between(interval.low, interval.high)
}

/// The values of a column, in order.
fn values(rows: &[SraRow], by: GroupBy) -> Vec<String> {
    rows.iter().map(|row| by.of(row)).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Bars with intervals: categories by one column, series by another.
fn bars(rows: &[SraRow], categories: GroupBy, series: GroupBy) -> Bars {
    let (names, groups) = (values(rows, categories), group_sra(rows, &[categories, series]));
    let of = |category: &String, series: &String| {
        groups
            .get(&vec![category.clone(), series.clone()])
            .map_or_else(Estimate::missing, |group| estimate(&group.value))
    };
    values(rows, series).iter().fold(Bars::new(names.clone()), |bars, series| {
        bars.series(series.clone(), names.iter().map(|name| of(name, series)).collect::<Vec<_>>())
    })
}

fn by_layout(rows: &[SraRow]) -> Figure {
    let panel = Panel::new("", bars(rows, GroupBy::Model, GroupBy::Layout)).x(Axis::linear("model"));
    Figure::new("SRA by layout").subtitle("mean, 95 % intervals by conversation").panel(panel.y(Axis::linear(SRA)))
}

fn by_strategy(rows: &[SraRow], series: GroupBy) -> Figure {
    let bars = bars(rows, GroupBy::Strategy, series).horizontal();
    let height = 60.0 + 26.0 * (values(rows, GroupBy::Strategy).len() * values(rows, series).len()).max(6) as f64;
    let panel = Panel::new("", bars).x(Axis::linear(SRA)).y(Axis::linear("strategy"));
    Figure::new("SRA by strategy").subtitle("mean, 95 % intervals by conversation").panel_height(height).panel(panel)
}

fn by_turn(rows: &[SraRow]) -> Figure {
    let turns = values(rows, GroupBy::Turn);
    let samples = |layout: &String, turn: &String| -> Vec<f64> {
        let chosen = rows.iter().filter(|row| row.layout == *layout && GroupBy::Turn.of(row) == *turn);
        chosen.map(|row| row.sra.value).collect()
    };
    let boxes =
        values(rows, GroupBy::Layout).iter().fold(Boxes::new(turns.iter().map(|turn| turn.trim())), |boxes, layout| {
            boxes.series(layout.clone(), turns.iter().map(|turn| samples(layout, turn)).collect::<Vec<_>>())
        });
    let panel = Panel::new("", boxes).x(Axis::linear("supporter turn")).y(Axis::log10(SRA));
    Figure::new("SRA by depth of the dialogue").panel(panel)
}

fn over_turns(rows: &[SraRow]) -> Figure {
    let groups = group_sra(rows, &[GroupBy::Layout, GroupBy::Turn]);
    let lines = values(rows, GroupBy::Layout).iter().fold(Lines::new(), |lines, layout| {
        let points = groups
            .iter()
            .filter(|(key, _)| key[0] == *layout)
            .filter_map(|(key, group)| Some((key[1].trim().parse::<f64>().ok()?, estimate(&group.value))));
        lines.series(layout.clone(), points.collect::<Vec<_>>())
    });
    let panel = Panel::new("", lines).x(Axis::linear("supporter turn")).y(Axis::linear(SRA).starting_at(0.0));
    Figure::new("SRA over turns").subtitle("mean, 95 % bands by conversation").panel(panel)
}

/// One panel per model: a line through the logarithms for every layout.
fn regression(rows: &[SraRow]) -> Figure {
    let figure = Figure::new("SRA by depth, with fitted lines").columns(2);
    values(rows, GroupBy::Model).iter().fold(figure, |figure, model| {
        let scatter = values(rows, GroupBy::Layout).iter().fold(Scatter::new(), |scatter, layout| {
            let chosen = rows.iter().filter(|row| row.model == *model && row.layout == *layout);
            scatter.series(layout.clone(), chosen.map(|row| (row.turn as f64, row.sra.value)).collect::<Vec<_>>())
        });
        let panel = Panel::new(model.clone(), scatter.with_fit());
        figure.panel(panel.x(Axis::linear("supporter turn")).y(Axis::log10(SRA)))
    })
}

fn first_layers(rows: &[SraRow]) -> Figure {
    let counts: BTreeSet<usize> = rows.iter().flat_map(|row| row.first_layers.keys().copied()).collect();
    let names = counts.iter().map(|count| format!("first {count}")).chain(["all".to_owned()]);
    let over = |layout: &str, value: &dyn Fn(&SraRow) -> f64| {
        let chosen = rows.iter().filter(|row| row.layout == layout);
        let interval = Interval::by_group(chosen.map(|row| (row.conversation.as_str(), value(row))));
        interval.as_ref().map_or_else(Estimate::missing, estimate)
    };
    let bars = values(rows, GroupBy::Layout).iter().fold(Bars::new(names.collect::<Vec<_>>()), |bars, layout| {
        let of_count = |count: &usize| over(layout, &|row| row.first_layers.get(count).copied().unwrap_or(f64::NAN));
        let all = over(layout, &|row| row.sra.value);
        bars.series(layout.clone(), counts.iter().map(of_count).chain([all]).collect::<Vec<_>>())
    });
    let panel = Panel::new("", bars).x(Axis::linear("layers")).y(Axis::linear(SRA));
    Figure::new("SRA over the first layers only").subtitle("mean, 95 % intervals by conversation").panel(panel)
}

fn distribution(rows: &[SraRow]) -> Figure {
    let histogram = values(rows, GroupBy::Layout).iter().fold(Histogram::new(30).as_parts(), |histogram, layout| {
        let chosen = rows.iter().filter(|row| row.layout == *layout);
        histogram.series(layout.clone(), chosen.map(|row| row.sra.log_value).collect::<Vec<_>>())
    });
    let panel = Panel::new("", histogram).x(Axis::linear("log SRA")).y(Axis::linear("share of responses"));
    Figure::new("Distribution of SRA").panel(panel)
}

/// The name beside its neighbours of equal length.
fn controls(rows: &[SraRow]) -> Figure {
    let layouts = values(rows, GroupBy::Layout);
    let over = |layout: &String, value: &dyn Fn(&SraRow) -> f64| {
        let chosen = rows.iter().filter(|row| row.layout == *layout);
        let interval = Interval::by_group(chosen.map(|row| (row.conversation.as_str(), value(row))));
        interval.as_ref().map_or_else(Estimate::missing, estimate)
    };
    let series = |value: &dyn Fn(&SraRow) -> f64| layouts.iter().map(|layout| over(layout, value)).collect::<Vec<_>>();
    let bars = Bars::new(layouts.clone())
        .series("the strategy's name", series(&|row| row.sra.value))
        .series("as many tokens before it", series(&|row| row.control_before.unwrap_or(f64::NAN)))
        .series("as many tokens after it", series(&|row| row.control_after.unwrap_or(f64::NAN)));
    let panel = Panel::new("", bars).x(Axis::linear("layout")).y(Axis::linear("attention per token"));
    Figure::new("SRA and its controls").subtitle("mean, 95 % intervals by conversation").panel(panel)
}

fn adherence(rows: &[SraRow], margins: &BTreeMap<String, f64>) -> Figure {
    let scatter = values(rows, GroupBy::Layout).iter().fold(Scatter::new(), |scatter, layout| {
        let chosen = rows.iter().filter(|row| row.layout == *layout);
        let points = chosen.filter_map(|row| Some((*margins.get(&row.id)?, row.sra.value)));
        scatter.series(layout.clone(), points.collect::<Vec<_>>())
    });
    let panel = Panel::new("", scatter.with_fit()).x(Axis::linear("adherence margin (nats per token)"));
    Figure::new("Adherence and SRA").panel(panel.y(Axis::log10(SRA)))
}
