//! BlenderBot-small's tokenizer with one token for each strategy behind its vocabulary.

use std::path::Path;

use seq2seq::{AddedTokenKind, Seq2SeqTokenizer, TokenizerKind};

use crate::dialogue::Dialogue;
use crate::error::Error;
use crate::strategy::Strategy;

/// Where `thtra prepare` puts a tokenizer that it learned, within its folder.
pub const TOKENIZER_FOLDER: &str = "tokenizer";

/// The word whose token stands before what the seeker will say next.
const LOOK_AHEAD_WORD: &str = "Prediction";

/// A tokenizer that knows the strategies.
#[derive(Debug, Clone)]
pub struct DialogueTokenizer {
    tokenizer: Seq2SeqTokenizer,
    first_strategy: u32,
    look_ahead: Vec<u32>,
}

impl DialogueTokenizer {
    /// Opens the tokenizer of a Hugging Face folder: that of BlenderBot-small, which gets the strategies' tokens, or one that has them.
    ///
    /// # Errors
    /// It can't be read, is another kind of tokenizer, or has some strategies but not all in their order.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        Self::new(Seq2SeqTokenizer::open(folder)?).map_err(|problem| Error::format(folder, problem))
    }

    /// Learns one of about `size` tokens from all texts of dialogues, for a model that begins with nothing. The word behind [`Self::look_ahead`] is among them.
    ///
    /// # Errors
    /// The texts can't be learned from.
    pub fn learn(dialogues: &[Dialogue], size: usize) -> Result<Self, Error> {
        // Twice: what occurs once is not learned.
        let mut texts = vec![LOOK_AHEAD_WORD, LOOK_AHEAD_WORD];
        for dialogue in dialogues {
            texts.push(&dialogue.situation);
            texts.extend(dialogue.turns.iter().map(|turn| turn.text.as_str()));
        }
        Self::new(Seq2SeqTokenizer::learn_blenderbot_small(&texts, size)?).map_err(Error::Setting)
    }

    /// Adds the strategies' tokens to a tokenizer that does not have them.
    ///
    /// # Errors
    /// It is another kind of tokenizer, or has some strategies but not all in their order; for people.
    pub fn new(mut tokenizer: Seq2SeqTokenizer) -> Result<Self, String> {
        if tokenizer.kind() != TokenizerKind::BlenderbotSmall {
            return Err("holds BART's kind of tokenizer: expected that of BlenderBot-small, which facebook/blenderbot_small-90M has".into());
        }
        let tokens = Strategy::ALL.map(Strategy::token);
        let names: Vec<&str> = tokens.iter().map(String::as_str).collect();
        let failed = |error: seq2seq::Seq2SeqError| error.to_string();
        tokenizer.add_tokens(&names, AddedTokenKind::Special).map_err(failed)?;
        let ids: Vec<Option<u32>> = names.iter().map(|name| tokenizer.id(name)).collect();
        let first_strategy = ids.first().copied().flatten().unwrap_or_default();
        if !ids.iter().zip(first_strategy..).all(|(id, expected)| *id == Some(expected)) {
            let order = names.join(" ");
            return Err(format!(
                "the strategies have the ids {ids:?}: expected eight that follow each other, for {order}"
            ));
        }
        let look_ahead = tokenizer.encode(LOOK_AHEAD_WORD).map_err(failed)?;
        Ok(Self { tokenizer, first_strategy, look_ahead })
    }

    /// The tokenizer itself.
    pub fn tokenizer(&self) -> &Seq2SeqTokenizer {
        &self.tokenizer
    }

    /// The ids of a text. Strategies and other special tokens that are written in it are text.
    ///
    /// # Errors
    /// The tokenizer's own rules fail on the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        Ok(self.tokenizer.encode(text)?)
    }

    /// The id of a strategy's token.
    pub fn strategy_id(&self, strategy: Strategy) -> u32 {
        // Eight ids that follow each other, as `new` has seen.
        self.first_strategy + strategy.index() as u32
    }

    /// The strategy whose token an id is.
    pub fn strategy_of(&self, id: u32) -> Option<Strategy> {
        let index = id.checked_sub(self.first_strategy)?;
        Strategy::ALL.get(index as usize).copied()
    }

    /// The id of the first strategy's token: as many as there are other tokens.
    pub fn first_strategy(&self) -> u32 {
        self.first_strategy
    }

    /// What stands before the seeker's next turn: the ids of the word `Prediction`, which is one token of the published vocabulary.
    pub fn look_ahead(&self) -> &[u32] {
        &self.look_ahead
    }

    /// The beginning of every output.
    pub fn bos(&self) -> u32 {
        self.tokenizer.special().bos
    }

    /// The end of every output, and what stands between turns.
    pub fn eos(&self) -> u32 {
        self.tokenizer.special().eos
    }

    /// Fills batches up.
    pub fn pad(&self) -> u32 {
        self.tokenizer.special().pad
    }

    /// Hex SHA-256 of what decides ids, the same for a tokenizer and for one that was saved with a trained model.
    pub fn sha256(&self) -> String {
        self.tokenizer.sha256()
    }
}
