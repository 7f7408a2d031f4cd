//! A tokenisation of what a tokenisation made.

use std::sync::Arc;

use super::Tokenizer;

/// Cuts a text, joins the tokens by a space, and cuts that again. nlg-eval's word-vector scores see texts that way when they are handed tokens: in `i'd've`, NLTK finds the
/// second ending only the second time.
#[derive(Clone)]
pub struct Twice {
    tokenizer: Arc<dyn Tokenizer>,
}

impl Twice {
    /// With the same tokenizer both times.
    pub fn new(tokenizer: Arc<dyn Tokenizer>) -> Self {
        Self { tokenizer }
    }
}

impl Tokenizer for Twice {
    fn name(&self) -> String {
        format!("{}-twice", self.tokenizer.name())
    }

    fn tokenize(&self, text: &str, token: &mut dyn FnMut(&str)) {
        self.tokenizer.tokenize(&self.tokenizer.tokens(text).join(" "), token);
    }
}
