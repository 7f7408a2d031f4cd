//! How helpful is a response? Models of annotators who disagree, their calibration, and candidates in order for alignment.
//!
//! A record holds a context, a response to it and what several annotators think of it ([`HelpfulnessRecord`]). A model learns from it on top of a frozen
//! BERT: [`PreferenceModel`] is d-PM, which takes the annotators' votes for a prior and combines it with its own posterior ([`loss`]);
//! [`OrdinalModel`] takes ratings and knows whose they are. Both score responses ([`ResponseScorer`]), and [`CalibrationReport`] tells how sure they may be.
//! What they say of several candidates for one context puts these in order ([`ranked`]), and [`AlignmentObjective`] teaches the order to any model that
//! gives probabilities of tokens ([`training::SequenceModel`]).
//!
//! ```
//! use candle_core::Device;
//! use helpfulness::{
//!     AnyModel, Exchange, FrozenEncoder, HelpfulnessConfig, LabelTable, NetworkOptions, PreferenceDataset, PreferenceLoss, PreferenceObjective,
//!     Simulation, TrainableHelpfulness,
//! };
//! use training::{Control, Trainer, TrainerOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A BERT would be opened: FrozenEncoder::open(folder, &device).
//! let encoder = FrozenEncoder::fresh(&Simulation::words(), 64, 1, &Device::Cpu)?;
//!
//! let labels = LabelTable::published(2)?;
//! let mut config = HelpfulnessConfig::preference(labels.clone());
//! config.network = NetworkOptions { prefix_length: 2, hidden: 16, ..config.network };
//! config.layout.longest = 64;
//! let pupil = TrainableHelpfulness::fresh(encoder, config, 1)?;
//! let AnyModel::Preference(model) = &pupil.model.model else { unreachable!() };
//!
//! let records: Vec<_> = Simulation::new(0.5, 1).records("training", 10, 4).into_iter().map(|simulated| simulated.record).collect();
//! let train = PreferenceDataset::of_records(&records, &labels, &pupil.model.config.layout, pupil.model.encoder.tokenizer())?;
//! let objective = PreferenceObjective::new(model.clone(), PreferenceLoss::Rq);
//! let options = TrainerOptions { max_steps: Some(60), learning_rate: 5e-3, ..TrainerOptions::default() };
//! let trainer = Trainer { objective: &objective, train: &train, evaluation: Vec::new(), options: &options };
//! trainer.run(&pupil.parameters, None, false, &mut |_| Ok(Control::Continue))?;
//!
//! let exchange = |response| Exchange { situation: "work", context: "you feel today", response };
//! let scores = pupil.model.score(&[exchange("listen and understand"), exchange("shame this fault")])?;
//! assert!(scores[0].helpfulness > scores[1].helpfulness);
//! # Ok(())
//! # }
//! ```
//!
//! # What holds
//!
//! - A response's score does not depend on the responses beside it: on the CPU not one bit differs. ([`Mask::Inverted`], which reproduces the published
//!   code, is the exception.)
//! - Every trained tensor gets a gradient, and nothing of the encoder does; a test asks for both.
//! - d-PM's loss looks for *the* class of a response and ends near certainty; it is no estimate of how annotators divide. [`PreferenceLoss::Soft`] and the
//!   ordinal model are: a test trains all of them on simulated raters.
//!
//! # References
//!
//! Wang et al., "Aligning Language Models with Human Preferences via a Bayesian Approach", NeurIPS 2023, arXiv 2310.05782 (d-PM and the ranking); Rolf et al.,
//! arXiv 2202.14000 (implicit posteriors); Lv et al. 2024 (ThTra). Scores, losses, all gradients and rankings are held against the published code on
//! golden files.

mod alignment;
mod calibration;
mod candidates;
mod dataset;
mod encoder;
mod error;
mod folds;
mod input;
mod labels;
pub mod loss;
mod network;
mod objective;
mod ordinal;
mod preference;
mod pretrained;
mod prior;
pub mod ranking;
mod record;
mod score;
mod simulation;
mod weights;

pub use alignment::{
    AlignmentLosses, AlignmentObjective, AlignmentOptions, LIKELIHOOD_LOSS, ORDERED, PERPLEXITY, RANKING_LOSS,
    ScoreMode, published_alignment_options,
};
pub use calibration::{
    AnnotatorReport, CalibrationReport, ConstantForecast, Forecast, ReliabilityBin, accuracy, brier_score,
    calibration_error, rank_correlation, reliability,
};
pub use candidates::{RankedSample, RankingDataset, ScoredCandidate, ranked};
pub use dataset::{PreferenceBatch, PreferenceDataset, PreferenceExample};
pub use encoder::FrozenEncoder;
pub use error::HelpfulnessError;
pub use folds::{Fold, fold_of, folds_by_conversation, read_held_out};
pub use input::{EncodedExchange, Exchange, ExchangeLayout};
pub use labels::LabelTable;
pub use network::{Mask, NetworkOptions, ResponseNetwork};
pub use objective::{
    ACCURACY, CALIBRATION_ERROR, DIVERGENCE, PreferenceLoss, PreferenceObjective, SPEARMAN, published_options,
};
pub use ordinal::{OrdinalModel, OrdinalObjective, OrdinalOptions, RATING_LOSS, RatedDataset, RatedExample};
pub use preference::PreferenceModel;
pub use pretrained::{AnyModel, HelpfulnessConfig, HelpfulnessKind, HelpfulnessModel, TrainableHelpfulness};
pub use prior::{SMOOTHING, Votes};
pub use record::{AnnotatedResponse, ConversationId, HelpfulnessRecord, RecordFile, write_records};
pub use score::{ResponseScorer, Score};
pub use simulation::{SimulatedRecord, Simulation};
pub use weights::TrainedWeights;
