//! What a judge said, in tables.

use std::collections::BTreeMap;

use esc_metrics::interval::Interval;
use esc_metrics::judge::{JudgeReport, VerdictPair};
use judging::{PairJudgement, Rating};
use serde::Serialize;

use crate::arguments::Format;
use crate::failure::Failure;

/// Two systems, as a judge sees them.
#[derive(Serialize)]
struct PairReport<'a> {
    first: &'a str,
    second: &'a str,
    judge: &'a str,
    /// The first system against the second; absent if no pair has both verdicts.
    all: Option<JudgeReport>,
    by_strategy: BTreeMap<&'a str, Option<JudgeReport>>,
}

pub(crate) fn pairs(names: &[String; 2], judge: &str, rows: &[PairJudgement], format: Format) -> Result<(), Failure> {
    let mut strategies: BTreeMap<&str, Vec<VerdictPair>> = BTreeMap::new();
    for row in rows {
        strategies.entry(&row.label).or_default().push(row.verdicts());
    }
    let report = |pairs: &[VerdictPair]| JudgeReport::of_verdicts(pairs).ok();
    let all: Vec<VerdictPair> = rows.iter().map(PairJudgement::verdicts).collect();
    let found = PairReport {
        first: &names[0],
        second: &names[1],
        judge,
        all: report(&all),
        by_strategy: strategies.iter().map(|(label, pairs)| (*label, report(pairs))).collect(),
    };
    if format == Format::Json {
        return crate::export::print_json(&found);
    }
    println!("A: {}\nB: {}\njudge: {judge}\n", names[0], names[1]);
    let Some(all) = &found.all else {
        println!("no pair of {} has both verdicts", rows.len());
        return Ok(());
    };
    println!("{:<32}{:>6}{:>6}{:>6}{:>8}  A wins [95 %]", "", "A", "tie", "B", "dropped");
    print_row("all", all);
    for (label, report) in &found.by_strategy {
        match report {
            Some(report) => print_row(label, report),
            None => println!("{label:<32}{:>26}", "no verdicts"),
        }
    }
    println!("\nsign test of wins against losses: p = {:.4}", all.sign_test_p);
    if let Some(positions) = all.positions {
        println!(
            "verdicts for the answer shown first: {:.1} %; pairs judged alike in both orders: {:.1} %",
            100.0 * positions.first_shown_rate_decided.unwrap_or(f64::NAN),
            100.0 * positions.swap_consistency
        );
    }
    Ok(())
}

fn print_row(name: &str, report: &JudgeReport) {
    let JudgeReport { wins, ties, losses, dropped, win_rate, win_interval: (low, high), .. } = report;
    let [rate, low, high] = [win_rate, low, high].map(|share| 100.0 * share);
    println!("{name:<32}{wins:>6}{ties:>6}{losses:>6}{dropped:>8}  {rate:.1} % [{low:.1}, {high:.1}]");
}

/// A system's ratings.
#[derive(Serialize)]
struct RatingReport<'a> {
    system: &'a str,
    judge: &'a str,
    answers: usize,
    /// Answers without a rating.
    unrated: usize,
    /// Mean rating, 1 to 5, with its interval by conversation.
    all: Option<Interval>,
    by_strategy: BTreeMap<&'a str, Option<Interval>>,
}

pub(crate) fn ratings(system: &str, judge: &str, rows: &[Rating], format: Format) -> Result<(), Failure> {
    let mut strategies: BTreeMap<&str, Vec<&Rating>> = BTreeMap::new();
    for row in rows {
        strategies.entry(&row.label).or_default().push(row);
    }
    let mean = |rows: &[&Rating]| {
        Interval::by_group(rows.iter().filter_map(|row| Some((row.group.as_str(), row.rating?))))
    };
    let found = RatingReport {
        system,
        judge,
        answers: rows.len(),
        unrated: rows.iter().filter(|row| row.rating.is_none()).count(),
        all: mean(&rows.iter().collect::<Vec<_>>()),
        by_strategy: strategies.iter().map(|(label, rows)| (*label, mean(rows))).collect(),
    };
    if format == Format::Json {
        return crate::export::print_json(&found);
    }
    println!("{system}\njudge: {judge}\n{} answers, {} without a rating\n", found.answers, found.unrated);
    let all = std::iter::once(("all", &found.all));
    for (label, interval) in all.chain(found.by_strategy.iter().map(|(label, interval)| (*label, interval))) {
        match interval {
            Some(Interval { mean, low, high, values, .. }) => {
                println!("{label:<32}{mean:>6.2} [{low:.2}, {high:.2}]  ({values})");
            }
            None => println!("{label:<32}{:>6}", "–"),
        }
    }
    Ok(())
}
