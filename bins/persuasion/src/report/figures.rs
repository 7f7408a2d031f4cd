//! Which curves stand in which picture, of one run and of several over each other.

use charts::{Axis, Figure, Histogram, Lines, Panel, Theme, escaped};
use command_line::{Curve, Curves, HELD_OUT};

use super::RunFiles;
use super::run_files::Sample;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 250.0;
/// Values that lie further apart than this are drawn by their logarithm.
const WIDE: f64 = 200.0;
const BINS: usize = 40;

/// A picture of the report: what it is called, what its axis says, and its scalars with what tells them apart.
struct Plan {
    title: &'static str,
    axis: &'static str,
    scale: Scale,
    parts: &'static [(&'static str, &'static str)],
}

#[derive(Clone, Copy, PartialEq)]
enum Scale {
    /// Around the values.
    Free,
    /// From 0 to 1.
    Share,
    /// Around the values, or by their logarithm if they lie far apart.
    Ratio,
}

const CHOSEN: &str = "chosen";
const REJECTED: &str = "rejected";

const PLANS: [Plan; 12] = [
    Plan { title: "Loss", axis: "loss (nats)", scale: Scale::Free, parts: &[("loss", "")] },
    Plan {
        title: "Reward accuracy",
        axis: "share of pairs",
        scale: Scale::Share,
        parts: &[("rewards/accuracies", "")],
    },
    Plan { title: "Reward margin", axis: "reward (β · nats)", scale: Scale::Free, parts: &[("rewards/margins", "")] },
    Plan {
        title: "Rewards",
        axis: "reward (β · nats)",
        scale: Scale::Free,
        parts: &[("rewards/chosen", CHOSEN), ("rewards/rejected", REJECTED)],
    },
    Plan {
        title: "Log-probabilities of the replies",
        axis: "nats per reply",
        scale: Scale::Free,
        parts: &[("logps/chosen", CHOSEN), ("logps/rejected", REJECTED)],
    },
    Plan {
        title: "Perplexity by the policy",
        axis: "perplexity",
        scale: Scale::Ratio,
        parts: &[("perplexity_policy/chosen", CHOSEN), ("perplexity_policy/rejected", REJECTED)],
    },
    Plan {
        title: "Perplexity by the reference",
        axis: "perplexity",
        scale: Scale::Ratio,
        parts: &[("perplexity_reference/chosen", CHOSEN), ("perplexity_reference/rejected", REJECTED)],
    },
    Plan {
        title: "Divergence from the reference",
        axis: "KL estimate (nats)",
        scale: Scale::Free,
        parts: &[("kl/chosen", CHOSEN), ("kl/rejected", REJECTED)],
    },
    Plan {
        title: "Entropy of the policy",
        axis: "nats per token",
        scale: Scale::Free,
        parts: &[("entropy/chosen", CHOSEN), ("entropy/rejected", REJECTED)],
    },
    Plan {
        title: "Mean logits",
        axis: "logit",
        scale: Scale::Free,
        parts: &[("logits/chosen", CHOSEN), ("logits/rejected", REJECTED)],
    },
    Plan { title: "Learning rate", axis: "rate", scale: Scale::Free, parts: &[("learning_rate", "")] },
    Plan {
        title: "Norm of the gradient",
        axis: "norm before clipping",
        scale: Scale::Ratio,
        parts: &[("grad_norm", "")],
    },
];

/// The pictures of one run: those of the plan, and for every other scalar one of its own.
pub(super) struct RunFigures {
    /// Markup of the usual ones.
    pub(super) usual: String,
    /// Of all others; empty if there are none.
    pub(super) others: String,
}

impl RunFigures {
    pub(super) fn of(curves: &Curves) -> Self {
        let usual =
            PLANS.iter().filter_map(|plan| drawn(plan.title, plan.axis, plan.scale, &of_run(curves, plan.parts)));
        let others = other_names(curves);
        let others = others.iter().filter_map(|name| drawn(name, "value", Scale::Free, &of_run(curves, &[(name, "")])));
        Self { usual: usual.collect(), others: others.collect() }
    }
}

/// The pictures of several runs over each other, one for each scalar of the plan: held-out pairs where there are such values, else training.
pub(super) fn overlaid(runs: &[(&str, Curves)]) -> String {
    let mut markup = String::new();
    for plan in &PLANS {
        for (name, part) in plan.parts {
            let held_out = format!("{HELD_OUT}{name}");
            let has = |name: &str| runs.iter().any(|(_, curves)| curves.get(name).is_some());
            let scalars = [held_out.as_str(), name].into_iter().filter(|name| has(name));
            for scalar in scalars {
                let series: Vec<_> =
                    runs.iter().filter_map(|(run, curves)| Some(((*run).to_owned(), curves.get(scalar)?))).collect();
                let of = if scalar == *name { "train" } else { "held out" };
                let part = if part.is_empty() { String::new() } else { format!(", {part}") };
                let title = format!("{}{part} ({of})", plan.title);
                markup += &drawn(&title, plan.axis, plan.scale, &series).unwrap_or_default();
            }
        }
    }
    markup
}

/// How the margins of held-out pairs lie, in the first and in the last evaluation.
pub(super) fn margins(run: &RunFiles) -> String {
    let held_out: Vec<&Sample> = run.samples.iter().flatten().filter(|sample| sample.is_held_out()).collect();
    let steps = || held_out.iter().map(|sample| sample.step);
    let (Some(first), Some(last)) = (steps().min(), steps().max()) else { return String::new() };
    let at = |step: u64| {
        let of_step = held_out.iter().filter(move |sample| sample.step == step);
        of_step.filter_map(|sample| sample.margin()).collect::<Vec<_>>()
    };
    if at(last).is_empty() {
        return String::new();
    }
    let mut histogram = Histogram::new(BINS);
    if first != last {
        histogram = histogram.series(format!("step {first}"), at(first));
    }
    histogram = histogram.series(format!("step {last}"), at(last));
    let panel = Panel::new("", histogram).x(Axis::linear("reward margin (β · nats)")).y(Axis::linear("pairs"));
    let figure =
        Figure::new("Margins of held-out pairs").subtitle("Right of zero the preferred reply is rewarded more");
    in_both_themes(&figure.panel(panel).width(WIDTH).panel_height(HEIGHT))
}

/// A picture for light and one for dark surroundings; the style shows one of them.
pub(super) fn in_both_themes(figure: &Figure) -> String {
    let [light, dark] = [Theme::Light, Theme::Dark].map(|theme| figure.clone().theme(theme).svg());
    format!("<figure class=\"chart\"><div class=\"light\">{light}</div><div class=\"dark\">{dark}</div></figure>\n")
}

/// The curves of a picture, each with what the legend calls it.
fn of_run<'a>(curves: &'a Curves, parts: &[(&str, &str)]) -> Vec<(String, &'a Curve)> {
    let mut series = Vec::new();
    for (prefix, set) in [("", "train"), (HELD_OUT, "held out")] {
        for (name, part) in parts {
            let label = if part.is_empty() { set.to_owned() } else { format!("{part}, {set}") };
            series.extend(curves.get(&format!("{prefix}{name}")).map(|curve| (label, curve)));
        }
    }
    series
}

/// Scalars without a place in the plan, without their prefix.
fn other_names(curves: &Curves) -> Vec<&str> {
    let is_planned = |name: &str| PLANS.iter().flat_map(|plan| plan.parts).any(|(known, _)| *known == name);
    let mut names: Vec<&str> = Vec::new();
    for name in curves.names().map(|name| name.strip_prefix(HELD_OUT).unwrap_or(name)) {
        if !is_planned(name) && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn drawn(title: &str, axis: &str, scale: Scale, series: &[(String, &Curve)]) -> Option<String> {
    if series.is_empty() {
        return None;
    }
    let values =
        series.iter().flat_map(|(_, curve)| &curve.points).map(|point| point.value).filter(|value| value.is_finite());
    let (low, high) =
        values.fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), value| (low.min(value), high.max(value)));
    let axis = match scale {
        Scale::Share => Axis::linear(axis).range(0.0, 1.0),
        Scale::Ratio if low > 0.0 && high / low > WIDE => Axis::log10(format!("{axis} (logarithmic)")),
        Scale::Ratio | Scale::Free => Axis::linear(axis),
    };
    let lines = series.iter().fold(Lines::new(), |lines, (label, curve)| lines.series(label.as_str(), curve.drawn()));
    let panel = Panel::new("", lines).x(Axis::linear("optimiser step").whole_numbers()).y(axis);
    let mut figure = Figure::new(title).panel(panel).width(WIDTH).panel_height(HEIGHT);
    if series.iter().any(|(_, curve)| curve.is_thinned()) {
        figure = figure.note("Line: mean of neighbouring records; band: their range.");
    }
    Some(in_both_themes(&figure).replacen("</figure>", &format!("{}</figure>", values_table(series)), 1))
}

/// The drawn values as a table, for those who can't see the picture, and to be copied.
fn values_table(series: &[(String, &Curve)]) -> String {
    let mut rows = String::new();
    for (label, curve) in series {
        let finite: Vec<f64> = curve.points.iter().map(|point| point.value).filter(|value| value.is_finite()).collect();
        let low = finite.iter().copied().reduce(f64::min);
        let high = finite.iter().copied().reduce(f64::max);
        let cell = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), super::markup::shown);
        let last = curve.last();
        let at = last.map_or_else(|| "–".to_owned(), |point| point.step.to_string());
        let cells = [
            cell(finite.first().copied()),
            cell(last.map(|point| point.value)),
            at,
            cell(low),
            cell(high),
            curve.points.len().to_string(),
            curve.gaps().to_string(),
        ];
        let cells: String = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
        rows += &format!("<tr><th scope=\"row\">{}</th>{cells}</tr>", escaped(label));
    }
    let heads = ["", "first", "last", "at step", "smallest", "largest", "records", "not finite"];
    let heads: String = heads.iter().map(|head| format!("<th scope=\"col\">{head}</th>")).collect();
    format!(
        "<details class=\"values\"><summary>Values</summary><div class=\"scroll\" tabindex=\"0\"><table><thead><tr>{heads}</tr></thead>\
         <tbody>{rows}</tbody></table></div></details>"
    )
}
