//! BERT and RoBERTa encoders, trainable: hidden states, sentence embeddings, sequence classification.
//!
//! An encoder reads a whole text at once and gives each token a vector that knows its surroundings. With a head on the first
//! token it tells classes apart ([`TextClassifier`]: which support strategy does a response follow?); the mean over all tokens is
//! a vector of the text ([`SentenceEncoder`]). Folders are Hugging Face's, both ways. Everything can be trained from the first
//! layer on, through [`training::Trainer`] and [`ClassificationObjective`], from a known encoder or from nothing:
//!
//! ```
//! use candle_core::Device;
//! use text_encoder::{
//!     ClassificationDataset, ClassificationObjective, EncoderConfig, EncoderTokenizer, ReadingOptions, TrainableClassifier,
//!     learn_pieces,
//! };
//! use training::{Control, Trainer, TrainerOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let texts = ["it will get better", "you sound sad", "better days will come", "that sounds so sad"];
//! let tokenizer = EncoderTokenizer::word_piece(&learn_pieces(&texts, 200)?)?;
//! let labels = vec!["hope".to_owned(), "reflection".to_owned()];
//! let config = EncoderConfig { hidden_size: 16, layers: 1, ..EncoderConfig::tiny(tokenizer.vocabulary_size(), 0) };
//! let model = TrainableClassifier::fresh(config, tokenizer, labels, 1, &Device::Cpu)?;
//!
//! let mut train = ClassificationDataset::new();
//! for (number, text) in texts.iter().enumerate() {
//!     train.push(model.classifier.tokenizer.encode(text, 128)?, number % 2);
//! }
//! let objective = ClassificationObjective::new(model.classifier.model.clone());
//! let options = TrainerOptions { max_steps: Some(40), learning_rate: 1e-2, ..TrainerOptions::default() };
//! let trainer = Trainer { objective: &objective, train: &train, evaluation: Vec::new(), options: &options };
//! trainer.run(&model.parameters, None, false, &mut |_| Ok(Control::Continue))?;
//!
//! let found = model.classifier.predict(&["you sound sad"], &ReadingOptions::default())?;
//! assert_eq!(model.classifier.labels[found[0].class], "reflection");
//! # Ok(())
//! # }
//! ```
//!
//! # What holds
//!
//! - What an encoder makes of a text does not depend on the texts beside it in a batch: linear layers and norms never see padding,
//!   and attention does not look at it (tested to 1e-6).
//! - No text can become a control token.
//! - Norms, softmax and losses are computed in f32 and have gradients; a test asks for one at every weight.
//!
//! # References
//!
//! arXiv 1810.04805 (BERT), 1907.11692 (RoBERTa). Embeddings, hidden states, logits, losses, all gradients and AdamW steps are held
//! against transformers on golden files.

mod attention;
mod batch;
mod classifier;
mod config;
mod embeddings;
mod encoder;
mod error;
mod inference;
mod layer;
mod norm;
mod objective;
mod prefix;
mod pretrained;
mod scoring;
mod tokenizer;
mod vocabulary;
mod weights;

pub use batch::EncoderBatch;
pub use classifier::SequenceClassifier;
pub use config::{Architecture, EncoderConfig};
pub use encoder::{EncoderOutput, TextEncoder};
pub use error::EncoderError;
pub use inference::ReadingOptions;
pub use objective::{ACCURACY, ClassificationBatch, ClassificationDataset, ClassificationObjective, MACRO_F1};
pub use prefix::{LayerPrefix, Prefixes};
pub use pretrained::{Prediction, SentenceEncoder, TextClassifier, TrainableClassifier, write_encoder};
pub use scoring::ScoringEncoder;
pub use tokenizer::EncoderTokenizer;
pub use vocabulary::learn_pieces;
pub use weights::EncoderWeights;
