//! x
use super::Tokenizer;
/// x
#[derive(Debug, Clone, Default)]
pub struct RougeWords;
impl Tokenizer for RougeWords {
    fn name(&self) -> String {
        "rouge-score".into()
    }
    fn tokenize(&self, text: &str, token: &mut dyn FnMut(&str)) {
        text.split_whitespace().for_each(token)
    }
}
