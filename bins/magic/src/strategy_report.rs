//! Inferred strategies against annotated ones.

use std::collections::BTreeMap;
use std::path::Path;

use esc_metrics::classification::{GroupedReport, Labelled};
use serde::{Deserialize, Serialize};

use crate::answer::ParseStatus;
use crate::dialogue::{Dialogue, SampleRule};
use crate::error::Error;
use crate::inferred_answer::InferredAnswer;
use crate::json_file::read_array;
use crate::strategy::Strategy;

/// The annotated strategy of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoldStrategy {
    /// The strategy.
    pub strategy: Strategy,
    /// Number of its dialogue, from 0: strategies of one dialogue are not independent.
    pub dialogue: usize,
}

/// The annotated strategies of all samples, in their order.
pub fn gold_strategies(dialogues: &[Dialogue], rule: SampleRule) -> Vec<GoldStrategy> {
    let of_dialogue = |(dialogue, turns): (usize, &Dialogue)| {
        turns.targets(rule).into_iter().map(move |(_, strategy)| GoldStrategy { strategy, dialogue })
    };
    dialogues.iter().enumerate().flat_map(of_dialogue).collect()
}

/// A label out of a file.
#[derive(Deserialize)]
#[serde(untagged)]
enum Label {
    Name(Strategy),
    Sample { strategy: Strategy },
}

/// Reads annotated strategies: a JSON array of names, or of samples as `magic preprocess` writes them. Which of them are of one dialogue is not
/// known then: each counts as a dialogue of its own.
///
/// # Errors
/// The file can't be read, or an entry names no known strategy; the error tells its number.
pub fn read_gold_strategies(path: &Path) -> Result<Vec<GoldStrategy>, Error> {
    let labels: Vec<Label> = read_array(path, "strategy (a name, or an object with `strategy`)")?;
    let gold = |(dialogue, label)| {
        let (Label::Name(strategy) | Label::Sample { strategy }) = label;
        GoldStrategy { strategy, dialogue }
    };
    Ok(labels.into_iter().enumerate().map(gold).collect())
}

/// How good inferred strategies are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StrategyReport {
    /// Accuracy, F1, confusion and intervals by dialogue.
    #[serde(flatten)]
    pub report: GroupedReport,
    /// How the strategies were found in the answers.
    pub parse_status: BTreeMap<ParseStatus, usize>,
    /// Mean negative log-probability of the annotated strategy, in nats, where all distributions are known. Always naming all eight
    /// alike gives ln 8 = 2.08.
    pub log_loss: Option<f64>,
}

/// Compares what was inferred with the annotation; samples without an answer are passed over. `None` if there is no answer at all.
pub fn strategy_report(gold: &[GoldStrategy], inferred: &[Option<&InferredAnswer>]) -> Option<StrategyReport> {
    let pairs: Vec<(&GoldStrategy, &InferredAnswer)> =
        gold.iter().zip(inferred).filter_map(|(gold, inferred)| Some((gold, (*inferred)?))).collect();
    let names = Strategy::ALL.map(|strategy| strategy.name().to_owned());
    let labels: Vec<usize> = pairs.iter().map(|(gold, _)| gold.strategy.id()).collect();
    let predicted: Vec<usize> = pairs.iter().map(|(_, inferred)| inferred.answer.strategy.id()).collect();
    let groups: Vec<String> = pairs.iter().map(|(gold, _)| gold.dialogue.to_string()).collect();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let report = Labelled::new(&names, &labels, &predicted).and_then(|labelled| labelled.report_by_group(&groups));
    let mut parse_status = BTreeMap::new();
    for (_, inferred) in &pairs {
        *parse_status.entry(inferred.answer.parse_status).or_default() += 1;
    }
    Some(StrategyReport { report: report.ok()?, parse_status, log_loss: log_loss(&pairs) })
}

fn log_loss(pairs: &[(&GoldStrategy, &InferredAnswer)]) -> Option<f64> {
    let losses = pairs.iter().map(|(gold, inferred)| {
        let share = inferred.distribution.as_ref()?.get(&gold.strategy)?;
        // What underflowed is as good as impossible, and no reason for a mean without end.
        Some(-share.max(f64::MIN_POSITIVE).ln())
    });
    let losses: Vec<f64> = losses.collect::<Option<_>>()?;
    (!losses.is_empty()).then(|| losses.iter().sum::<f64>() / losses.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::ParsedAnswer;

    fn answer(strategy: Strategy, parse_status: ParseStatus, share: Option<f64>) -> InferredAnswer {
        let answer = ParsedAnswer { strategy, motivation: String::new(), parse_status, raw: String::new() };
        InferredAnswer { answer, distribution: share.map(|share| BTreeMap::from([(Strategy::Question, share)])) }
    }

    const GOLD: [GoldStrategy; 3] = [
        GoldStrategy { strategy: Strategy::Question, dialogue: 0 },
        GoldStrategy { strategy: Strategy::Question, dialogue: 0 },
        GoldStrategy { strategy: Strategy::Greeting, dialogue: 1 },
    ];

    #[test]
    fn answers_are_compared_in_their_places_and_holes_passed_over() {
        let right = answer(Strategy::Question, ParseStatus::Bracket, Some(0.5));
        let wrong = answer(Strategy::Question, ParseStatus::Fallback, None);
        let report = strategy_report(&GOLD, &[Some(&right), None, Some(&wrong)]).unwrap();
        assert_eq!((report.report.report.items, report.report.report.accuracy), (2, 0.5));
        assert_eq!(report.report.report.confusion[Strategy::Greeting.id()][Strategy::Question.id()], 1);
        assert_eq!(report.report.groups, 2);
        assert_eq!(report.parse_status, BTreeMap::from([(ParseStatus::Bracket, 1), (ParseStatus::Fallback, 1)]));
        assert_eq!(report.log_loss, None);
        let report = strategy_report(&GOLD, &[Some(&right), Some(&right)]).unwrap();
        assert!((report.log_loss.unwrap() - 2.0_f64.ln()).abs() < 1e-12);
        assert_eq!(strategy_report(&GOLD, &[None, None, None]), None);
    }
}
