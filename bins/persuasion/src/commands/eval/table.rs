//! An evaluation as a table to read.

use std::fmt::Write;

use esc_metrics::interval::Interval;
use esc_metrics::text_table::shown;

use super::Evaluation;
use super::pairs::{Estimate, PairEvaluation, SideEvaluation};
use super::texts::TextReport;
use super::verdicts::MatchReport;

/// Width of a number with its interval.
const CELL: usize = 34;
/// Below so many groups a bootstrap's intervals are known to be too narrow.
const FEW_GROUPS: usize = 10;

/// The whole evaluation.
pub(super) fn table(evaluation: &Evaluation) -> String {
    let mut text = String::new();
    let heads = [
        ("model", &evaluation.model),
        ("adapter", &evaluation.adapter),
        ("reference", &evaluation.reference_model),
        ("reference", &evaluation.reference_adapter),
        ("data", &evaluation.data),
    ];
    for (name, value) in heads {
        if let Some(value) = value {
            let _ = writeln!(text, "{name:<10} {value}");
        }
    }
    if let Some(pairs) = &evaluation.on_pairs {
        add_pairs(&mut text, pairs, evaluation);
    }
    if !evaluation.replies.is_empty() {
        add_replies(&mut text, &evaluation.replies);
    }
    evaluation.win_rates.iter().for_each(|report| add_match(&mut text, report));
    text
}

fn add_pairs(text: &mut String, pairs: &PairEvaluation, evaluation: &Evaluation) {
    let is_base = evaluation.reference_model.is_none() && evaluation.reference_adapter.is_none();
    let base = if is_base { "base" } else { "reference" };
    let left_out = match evaluation.left_out {
        0 => String::new(),
        count => format!(", {count} more that do not fit the limits were left out"),
    };
    let _ = writeln!(text, "{:<10} {} of {} posts{left_out}\n", "pairs", pairs.pairs, pairs.groups);
    if pairs.groups < FEW_GROUPS {
        let _ = writeln!(text, "intervals are rough: they draw from {} posts only\n", pairs.groups);
    }
    let _ = writeln!(text, "{:<34}{:>CELL$}{:>CELL$}", "", base, "with adapter");
    let mut row = |name: &str, base: Option<String>, model: Option<String>| {
        let [base, model] = [base, model].map(Option::unwrap_or_default);
        let line = format!("{name:<34}{base:>CELL$}{model:>CELL$}");
        let _ = writeln!(text, "{}", line.trim_end());
    };
    row("reward accuracy", None, pairs.reward_accuracy.map(interval));
    row("  longer reply wins", Some(interval(pairs.longer_wins)), None);
    row("  above longer reply wins", None, pairs.reward_accuracy_above_longer_wins.map(interval));
    let likelihood = pairs.likelihood_accuracy;
    row("  mean log-probability wins", likelihood.base.map(interval), likelihood.model.flatten().map(interval));
    for quarter in &pairs.by_length_difference {
        let name = format!("  {} ({} pairs)", quarter.name, quarter.pairs);
        row(&name, Some(shown(quarter.base_likelihood_accuracy)), quarter.reward_accuracy.map(shown));
    }
    row("reward margin", None, pairs.reward_margin.map(interval));
    row("  reward of chosen", None, pairs.chosen_reward.map(interval));
    row("  reward of rejected", None, pairs.rejected_reward.map(interval));
    for (name, SideEvaluation { perplexity, perplexity_ratio, kl, .. }) in
        [("chosen", &pairs.chosen), ("rejected", &pairs.rejected)]
    {
        let model = perplexity.model.flatten();
        row(&format!("perplexity of {name}"), perplexity.base.map(estimate), model.map(estimate));
        row(&format!("  over the {base}'s"), None, perplexity_ratio.map(estimate));
        row(&format!("  KL from the {base}, per token"), None, kl.map(shown));
    }
}

fn add_replies(text: &mut String, replies: &[TextReport]) {
    let _ = writeln!(
        text,
        "\n{:<24}{:>8}{:>9}{:>8}{:>10}{:>10}{:>10}{:>12}{:>14}{:>18}",
        "replies",
        "number",
        "words",
        "ended",
        "distinct1",
        "distinct2",
        "distinct3",
        "self-BLEU4",
        "copies post",
        "copies training"
    );
    for report in replies {
        let mean = |value: Option<Interval>| value.map_or_else(|| "–".to_owned(), |value| shown(value.mean));
        let distinct = |at: usize| report.distinct.get(at).map_or_else(|| "–".to_owned(), |value| shown(*value));
        let self_bleu = report.self_bleu.map_or_else(|| "–".to_owned(), |[.., four]| shown(four));
        let _ = writeln!(
            text,
            "{:<24}{:>8}{:>9}{:>8}{:>10}{:>10}{:>10}{self_bleu:>12}{:>14}{:>18}",
            report.name,
            report.replies,
            mean(report.words),
            mean(report.ended),
            distinct(0),
            distinct(1),
            distinct(2),
            mean(report.copies_post),
            mean(report.copies_training)
        );
    }
}

fn add_match(text: &mut String, report: &MatchReport) {
    let MatchReport { name, judge, wins, ties, losses, without_verdict, .. } = report;
    let _ = writeln!(text, "\n{name}, judged by {judge}");
    let rate = report.win_rate.map_or_else(
        || "no pair has both verdicts".to_owned(),
        |rate| format!("{} [{}, {}]", shown(rate.rate), shown(rate.low), shown(rate.high)),
    );
    let _ = writeln!(text, "  win rate, ties half       {rate}");
    let _ = writeln!(text, "  wins, ties, losses        {wins}, {ties}, {losses}; {without_verdict} without a verdict");
    if let Some(p) = report.sign_test_p {
        let _ = writeln!(text, "  sign test                 p = {p:.4}");
    }
    if let Some(same) = report.same_in_both_orders {
        let _ = writeln!(text, "  same in both orders       {}", shown(same));
    }
    if let Some(first) = report.first_shown {
        let _ = writeln!(text, "  for the one shown first   {} (0.5 without a bias)", shown(first));
    }
}

fn interval(value: Interval) -> String {
    estimate(Estimate { value: value.mean, low: value.low, high: value.high })
}

fn estimate(Estimate { value, low, high }: Estimate) -> String {
    match low.zip(high) {
        Some((low, high)) => format!("{} [{}, {}]", shown(value), shown(low), shown(high)),
        None => shown(value),
    }
}
