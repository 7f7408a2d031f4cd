//! ParlAI's normalised words.
use super::Tokenizer;
/// x
#[derive(Debug, Clone, Copy, Default)]
pub struct ParlaiWords;
impl Tokenizer for ParlaiWords {
    fn name(&self) -> String {
        "parlai".into()
    }
    fn tokenize(&self, text: &str, token: &mut dyn FnMut(&str)) {
        text.split_whitespace().for_each(token)
    }
}
