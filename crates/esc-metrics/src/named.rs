//! Metrics by name.

use std::sync::Arc;

use crate::bleu::{CocoBleu, NltkBleu, ReferenceLength, SacreBleu, SacreSmoothing, Smoothing};
use crate::embedding_metric::MeanEmbedding;
use crate::error::Error;
use crate::meteor::{Meteor, MeteorVariant, NltkMeteor};
use crate::meteor_metrics::{CorpusMeteor, MeanNltkMeteor};
use crate::metric::Metric;
use crate::resources::Resources;
use crate::tokenize::{RougeWords, SacreBleuScheme, SacreBleuWords};
use crate::{Chrf, Cider, Distinct, DistinctPerResponse, Entropy, Length, RougeL, RougeScore, TooShort, UnigramF1};

/// A metric that can be asked for by name.
#[derive(Clone, Copy)]
pub struct NamedMetric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    make: fn(&Resources) -> Result<Arc<dyn Metric>, Error>,
}

impl NamedMetric {
    /// The metric with this name.
    ///
    /// # Errors
    /// There is none.
    pub fn by_name(name: &str) -> Result<Self, Error> {
        METRICS.iter().find(|metric| metric.name == name).copied().ok_or_else(|| {
            let known = METRICS.iter().map(|metric| metric.name).collect::<Vec<_>>().join(", ");
            Error::Setting(format!("unknown metric `{name}` (known: {known})"))
        })
    }

    /// Makes it.
    ///
    /// # Errors
    /// A resource that it needs is not there.
    pub fn make(&self, resources: &Resources) -> Result<Arc<dyn Metric>, Error> {
        (self.make)(resources)
    }
}

/// All metrics that have a name.
pub const METRICS: &[NamedMetric] = &[
    NamedMetric {
        name: "bleu-coco",
        about: "BLEU-1 to -4 of the COCO tools and nlg-eval, on NLTK's words, 0 to 1",
        make: |resources| Ok(Arc::new(CocoBleu::new(resources.nltk_words(), ReferenceLength::Closest))),
    },
    NamedMetric {
        name: "bleu-nltk",
        about: "BLEU-1 to -4 of NLTK with smoothing 3, as the thu-coai line uses it, 0 to 1",
        make: |resources| Ok(Arc::new(NltkBleu::new(resources.nltk_words(), Smoothing::Halving)?)),
    },
    NamedMetric {
        name: "sacrebleu",
        about: "BLEU of sacreBLEU with its default tokeniser 13a, 0 to 100",
        make: |_| Ok(Arc::new(SacreBleu::new(SacreBleuWords::new(SacreBleuScheme::V13a), SacreSmoothing::Exp))),
    },
    NamedMetric {
        name: "sacrebleu-intl",
        about: "BLEU of sacreBLEU with the tokeniser intl, 0 to 100",
        make: |_| {
            Ok(Arc::new(SacreBleu::new(SacreBleuWords::new(SacreBleuScheme::International), SacreSmoothing::Exp)))
        },
    },
    NamedMetric { name: "chrf", about: "chrF2 of sacreBLEU, 0 to 100", make: |_| Ok(Arc::new(Chrf::new())) },
    NamedMetric { name: "chrf++", about: "chrF2++ of sacreBLEU, 0 to 100", make: |_| Ok(Arc::new(Chrf::with_words())) },
    NamedMetric {
        name: "rouge-l-coco",
        about: "ROUGE-L of the COCO tools and nlg-eval (β 1.2), 0 to 1",
        make: |resources| Ok(Arc::new(RougeL::coco(resources.nltk_words()))),
    },
    NamedMetric {
        name: "rouge-l-thu-coai",
        about: "ROUGE-L of the thu-coai line (β 1.2), 0 to 1",
        make: |resources| Ok(Arc::new(RougeL::thu_coai(resources.nltk_words()))),
    },
    NamedMetric {
        name: "rouge",
        about: "ROUGE-1, -2, -L and -Lsum of rouge-score, F1, 0 to 1",
        make: |_| Ok(Arc::new(RougeScore::new(RougeWords::default()))),
    },
    NamedMetric {
        name: "rouge-stem",
        about: "the same on Porter's stems",
        make: |_| Ok(Arc::new(RougeScore::new(RougeWords::stemmed()))),
    },
    NamedMetric {
        name: "meteor",
        about: "METEOR 1.5; without its tables (SOLACE_METEOR) its exact and stem modules only, and named so; 0 to 1",
        make: |resources| Ok(Arc::new(CorpusMeteor::new(resources.best_meteor()?))),
    },
    NamedMetric {
        name: "meteor-exact",
        about: "METEOR 1.5, exact module only, 0 to 1",
        make: |_| Ok(Arc::new(CorpusMeteor::new(Meteor::new(MeteorVariant::Exact, None)?))),
    },
    NamedMetric {
        name: "meteor-exact-stem",
        about: "METEOR 1.5, exact and stem modules only, 0 to 1",
        make: |_| Ok(Arc::new(CorpusMeteor::new(Meteor::new(MeteorVariant::ExactStem, None)?))),
    },
    NamedMetric {
        name: "meteor-nlg-eval",
        about: "METEOR as nlg-eval calls it: on NLTK's words joined by a space",
        make: |resources| Ok(Arc::new(CorpusMeteor::new(resources.best_meteor()?).after(resources.nltk_words()))),
    },
    NamedMetric {
        name: "meteor-nltk",
        about: "NLTK's meteor_score, with WordNet where it is found, mean over items, 0 to 1",
        make: |resources| {
            Ok(Arc::new(MeanNltkMeteor::new(NltkMeteor::new(resources.wordnet.clone()), resources.nltk_words())))
        },
    },
    NamedMetric {
        name: "cider",
        about: "CIDEr of the COCO tools (with clipping and length penalty), 0 to 10",
        make: |resources| Ok(Arc::new(Cider::coco(resources.nltk_words()))),
    },
    NamedMetric {
        name: "cider-plain",
        about: "CIDEr as its paper defines it first: the cosine alone, 0 to 10",
        make: |resources| Ok(Arc::new(Cider::plain(resources.nltk_words()))),
    },
    NamedMetric {
        name: "distinct",
        about: "Distinct-1 to -3 over all hypotheses, 0 to 1",
        make: |resources| Ok(Arc::new(Distinct::corpus(resources.nltk_words()))),
    },
    NamedMetric {
        name: "distinct-thu-coai",
        about: "Distinct-1 to -3 without the last n-gram of every response, as the thu-coai line computes it",
        make: |resources| Ok(Arc::new(Distinct::thu_coai(resources.nltk_words()))),
    },
    NamedMetric {
        name: "distinct-per-response",
        about: "Distinct-1 to -3 within responses, mean over those long enough, 0 to 1",
        make: |resources| Ok(Arc::new(DistinctPerResponse::new(resources.nltk_words(), TooShort::Skip))),
    },
    NamedMetric {
        name: "entropy",
        about: "entropy of n-grams, orders 1 to 4, and share of different ones, as the thu-coai line computes them",
        make: |_| Ok(Arc::new(Entropy)),
    },
    NamedMetric {
        name: "f1",
        about: "unigram F1 of the thu-coai line, 0 to 1",
        make: |resources| Ok(Arc::new(UnigramF1::thu_coai(resources.nltk_words()))),
    },
    NamedMetric {
        name: "f1-parlai",
        about: "unigram F1 of ParlAI, 0 to 1",
        make: |_| Ok(Arc::new(UnigramF1::parlai())),
    },
    NamedMetric {
        name: "length",
        about: "NLTK's words per hypothesis",
        make: |resources| Ok(Arc::new(Length::new(resources.nltk_words()))),
    },
    NamedMetric {
        name: "embedding",
        about: "embedding average, extrema and greedy; needs word vectors; -1 to 1",
        make: |resources| match &resources.vectors {
            Some(vectors) => Ok(Arc::new(MeanEmbedding::new(vectors.clone(), resources.embedding_words()))),
            None => Err(Error::Setting("embedding needs word vectors: name a file in GloVe's text format".into())),
        },
    },
];
