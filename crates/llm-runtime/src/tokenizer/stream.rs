//! Decoding token by token.
//!
//! A token's text can depend on its neighbours: bytes make up a character together, and the first blank of a text is
//! dropped. So a few tokens are decoded together, and text is given out when it can't change any more.

use super::Tokenizer;

/// Decodes tokens one by one; what it gives, put together, is what [`Tokenizer::decode_text`] gives for all of them.
pub struct DecodeStream<'a> {
    tokenizer: &'a Tokenizer,
    /// The last token whose text was given out, and those after it.
    window: Vec<u32>,
    /// Bytes of the window's text that were given out.
    given: usize,
}

impl<'a> DecodeStream<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer, window: Vec::new(), given: 0 }
    }

    /// Adds a token; gives the text that it completes.
    pub fn push(&mut self, id: u32) -> Option<String> {
        if self.tokenizer.is_control(id) {
            return None;
        }
        self.window.push(id);
        if self.tokenizer.is_byte(id) {
            return None;
        }
        let text = self.tokenizer.decode_text(&self.window);
        // An incomplete character at the end may become another one.
        if text.ends_with(char::REPLACEMENT_CHARACTER) {
            return None;
        }
        let new = text.get(self.given..).unwrap_or_default().to_owned();
        self.window.drain(..self.window.len() - 1);
        self.given = self.tokenizer.decode_text(&self.window).len();
        (!new.is_empty()).then_some(new)
    }

    /// Gives what was held back.
    pub fn finish(&mut self) -> String {
        let text = self.tokenizer.decode_text(&self.window);
        let new = text.get(self.given..).unwrap_or_default().to_owned();
        self.given = text.len();
        new
    }
}
