//! A conversation that goes on: what the model reads of it.

use seq2seq::Truncation;

use crate::dialogue::{Author, Dialogue, Turn};
use crate::error::Error;
use crate::sample::Layout;
use crate::strategy::Strategy;
use crate::tokenizer::DialogueTokenizer;
use crate::white_space::normalised;

/// What the seeker says and what is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The seeker's words.
    pub said: String,
    /// The answer.
    pub answer: String,
    /// The strategy that it follows; none of a model that knows none.
    pub strategy: Option<Strategy>,
}

/// What was said so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conversation {
    /// The exchanges, oldest first.
    pub exchanges: Vec<Exchange>,
}

impl Conversation {
    /// What the encoder reads when the seeker says something next: as [`crate::Sample::encoder_ids`], at most `longest` ids, the newest ones.
    ///
    /// # Errors
    /// The tokenizer's own rules fail on a text.
    pub fn encoder_ids(
        &self,
        said: &str,
        tokenizer: &DialogueTokenizer,
        layout: Layout,
        longest: usize,
    ) -> Result<Vec<u32>, Error> {
        let before = self.exchanges.iter().flat_map(|exchange| {
            let strategy = exchange.strategy.filter(|_| layout != Layout::Vanilla);
            [(None, exchange.said.as_str()), (strategy, exchange.answer.as_str())]
        });
        let mut ids = Vec::new();
        for (place, (strategy, text)) in before.chain([(None, said)]).enumerate() {
            if place > 0 {
                ids.push(tokenizer.eos());
            }
            ids.extend(strategy.map(|strategy| tokenizer.strategy_id(strategy)));
            ids.extend(tokenizer.encode(&normalised(text))?);
        }
        Ok(Truncation::left(longest).cut(&ids).to_vec())
    }

    /// As a dialogue for files. An answer without a strategy is of [`Strategy::Others`] there.
    pub fn dialogue(&self) -> Dialogue {
        let turns = self.exchanges.iter().flat_map(|exchange| {
            let supporter = Author::Supporter(exchange.strategy.unwrap_or(Strategy::Others));
            [
                Turn { text: normalised(&exchange.said), author: Author::Seeker },
                Turn { text: normalised(&exchange.answer), author: supporter },
            ]
        });
        let (emotion_type, problem_type, situation) = Default::default();
        Dialogue { emotion_type, problem_type, situation, turns: turns.collect() }
    }
}
