//! One test binary; a module per subject.

mod agreement;
mod bleu;
mod cider;
mod classification;
mod correlation;
mod diversity;
mod embedding;
mod encoder;
#[cfg(feature = "front")]
mod front;
mod goldens;
mod judge;
mod meteor;
#[cfg(feature = "model")]
mod model_perplexity;
mod perplexity;
mod rouge;
mod significance;
mod suite;
mod tokenize;
