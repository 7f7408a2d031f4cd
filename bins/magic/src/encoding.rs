//! Samples as token sequences: what the generator reads, and what it shall say.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use llm_runtime::hex;
use memory_bank::{Place, Response, Sample as EncodedSample};
use seq2seq::{Seq2SeqTokenizer, Truncation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::sample::Sample;

/// What stands for a motivation that is not there, as in the published code.
const NO_MOTIVATION: &str = "No motivation provided";

/// How long token sequences may be, and what gives way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EncodingOptions {
    /// Tokens of situation and dialogue at most, of a motivation and of a response too, the framing ones included. Default 512.
    pub max_length: usize,
    /// Tokens of a remembered response at most. Default 64.
    pub max_length_res_memory: usize,
    /// What of a long dialogue gives way.
    pub truncate: Truncate,
    /// Tokens of the situation at most, with [`Truncate::Left`]. Default 128.
    pub max_length_situation: usize,
}

/// What of a long dialogue gives way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Truncate {
    /// The oldest turns; the situation stays.
    #[default]
    Left,
    /// The newest turns, as in the published code.
    Right,
}

impl Default for EncodingOptions {
    fn default() -> Self {
        Self { max_length: 512, max_length_res_memory: 64, truncate: Truncate::Left, max_length_situation: 128 }
    }
}

impl EncodingOptions {
    /// Says which length is too small to hold anything.
    ///
    /// # Errors
    /// A length is less than 3, the framing tokens and one more, or the situation leaves no room for a turn.
    pub fn check(&self) -> Result<(), Error> {
        let lengths = [("max-length", self.max_length), ("max-length-res-memory", self.max_length_res_memory)];
        if let Some((name, length)) = lengths.into_iter().find(|(_, length)| *length < 3) {
            return Err(Error::Setting(format!("--{name} {length} holds no text: give at least 3")));
        }
        let (situation, whole) = (self.max_length_situation, self.max_length);
        if self.truncate == Truncate::Left && situation + 4 > whole {
            return Err(Error::Setting(format!(
                "--max-length-situation {situation} leaves no room for a turn in --max-length {whole}"
            )));
        }
        Ok(())
    }
}

/// Makes token sequences of samples.
pub struct SampleEncoder<'a> {
    tokenizer: &'a Seq2SeqTokenizer,
    options: &'a EncodingOptions,
    /// Texts come again and again: each turn of a dialogue in every later sample of it.
    known: HashMap<String, Vec<u32>>,
    shortened: usize,
}

impl<'a> SampleEncoder<'a> {
    /// With a tokenizer that frames texts as BART's does, `<s> … </s>`.
    pub fn new(tokenizer: &'a Seq2SeqTokenizer, options: &'a EncodingOptions) -> Self {
        Self { tokenizer, options, known: HashMap::new(), shortened: 0 }
    }

    /// Encodes samples. `path` is where they come from, for the error.
    ///
    /// # Errors
    /// A sample has no situation, or a memory that its context does not hold; or the tokenizer frames no texts.
    pub fn encode_all(&mut self, path: &Path, samples: &[Sample]) -> Result<Vec<EncodedSample>, Error> {
        let mut responses = HashMap::new();
        let numbered = samples.iter().enumerate();
        numbered
            .map(|(number, sample)| {
                self.encode(sample, &mut responses)
                    .map_err(|problem| Error::format(path, format!("sample {number} (counted from 0): {problem}")))
            })
            .collect()
    }

    /// How many dialogues were too long so far.
    pub fn shortened(&self) -> usize {
        self.shortened
    }

    fn encode(
        &mut self,
        sample: &Sample,
        responses: &mut HashMap<Place, Arc<Response>>,
    ) -> Result<EncodedSample, String> {
        let [_, ..] = sample.context.as_slice() else { return Err("the context is empty".into()) };
        let place = Place { dialogue: dialogue_name(&sample.context), turn: sample.context.len() - 1 };
        let whole = Truncation::right(self.options.max_length);
        let response = self.framed(&sample.response, whole)?;
        if response.len() < 2 {
            return Err("the response has no tokens: the tokenizer frames no texts, and BART's does".into());
        }
        let motivation = if sample.motivation.trim().is_empty() { NO_MOTIVATION } else { &sample.motivation };
        Ok(EncodedSample {
            input: self.input(&sample.context)?,
            motivation: self.framed(motivation, whole)?,
            output: response[..response.len() - 1].to_vec(),
            labels: response[1..].to_vec(),
            strategy: sample.strategy.id(),
            history: self.history(sample, &place, responses)?,
            place,
        })
    }

    /// Situation and turns with `</s>` between them.
    fn input(&mut self, context: &[String]) -> Result<Vec<u32>, String> {
        let parts = context.iter().map(|text| self.ids(text)).collect::<Result<Vec<_>, _>>()?;
        let between = self.tokenizer.special().eos;
        let whole = parts.join(&between);
        let framing = self.tokenizer.frame(&[], None).map_err(|error| error.to_string())?.len();
        if whole.len() + framing <= self.options.max_length {
            return self.frame(&whole, Truncation::right(self.options.max_length));
        }
        self.shortened += 1;
        let kept = match self.options.truncate {
            Truncate::Right => whole,
            Truncate::Left => self.newest(&parts, self.options.max_length.saturating_sub(framing)).join(&between),
        };
        self.frame(&kept, Truncation::right(self.options.max_length))
    }

    /// The situation's beginning, and the newest turns that fit behind it into `longest` tokens; of a turn that does not fit alone its end.
    fn newest(&self, parts: &[Vec<u32>], longest: usize) -> Vec<Vec<u32>> {
        let Some((situation, turns)) = parts.split_first() else { return Vec::new() };
        let situation = &situation[..situation.len().min(self.options.max_length_situation)];
        let room = longest.saturating_sub(situation.len());
        let mut used = 0;
        let fits = |turn: &&Vec<u32>| {
            used += 1 + turn.len();
            used <= room
        };
        let fitting = turns.iter().rev().take_while(fits).count();
        let mut kept = vec![situation.to_vec()];
        match turns.last() {
            Some(newest) if fitting == 0 => kept.push(Truncation::left(room.saturating_sub(1)).cut(newest).to_vec()),
            _ => kept.extend_from_slice(&turns[turns.len() - fitting..]),
        }
        kept
    }

    /// What the supporter said before, and where: the file tells the texts, the context their places.
    fn history(
        &mut self,
        sample: &Sample,
        place: &Place,
        responses: &mut HashMap<Place, Arc<Response>>,
    ) -> Result<Vec<Arc<Response>>, String> {
        if sample.response_memory.len() != sample.strategy_memory.len() {
            let (texts, strategies) = (sample.response_memory.len(), sample.strategy_memory.len());
            return Err(format!("{texts} texts in response_memory, but {strategies} strategies in strategy_memory"));
        }
        let mut before = place.turn;
        let mut history = Vec::with_capacity(sample.response_memory.len());
        for (text, strategy) in sample.response_memory.iter().zip(&sample.strategy_memory).rev() {
            let turns = sample.context[1..=before].iter();
            before =
                turns.rev().position(|turn| turn == text.trim()).map(|back| before - 1 - back).ok_or_else(|| {
                    format!("response_memory holds `{text}`, which is no turn of the context (or not in that order)")
                })?;
            let place = Place { dialogue: place.dialogue.clone(), turn: before };
            let strategy = strategy.id();
            let known = responses.get(&place).filter(|known| known.strategy == strategy && known.text == *text);
            let response = match known {
                Some(known) => known.clone(),
                None => Arc::new(self.response(text, strategy, place.clone())?),
            };
            responses.insert(place, response.clone());
            history.push(response);
        }
        history.reverse();
        Ok(history)
    }

    fn response(&mut self, text: &str, strategy: usize, place: Place) -> Result<Response, String> {
        let tokens = self.framed(text, Truncation::right(self.options.max_length_res_memory))?;
        Ok(Response { text: text.to_owned(), tokens, strategy, place, feedback: None })
    }

    fn framed(&mut self, text: &str, truncation: Truncation) -> Result<Vec<u32>, String> {
        let ids = self.ids(text)?;
        self.frame(&ids, truncation)
    }

    fn frame(&self, ids: &[u32], truncation: Truncation) -> Result<Vec<u32>, String> {
        self.tokenizer.frame(ids, Some(truncation)).map_err(|error| error.to_string())
    }

    fn ids(&mut self, text: &str) -> Result<Vec<u32>, String> {
        if let Some(ids) = self.known.get(text) {
            return Ok(ids.clone());
        }
        let ids = self.tokenizer.encode(text).map_err(|error| error.to_string())?;
        self.known.insert(text.to_owned(), ids.clone());
        Ok(ids)
    }
}

/// Letters of a situation that a dialogue's name begins with.
const SHOWN_SITUATION: usize = 24;

/// Files of samples name no dialogues: situation and first turn tell them apart, wherever a sample stands.
fn dialogue_name(context: &[String]) -> String {
    let mut hash = Sha256::new();
    for part in context.iter().take(2) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let beginning: String =
        context.first().map(String::as_str).unwrap_or_default().chars().take(SHOWN_SITUATION).collect();
    format!("{} #{}", beginning.trim(), hex(&hash.finalize()[..6]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::Strategy;

    fn tokenizer() -> Seq2SeqTokenizer {
        Seq2SeqTokenizer::learn_byte_pairs(&[], 261).unwrap()
    }

    fn sample(turns: &[&str], memory: &[&str]) -> Sample {
        Sample {
            context: turns.iter().map(|turn| (*turn).to_owned()).collect(),
            response: "fine".into(),
            strategy: Strategy::Question,
            response_memory: memory.iter().map(|text| (*text).to_owned()).collect(),
            strategy_memory: vec![Strategy::Greeting; memory.len()],
            motivation: String::new(),
        }
    }

    fn encoded(options: &EncodingOptions, sample: &Sample) -> Result<EncodedSample, Error> {
        let tokenizer = tokenizer();
        let mut all =
            SampleEncoder::new(&tokenizer, options).encode_all(Path::new("t.json"), std::slice::from_ref(sample))?;
        Ok(all.remove(0))
    }

    fn text(options: &EncodingOptions, sample: &Sample) -> String {
        let ids = encoded(options, sample).unwrap().input;
        tokenizer().decode(&ids, llm_runtime::ControlTokenText::Keep).unwrap()
    }

    #[test]
    fn situation_and_turns_stand_in_one_frame() {
        assert_eq!(text(&EncodingOptions::default(), &sample(&["sit", "one", "two"], &[])), "<s>sit</s>one</s>two</s>");
    }

    #[test]
    fn the_oldest_turns_give_way_and_the_situation_stays() {
        let options = EncodingOptions { max_length: 13, max_length_situation: 3, ..EncodingOptions::default() };
        assert_eq!(text(&options, &sample(&["situation", "one", "two", "six"], &[])), "<s>sit</s>two</s>six</s>");
        assert_eq!(text(&options, &sample(&["situation", "one", "very long"], &[])), "<s>sit</s>ry long</s>");
    }

    #[test]
    fn the_published_cut_loses_the_newest_turns() {
        let options = EncodingOptions { max_length: 9, truncate: Truncate::Right, ..EncodingOptions::default() };
        assert_eq!(text(&options, &sample(&["sit", "one", "two"], &[])), "<s>sit</s>one</s>");
    }

    #[test]
    fn the_decoder_is_fed_what_it_says_one_step_later() {
        let found = encoded(&EncodingOptions::default(), &sample(&["s", "t"], &[])).unwrap();
        assert_eq!(found.output[1..], found.labels[..found.labels.len() - 1]);
        let special = tokenizer().special();
        assert_eq!((found.output.first(), found.labels.last()), (Some(&special.bos), Some(&special.eos)));
    }

    #[test]
    fn remembered_responses_know_their_turns() {
        let found = encoded(&EncodingOptions::default(), &sample(&["s", "hi", "a", "hi", "b"], &["hi", "hi"])).unwrap();
        let turns: Vec<usize> = found.history.iter().map(|response| response.place.turn).collect();
        assert_eq!((turns, found.place.turn), (vec![0, 2], 4));
    }

    #[test]
    fn a_memory_that_the_context_does_not_hold_is_refused() {
        for memory in [&["c"][..], &["b", "a"]] {
            let error = encoded(&EncodingOptions::default(), &sample(&["s", "a", "x", "b", "y"], memory)).unwrap_err();
            assert!(
                error.to_string().starts_with("t.json: sample 0 (counted from 0): response_memory holds"),
                "{error}"
            );
        }
    }

    #[test]
    fn samples_of_one_dialogue_share_its_name() {
        let name = |turns: &[&str]| encoded(&EncodingOptions::default(), &sample(turns, &[])).unwrap().place.dialogue;
        assert_eq!(name(&["s", "t"]), name(&["s", "t", "u"]));
        assert_ne!(name(&["s", "t"]), name(&["st", ""]));
    }
}
