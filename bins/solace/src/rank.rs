//! `solace rank`: the candidates of each place, the best first.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use command_line::{Failure, Format, Progress, interrupt, output_place, print_json};
use serde::{Deserialize, Serialize};
use strategy_prompting::{RowFile, RowKind, write_json_lines};

use crate::arguments::Rank;
use crate::candidates::{CandidateRow, read_all};
use crate::judges::{Judges, Scores, Weight};
use crate::point::{self, Point};

/// What judges say of a candidate: a line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JudgedRow {
    /// Realiser and candidate.
    pub(crate) candidate: String,
    pub(crate) scores: Scores,
    /// The judges.
    pub(crate) made_by: String,
}

/// Rows of judgements.
const JUDGED_ROWS: RowKind<JudgedRow> = RowKind {
    name: "row of judgements",
    beginning: r#"{"candidate":"#,
    id: |row| row.candidate.clone(),
    made_by: |row| &row.made_by,
};

/// A candidate and its place in the order: a line of what `solace rank` writes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RankedRow {
    pub(crate) candidate: CandidateRow,
    /// From 1, the best.
    pub(crate) rank: usize,
    /// What the order goes by: weighted scores, standardised among the candidates of the place. None of a text without a word, which comes last.
    pub(crate) worth: Option<f64>,
    pub(crate) scores: Scores,
}

/// Rows of candidates in order.
pub(crate) const RANKED_ROWS: RowKind<RankedRow> = RowKind {
    name: "row of `solace rank`",
    beginning: r#"{"candidate":"#,
    id: |row| row.candidate.key(),
    made_by: |row| &row.candidate.made_by,
};

/// What was ranked.
#[derive(Serialize)]
struct Summary {
    places: usize,
    candidates: usize,
    weights: BTreeMap<String, f64>,
    /// Mean scores of the best and of the worst candidates.
    best: BTreeMap<String, f64>,
    worst: BTreeMap<String, f64>,
}

pub(crate) fn run(options: &Rank, format: Format) -> Result<ExitCode, Failure> {
    output_place::check_file(&options.out)?;
    let points = point::read(&options.places.data, options.places.turns, options.places.limit)?;
    let candidates = read_all(&options.candidates)?;
    point::check_same(&points, "candidates", candidates.iter().map(|candidate| candidate.point.as_str()))?;
    let mut judges = Judges::open(&options.judging, &options.runtime, &options.server)?;
    let weights = weights(&options.weights, &judges)?;
    let Some(judged) = judge(&mut judges, &points, &candidates, &journal(&options.out), options.resume)? else {
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    };
    let ranked = ranked(&points, &candidates, &judged, &weights)?;
    write_json_lines(&options.out, &ranked)?;
    let summary = summary(&ranked, weights);
    match format {
        Format::Json => print_json(&summary)?,
        Format::Text => print(&summary, &options.out),
    }
    Ok(ExitCode::SUCCESS)
}

/// Where judgements are kept while they come: `ranked.jsonl` has `ranked.judged.jsonl`.
fn journal(out: &Path) -> PathBuf {
    out.with_extension("judged.jsonl")
}

fn weights(given: &[Weight], judges: &Judges) -> Result<BTreeMap<String, f64>, Failure> {
    let weights: BTreeMap<String, f64> = match given.is_empty() {
        true => judges.counting().into_iter().map(|name| (name.to_owned(), 1.0)).collect(),
        false => given.iter().map(|weight| (weight.name.clone(), weight.value)).collect(),
    };
    match weights.is_empty() {
        true => Err(Failure::wrong_use(
            "nobody judges: name --helpfulness, --adherence, --classifier or --weights of --metrics",
        )),
        false => Ok(weights),
    }
}

/// Judges what a journal does not hold yet, place by place. None after an interrupt.
pub(crate) fn judge(
    judges: &mut Judges,
    points: &[Point],
    candidates: &[CandidateRow],
    journal: &Path,
    resume: bool,
) -> Result<Option<HashMap<String, Scores>>, Failure> {
    let made_by = judges.made_by();
    let mut rows = RowFile::open(journal, resume, &made_by, JUDGED_ROWS)?;
    let mut by_point: HashMap<&str, Vec<&CandidateRow>> = HashMap::new();
    for candidate in candidates {
        by_point.entry(&candidate.point).or_default().push(candidate);
    }
    interrupt::listen();
    let mut bar = Progress::new("judging", rows.rows().len() as u64, candidates.len() as u64);
    for point in points {
        let own = by_point.get(point.id()).map(Vec::as_slice).unwrap_or_default();
        let pending: Vec<&CandidateRow> = own.iter().copied().filter(|one| !rows.contains(&one.key())).collect();
        for (candidate, scores) in pending.iter().zip(judges.scores(point, &pending)?) {
            rows.append(JudgedRow { candidate: candidate.key(), scores, made_by: made_by.clone() })?;
        }
        bar.set(rows.rows().len() as u64);
        if interrupt::was_asked() {
            return Ok(None);
        }
    }
    bar.finish();
    Ok(Some(rows.rows().iter().map(|row| (row.candidate.clone(), row.scores.clone())).collect()))
}

fn ranked(
    points: &[Point],
    candidates: &[CandidateRow],
    judged: &HashMap<String, Scores>,
    weights: &BTreeMap<String, f64>,
) -> Result<Vec<RankedRow>, Failure> {
    let known: Vec<&String> = judged.values().flat_map(BTreeMap::keys).collect();
    if let Some(name) = weights.keys().find(|name| !known.contains(name)) {
        let mut names: Vec<&str> = known.into_iter().map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        return Err(Failure::wrong_use(format!(
            "--weights: no score is called `{name}`; there are {}",
            names.join(", ")
        )));
    }
    let mut all = Vec::new();
    for point in points {
        let own: Vec<(&CandidateRow, &Scores)> = candidates
            .iter()
            .filter(|candidate| candidate.point == point.id())
            .filter_map(|candidate| Some((candidate, judged.get(&candidate.key())?)))
            .collect();
        let worths = worths(&own.iter().map(|(_, scores)| *scores).collect::<Vec<_>>(), weights);
        let mut of_point: Vec<RankedRow> = own
            .into_iter()
            .zip(worths)
            .map(|((candidate, scores), worth)| RankedRow {
                candidate: candidate.clone(),
                rank: 0,
                worth,
                scores: scores.clone(),
            })
            .collect();
        // Of equals the one that came first.
        of_point.sort_by(|left, right| {
            right.worth.unwrap_or(f64::NEG_INFINITY).total_cmp(&left.worth.unwrap_or(f64::NEG_INFINITY))
        });
        for (place, row) in of_point.iter_mut().enumerate() {
            row.rank = place + 1;
        }
        all.extend(of_point);
    }
    Ok(all)
}

/// What each candidate of a place is worth: the weighted sum of its scores, each in standard deviations from the mean of the candidates that have it.
/// A score that is missing, as adherence where no strategy was asked for, counts as the mean; one that is the same for all says nothing.
fn worths(scores: &[&Scores], weights: &BTreeMap<String, f64>) -> Vec<Option<f64>> {
    let mut worths: Vec<Option<f64>> = scores.iter().map(|scores| (!scores.is_empty()).then_some(0.0)).collect();
    for (name, weight) in weights {
        let values: Vec<f64> = scores.iter().filter_map(|scores| scores.get(name).copied()).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt();
        if deviation.is_nan() || deviation == 0.0 {
            continue;
        }
        for (worth, scores) in worths.iter_mut().zip(scores) {
            if let (Some(worth), Some(value)) = (worth.as_mut(), scores.get(name)) {
                *worth += weight * (value - mean) / deviation;
            }
        }
    }
    worths
}

fn summary(ranked: &[RankedRow], weights: BTreeMap<String, f64>) -> Summary {
    let places = ranked.iter().filter(|row| row.rank == 1).count();
    let best: Vec<&RankedRow> = ranked.iter().filter(|row| row.rank == 1).collect();
    let worst: Vec<&RankedRow> =
        ranked.chunk_by(|left, right| left.candidate.point == right.candidate.point).filter_map(<[_]>::last).collect();
    Summary { places, candidates: ranked.len(), weights, best: means(&best), worst: means(&worst) }
}

fn means(rows: &[&RankedRow]) -> BTreeMap<String, f64> {
    let mut sums: BTreeMap<String, (f64, usize)> = BTreeMap::new();
    for (name, value) in rows.iter().flat_map(|row| &row.scores) {
        let (sum, count) = sums.entry(name.clone()).or_default();
        *sum += value;
        *count += 1;
    }
    sums.into_iter().map(|(name, (sum, count))| (name, sum / count as f64)).collect()
}

fn print(summary: &Summary, out: &Path) {
    println!("{}: {} candidates of {} places in order", out.display(), summary.candidates, summary.places);
    println!("{:<24} {:>8} {:>12} {:>12}", "mean of", "weight", "the best", "the worst");
    for (name, best) in &summary.best {
        let weight = summary.weights.get(name).map_or_else(|| "–".to_owned(), |weight| format!("{weight}"));
        let worst = summary.worst.get(name).map_or_else(|| "–".to_owned(), |worst| format!("{worst:.3}"));
        println!("{name:<24} {weight:>8} {best:>12.3} {worst:>12}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(pairs: &[(&str, f64)]) -> Scores {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    #[test]
    fn scores_of_other_units_count_alike() {
        let all = [
            scores(&[("helpfulness", 0.2), ("adherence", 10.0)]),
            scores(&[("helpfulness", 0.4), ("adherence", 30.0)]),
            scores(&[("helpfulness", 0.6), ("adherence", 20.0)]),
            Scores::new(),
        ];
        let all: Vec<&Scores> = all.iter().collect();
        let worths = worths(&all, &BTreeMap::from([("helpfulness".into(), 1.0), ("adherence".into(), 0.5)]));
        // Standardised, three evenly spread values are −√1.5, 0 and √1.5.
        let unit = 1.5_f64.sqrt();
        let expected = [-1.5 * unit, 0.5 * unit, unit];
        assert!(worths.iter().zip(expected).all(|(worth, expected)| (worth.unwrap() - expected).abs() < 1e-12));
        assert_eq!(worths[3], None, "nothing was said");
    }

    #[test]
    fn what_all_have_alike_or_nobody_has_says_nothing() {
        let all = [scores(&[("follows", 1.0), ("helpfulness", 0.1)]), scores(&[("follows", 1.0)])];
        let all: Vec<&Scores> = all.iter().collect();
        let weights = BTreeMap::from([("follows".into(), 1.0), ("adherence".into(), 1.0), ("helpfulness".into(), 1.0)]);
        assert_eq!(worths(&all, &weights), [Some(0.0), Some(0.0)]);
    }
}
