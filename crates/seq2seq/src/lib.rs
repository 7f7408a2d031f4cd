//! BART and BlenderBot-small: one post-norm encoder–decoder, trainable, with cached decoding.

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
mod packing;
mod pretrained;
mod token_table;
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
pub use weights::Seq2SeqWeights;
