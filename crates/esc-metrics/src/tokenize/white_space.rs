//! Tokens between white space.

use super::Tokenizer;

/// Splits at Unicode white space and keeps the case: `ws`. For texts that were tokenised before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WhiteSpace;

/// Lower-cases and splits at Unicode white space: `ws-lower`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WhiteSpaceLower;

/// Splits at every single space, so that an empty text is one empty token: `space`. The COCO tools' ROUGE-L does this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SingleSpace;

impl Tokenizer for WhiteSpace {
    fn name(&self) -> String {
        "ws".into()
    }
    fn tokenize(&self, text: &str, token: &mut dyn FnMut(&str)) {
        text.split_whitespace().for_each(token);
    }
}

impl Tokenizer for WhiteSpaceLower {
    fn name(&self) -> String {
        "ws-lower".into()
    }
    fn tokenize(&self, text: &str, token: &mut dyn FnMut(&str)) {
        text.to_lowercase().split_whitespace().for_each(token);
    }
}

impl Tokenizer for SingleSpace {
    fn name(&self) -> String {
        "space".into()
    }
    fn tokenize(&self, text: &str, token: &mut dyn FnMut(&str)) {
        text.split(' ').for_each(token);
    }
}
