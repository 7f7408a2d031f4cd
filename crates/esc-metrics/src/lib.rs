//! Scores of generated responses: every metric a named variant with a signature, equal to the reference tools.
//!
//! "BLEU-4" is a dozen numbers: tokenisation, smoothing and the way items are added up all differ between the tools that papers
//! used. Here each variant has a name of its own, and a report prints it beside the value.
//!
//! ```
//! use esc_metrics::interval::Resampling;
//! use esc_metrics::{Item, Preset, Resources, Suite};
//!
//! let references = ["I hear how tired you are.", "What happened then?", "You did all you could."];
//! let system = |responses: [&str; 3]| -> Vec<Item> {
//!     responses.into_iter().zip(references).map(|(response, reference)| Item::new(response, reference)).collect()
//! };
//! // The numbers that a line of papers prints, as it prints them.
//! let suite = Suite::preset(Preset::ThuCoai, &Resources::built_in())?;
//! let first = suite.score(system(["I hear how you are.", "What happened?", "You did what you could."]))?;
//! let second = suite.score(system(["I see.", "And then?", "Good."]))?;
//!
//! let f1 = first.rows().into_iter().find(|row| row.name == "f1").unwrap();
//! assert_eq!(f1.signature, "f1|thu-coai|tok:nltk-lower:3.10:own-punkt|x100");
//! assert!((80.0..90.0).contains(&f1.value));
//!
//! // Is the difference more than chance? Conversations are drawn whole: here each response is one of its own.
//! let compared = first.compare(&second, &["a", "b", "c"], Some(&Resampling::default()))?;
//! let f1 = compared.iter().find(|row| row.name == "f1").unwrap();
//! assert!(f1.comparison.as_ref().unwrap().bootstrap.difference.low > 0.0);
//! # Ok::<(), esc_metrics::Error>(())
//! ```
//!
//! From the inside out: [`tokenize`] cuts texts as NLTK, sacreBLEU, METEOR and others do; a [`Metric`] takes a few numbers of each [`Item`] from which the
//! score of any selection of items follows; a [`Scorer`] measures many at a time; a [`Suite`] is a set of them by name ([`METRICS`]) or by lineage
//! ([`Preset`]). Beside scores of texts there are [`classification`] and [`preference_bias`] of strategies, [`perplexity`], [`agreement`] of
//! annotators, [`judge`] reports, [`correlation`]s, [`interval`]s and tests of [`significance`].
//!
//! Models score too: [`MeanBertScore`] and [`SentenceSimilarity`] ask an [`Encoder`] (the crate `text-encoder` has one), and with the feature `model` any
//! `llm_runtime::TextModel` gives a [`perplexity`].
//!
//! Tables of NLTK, METEOR and WordNet are not part of the crate; [`Resources::find`] reads them where they are installed, and signatures tell what was missing. With the
//! feature `front` a program gets the command line of `score`.

pub mod agreement;
pub mod bertscore;
pub mod bleu;
pub mod breakdown;
mod chrf;
mod cider;
pub mod classification;
mod corpus;
pub mod correlation;
mod diversity;
pub mod embedding;
mod embedding_metric;
mod encoder_metrics;
mod error;
mod failure;
#[cfg(feature = "front")]
pub mod front;
pub mod interval;
pub mod judge;
mod lcs;
pub mod meteor;
mod meteor_metrics;
mod metric;
#[cfg(feature = "model")]
mod model_perplexity;
mod named;
pub mod ngram;
pub mod perplexity;
pub mod preference_bias;
mod resources;
mod rouge;
mod scorer;
pub mod significance;
mod stem;
mod suite;
pub mod text_table;
pub mod tokenize;
mod unigram_f1;

pub use chrf::Chrf;
pub use cider::{Cider, DocumentFrequencies};
pub use corpus::{Item, TokenId, TokenItem, Vocabulary};
pub use diversity::{Distinct, DistinctPerResponse, Entropy, Length, TooShort, self_bleu};
pub use embedding_metric::MeanEmbedding;
pub use encoder_metrics::{EncodedText, Encoder, MeanBertScore, SentenceSimilarity};
pub use error::Error;
pub use meteor_metrics::{CorpusMeteor, MeanNltkMeteor};
pub use metric::{ItemView, Metric, Statistics};
#[cfg(feature = "model")]
pub use model_perplexity::ModelPerplexity;
pub use named::{METRICS, NamedMetric};
pub use resources::{ResourceFolders, Resources};
pub use rouge::{PrecisionRecall, RougeL, RougeScore};
pub use scorer::{Measured, Scorer};
pub use suite::{ComparedRow, Preset, ScoreRow, Scored, Suite};
pub use unigram_f1::UnigramF1;
