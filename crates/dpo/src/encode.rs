//! From pairs of texts to pairs of token sequences.
//!
//! A tokenizer may join the end of a prompt to the beginning of an answer, and then the prompt alone has other tokens than the prompt with its answer. What prompt,
//! prompt with chosen and prompt with rejected have in common from the beginning is the prompt here, and all behind it is completion, so that no token is lost.

use std::sync::Arc;

use llm_runtime::Tokenizer;
use serde::{Deserialize, Serialize};

use crate::wording::{Worded, Wording};
use crate::{DpoError, PairText, PreferencePair};

/// A pair as tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedPair {
    /// What both completions follow; a beginning of sequence included, if the tokenizer adds one.
    pub prompt: Vec<u32>,
    /// The preferred completion with its end of sequence, if that was not cut off.
    pub chosen: Vec<u32>,
    /// The other completion, as `chosen`.
    pub rejected: Vec<u32>,
}

impl EncodedPair {
    /// Tokens of prompt and both completions.
    pub fn tokens(&self) -> usize {
        self.prompt.len() + self.chosen.len() + self.rejected.len()
    }
}

/// An encoded pair, and its place among those it was encoded with.
pub type PlacedPair = (usize, Arc<EncodedPair>);

/// Which part of a post goes when it is too long. What a template writes around it is never cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Truncate {
    /// Its beginning.
    #[default]
    PostStart,
    /// Its end.
    PostEnd,
    /// Its middle.
    Middle,
}

/// Where a prompt ends and its completions begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Boundary {
    /// Behind the longest common beginning of prompt, prompt with chosen and prompt with rejected.
    #[default]
    CommonPrefix,
    /// As TRL 0.11.1 has it: where a tokenizer joined prompt and answer, the token at the seam is lost. Only to compare with runs of that version.
    Drop,
}

/// Limits in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EncodePairs {
    /// Prompt and completion together; the prompt is cut where they are longer. 1536 unless given.
    pub max_length: usize,
    /// To which length it is cut; 1024 unless given.
    pub max_prompt_length: usize,
    /// Which part of it goes.
    pub truncate: Truncate,
    /// Where it ends.
    pub boundary: Boundary,
}

impl Default for EncodePairs {
    fn default() -> Self {
        Self { max_length: 1536, max_prompt_length: 1024, truncate: Truncate::default(), boundary: Boundary::default() }
    }
}

/// What became of the pairs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct EncodeCounts {
    /// Pairs that were encoded.
    pub pairs: usize,
    /// Pairs whose tokenizer joined prompt and answer.
    pub boundary_moved: usize,
    /// Pairs whose post was cut.
    pub prompts_cut: usize,
    /// Completions that were cut at their end.
    pub completions_cut: usize,
    /// Pairs left out, because a completion has no token of its own or the template alone is too long.
    pub left_out: usize,
    /// Tokens of the longest prompt with its longer completion.
    pub longest: usize,
}

/// Makes tokens of pairs.
pub struct PairEncoder<'a> {
    tokenizer: &'a Tokenizer,
    wording: &'a Wording,
    options: EncodePairs,
}

impl<'a> PairEncoder<'a> {
    /// With the model's tokenizer.
    ///
    /// # Errors
    /// The limits leave no room for completions, or the tokenizer has no end of sequence.
    pub fn new(tokenizer: &'a Tokenizer, wording: &'a Wording, options: EncodePairs) -> Result<Self, DpoError> {
        let EncodePairs { max_length, max_prompt_length, .. } = options;
        if max_prompt_length < 2 || max_prompt_length >= max_length {
            return Err(DpoError::invalid(format!(
                "a prompt of {max_prompt_length} tokens within {max_length} in all: the prompt needs at least 2, and completions need room behind it"
            )));
        }
        if tokenizer.eos().is_empty() {
            return Err(DpoError::invalid("the tokenizer names no end of sequence: completions could not end"));
        }
        Ok(Self { tokenizer, wording, options })
    }

    /// Encodes all pairs; those that can't be used are left out and counted. The answer goes with the place of each pair in `pairs`.
    ///
    /// # Errors
    /// A pair does not fit the wording, or its text can't be encoded.
    pub fn encode_all(&self, pairs: &[PreferencePair]) -> Result<(Vec<PlacedPair>, EncodeCounts), DpoError> {
        let mut counts = EncodeCounts::default();
        let mut encoded = Vec::with_capacity(pairs.len());
        for (place, pair) in pairs.iter().enumerate() {
            if let Some(pair) = self.encode(pair, &mut counts)? {
                encoded.push((place, Arc::new(pair)));
            }
        }
        Ok((encoded, counts))
    }

    /// Encodes a pair, or counts why it can't be used.
    ///
    /// # Errors
    /// As [`Self::encode_all`].
    pub fn encode(&self, pair: &PreferencePair, counts: &mut EncodeCounts) -> Result<Option<EncodedPair>, DpoError> {
        let mut post = pair.prompt.clone();
        let mut parts = self.parts(pair, &post)?;
        let answer = parts.chosen.len().max(parts.rejected.len());
        if parts.prompt.len() + answer > self.options.max_length && parts.prompt.len() > self.options.max_prompt_length
        {
            counts.prompts_cut += 1;
            while parts.prompt.len() > self.options.max_prompt_length {
                let surplus = parts.prompt.len() - self.options.max_prompt_length;
                let Some(shorter) = self.shorten(&post, surplus)? else {
                    counts.left_out += 1;
                    return Ok(None);
                };
                post = shorter;
                parts = self.parts(pair, &post)?;
            }
        }
        let room = self.options.max_length - self.options.max_prompt_length;
        for completion in [&mut parts.chosen, &mut parts.rejected] {
            if parts.prompt.len() + completion.len() > self.options.max_length {
                completion.truncate(room.max(self.options.max_length.saturating_sub(parts.prompt.len())));
                counts.completions_cut += 1;
            }
        }
        let is_empty = |completion: &[u32]| completion.is_empty() || self.tokenizer.eos().contains(&completion[0]);
        if parts.prompt.is_empty() || is_empty(&parts.chosen) || is_empty(&parts.rejected) {
            counts.left_out += 1;
            return Ok(None);
        }
        counts.pairs += 1;
        counts.boundary_moved += usize::from(parts.is_moved);
        counts.longest = counts.longest.max(parts.prompt.len() + parts.chosen.len().max(parts.rejected.len()));
        Ok(Some(EncodedPair { prompt: parts.prompt, chosen: parts.chosen, rejected: parts.rejected }))
    }

    /// The prompt's tokens as generation needs them: those of the training's prompt.
    ///
    /// # Errors
    /// As [`Self::encode_all`].
    pub fn prompt(&self, pair: &PreferencePair) -> Result<Option<Vec<u32>>, DpoError> {
        Ok(self.encode(pair, &mut EncodeCounts::default())?.map(|encoded| encoded.prompt))
    }

    fn parts(&self, pair: &PreferencePair, post: &PairText) -> Result<Parts, DpoError> {
        let prompt = self.ids(&self.wording.prompt(pair, post)?)?;
        let chosen = self.ids(&self.wording.whole(pair, post, &pair.chosen)?)?;
        let rejected = self.ids(&self.wording.whole(pair, post, &pair.rejected)?)?;
        let parts = match self.options.boundary {
            Boundary::CommonPrefix => {
                let shared = common(&prompt, &chosen).min(common(&prompt, &rejected));
                Parts {
                    is_moved: shared < prompt.len(),
                    prompt: prompt[..shared].to_vec(),
                    chosen: chosen[shared..].to_vec(),
                    rejected: rejected[shared..].to_vec(),
                }
            }
            Boundary::Drop => {
                let kept = |whole: &[u32]| prompt.len().saturating_sub(usize::from(!whole.starts_with(&prompt)));
                let own = kept(&chosen).min(kept(&rejected));
                let completion = |whole: &[u32]| whole.get(prompt.len()..).unwrap_or_default().to_vec();
                Parts {
                    is_moved: own < prompt.len(),
                    prompt: prompt[..own].to_vec(),
                    chosen: completion(&chosen),
                    rejected: completion(&rejected),
                }
            }
        };
        Ok(parts.with_ends(self.bos(), self.tokenizer.eos()))
    }

    fn bos(&self) -> Option<u32> {
        self.tokenizer.bos().filter(|_| self.tokenizer.adds_bos())
    }

    fn ids(&self, worded: &Worded) -> Result<Vec<u32>, DpoError> {
        let encoding = match self.wording {
            Wording::Plain(_) => self.tokenizer.encode(&worded.text),
            Wording::Chat { .. } => self.tokenizer.encode_rendered(&worded.text, &worded.protected),
        };
        Ok(encoding.map_err(llm_runtime::Error::from)?.ids)
    }

    /// The post without about `surplus` of its tokens; `None` if nothing would be left.
    fn shorten(&self, post: &PairText, surplus: usize) -> Result<Option<PairText>, DpoError> {
        match post {
            PairText::Plain(text) => Ok(self.shorten_text(text, surplus)?.map(PairText::Plain)),
            PairText::Chat(messages) => {
                let mut messages = messages.clone();
                let longest = (0..messages.len()).max_by_key(|number| messages[*number].content.len());
                let Some(message) = longest.map(|number| &mut messages[number]) else { return Ok(None) };
                let Some(text) = self.shorten_text(&message.content, surplus)? else { return Ok(None) };
                *message = llm_runtime::Message { content: text, parts: Vec::new(), ..message.clone() };
                Ok(Some(PairText::Chat(messages)))
            }
        }
    }

    fn shorten_text(&self, text: &str, surplus: usize) -> Result<Option<String>, DpoError> {
        let offsets = self.tokenizer.encode(text).map_err(llm_runtime::Error::from)?.offsets;
        let mut starts: Vec<usize> = offsets.iter().map(|range| range.start).collect();
        starts.retain(|start| text.is_char_boundary(*start));
        starts.dedup();
        if starts.len() <= surplus {
            return Ok(None);
        }
        let kept = starts.len() - surplus;
        let shorter = match self.options.truncate {
            Truncate::PostStart => text[starts[surplus]..].trim_start().to_owned(),
            Truncate::PostEnd => text[..starts[kept]].trim_end().to_owned(),
            Truncate::Middle => {
                let (head, tail) = (starts[kept.div_ceil(2)], starts.get(kept.div_ceil(2) + surplus));
                let tail = tail.map_or("", |start| &text[*start..]);
                format!("{} {}", text[..head].trim_end(), tail.trim_start())
            }
        };
        Ok((!shorter.trim().is_empty() && shorter.len() < text.len()).then_some(shorter))
    }
}

struct Parts {
    prompt: Vec<u32>,
    chosen: Vec<u32>,
    rejected: Vec<u32>,
    is_moved: bool,
}

impl Parts {
    /// A beginning of sequence before the prompt and ends behind the completions, unless they are there.
    fn with_ends(mut self, bos: Option<u32>, eos: &[u32]) -> Self {
        if let Some(bos) = bos.filter(|bos| self.prompt.first() != Some(bos)) {
            self.prompt.insert(0, bos);
        }
        for completion in [&mut self.chosen, &mut self.rejected] {
            // A chat template may write more behind the end of an answer; nobody says it.
            match completion.iter().rposition(|id| eos.contains(id)) {
                Some(end) => completion.truncate(end + 1),
                None => completion.extend(eos.first()),
            }
        }
        self
    }
}

fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
