//! One request on its way: its sequences and what is done with their logits.

use std::sync::Arc;
use std::time::Instant;

use super::probe::Wishes;
use super::sequence::Sequence;
use super::stop::StopMatcher;
use crate::attention::AttentionCapture;
use crate::beam::BeamSearch;
use crate::sampling::{Sampler, SamplingError, log_softmax, top_logprobs};
use crate::text_model::{
    CancelToken, Completion, FinishReason, Hypothesis, PromptReport, RequestError, Score, TokenLogprob,
};
use crate::tokenizer::{DecodeStream, Tokenizer};

/// One request.
pub(super) struct Job<'a> {
    pub(super) key: u64,
    pub(super) sequences: Vec<Sequence>,
    pub(super) prompt: PromptReport,
    pub(super) decoder: Decoder<'a>,
    pub(super) cancel: Option<CancelToken>,
    pub(super) wishes: Arc<Wishes>,
    /// Attention of the rows so far, where a probe asks for it.
    pub(super) attention: Option<Box<AttentionCapture>>,
    /// Most tokens that any of its sequences may reach.
    pub(super) longest: usize,
    /// When its first step began.
    pub(super) started: Option<Instant>,
}

/// What is done with logits.
pub(super) enum Decoder<'a> {
    Sample(Box<SampleDecoder<'a>>),
    Beam(Box<BeamDecoder<'a>>),
    Score(ScoreDecoder),
}

/// What a job does next.
pub(super) enum Advance {
    /// Each pair extends the sequence of this number by this token; sequences without a pair end.
    Continue { extend: Vec<(usize, u32)>, delta: String },
    /// The job is finished.
    Finished(Outcome),
}

/// The result of a job.
pub(crate) enum Outcome {
    Completion(Completion),
    Score(Score),
}

impl Job<'_> {
    /// Sequences that the job may run at a time.
    pub(super) fn width(&self) -> usize {
        match &self.decoder {
            Decoder::Beam(beam) => beam.width,
            _ => 1,
        }
    }

    /// The first position whose logits are needed; earlier ones may come from the cache.
    pub(super) fn first_needed(&self, sequence: &Sequence) -> usize {
        match &self.decoder {
            Decoder::Score(score) => score.prompt_length - 1 + score.logprobs.len(),
            _ => sequence.tokens.len() - 1,
        }
    }

    /// Whether every position from [`Self::first_needed`] has to give its logits.
    pub(super) fn is_score(&self) -> bool {
        matches!(self.decoder, Decoder::Score(_))
    }

    /// Whether all sequences have their logits (a score job: all its log-probabilities).
    pub(super) fn is_ready(&self) -> bool {
        match &self.decoder {
            Decoder::Score(score) => score.logprobs.len() == score.length(&self.sequences[0]),
            _ => self.sequences.iter().all(|sequence| sequence.logits.is_some()),
        }
    }

    /// Whether a probe wants the attention of the row at that position. Rows that were computed before the request was
    /// sent back to the queue are kept already; the last token of a scored continuation predicts nothing.
    pub(super) fn keeps_attention(&self, position: usize) -> bool {
        let (Some(probe), Some(capture)) = (&self.wishes.probe, &self.attention) else { return false };
        let predicts = !self.is_score() || position + 1 < self.sequences[0].tokens.len();
        predicts && position >= probe.next_position(capture.rows)
    }

    /// Uses the logits that are there.
    pub(super) fn advance(&mut self) -> Result<Advance, RequestError> {
        let mut advance = self.decode()?;
        match &mut advance {
            Advance::Finished(Outcome::Completion(completion)) => completion.attention = self.attention.take(),
            Advance::Finished(Outcome::Score(score)) => score.attention = self.attention.take(),
            Advance::Continue { .. } => {}
        }
        Ok(advance)
    }

    fn decode(&mut self) -> Result<Advance, RequestError> {
        match &mut self.decoder {
            Decoder::Sample(sample) => {
                let sequence = &mut self.sequences[0];
                let logits = sequence.logits.take().unwrap_or_default();
                sample.advance(logits, sequence, &mut self.prompt, self.key)
            }
            Decoder::Beam(beam) => beam.advance(&mut self.sequences, &mut self.prompt, self.key),
            Decoder::Score(score) => Ok(Advance::Finished(Outcome::Score(score.finish(&self.sequences[0])))),
        }
    }

    /// Ends the job where it is. A score has no meaning unfinished.
    pub(super) fn cancelled(&mut self) -> Option<Completion> {
        let attention = self.attention.take();
        let completion = match &mut self.decoder {
            Decoder::Sample(sample) => {
                Some(sample.finish(FinishReason::Cancelled, &self.sequences[0], &mut self.prompt, self.key))
            }
            Decoder::Beam(_) => Some(completion(self.key, FinishReason::Cancelled, &mut self.prompt)),
            Decoder::Score(_) => None,
        };
        completion.map(|completion| Completion { attention, ..completion })
    }
}

fn completion(key: u64, finish_reason: FinishReason, prompt: &mut PromptReport) -> Completion {
    Completion {
        key,
        text: String::new(),
        tokens: Vec::new(),
        new_tokens: 0,
        finish_reason,
        stop: None,
        logprobs: Vec::new(),
        text_logprobs: Vec::new(),
        hypotheses: Vec::new(),
        prompt_tokens: prompt.tokens.len(),
        prompt: std::mem::take(prompt),
        served_by: None,
        attempts: 0,
        attention: None,
    }
}

fn not_finite(error: SamplingError, position: usize) -> RequestError {
    tracing::debug!("position {position}: {error}");
    RequestError::NotFinite { position }
}

/// Greedy decoding or sampling.
pub(super) struct SampleDecoder<'a> {
    pub(super) sampler: Sampler,
    pub(super) stream: DecodeStream<'a>,
    pub(super) stop: StopMatcher,
    /// The stop string that was reached.
    pub(super) stopped_by: Option<String>,
    pub(super) eos: Vec<u32>,
    pub(super) max_new_tokens: usize,
    /// How many alternatives to report, if log-probabilities are asked for.
    pub(super) report: Option<usize>,
    pub(super) text: String,
    pub(super) logprobs: Vec<TokenLogprob>,
}

impl SampleDecoder<'_> {
    fn advance(
        &mut self,
        mut logits: Vec<f32>,
        sequence: &mut Sequence,
        prompt: &mut PromptReport,
        key: u64,
    ) -> Result<Advance, RequestError> {
        let position = sequence.tokens.len() - 1;
        let plain = self.report.map(|top| (log_softmax(&logits), top_logprobs(&logits, top)));
        let token = self.sampler.sample(&mut logits, &sequence.tokens).map_err(|error| not_finite(error, position))?;
        if let Some((logprobs, top)) = plain {
            self.logprobs.push(TokenLogprob { token, logprob: logprobs[token as usize], top });
        }
        if self.eos.contains(&token) {
            sequence.tokens.push(token);
            return Ok(self.end(FinishReason::EndOfSequence, sequence, prompt, key));
        }
        let (delta, stop) = match self.stream.push(token) {
            Some(text) => self.stop.push(&text),
            None => (String::new(), None),
        };
        self.text.push_str(&delta);
        self.stopped_by = stop.map(str::to_owned);
        let length = sequence.tokens.len() + 1 - prompt.tokens.len();
        if self.stopped_by.is_some() || length == self.max_new_tokens {
            sequence.tokens.push(token);
            let reason = if self.stopped_by.is_some() { FinishReason::Stop } else { FinishReason::Length };
            return Ok(self.end(reason, sequence, prompt, key));
        }
        Ok(Advance::Continue { extend: vec![(0, token)], delta })
    }

    fn end(&mut self, reason: FinishReason, sequence: &Sequence, prompt: &mut PromptReport, key: u64) -> Advance {
        Advance::Finished(Outcome::Completion(self.finish(reason, sequence, prompt, key)))
    }

    fn finish(&mut self, reason: FinishReason, sequence: &Sequence, prompt: &mut PromptReport, key: u64) -> Completion {
        if reason != FinishReason::Stop {
            // The end of the stream may complete a character, and with it a stop string.
            let (delta, stop) = self.stop.push(&self.stream.finish());
            self.text.push_str(&delta);
            if stop.is_none() {
                self.text.push_str(&self.stop.finish());
            }
        }
        let tokens = sequence.tokens[prompt.tokens.len()..].to_vec();
        Completion {
            text: std::mem::take(&mut self.text),
            new_tokens: tokens.len(),
            tokens,
            stop: self.stopped_by.take(),
            logprobs: std::mem::take(&mut self.logprobs),
            ..completion(key, reason, prompt)
        }
    }
}

/// Beam search.
pub(super) struct BeamDecoder<'a> {
    /// `None` once it is finished.
    pub(super) search: Option<BeamSearch>,
    pub(super) width: usize,
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) eos: Vec<u32>,
    pub(super) stops: Vec<String>,
}

impl BeamDecoder<'_> {
    fn advance(
        &mut self,
        sequences: &mut [Sequence],
        prompt: &mut PromptReport,
        key: u64,
    ) -> Result<Advance, RequestError> {
        let position = sequences[0].tokens.len() - 1;
        let logits: Vec<Vec<f32>> =
            sequences.iter_mut().map(|sequence| sequence.logits.take().unwrap_or_default()).collect();
        let rows: Vec<&[f32]> = logits.iter().map(Vec::as_slice).collect();
        let Some(search) = &mut self.search else { return Err(RequestError::NotFinite { position }) };
        let steps = search.advance(&rows).map_err(|error| not_finite(error, position))?;
        if !search.is_done() {
            let extend = steps.into_iter().map(|step| (step.parent, step.token)).collect();
            return Ok(Advance::Continue { extend, delta: String::new() });
        }
        let hypotheses = self.search.take().map(BeamSearch::finish).unwrap_or_default();
        Ok(Advance::Finished(Outcome::Completion(self.completion(hypotheses, prompt, key))))
    }

    fn completion(&self, found: Vec<(Vec<u32>, f32)>, prompt: &mut PromptReport, key: u64) -> Completion {
        let hypotheses: Vec<Hypothesis> =
            found.into_iter().map(|(tokens, score)| Hypothesis { text: self.text(&tokens), tokens, score }).collect();
        let best = hypotheses.first();
        let ended = best.is_some_and(|best| best.tokens.last().is_some_and(|token| self.eos.contains(token)));
        let reason = if ended { FinishReason::EndOfSequence } else { FinishReason::Length };
        Completion {
            text: best.map(|best| best.text.clone()).unwrap_or_default(),
            tokens: best.map(|best| best.tokens.clone()).unwrap_or_default(),
            new_tokens: best.map_or(0, |best| best.tokens.len()),
            hypotheses,
            ..completion(key, reason, prompt)
        }
    }

    fn text(&self, tokens: &[u32]) -> String {
        let mut text = self.tokenizer.decode_text(tokens);
        if let Some(at) = self.stops.iter().filter_map(|stop| text.find(stop.as_str())).min() {
            text.truncate(at);
        }
        text
    }
}

/// Log-probabilities of given tokens.
pub(super) struct ScoreDecoder {
    pub(super) prompt_length: usize,
    pub(super) logprobs: Vec<f32>,
}

impl ScoreDecoder {
    fn length(&self, sequence: &Sequence) -> usize {
        sequence.tokens.len() - self.prompt_length
    }

    /// Takes the logits after the token at `position`.
    pub(super) fn take(&mut self, position: usize, logits: &[f32], sequence: &Sequence) -> Result<(), RequestError> {
        let Some(next) = sequence.tokens.get(position + 1) else { return Ok(()) };
        let logprob = log_softmax(logits)[*next as usize];
        if !logprob.is_finite() && !logits.iter().all(|logit| logit.is_finite()) {
            return Err(RequestError::NotFinite { position });
        }
        self.logprobs.push(logprob);
        Ok(())
    }

    fn finish(&mut self, sequence: &Sequence) -> Score {
        let logprobs = std::mem::take(&mut self.logprobs);
        let sum = logprobs.iter().map(|logprob| f64::from(*logprob)).sum();
        Score { tokens: sequence.tokens[self.prompt_length..].to_vec(), logprobs, sum, attention: None }
    }
}
