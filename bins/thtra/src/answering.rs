//! Answers: the strategy that a model chooses, and what it then says.
//!
//! The encoder reads the dialogue once. The decoder's first step, on BOS, gives the logits of the eight strategies; one of them is chosen
//! ([`StrategyMode`]), and the decoder goes on behind BOS and the strategy's token. No strategy is ever said inside an answer.

use llm_runtime::ControlTokenText;
use llm_runtime::sampling::{ProcessorChain, Sampler, SamplingError, TopP, log_softmax};
use llm_runtime::seeded_stream;
use seq2seq::search::{Decoded, DecodingOptions, DecodingRow, StepModel};
use seq2seq::{Seq2SeqError, TokenBatch, clean_up_english};
use training::Pass;

use crate::error::Error;
use crate::objective::ranked;
use crate::responder::Responder;
use crate::strategy::Strategy;
use crate::strategy_mode::StrategyMode;
use crate::tokenizer::DialogueTokenizer;
use crate::white_space::normalised;

/// The share of the strategies' probability that draws are from.
const STRATEGY_TOP_P: f32 = 0.9;
/// New tokens of an answer at most, its end included.
const MAX_NEW_TOKENS: usize = 40;
/// Prompt and new tokens are so many at least, the end not counted.
const MIN_LENGTH: usize = 10;

/// A dialogue that is to be answered.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// What the encoder reads: see [`crate::Sample::encoder_ids`].
    pub encoder_ids: &'a [u32],
    /// The annotated strategy, for [`StrategyMode::Gold`].
    pub gold: Option<Strategy>,
    /// Which stream of random numbers its draws come from: the sample's number in its file, say, so that the same seed gives it the same answer
    /// in any batch.
    pub stream: u64,
}

/// What a model says of the strategies.
#[derive(Debug, Clone, PartialEq)]
pub struct StrategyPrediction {
    /// The one that the answer follows.
    pub chosen: Strategy,
    /// The logits of all eight at the first step, in the order of [`Strategy::ALL`].
    pub logits: Vec<f32>,
}

/// An answer to a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Its strategy; none of a model that knows no strategies.
    pub strategy: Option<StrategyPrediction>,
    /// The new ids behind the prompt, the best first.
    pub responses: Vec<Decoded>,
}

/// Answers questions with a model.
pub struct Answerer<'a> {
    responder: &'a Responder,
    /// None: the model knows no strategies.
    mode: Option<StrategyMode>,
    options: DecodingOptions,
}

/// How ThTra answers: draws at a temperature of 0.7 from the most likely tokens up to a probability of 0.9, at most 40 new tokens, at least 10 with the
/// prompt's two.
pub fn sampling_options() -> DecodingOptions {
    DecodingOptions { temperature: 0.7, top_p: 0.9, ..length_options() }
}

/// How ThTra finds several different answers: beams in groups of one, each of which loses 4 on a token for every earlier group that chose it.
/// The answers come best first, of the same lengths as [`sampling_options`]. One candidate is plain greedy search.
pub fn candidate_options(candidates: usize) -> DecodingOptions {
    let options = DecodingOptions {
        beam_width: candidates,
        beam_groups: candidates,
        num_return_sequences: candidates,
        ..length_options()
    };
    // A penalty needs somebody to take it from.
    DecodingOptions { diversity_penalty: if candidates > 1 { 4.0 } else { 0.0 }, ..options }
}

fn length_options() -> DecodingOptions {
    DecodingOptions { max_new_tokens: MAX_NEW_TOKENS, min_length: MIN_LENGTH, ..DecodingOptions::default() }
}

impl<'a> Answerer<'a> {
    /// With a model of strategies. `options` decode as [`sampling_options`] and [`candidate_options`] say, or otherwise; the answerer adds
    /// what always holds: no strategy inside an answer, and an end at the last place. `seed` is that of all draws.
    pub fn new(responder: &'a Responder, mode: StrategyMode, options: DecodingOptions, seed: u64) -> Self {
        Self::of(responder, Some(mode), options, seed)
    }

    /// With a model that knows of no strategies ([`crate::Layout::Vanilla`]).
    pub fn without_strategies(responder: &'a Responder, options: DecodingOptions, seed: u64) -> Self {
        Self::of(responder, None, options, seed)
    }

    fn of(responder: &'a Responder, mode: Option<StrategyMode>, options: DecodingOptions, seed: u64) -> Self {
        let tokenizer = &responder.tokenizer;
        let banned = Strategy::ALL.map(|strategy| vec![tokenizer.strategy_id(strategy)]);
        let bad_words = options.bad_words.iter().cloned().chain(banned).collect();
        let options = DecodingOptions { bad_words, forced_last_id: Some(tokenizer.eos()), seed, ..options };
        Self { responder, mode, options }
    }

    /// How answers are decoded, with all that the answerer has added.
    pub fn options(&self) -> &DecodingOptions {
        &self.options
    }

    /// Says what is wrong with the options before anything is answered.
    ///
    /// # Errors
    /// An option makes no sense, or the longest answer is longer than the model takes.
    pub fn check(&self) -> Result<(), Error> {
        self.options.validate().map_err(Seq2SeqError::from)?;
        let (longest, prompt) = (self.options.max_new_tokens, 1 + usize::from(self.mode.is_some()));
        // The last new id is never read.
        let most = (self.responder.model.model.config().max_positions + 1).saturating_sub(prompt);
        if longest <= most {
            return Ok(());
        }
        let problem = format!(
            "an answer of {longest} tokens: behind the {prompt} that it begins with the model has places for {most}"
        );
        Err(Error::Setting(problem))
    }

    /// Answers questions, all at once. An answer does not depend on the questions beside it.
    ///
    /// # Errors
    /// An option makes no sense, [`StrategyMode::Gold`] finds no strategy in a question, the answer or a question is longer than the model takes, or the
    /// device fails.
    pub fn answer(&self, questions: &[Question<'_>]) -> Result<Vec<Answer>, Error> {
        if questions.is_empty() {
            return Ok(Vec::new());
        }
        self.check()?;
        let model = &self.responder.model.model;
        let bos = self.responder.tokenizer.bos();
        let inputs = TokenBatch::of(questions.iter().map(|question| question.encoder_ids));
        let memory = model.encoder().forward(&inputs, &Pass::evaluation())?;
        let mut begun = model.begin(&memory)?;
        let mut strategies = vec![None; questions.len()];
        if let Some(mode) = self.mode {
            let logits = begun.step(&vec![bos; questions.len()])?;
            let rows = logits.chunks_exact(begun.vocabulary_size());
            for (row, (question, logits)) in questions.iter().zip(rows).enumerate() {
                strategies[row] = Some(self.strategy(mode, row, question, logits)?);
            }
        }
        let row = |(question, strategy): (&Question<'_>, &Option<StrategyPrediction>)| {
            let chosen = strategy.as_ref().map(|strategy| self.responder.tokenizer.strategy_id(strategy.chosen));
            let prompt = std::iter::once(bos).chain(chosen).collect();
            DecodingRow { prompt, encoder_ids: question.encoder_ids.to_vec(), stream: question.stream }
        };
        let rows: Vec<DecodingRow> = questions.iter().zip(&strategies).map(row).collect();
        let responses = model.generate_from(begun, &rows, &self.options)?;
        let answer = |(strategy, responses)| Answer { strategy, responses };
        Ok(strategies.into_iter().zip(responses).map(answer).collect())
    }

    /// The text of an answer's ids up to its end, as it is read and scored: lower case, marks joined to words, single blanks.
    ///
    /// # Errors
    /// An id is outside the vocabulary.
    pub fn text(&self, ids: &[u32]) -> Result<String, Error> {
        text_of(&self.responder.tokenizer, ids)
    }

    fn strategy(
        &self,
        mode: StrategyMode,
        row: usize,
        question: &Question<'_>,
        logits: &[f32],
    ) -> Result<StrategyPrediction, Error> {
        let first = self.responder.tokenizer.first_strategy() as usize;
        let logits = logits.get(first..first + Strategy::ALL.len()).unwrap_or_default().to_vec();
        let chosen = match mode {
            StrategyMode::Given(strategy) => strategy,
            StrategyMode::Gold => question.gold.ok_or_else(|| {
                Error::Setting(format!("question {row} has no annotated strategy: the mode `gold` needs one"))
            })?,
            StrategyMode::Argmax => picked(row, &logits, Sampler::with_processors(ProcessorChain::new(), None))?,
            StrategyMode::Sample => {
                let mut likely = ProcessorChain::new();
                likely.push(TopP { top_p: STRATEGY_TOP_P, min_tokens_to_keep: 1 });
                let generator = seeded_stream(self.options.seed, &format!("strategy/{}", question.stream));
                picked(row, &logits, Sampler::with_processors(likely, Some(generator)))?
            }
        };
        Ok(StrategyPrediction { chosen, logits })
    }
}

impl StrategyPrediction {
    /// The strategies by their logits, greatest first; among equals in the order of their tokens.
    pub fn ranked(&self) -> Vec<Strategy> {
        ranked(&self.logits)
    }

    /// The softmax of the logits, in the order of [`Strategy::ALL`].
    pub fn probabilities(&self) -> Vec<f32> {
        log_softmax(&self.logits).into_iter().map(f32::exp).collect()
    }
}

/// The strategy that a sampler picks by the logits of all eight.
fn picked(row: usize, logits: &[f32], mut sampler: Sampler) -> Result<Strategy, Error> {
    let failed = |problem: SamplingError| Seq2SeqError::Decoding { row, problem };
    let place = sampler.sample(&mut logits.to_vec(), &[]).map_err(failed)?;
    // One of eight logits.
    Ok(Strategy::ALL.get(place as usize).copied().unwrap_or(Strategy::Others))
}

/// The text of ids up to the first EOS. An unknown token stays to be seen; what begins or pads a sequence does not.
pub(crate) fn text_of(tokenizer: &DialogueTokenizer, ids: &[u32]) -> Result<String, Error> {
    let silent = [tokenizer.bos(), tokenizer.pad()];
    let said = ids.iter().copied().take_while(|id| *id != tokenizer.eos()).filter(|id| !silent.contains(id));
    let said: Vec<u32> = said.collect();
    let text = tokenizer.tokenizer().decode(&said, ControlTokenText::Keep)?;
    Ok(normalised(&clean_up_english(&text)))
}
