//! BART and BlenderBot-small: one post-norm encoder–decoder, trainable, with cached decoding.
//!
//! An encoder reads a conversation at once; a decoder writes the answer token by token, looking at what it has written and at the encoder's
//! states. [`Seq2SeqModel`] is the whole with the head that shares the token table; [`Encoder`] and [`Decoder`] can be built alone, with
//! token tables of their own, and a decoder looks at any [`HiddenStates`]. Folders are Hugging Face's, both ways. Everything can be trained,
//! from a known model or from nothing, through [`training::Trainer`] and [`Seq2SeqObjective`]:
//!
//! ```
//! use candle_core::Device;
//! use seq2seq::{Architecture, Seq2SeqConfig, Seq2SeqDataset, Seq2SeqObjective, TokenBatch, TrainableSeq2Seq};
//! use training::{Control, Trainer, TrainerOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Seq2SeqConfig { width: 16, ..Seq2SeqConfig::tiny(Architecture::Bart, 10) };
//! let pupil = TrainableSeq2Seq::fresh(&config, 1, &Device::Cpu)?;
//!
//! let mut train = Seq2SeqDataset::new(&config);
//! for (question, answer) in [([4, 5], 6), ([5, 4], 7)] {
//!     train.push(question.to_vec(), &[answer, config.eos_id]);
//! }
//! let objective = Seq2SeqObjective::new(pupil.model.clone());
//! let options = TrainerOptions { max_steps: Some(40), learning_rate: 1e-2, ..TrainerOptions::default() };
//! let trainer = Trainer { objective: &objective, train: &train, evaluation: Vec::new(), options: &options };
//! trainer.run(&pupil.parameters, None, false, &mut |_| Ok(Control::Continue))?;
//!
//! let mut cache = pupil.model.start(&TokenBatch::of([&[4, 5][..], &[5, 4]]))?;
//! let start = config.generation.decoder_start_id;
//! let logits = pupil.model.step(&[start, start], &mut cache)?;
//! assert_eq!(logits.argmax(1)?.to_vec1::<u32>()?, [6, 7]);
//! # Ok(())
//! # }
//! ```
//!
//! # What holds
//!
//! - What a row gives does not depend on the rows beside it: linear layers and norms never see padding, and attention does not look at it.
//!   On the CPU not one bit differs.
//! - Outputs that grow token by token in a [`DecoderCache`] give the logits of whole outputs (to 1e-5), however rows are repeated, permuted and
//!   dropped on the way; rows that continue one input share its keys and values.
//! - Norms, softmax and losses are computed in f32 and have gradients; a test asks for one at every weight.
//!
//! # References
//!
//! arXiv 1910.13461 (BART), 2004.13637 (BlenderBot). Embeddings, hidden states, attention weights, logits, losses, all gradients and AdamW
//! steps are held against transformers on golden files.

mod attention;
mod batch;
mod cache;
mod config;
mod decoder;
mod embeddings;
mod encoder;
mod error;
mod fields;
mod generation;
mod hidden_states;
mod labels;
mod layer;
mod model;
mod norm;
mod objective;
mod pretrained;
pub mod search;
mod sequence_model;
mod token_table;
mod tokenizer;
mod weights;

pub use batch::TokenBatch;
pub use cache::DecoderCache;
pub use config::{Activation, Architecture, Seq2SeqConfig, StackConfig};
pub use decoder::{Decoder, DecoderTrace};
pub use encoder::{Encoder, EncoderTrace};
pub use error::Seq2SeqError;
pub use generation::GenerationDefaults;
pub use hidden_states::HiddenStates;
pub use labels::{Seq2SeqBatch, label_log_probs, shift_right};
pub use model::Seq2SeqModel;
pub use objective::{PERPLEXITY, Seq2SeqDataset, Seq2SeqObjective};
pub use pretrained::TrainableSeq2Seq;
pub use token_table::TokenTable;
pub use tokenizer::{
    AddedTokenKind, Segment, Seq2SeqTokenizer, SpecialIds, TokenizerKind, Truncation, TruncationSide, clean_up_english,
};
pub use weights::Seq2SeqWeights;
