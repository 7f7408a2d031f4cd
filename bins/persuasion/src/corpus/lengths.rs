//! How long prompts and replies are, what will be cut, and how far one gets by preferring what is longer.

use std::collections::{BTreeMap, HashMap};

use dpo::PreferencePair;
use esc_metrics::interval::{quantile, wilson};
use llm_runtime::{Tokenizer, TokenizerError};
use rayon::prelude::*;
use serde::Serialize;

use super::cleaning::words;
use super::error::CorpusError;
use super::pair_file::text_of;
use super::pair_maker::Example;
use super::part::Part;

/// The confidence of intervals.
const CONFIDENCE: f64 = 0.95;

/// What a training cuts at, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Of a prompt.
    pub prompt: usize,
    /// Of a prompt with a reply.
    pub whole: usize,
}

/// Lengths of texts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// Half of them are at most so long.
    pub median: f64,
    /// Nine tenths are.
    pub p90: f64,
    /// 99 of 100 are.
    pub p99: f64,
    /// The longest.
    pub longest: usize,
}

/// How often the longer reply is the chosen one: what a model has to beat.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LongerWins {
    /// Its share; a tie counts as half.
    pub accuracy: f64,
    /// Wilson's 95 % interval of it, as if pairs were independent.
    pub interval: (f64, f64),
    /// Pairs of equally long replies.
    pub ties: usize,
}

/// Lengths in one unit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InUnit {
    /// Of prompts, one for each pair.
    pub prompt: Spread,
    /// Of chosen replies.
    pub chosen: Spread,
    /// Of rejected replies.
    pub rejected: Spread,
    /// Mean of chosen − rejected.
    pub mean_difference: f64,
    /// What length alone tells.
    pub longer_wins: LongerWins,
}

/// Shares of what is longer than the limits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cut {
    /// The limits.
    pub limits: Limits,
    /// Share of pairs whose prompt is longer than its limit.
    pub prompts: f64,
    /// Share of pairs with a reply that does not fit beside its prompt, which is cut before.
    pub pairs: f64,
}

/// Lengths of a part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartLengths {
    /// Pairs.
    pub pairs: usize,
    /// Groups.
    pub groups: usize,
    /// In words.
    pub words: InUnit,
    /// In tokens, if there is a tokenizer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<InUnit>,
    /// What will be cut, if there is a tokenizer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
}

/// Lengths of prompt, chosen and rejected.
type Lengths = [usize; 3];

/// The lengths of each part, and of `all`.
///
/// # Errors
/// The tokenizer fails on a text.
pub fn lengths(
    examples: &[Example],
    tokenizer: Option<(&Tokenizer, Limits)>,
) -> Result<BTreeMap<&'static str, PartLengths>, CorpusError> {
    let tokens = tokenizer.map(|(tokenizer, _)| token_counts(examples, tokenizer)).transpose()?;
    let limits = tokenizer.map(|(_, limits)| limits);
    let names = Part::ALL.map(|part| (part.name(), Some(part)));
    let mut all = BTreeMap::new();
    for (name, part) in names.into_iter().chain([("all", None)]) {
        let places: Vec<usize> =
            (0..examples.len()).filter(|place| part.is_none() || examples[*place].part == part).collect();
        if places.is_empty() {
            continue;
        }
        let pairs: Vec<&PreferencePair> = places.iter().map(|place| &examples[*place].pair).collect();
        let in_words: Vec<Lengths> = pairs.iter().map(|pair| texts_of(pair).map(|text| words(&text))).collect();
        let in_tokens: Option<Vec<Lengths>> =
            tokens.as_ref().map(|tokens| places.iter().map(|place| tokens[*place]).collect());
        let groups: std::collections::HashSet<&str> = pairs.iter().map(|pair| pair.group.as_str()).collect();
        let lengths = PartLengths {
            pairs: pairs.len(),
            groups: groups.len(),
            words: in_unit(&in_words)?,
            cut: in_tokens.as_ref().zip(limits).map(|(tokens, limits)| cut(tokens, limits)),
            tokens: in_tokens.as_deref().map(in_unit).transpose()?,
        };
        all.insert(name, lengths);
    }
    Ok(all)
}

fn texts_of(pair: &PreferencePair) -> [String; 3] {
    [text_of(&pair.prompt), pair.chosen.clone(), pair.rejected.clone()]
}

/// Texts occur in many pairs: each is encoded once.
fn token_counts(examples: &[Example], tokenizer: &Tokenizer) -> Result<Vec<Lengths>, CorpusError> {
    let texts: Vec<[String; 3]> = examples.iter().map(|example| texts_of(&example.pair)).collect();
    let mut different: Vec<&str> = texts.iter().flatten().map(String::as_str).collect();
    different.sort_unstable();
    different.dedup();
    let count = |text: &str| tokenizer.encode(text).map(|encoding| encoding.ids.len());
    let counts = different.par_iter().map(|text| Ok((*text, count(text)?))).collect::<Result<_, TokenizerError>>();
    let counts: HashMap<&str, usize> = counts.map_err(|error| CorpusError::Text(error.to_string()))?;
    let of = |text: &String| counts.get(text.as_str()).copied().unwrap_or_default();
    Ok(texts.iter().map(|[prompt, chosen, rejected]| [of(prompt), of(chosen), of(rejected)]).collect())
}

fn in_unit(lengths: &[Lengths]) -> Result<InUnit, CorpusError> {
    let column = |at: usize| spread(lengths.iter().map(|lengths| lengths[at]).collect());
    let difference: f64 = lengths.iter().map(|[_, chosen, rejected]| *chosen as f64 - *rejected as f64).sum();
    Ok(InUnit {
        prompt: column(0),
        chosen: column(1),
        rejected: column(2),
        mean_difference: difference / lengths.len().max(1) as f64,
        longer_wins: longer_wins(lengths)?,
    })
}

fn spread(mut lengths: Vec<usize>) -> Spread {
    lengths.sort_unstable();
    let sorted: Vec<f64> = lengths.iter().map(|length| *length as f64).collect();
    let at = |share: f64| quantile(&sorted, share).unwrap_or_default();
    Spread {
        mean: sorted.iter().sum::<f64>() / sorted.len().max(1) as f64,
        median: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        longest: lengths.last().copied().unwrap_or_default(),
    }
}

fn longer_wins(lengths: &[Lengths]) -> Result<LongerWins, CorpusError> {
    let wins = lengths.iter().filter(|[_, chosen, rejected]| chosen > rejected).count();
    let ties = lengths.iter().filter(|[_, chosen, rejected]| chosen == rejected).count();
    let interval =
        wilson(wins + ties / 2, lengths.len(), CONFIDENCE).map_err(|error| CorpusError::Text(error.to_string()))?;
    Ok(LongerWins {
        accuracy: (wins as f64 + ties as f64 / 2.0) / lengths.len().max(1) as f64,
        interval: interval.unwrap_or_default(),
        ties,
    })
}

fn cut(tokens: &[Lengths], limits: Limits) -> Cut {
    let share = |is_cut: &dyn Fn(&Lengths) -> bool| {
        tokens.iter().filter(|lengths| is_cut(lengths)).count() as f64 / tokens.len().max(1) as f64
    };
    let overflows =
        |[prompt, chosen, rejected]: &Lengths| (*prompt).min(limits.prompt) + (*chosen).max(*rejected) > limits.whole;
    Cut { limits, prompts: share(&|lengths| lengths[0] > limits.prompt), pairs: share(&overflows) }
}
