//! The comparison plots of the paper, from rows of SRA. Where several models made the responses, each has its own panel.

use std::collections::BTreeSet;
use std::path::Path;

use charts::{Axis, Bars, Boxes, Estimate, Figure, Format, Histogram, Lines, Panel, Scatter};
use command_line::Failure;
use esc_metrics::interval::Interval;
use llm_runtime::Selection;
use strategy_prompting::{GroupBy, SraOptions, SraRow, group_sra};

use crate::attention::Margins;
use crate::measured_span::MeasuredSpan;

/// Writes every plot as SVG, PNG and CSV.
pub(crate) fn write(out: &Path, rows: &[SraRow], measure: &SraOptions, margins: &Margins) -> Result<(), Failure> {
    let plots = Plots { rows, span: MeasuredSpan::of(measure), layers: &measure.layers };
    let mut figures = vec![
        ("sra_by_layout", plots.by_layout()),
        ("sra_by_strategy", plots.by_strategy()),
        ("sra_by_turn", plots.by_turn()),
        ("sra_over_turns", plots.over_turns()),
        ("sra_regression", plots.regression()),
        ("sra_first_layers", plots.first_layers()),
        ("sra_distribution", plots.distribution()),
    ];
    if rows.iter().any(|row| row.controls.mean().is_some()) {
        figures.push(("sra_controls", plots.controls()));
    }
    if values(rows, GroupBy::Run).len() > 1 {
        figures.push(("sra_by_strategy_and_run", plots.by_strategy_and_run()));
    }
    if rows.iter().any(|row| margins.of(row).is_some()) {
        figures.push(("sra_and_adherence", plots.adherence(margins)));
    }
    for (name, figure) in figures {
        figure.write(out.join(name), &[Format::Svg, Format::Png, Format::Csv]).map_err(Failure::work)?;
    }
    Ok(())
}

const INTERVALS: &str = "mean, 95 % intervals by conversation";
/// Panels beside each other where every model has one.
const COLUMNS: usize = 2;

struct Plots<'a> {
    rows: &'a [SraRow],
    span: MeasuredSpan,
    /// Layers that were measured.
    layers: &'a Selection,
}

impl Plots<'_> {
    fn by_layout(&self) -> Figure {
        let panel = Panel::new("", bars(self.rows, GroupBy::Model, GroupBy::Layout)).x(Axis::linear("model"));
        self.figure("by layout").subtitle(INTERVALS).panel(panel.y(self.value()))
    }

    fn by_strategy(&self) -> Figure {
        let figure = self.figure("by strategy").subtitle(INTERVALS).columns(1);
        self.panels(figure, &|rows, title| self.strategies(rows, GroupBy::Layout, title))
    }

    /// Runs are compared within one panel, whatever their models.
    fn by_strategy_and_run(&self) -> Figure {
        let panel = match values(self.rows, GroupBy::Model).as_slice() {
            [_] => self.strategies(self.rows, GroupBy::Run, ""),
            _ => {
                let named = |row: &SraRow| SraRow { run: format!("{} · {}", row.run, row.model), ..row.clone() };
                self.strategies(&self.rows.iter().map(named).collect::<Vec<_>>(), GroupBy::Run, "")
            }
        };
        self.figure("by strategy and run").subtitle(INTERVALS).panel(panel)
    }

    fn strategies(&self, rows: &[SraRow], series: GroupBy, title: &str) -> Panel {
        let count = values(rows, GroupBy::Strategy).len() * values(rows, series).len();
        let panel = Panel::new(title, bars(rows, GroupBy::Strategy, series).horizontal());
        panel.x(self.value()).y(Axis::linear("strategy")).height(60.0 + 26.0 * count.max(6) as f64)
    }

    fn by_turn(&self) -> Figure {
        self.panels(self.figure("by depth of the dialogue"), &|rows, title| {
            let turns = values(rows, GroupBy::Turn);
            let samples = |layout: &str, turn: &String| -> Vec<f64> {
                of_layout(rows, layout).filter(|row| GroupBy::Turn.of(row) == *turn).map(|row| row.sra.value).collect()
            };
            let boxes = layouts(rows).fold(Boxes::new(turns.iter().map(|turn| turn.trim())), |boxes, layout| {
                let samples = turns.iter().map(|turn| samples(&layout, turn)).collect::<Vec<_>>();
                boxes.series(layout, samples)
            });
            Panel::new(title, boxes).x(turn_axis()).y(self.log_value())
        })
    }

    fn over_turns(&self) -> Figure {
        let figure = self.figure("over turns").subtitle("mean, 95 % bands by conversation");
        self.panels(figure, &|rows, title| {
            let groups = group_sra(rows, &[GroupBy::Layout, GroupBy::Turn]);
            let lines = layouts(rows).fold(Lines::new(), |lines, layout| {
                let points = groups
                    .iter()
                    .filter(|(key, _)| key[0] == layout)
                    .filter_map(|(key, group)| Some((key[1].trim().parse::<f64>().ok()?, estimate(&group.value))));
                let points = points.collect::<Vec<_>>();
                lines.series(layout, points)
            });
            Panel::new(title, lines).x(turn_axis()).y(self.value().starting_at(0.0))
        })
    }

    /// A line through the logarithms for every layout.
    fn regression(&self) -> Figure {
        self.panels(self.figure("by depth, with fitted lines"), &|rows, title| {
            let scatter = layouts(rows).fold(Scatter::new(), |scatter, layout| {
                let points = of_layout(rows, &layout).map(|row| (row.turn as f64, row.sra.value)).collect::<Vec<_>>();
                scatter.series(layout, points)
            });
            Panel::new(title, scatter.with_fit()).x(turn_axis()).y(self.log_value())
        })
    }

    fn first_layers(&self) -> Figure {
        let measured = if *self.layers == Selection::All { "all".to_owned() } else { format!("{}", self.layers) };
        self.panels(self.figure("over the first layers only").subtitle(INTERVALS), &|rows, title| {
            let counts: BTreeSet<usize> = rows.iter().flat_map(|row| row.first_layers.keys().copied()).collect();
            let names = counts.iter().map(|count| format!("first {count}")).chain([measured.clone()]);
            let bars = layouts(rows).fold(Bars::new(names), |bars, layout| {
                let first = |count: &usize| {
                    over(rows, &layout, &|row| row.first_layers.get(count).copied().unwrap_or(f64::NAN))
                };
                let values = counts.iter().map(first).chain([over(rows, &layout, &|row| row.sra.value)]);
                let values = values.collect::<Vec<_>>();
                bars.series(layout, values)
            });
            Panel::new(title, bars).x(Axis::linear("layers")).y(self.value())
        })
    }

    fn distribution(&self) -> Figure {
        let figure = Figure::new(format!("Distribution of {}", self.span.measure())).columns(COLUMNS);
        self.panels(figure, &|rows, title| {
            let histogram = layouts(rows).fold(Histogram::new(30).as_parts(), |histogram, layout| {
                let values = of_layout(rows, &layout).map(|row| row.sra.log_value).collect::<Vec<_>>();
                histogram.series(layout, values)
            });
            Panel::new(title, histogram).x(Axis::linear(self.span.log_axis())).y(Axis::linear("share of responses"))
        })
    }

    /// The span beside its neighbours of equal length.
    fn controls(&self) -> Figure {
        self.panels(self.figure("and its controls").subtitle(INTERVALS), &|rows, title| {
            let layouts: Vec<String> = layouts(rows).collect();
            let series = |value: &dyn Fn(&SraRow) -> f64| {
                layouts.iter().map(|layout| over(rows, layout, value)).collect::<Vec<_>>()
            };
            let bars = Bars::new(layouts.clone())
                .series(self.span.name(), series(&|row| row.sra.value))
                .series("as many tokens before", series(&|row| row.controls.before.unwrap_or(f64::NAN)))
                .series("as many tokens after", series(&|row| row.controls.after.unwrap_or(f64::NAN)));
            Panel::new(title, bars).x(Axis::linear("layout")).y(Axis::linear("attention per token"))
        })
    }

    fn adherence(&self, margins: &Margins) -> Figure {
        self.panels(self.figure("and adherence"), &|rows, title| {
            let scatter = layouts(rows).fold(Scatter::new(), |scatter, layout| {
                let points = of_layout(rows, &layout).filter_map(|row| Some((margins.of(row)?, row.sra.value)));
                let points = points.collect::<Vec<_>>();
                scatter.series(layout, points)
            });
            let x = Axis::linear("adherence margin (nats per token)");
            Panel::new(title, scatter.with_fit()).x(x).y(self.log_value())
        })
    }

    fn figure(&self, what: &str) -> Figure {
        Figure::new(format!("{} {what}", self.span.title())).columns(COLUMNS)
    }

    /// A panel for every model, titled by its name where there are several.
    fn panels(&self, figure: Figure, panel: &dyn Fn(&[SraRow], &str) -> Panel) -> Figure {
        let models = values(self.rows, GroupBy::Model);
        if let [_] = models.as_slice() {
            return figure.panel(panel(self.rows, ""));
        }
        models.iter().fold(figure, |figure, model| {
            let own: Vec<SraRow> = self.rows.iter().filter(|row| row.model == *model).cloned().collect();
            figure.panel(panel(&own, model))
        })
    }

    fn value(&self) -> Axis {
        Axis::linear(self.span.axis())
    }

    fn log_value(&self) -> Axis {
        Axis::log10(self.span.axis())
    }
}

fn turn_axis() -> Axis {
    Axis::linear("supporter turn").whole_numbers()
}

fn estimate(interval: &Interval) -> Estimate {
    let value = Estimate::new(interval.mean);
    interval.ends().map_or(value, |(low, high)| value.between(low, high))
}

/// The values of a column, in order.
fn values(rows: &[SraRow], by: GroupBy) -> Vec<String> {
    rows.iter().map(|row| by.of(row)).collect::<BTreeSet<_>>().into_iter().collect()
}

fn layouts(rows: &[SraRow]) -> impl Iterator<Item = String> {
    values(rows, GroupBy::Layout).into_iter()
}

fn of_layout<'a>(rows: &'a [SraRow], layout: &str) -> impl Iterator<Item = &'a SraRow> {
    rows.iter().filter(move |row| row.layout == layout)
}

/// The mean of a layout's values.
fn over(rows: &[SraRow], layout: &str, value: &dyn Fn(&SraRow) -> f64) -> Estimate {
    let values = of_layout(rows, layout).map(|row| (row.conversation.as_str(), value(row)));
    Interval::by_group(values).as_ref().map_or_else(Estimate::missing, estimate)
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
