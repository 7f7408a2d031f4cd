//! How varied responses are: Distinct-n (Li et al., 2016), entropy, Self-BLEU, lengths.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::bleu::{Smoothing, sentence_bleu};
use crate::corpus::{Item, TokenId, Vocabulary};
use crate::error::Error;
use crate::metric::{ItemView, Metric, Statistics, means, share};
use crate::ngram::{MAX_ORDER, Ngram, count_of, ngrams};
use crate::tokenize::{Tokenizer, WhiteSpace};

/// Orders that Distinct is printed for.
const ORDERS: usize = 3;

/// Different n-grams over all n-grams of all hypotheses: `distinct-n|corpus`, 0 to 1.
///
/// Samples with repetition would make any model look dull, so this metric is not resampled.
#[derive(Clone)]
pub struct Distinct {
    tokenizer: Arc<dyn Tokenizer>,
    /// Leaves out the last n-gram of every response, as the thu-coai code does.
    drops_last: bool,
}

impl Distinct {
    /// The ratio over the corpus.
    pub fn corpus(tokenizer: Arc<dyn Tokenizer>) -> Self {
        Self { tokenizer, drops_last: false }
    }

    /// As the thu-coai line computes it, where windows end one short of the text: `distinct-n|thu-coai`. A response of n tokens has no n-gram there.
    pub fn thu_coai(tokenizer: Arc<dyn Tokenizer>) -> Self {
        Self { tokenizer, drops_last: true }
    }

    fn grams<'a>(&self, tokens: &'a [TokenId], order: usize) -> impl Iterator<Item = Ngram> + 'a {
        let kept = count_of(tokens.len(), order).saturating_sub(usize::from(self.drops_last));
        ngrams(tokens, order).take(kept)
    }
}

impl Metric for Distinct {
    fn signature(&self) -> String {
        let variant = if self.drops_last { "thu-coai" } else { "corpus" };
        format!("distinct|{variant}|tok:{}", self.tokenizer.name())
    }

    fn names(&self) -> Vec<String> {
        distinct_names()
    }

    fn tokenizer(&self) -> Option<Arc<dyn Tokenizer>> {
        Some(self.tokenizer.clone())
    }

    fn keeps_tokens(&self) -> bool {
        true
    }

    fn can_be_resampled(&self) -> bool {
        false
    }

    fn measure(&self, _item: ItemView<'_>) -> Vec<f64> {
        Vec::new()
    }

    fn values_of_sums(&self, _sums: &[f64], _items: usize) -> Vec<f64> {
        Vec::new()
    }

    fn score(&self, statistics: &Statistics, items: &mut dyn Iterator<Item = usize>) -> Vec<f64> {
        let items: Vec<&[TokenId]> = items.map(|item| &statistics.tokens()[item].hypothesis[..]).collect();
        (1..=ORDERS)
            .map(|order| {
                let mut different = HashSet::new();
                let mut all = 0usize;
                for gram in items.iter().flat_map(|tokens| self.grams(tokens, order)) {
                    different.insert(gram);
                    all += 1;
                }
                share(different.len(), all)
            })
            .collect()
    }
}

/// What a response without any n-gram counts in [`DistinctPerResponse`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooShort {
    /// As 0.
    Zero,
    /// Not at all.
    Skip,
}

/// The mean over hypotheses of different n-grams over all n-grams: `distinct-n|per-response`, 0 to 1.
#[derive(Clone)]
pub struct DistinctPerResponse {
    tokenizer: Arc<dyn Tokenizer>,
    too_short: TooShort,
}

impl DistinctPerResponse {
    /// With this tokenisation.
    pub fn new(tokenizer: Arc<dyn Tokenizer>, too_short: TooShort) -> Self {
        Self { tokenizer, too_short }
    }
}

impl Metric for DistinctPerResponse {
    fn signature(&self) -> String {
        let short = if self.too_short == TooShort::Zero { "zero" } else { "skip" };
        format!("distinct|per-response|tok:{}|short:{short}", self.tokenizer.name())
    }

    fn names(&self) -> Vec<String> {
        distinct_names()
    }

    fn tokenizer(&self) -> Option<Arc<dyn Tokenizer>> {
        Some(self.tokenizer.clone())
    }

    /// The ratio of each order, and whether it has one.
    fn measure(&self, item: ItemView<'_>) -> Vec<f64> {
        let tokens = &item.tokens.hypothesis;
        (1..=ORDERS)
            .flat_map(|order| {
                let all = count_of(tokens.len(), order);
                let counts = all > 0 || self.too_short == TooShort::Zero;
                let different: HashSet<Ngram> = ngrams(tokens, order).collect();
                [share(different.len(), all), f64::from(u8::from(counts))]
            })
            .collect()
    }

    fn values_of_sums(&self, sums: &[f64], _items: usize) -> Vec<f64> {
        sums.chunks_exact(2).map(|order| if order[1] == 0.0 { 0.0 } else { order[0] / order[1] }).collect()
    }
}

/// Tokens per hypothesis, the mean: `length`.
#[derive(Clone)]
pub struct Length {
    tokenizer: Arc<dyn Tokenizer>,
}

impl Length {
    /// With this tokenisation.
    pub fn new(tokenizer: Arc<dyn Tokenizer>) -> Self {
        Self { tokenizer }
    }
}

impl Metric for Length {
    fn signature(&self) -> String {
        format!("length|tok:{}", self.tokenizer.name())
    }

    fn names(&self) -> Vec<String> {
        vec!["length".into()]
    }

    fn tokenizer(&self) -> Option<Arc<dyn Tokenizer>> {
        Some(self.tokenizer.clone())
    }

    fn measure(&self, item: ItemView<'_>) -> Vec<f64> {
        vec![item.tokens.hypothesis.len() as f64]
    }

    fn values_of_sums(&self, sums: &[f64], items: usize) -> Vec<f64> {
        means(sums, items)
    }
}

/// Entropy of the distribution of n-grams (nats) and the share of different ones, orders 1 to 4, over all hypotheses: `entropy|thu-coai`. Tokens are those between
/// white space, and totals get 1e-10 more, as in the original.
#[derive(Debug, Clone, Copy, Default)]
pub struct Entropy;

impl Metric for Entropy {
    fn signature(&self) -> String {
        "entropy|thu-coai|tok:ws".into()
    }

    fn names(&self) -> Vec<String> {
        let of = |what: &str| (1..=MAX_ORDER).map(|order| format!("{what}-{order}")).collect::<Vec<_>>();
        [of("entropy"), of("div")].concat()
    }

    fn tokenizer(&self) -> Option<Arc<dyn Tokenizer>> {
        Some(Arc::new(WhiteSpace))
    }

    fn keeps_tokens(&self) -> bool {
        true
    }

    fn can_be_resampled(&self) -> bool {
        false
    }

    fn measure(&self, _item: ItemView<'_>) -> Vec<f64> {
        Vec::new()
    }

    fn values_of_sums(&self, _sums: &[f64], _items: usize) -> Vec<f64> {
        Vec::new()
    }

    fn score(&self, statistics: &Statistics, items: &mut dyn Iterator<Item = usize>) -> Vec<f64> {
        let items: Vec<&[TokenId]> = items.map(|item| &statistics.tokens()[item].hypothesis[..]).collect();
        let orders: Vec<(f64, f64)> = (1..=MAX_ORDER).map(|order| entropy(&items, order)).collect();
        orders.iter().map(|(entropy, _)| *entropy).chain(orders.iter().map(|(_, share)| *share)).collect()
    }
}

fn entropy(items: &[&[TokenId]], order: usize) -> (f64, f64) {
    let mut counted: HashMap<Ngram, u64> = HashMap::new();
    for gram in items.iter().flat_map(|tokens| ngrams(tokens, order)) {
        *counted.entry(gram).or_insert(0) += 1;
    }
    let mut counts: Vec<u64> = counted.into_values().collect();
    // A map has no order of its own, and sums of floats depend on theirs.
    counts.sort_unstable();
    let total = counts.iter().sum::<u64>() as f64 + 1e-10;
    let entropy = counts.iter().map(|count| *count as f64 / total).map(|share| -share * share.ln()).sum();
    (entropy, counts.len() as f64 / total)
}

/// Self-BLEU (Zhu et al., 2018): each hypothesis against others as references, NLTK's sentence BLEU with smoothing 1, the mean; 0 to 1, high
/// where all say the same.
///
/// The cost grows with the square of the number of texts, so at most `most` of them, drawn by `seed`, are compared. Returns BLEU-2, BLEU-3 and BLEU-4 and how many texts were
/// compared.
///
/// # Errors
/// There are fewer than two texts.
pub fn self_bleu(
    texts: &[String],
    tokenizer: &dyn Tokenizer,
    most: usize,
    seed: u64,
) -> Result<([f64; 3], usize), Error> {
    let chosen = texts.len().min(most);
    if chosen < 2 {
        return Err(Error::Empty("Self-BLEU compares texts with one another and needs at least two"));
    }
    let mut places = sample(&mut ChaCha8Rng::seed_from_u64(seed), texts.len(), chosen).into_vec();
    places.sort_unstable();
    let items: Vec<Item> =
        places.iter().map(|place| Item { hypothesis: texts[*place].clone(), references: Vec::new() }).collect();
    let mut vocabulary = Vocabulary::default();
    let tokens: Vec<Vec<TokenId>> =
        vocabulary.tokenize(&items, tokenizer).into_iter().map(|item| item.hypothesis).collect();
    let scores = (0..chosen).into_par_iter().map(|own| against_others(&tokens, own)).collect::<Result<Vec<_>, _>>()?;
    let mean = |at: usize| scores.iter().map(|score| score[at]).sum::<f64>() / chosen as f64;
    Ok(([mean(0), mean(1), mean(2)], chosen))
}

fn against_others(tokens: &[Vec<TokenId>], own: usize) -> Result<[f64; 3], Error> {
    let others: Vec<Vec<TokenId>> =
        tokens.iter().enumerate().filter(|(at, _)| *at != own).map(|(_, tokens)| tokens.clone()).collect();
    let mut scores = [0.0; 3];
    for (score, order) in scores.iter_mut().zip(2..) {
        *score = sentence_bleu(&tokens[own], &others, order, Smoothing::Epsilon)?;
    }
    Ok(scores)
}

fn distinct_names() -> Vec<String> {
    (1..=ORDERS).map(|order| format!("distinct-{order}")).collect()
}
