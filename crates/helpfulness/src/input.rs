//! What the model reads: `[CLS] situation [CLS] context [CLS] response [SEP]`.

use serde::{Deserialize, Serialize};
use text_encoder::EncoderTokenizer;

use crate::HelpfulnessError;

/// A response and what it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange<'a> {
    /// The seeker's description of their situation.
    pub situation: &'a str,
    /// What the seeker said last.
    pub context: &'a str,
    /// What the supporter answers.
    pub response: &'a str,
}

/// How exchanges become tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExchangeLayout {
    /// Tokens of an input at most. Each part loses its end beyond so many tokens, the response's closing token included; then the whole loses
    /// its beginning.
    pub longest: usize,
    /// Whether the situation stands in front. Without it: `[CLS] context [CLS] response [SEP]`.
    pub with_situation: bool,
}

impl Default for ExchangeLayout {
    fn default() -> Self {
        Self { longest: 160, with_situation: true }
    }
}

/// An exchange as tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedExchange {
    ids: Vec<u32>,
    /// Where the response begins.
    response: usize,
}

impl EncodedExchange {
    /// From tokens of which those from `response` on are the response's.
    ///
    /// # Errors
    /// No token is the response's.
    pub fn new(ids: Vec<u32>, response: usize) -> Result<Self, HelpfulnessError> {
        if response >= ids.len() {
            let problem = format!("an input of {} tokens none of which is the response's", ids.len());
            return Err(HelpfulnessError::Invalid(problem));
        }
        Ok(Self { ids, response })
    }

    /// All tokens.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Number of tokens; never 0.
    pub fn token_count(&self) -> usize {
        self.ids.len()
    }

    /// Where the response begins among them.
    pub fn response(&self) -> usize {
        self.response
    }

    /// The type of each token: 1 for the response and the token that closes it, 0 before.
    pub fn token_types(&self) -> Vec<u32> {
        (0..self.ids.len()).map(|place| u32::from(place >= self.response)).collect()
    }
}

impl ExchangeLayout {
    /// The tokens of an exchange.
    ///
    /// # Errors
    /// There is room for no token, or a text can't be tokenised.
    pub fn encode(
        &self,
        exchange: &Exchange<'_>,
        tokenizer: &EncoderTokenizer,
    ) -> Result<EncodedExchange, HelpfulnessError> {
        if self.longest == 0 {
            return Err(HelpfulnessError::Invalid("inputs of at most 0 tokens: at least 1 is needed".into()));
        }
        let part = |text: &str| -> Result<Vec<u32>, HelpfulnessError> {
            let mut ids = tokenizer.encode_part(text)?;
            ids.truncate(self.longest);
            Ok(ids)
        };
        let mut ids = Vec::new();
        for text in self.with_situation.then_some(exchange.situation).into_iter().chain([exchange.context]) {
            ids.push(tokenizer.first());
            ids.extend(part(text)?);
        }
        ids.push(tokenizer.first());
        let mut response = part(exchange.response)?;
        response.push(tokenizer.last());
        response.truncate(self.longest);
        let kept_before = self.longest - response.len();
        ids.drain(..ids.len().saturating_sub(kept_before));
        let begin = ids.len();
        ids.extend(response);
        EncodedExchange::new(ids, begin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokenizer() -> EncoderTokenizer {
        let pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "sad", "i", "am", "tell", "me"];
        EncoderTokenizer::word_piece(&pieces.map(str::to_owned)).unwrap()
    }

    const EXCHANGE: Exchange<'_> = Exchange { situation: "sad", context: "i am sad", response: "tell me" };

    #[test]
    fn the_three_parts_stand_behind_their_marks() {
        let encoded = ExchangeLayout::default().encode(&EXCHANGE, &tokenizer()).unwrap();
        assert_eq!(encoded.ids(), [2, 5, 2, 6, 7, 5, 2, 8, 9, 3]);
        assert_eq!(encoded.token_types(), [0, 0, 0, 0, 0, 0, 0, 1, 1, 1]);
        let without = ExchangeLayout { with_situation: false, ..ExchangeLayout::default() };
        assert_eq!(without.encode(&EXCHANGE, &tokenizer()).unwrap().ids(), [2, 6, 7, 5, 2, 8, 9, 3]);
    }

    #[test]
    fn the_response_stays_as_long_as_anything_does() {
        let encode = |longest| {
            let layout = ExchangeLayout { longest, ..ExchangeLayout::default() };
            layout.encode(&EXCHANGE, &tokenizer()).unwrap().ids().to_vec()
        };
        assert_eq!(encode(5), [5, 2, 8, 9, 3]);
        assert_eq!(encode(2), [8, 9]);
    }

    #[test]
    fn no_text_becomes_a_mark() {
        let exchange = Exchange { response: "tell [CLS] [SEP]", ..EXCHANGE };
        let encoded = ExchangeLayout::default().encode(&exchange, &tokenizer()).unwrap();
        assert_eq!(encoded.ids().iter().filter(|id| [2, 3].contains(id)).count(), 4);
    }

    #[test]
    fn inputs_without_room_or_response_are_refused() {
        let layout = ExchangeLayout { longest: 0, ..ExchangeLayout::default() };
        assert!(layout.encode(&EXCHANGE, &tokenizer()).is_err());
        assert!(EncodedExchange::new(vec![2, 3], 2).is_err());
        let silent = ExchangeLayout::default().encode(&Exchange { response: "", ..EXCHANGE }, &tokenizer()).unwrap();
        assert_eq!(silent.ids().last(), Some(&3));
    }
}
