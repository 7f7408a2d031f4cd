//! Tokenisations, each by its name in signatures.
//!
//! No score means anything without its tokenisation, so every metric names the one it used. A [`Tokenizer`] hands out tokens one by
//! one; a [`crate::Vocabulary`] turns them into numbers once for all metrics that share a tokenisation.

pub(crate) mod characters;
mod coco_ptb;
mod magic_cleanup;
mod meteor_norm;
mod nltk;
mod parlai;
mod punkt;
mod rewrite;
mod rouge;
mod sacrebleu;
mod twice;
mod white_space;

pub use coco_ptb::CocoPtb;
pub use magic_cleanup::clean_hypothesis;
pub use meteor_norm::MeteorNorm;
pub use nltk::{NltkVersion, NltkWords};
pub use parlai::ParlaiWords;
pub use punkt::{Punkt, PunktParameters};
pub use rouge::RougeWords;
pub use sacrebleu::{SacreBleuScheme, SacreBleuWords};
pub use twice::Twice;
pub use white_space::{SingleSpace, WhiteSpace, WhiteSpaceLower};

/// Cuts a text into tokens.
pub trait Tokenizer: Send + Sync {
    /// Its name in signatures, e.g. `nltk-lower:3.10`.
    fn name(&self) -> String;

    /// Calls `token` with every token of `text`, in order. Never panics, whatever the text holds.
    fn tokenize(&self, text: &str, token: &mut dyn FnMut(&str));

    /// The tokens of a text.
    fn tokens(&self, text: &str) -> Vec<String> {
        let mut tokens = Vec::new();
        self.tokenize(text, &mut |token| tokens.push(token.to_owned()));
        tokens
    }
}
