//! One test binary; a module per subject.

mod agreement;
mod bleu;
mod cider;
mod classification;
mod correlation;
mod diversity;
mod embedding;
#[cfg(feature = "front")]
mod front;
mod goldens;
mod judge;
mod meteor;
mod perplexity;
mod rouge;
mod significance;
mod suite;
mod tokenize;
