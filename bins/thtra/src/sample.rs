//! Samples: what the model reads, and what it shall say; in three layouts.
//!
//! Every supporter turn but one that opens its dialogue is a sample. The encoder reads all turns before it with EOS between them, newest last;
//! the decoder says the strategy's token, the turn and EOS, and in a second stream the seeker's situation.

use std::fmt;

use rayon::prelude::*;
use seq2seq::{TokenBatch, Truncation, shift_right};
use serde::{Deserialize, Serialize};

use crate::dialogue::{Author, Dialogue, Turn};
use crate::error::Error;
use crate::strategy::Strategy;
use crate::tokenizer::DialogueTokenizer;
use crate::white_space::normalised;

/// What samples hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Strategies before the supporter's turns. For all but the first stage, and for inference.
    Strat,
    /// The same, and the seeker's next turn as the last thing that is read, where the seeker has the next turn. For the first stage, which so
    /// learns what answers lead to; it shortens the history that fits.
    StratLookAhead,
    /// No strategies and no situation.
    Vanilla,
}

impl Layout {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Strat, Self::StratLookAhead, Self::Vanilla];

    /// Its name on a command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Strat => "strat",
            Self::StratLookAhead => "strat-look-ahead",
            Self::Vanilla => "vanilla",
        }
    }

    /// Reads its name.
    ///
    /// # Errors
    /// It is none; for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|layout| layout.name() == text);
        found.ok_or_else(|| format!("expected {}", Self::ALL.map(Self::name).join(", ")))
    }

    /// Whether its samples have strategies.
    pub fn has_strategies(self) -> bool {
        self != Self::Vanilla
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How many tokens may stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lengths {
    /// Tokens that the encoder reads at most; the oldest give way. Default 160.
    pub max_input_length: usize,
    /// Tokens of a response, its end included, at most; the strategy's token comes on top, and a situation may have one more as well. The last ones
    /// give way, so that a text that is cut has no end. Default 40.
    pub max_decoder_input_length: usize,
}

impl Default for Lengths {
    fn default() -> Self {
        Self { max_input_length: 160, max_decoder_input_length: 40 }
    }
}

impl Lengths {
    /// Says which length leaves no room for anything.
    ///
    /// # Errors
    /// A length is 0.
    pub fn check(&self) -> Result<(), Error> {
        let lengths =
            [("max-input-length", self.max_input_length), ("max-decoder-input-length", self.max_decoder_input_length)];
        match lengths.into_iter().find(|(_, length)| *length == 0) {
            Some((name, _)) => Err(Error::Setting(format!("--{name} 0 leaves no room for a token: give at least 1"))),
            None => Ok(()),
        }
    }
}

/// One supporter turn as token sequences. The order of the fields is that of the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Number of the dialogue in its file, from 0.
    pub dialogue: usize,
    /// Number of the turn within the dialogue, from 0.
    pub turn: usize,
    /// The annotated strategy.
    pub strategy: Strategy,
    /// What the encoder reads: neither BOS nor a last EOS.
    pub encoder_ids: Vec<u32>,
    /// What the decoder shall say: the strategy's token (not with [`Layout::Vanilla`]), the turn, EOS.
    pub labels: Vec<u32>,
    /// What the decoder shall say in its second stream: the situation, EOS. Empty with [`Layout::Vanilla`].
    pub situation_labels: Vec<u32>,
    /// Whether the encoder reads the seeker's next turn.
    pub look_ahead: bool,
}

impl Sample {
    /// What the decoder is fed for labels: the same, one place later, behind BOS.
    pub fn decoder_ids(labels: &[u32], bos: u32) -> Vec<u32> {
        let labels: Vec<Option<u32>> = labels.iter().copied().map(Some).collect();
        shift_right(&labels, bos, bos)
    }
}

/// A stream of the decoder for some samples together: what it is fed and what it shall say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DecoderStream {
    /// What the decoder is fed.
    pub outputs: TokenBatch,
    /// What it shall say at each of its places.
    pub labels: Vec<Option<u32>>,
}

impl DecoderStream {
    pub(crate) fn push(&mut self, labels: &[u32], bos: u32) {
        self.outputs.push(&Sample::decoder_ids(labels, bos));
        self.labels.extend(labels.iter().copied().map(Some));
    }
}

/// What samples are made of, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleCounts {
    /// Samples.
    pub samples: usize,
    /// Those whose encoder reads the seeker's next turn.
    pub with_look_ahead: usize,
    /// Those whose history was too long.
    pub inputs_cut: usize,
    /// Those whose response was too long.
    pub responses_cut: usize,
    /// Tokens that encoders read.
    pub encoder_tokens: usize,
    /// Labels of responses.
    pub label_tokens: usize,
    /// Labels of situations.
    pub situation_tokens: usize,
}

/// The samples of a file and what they are made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Encoded {
    /// The samples in the order of the file.
    pub samples: Vec<Sample>,
    /// Their numbers.
    pub counts: SampleCounts,
}

/// Dialogues whose texts are tokens, to be laid out in one layout or several.
pub struct EncodedDialogues<'a> {
    tokenizer: &'a DialogueTokenizer,
    dialogues: Vec<EncodedDialogue>,
}

struct EncodedDialogue {
    situation: Vec<u32>,
    turns: Vec<EncodedTurn>,
}

struct EncodedTurn {
    ids: Vec<u32>,
    author: Author,
}

impl<'a> EncodedDialogues<'a> {
    /// Encodes all texts, on all threads.
    ///
    /// # Errors
    /// The tokenizer's own rules fail on a text.
    pub fn new(tokenizer: &'a DialogueTokenizer, dialogues: &[Dialogue]) -> Result<Self, Error> {
        let dialogues = dialogues.par_iter().map(|dialogue| EncodedDialogue::new(tokenizer, dialogue));
        Ok(Self { tokenizer, dialogues: dialogues.collect::<Result<_, _>>()? })
    }

    /// The samples in one layout.
    pub fn lay_out(&self, layout: Layout, lengths: Lengths) -> Encoded {
        let mut encoded = Encoded::default();
        for (number, dialogue) in self.dialogues.iter().enumerate() {
            self.lay_out_dialogue(number, dialogue, layout, lengths, &mut encoded);
        }
        encoded
    }

    fn lay_out_dialogue(
        &self,
        number: usize,
        dialogue: &EncodedDialogue,
        layout: Layout,
        lengths: Lengths,
        encoded: &mut Encoded,
    ) {
        let eos = self.tokenizer.eos();
        let situation_labels = match layout.has_strategies() {
            true => self.labels(None, &dialogue.situation, lengths.max_decoder_input_length + 1).0,
            false => Vec::new(),
        };
        let mut history: Vec<u32> = Vec::new();
        for (place, turn) in dialogue.turns.iter().enumerate() {
            let strategy_id = match turn.author {
                Author::Supporter(strategy) if layout.has_strategies() => Some(self.tokenizer.strategy_id(strategy)),
                _ => None,
            };
            if let (Author::Supporter(strategy), 1..) = (turn.author, place) {
                let next = (layout == Layout::StratLookAhead).then(|| dialogue.seekers_turn(place + 1)).flatten();
                let (encoder_ids, is_input_cut) = self.encoder_ids(&history, next, lengths.max_input_length);
                let longest = lengths.max_decoder_input_length + usize::from(strategy_id.is_some());
                let (labels, is_response_cut) = self.labels(strategy_id, &turn.ids, longest);
                let look_ahead = next.is_some();
                let situation_labels = situation_labels.clone();
                let sample = Sample {
                    dialogue: number,
                    turn: place,
                    strategy,
                    encoder_ids,
                    labels,
                    situation_labels,
                    look_ahead,
                };
                encoded.counts.add(&sample, is_input_cut, is_response_cut);
                encoded.samples.push(sample);
            }
            if place > 0 {
                history.push(eos);
            }
            history.extend(strategy_id.iter().chain(&turn.ids));
        }
    }

    /// The newest ids of a history and of what comes next, and whether older ones had to go.
    fn encoder_ids(&self, history: &[u32], next: Option<&EncodedTurn>, longest: usize) -> (Vec<u32>, bool) {
        let mut ids = history.to_vec();
        if let Some(next) = next {
            ids.push(self.tokenizer.eos());
            ids.extend(self.tokenizer.look_ahead().iter().chain(&next.ids));
        }
        let kept = Truncation::left(longest).cut(&ids);
        (kept.to_vec(), kept.len() < ids.len())
    }

    /// What a decoder shall say, and whether its end had to go.
    fn labels(&self, strategy: Option<u32>, text: &[u32], longest: usize) -> (Vec<u32>, bool) {
        let whole: Vec<u32> = strategy.iter().chain(text).copied().chain([self.tokenizer.eos()]).collect();
        let kept = Truncation::right(longest).cut(&whole);
        (kept.to_vec(), kept.len() < whole.len())
    }
}

impl EncodedDialogue {
    fn new(tokenizer: &DialogueTokenizer, dialogue: &Dialogue) -> Result<Self, Error> {
        let turn = |turn: &Turn| -> Result<EncodedTurn, Error> {
            Ok(EncodedTurn { ids: tokenizer.encode(&turn.text)?, author: turn.author })
        };
        Ok(Self {
            situation: tokenizer.encode(&normalised(&dialogue.situation))?,
            turns: dialogue.turns.iter().map(turn).collect::<Result<_, _>>()?,
        })
    }

    fn seekers_turn(&self, place: usize) -> Option<&EncodedTurn> {
        self.turns.get(place).filter(|turn| turn.author == Author::Seeker)
    }
}

impl SampleCounts {
    fn add(&mut self, sample: &Sample, is_input_cut: bool, is_response_cut: bool) {
        self.samples += 1;
        self.with_look_ahead += usize::from(sample.look_ahead);
        self.inputs_cut += usize::from(is_input_cut);
        self.responses_cut += usize::from(is_response_cut);
        self.encoder_tokens += sample.encoder_ids.len();
        self.label_tokens += sample.labels.len();
        self.situation_tokens += sample.situation_labels.len();
    }
}
