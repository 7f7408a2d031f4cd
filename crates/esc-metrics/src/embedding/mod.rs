//! Word-vector scores: how alike two texts are by the vectors of their words (embedding average, extrema, greedy
//! matching).
//!
//! The formulas are those of nlg-eval, its quirks included, so that numbers can be laid beside published ones. Vectors
//! come from a text file, e.g. GloVe's 6B tokens with 300 dimensions, and texts are tokens. For nlg-eval's numbers
//! these are NLTK's, made twice: published programs hand it NLTK's tokens joined by spaces, and it splits them with
//! NLTK again (`i'd 've` becomes `i 'd 've`).
//!
//! ```
//! use std::io::Cursor;
//! use esc_metrics::embedding::WordVectors;
//!
//! let file = Cursor::new("glad 0.9 0.1\nhappy 0.8 0.2\nrain -0.1 -0.7\n");
//! let vectors = WordVectors::from_reader("toy", file)?;
//! let near = vectors.scores(&["glad"], &[["happy"]])?.unwrap();
//! let far = vectors.scores(&["glad"], &[["rain"]])?.unwrap();
//! assert!(near.average > 0.9 && far.average < 0.0);
//! # Ok::<(), esc_metrics::Error>(())
//! ```

mod scores;
mod vectors;

pub use scores::{EmbeddingReport, EmbeddingScores};
pub use vectors::WordVectors;

pub(crate) use scores::{dot, normalise};
