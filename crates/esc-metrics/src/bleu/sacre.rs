//! BLEU as sacreBLEU computes it (Post, 2018), 0 to 100.

use std::sync::Arc;

use super::BleuCounts;
use crate::metric::{ItemView, Metric};
use crate::ngram::MAX_ORDER;
use crate::tokenize::{SacreBleuWords, Tokenizer};

/// The release of sacreBLEU whose numbers these are.
pub(crate) const VERSION: &str = "2.6.0";

/// What becomes of orders without a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SacreSmoothing {
    /// Nothing: the score is 0.
    None,
    /// 0.1 matches.
    Floor,
    /// One match and one n-gram more, from order 2 on.
    AddK,
    /// Half a match, a quarter for the next empty order, and so on.
    #[default]
    Exp,
}

impl SacreSmoothing {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Floor => "floor",
            Self::AddK => "add-k",
            Self::Exp => "exp",
        }
    }
}

/// BLEU of sacreBLEU, 0 to 100, with its tokenisations and smoothings: `100 · BP · exp(¼ Σ ln pₙ)`, with the clipped precisions `pₙ` of n-grams
/// of order 1 to 4, summed over the corpus, and `BP = exp(1 − r/h)` where the hypotheses (`h` words) are shorter than the closest references (`r`),
/// else 1.
#[derive(Debug, Clone, Copy)]
pub struct SacreBleu {
    words: SacreBleuWords,
    smoothing: SacreSmoothing,
    effective_order: bool,
}

impl SacreBleu {
    /// A corpus score: all four orders count.
    pub fn new(words: SacreBleuWords, smoothing: SacreSmoothing) -> Self {
        Self { words, smoothing, effective_order: false }
    }

    /// As `sentence_bleu` does: only orders that the hypothesis is long enough for count.
    pub fn with_effective_order(self) -> Self {
        Self { effective_order: true, ..self }
    }

    /// The score of counts, 0 to 100, and its precisions in percent.
    pub fn value(&self, counts: &BleuCounts) -> (f64, [f64; MAX_ORDER]) {
        let mut precisions = [0.0; MAX_ORDER];
        if counts.matches.iter().all(|matches| *matches == 0.0) {
            return (0.0, precisions);
        }
        let mut halved = 1.0;
        let mut orders = MAX_ORDER;
        for (at, precision) in precisions.iter_mut().enumerate() {
            let more = if self.smoothing == SacreSmoothing::AddK && at > 0 { 1.0 } else { 0.0 };
            let (found, total) = (counts.matches[at] + more, counts.totals[at] + more);
            if total == 0.0 {
                break;
            }
            if self.effective_order {
                orders = at + 1;
            }
            *precision = match self.smoothing {
                _ if found > 0.0 => 100.0 * found / total,
                SacreSmoothing::Exp => {
                    halved /= 2.0;
                    100.0 * halved / total
                }
                SacreSmoothing::Floor => 100.0 * 0.1 / total,
                SacreSmoothing::AddK | SacreSmoothing::None => 0.0,
            };
        }
        (brevity_penalty(counts) * geometric_mean(&precisions[..orders]), precisions)
    }
}

fn brevity_penalty(counts: &BleuCounts) -> f64 {
    let BleuCounts { hypothesis_length, reference_length, .. } = *counts;
    match hypothesis_length {
        0.0 => 0.0,
        length if length < reference_length => (1.0 - reference_length / length).exp(),
        _ => 1.0,
    }
}

fn geometric_mean(precisions: &[f64]) -> f64 {
    if precisions.contains(&0.0) {
        return 0.0;
    }
    (precisions.iter().map(|precision| precision.ln()).sum::<f64>() / precisions.len() as f64).exp()
}

impl Metric for SacreBleu {
    /// sacreBLEU's own signature, but for the number of references.
    fn signature(&self) -> String {
        let case = if self.words.is_lowercase() { "lc" } else { "mixed" };
        let effective = if self.effective_order { "yes" } else { "no" };
        let (tokens, smoothing) = (self.words.scheme().name(), self.smoothing.name());
        format!("bleu|sacrebleu|case:{case}|eff:{effective}|tok:{tokens}|smooth:{smoothing}|version:{VERSION}")
    }

    fn names(&self) -> Vec<String> {
        vec!["bleu".into()]
    }

    fn tokenizer(&self) -> Option<Arc<dyn Tokenizer>> {
        Some(Arc::new(self.words))
    }

    fn measure(&self, item: ItemView<'_>) -> Vec<f64> {
        BleuCounts::of(&item.tokens.hypothesis, &item.tokens.references).row()
    }

    fn values_of_sums(&self, sums: &[f64], _items: usize) -> Vec<f64> {
        vec![self.value(&BleuCounts::from_row(sums)).0]
    }
}
