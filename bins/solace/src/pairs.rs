//! `solace pairs`: the best and the worst candidate of each place, for alignment.

use std::collections::BTreeSet;
use std::process::ExitCode;

use command_line::{Failure, Format, output_place, print_json};
use dpo::{PairText, PreferencePair, write_pairs};
use llm_runtime::seeded_stream;
use rand::seq::SliceRandom;
use serde::Serialize;
use serde_json::{Map, Value};
use strategy_prompting::{SystemRole, read_rows};

use crate::arguments::Pairs;
use crate::point::{self, Point};
use crate::rank::{RANKED_ROWS, RankedRow};
use crate::realise::Prompting;

/// What was made.
#[derive(Serialize)]
struct Summary {
    train: usize,
    validation: usize,
    test: usize,
    /// Places whose candidates are too near to each other, or too few.
    left_out: usize,
}

pub(crate) fn run(options: &Pairs, format: Format) -> Result<ExitCode, Failure> {
    output_place::check_folder(&options.out)?;
    let points = point::read(&options.places.data, options.places.turns, options.places.limit)?;
    let ranked = read_rows(&options.ranked, RANKED_ROWS)?;
    point::check_same(&points, "ranked candidates", ranked.iter().map(|row| row.candidate.point.as_str()))?;
    let prompting = Prompting::open(options.layout, "train", &options.instruction, "esconv8")?;
    let mut pairs = Vec::new();
    for point in &points {
        pairs.extend(pair(point, &ranked, options.margin, &prompting)?);
    }
    if pairs.is_empty() {
        let problem = format!(
            "{}: no two candidates of a place are {} apart: lower --margin",
            options.ranked.display(),
            options.margin
        );
        return Err(Failure::work(problem));
    }
    let left_out = points.len() - pairs.len();
    let parts = divided(pairs, options.held_out, options.seed);
    std::fs::create_dir_all(&options.out).map_err(Failure::at(&options.out))?;
    for (name, pairs) in ["train", "validation", "test"].into_iter().zip(&parts) {
        write_pairs(&options.out.join(format!("{name}.jsonl")), pairs)?;
    }
    let [train, validation, test] = parts.map(|pairs| pairs.len());
    if validation == 0 {
        tracing::warn!(
            "no pairs to validate or to test with, which `persuasion train` wants: take places of three conversations or more, by a larger --limit say"
        );
    }
    let summary = Summary { train, validation, test, left_out };
    match format {
        Format::Json => print_json(&summary)?,
        Format::Text => println!(
            "{}: {train} pairs to learn from, {validation} to validate with, {test} to test with; {left_out} places gave none",
            options.out.display()
        ),
    }
    Ok(ExitCode::SUCCESS)
}

/// The best against the worst, if they are far enough apart and not the same text.
fn pair(
    point: &Point,
    ranked: &[RankedRow],
    margin: f64,
    prompting: &Prompting,
) -> Result<Option<PreferencePair>, Failure> {
    let own = || ranked.iter().filter(|row| row.candidate.point == point.id());
    let better = own().filter_map(|row| Some((row, row.worth?))).max_by(|left, right| left.1.total_cmp(&right.1));
    let worse = own().filter_map(|row| Some((row, row.worth?))).min_by(|left, right| left.1.total_cmp(&right.1));
    let (Some((chosen, most)), Some((rejected, least))) = (better, worse) else { return Ok(None) };
    let distance = most - least;
    if distance < margin || distance <= 0.0 || chosen.candidate.text == rejected.candidate.text {
        return Ok(None);
    }
    // Where the system text goes is the model's affair: whoever trains renders the chat.
    let messages = prompting.messages(point, None, SystemRole::Native)?;
    let strategy = |row: &RankedRow| row.candidate.strategy.clone().map_or(Value::Null, Value::from);
    let other = Map::from_iter([
        ("chosen_strategy".to_owned(), strategy(chosen)),
        ("rejected_strategy".to_owned(), strategy(rejected)),
        ("distance".to_owned(), distance.into()),
    ]);
    Ok(Some(PreferencePair {
        id: point.id().to_owned(),
        group: point.conversation().to_owned(),
        prompt: PairText::Chat(messages),
        chosen: chosen.candidate.text.clone(),
        rejected: rejected.candidate.text.clone(),
        other,
    }))
}

/// Divided by conversations: train, validation and test. As many conversations as there are shares keep one each, if there are three.
fn divided(pairs: Vec<PreferencePair>, held_out: f64, seed: u64) -> [Vec<PreferencePair>; 3] {
    let groups: BTreeSet<&str> = pairs.iter().map(|pair| pair.group.as_str()).collect();
    let mut groups: Vec<String> = groups.into_iter().map(str::to_owned).collect();
    groups.shuffle(&mut seeded_stream(seed, "pairs"));
    let each = if groups.len() < 3 { 0 } else { ((groups.len() as f64 * held_out).round() as usize).max(1) };
    let place = |pair: &PreferencePair| groups.iter().position(|group| *group == pair.group).unwrap_or(0);
    let mut parts = [Vec::new(), Vec::new(), Vec::new()];
    for pair in pairs {
        let place = place(&pair);
        let part = if place < each {
            1
        } else if place < 2 * each {
            2
        } else {
            0
        };
        parts[part].push(pair);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversations_are_not_divided() {
        let pair = |number: usize| PreferencePair {
            id: number.to_string(),
            group: format!("conversation {}", number / 2),
            prompt: PairText::Plain(String::new()),
            chosen: "a".into(),
            rejected: "b".into(),
            other: Map::new(),
        };
        let parts = divided((0..40).map(pair).collect(), 0.1, 1);
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [32, 4, 4]);
        let groups = |part: usize| parts[part].iter().map(|pair| pair.group.clone()).collect::<BTreeSet<_>>();
        assert!(
            groups(0).is_disjoint(&groups(1)) && groups(1).is_disjoint(&groups(2)) && groups(0).is_disjoint(&groups(2))
        );
        assert_eq!(parts, divided((0..40).map(pair).collect(), 0.1, 1), "by the seed alone");
        let few = divided((0..4).map(pair).collect(), 0.1, 1);
        assert_eq!(few.map(|part| part.len()), [4, 0, 0]);
    }
}
