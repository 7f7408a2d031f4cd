//! What a judge said, in tables.

use std::collections::BTreeMap;

use command_line::{Failure, Format};
use esc_metrics::interval::Interval;
use esc_metrics::judge::{JudgeReport, VerdictPair};
use judging::{PairJudgement, Rating};
use serde::Serialize;

use crate::adherence::written;

/// Width of the names in a table: strategies are longer than systems.
const NAME: usize = 32;

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
        strategies.entry(&row.strategy).or_default().push(row.verdicts());
    }
    let report = |pairs: &[VerdictPair]| JudgeReport::of_verdicts(pairs).ok();
    let all: Vec<VerdictPair> = rows.iter().map(PairJudgement::verdicts).collect();
    let found = PairReport {
        first: &names[0],
        second: &names[1],
        judge,
        all: report(&all),
        by_strategy: strategies.iter().map(|(strategy, pairs)| (*strategy, report(pairs))).collect(),
    };
    if format == Format::Json {
        return Ok(command_line::print_json(&found)?);
    }
    println!("A  {}\nB  {}\njudge  {judge}\n", names[0], names[1]);
    let Some(all) = &found.all else {
        println!("no pair of {} has both verdicts", rows.len());
        return Ok(());
    };
    print_head();
    print_row("all", Some(all));
    for (strategy, report) in &found.by_strategy {
        print_row(strategy, report.as_ref());
    }
    println!("\nsign test of A's wins against B's: p = {:.4}", all.sign_test_p);
    if let Some(positions) = all.positions {
        let first = positions.first_shown_rate_decided.map_or("none".to_owned(), percent);
        println!("verdicts for the answer shown first, of those for either: {first} (50 % without a bias)");
        println!("pairs judged alike in both orders: {}", percent(positions.swap_consistency));
    }
    Ok(())
}

/// The head of a table of [`print_row`]s.
pub(crate) fn print_head() {
    println!("{:<NAME$}{:>6}{:>6}{:>6}{:>9}  A better [95 %]", "", "A", "equal", "B", "dropped");
}

/// How A did against B; `None` where nothing was judged.
pub(crate) fn print_row(name: &str, report: Option<&JudgeReport>) {
    let Some(JudgeReport { wins, ties, losses, dropped, win_rate, win_interval: (low, high), .. }) = report else {
        println!("{name:<NAME$}  nothing was judged");
        return;
    };
    let interval = format!("{} [{:.1}, {:.1}]", percent(*win_rate), 100.0 * low, 100.0 * high);
    println!("{name:<NAME$}{wins:>6}{ties:>6}{losses:>6}{dropped:>9}  {interval}");
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
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
        strategies.entry(&row.strategy).or_default().push(row);
    }
    let mean = |rows: &[&Rating]| {
        Interval::by_group(rows.iter().filter_map(|row| Some((row.conversation.as_str(), row.rating?))))
    };
    let found = RatingReport {
        system,
        judge,
        answers: rows.len(),
        unrated: rows.iter().filter(|row| row.rating.is_none()).count(),
        all: mean(&rows.iter().collect::<Vec<_>>()),
        by_strategy: strategies.iter().map(|(strategy, rows)| (*strategy, mean(rows))).collect(),
    };
    if format == Format::Json {
        return Ok(command_line::print_json(&found)?);
    }
    println!("{system}\njudge  {judge}\n{} answers, {} without a rating\n", found.answers, found.unrated);
    println!("{:<NAME$}{:>8}  mean of 1 to 5 [95 %, by conversation]", "", "answers");
    let all = std::iter::once(("all", &found.all));
    for (label, interval) in all.chain(found.by_strategy.iter().map(|(strategy, interval)| (*strategy, interval))) {
        match interval {
            Some(found) => println!("{label:<NAME$}{:>8}  {}", found.values, written(found, 1.0, 2)),
            None => println!("{label:<NAME$}{:>8}  none", 0),
        }
    }
    Ok(())
}
