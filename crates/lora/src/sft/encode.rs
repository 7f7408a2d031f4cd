//! Records as token sequences, with a mask of what is learned.
//!
//! The whole conversation is encoded at once, and so is the prefix that the model is given at inference. As a rule the
//! prefix's ids open the whole's, and learning begins behind them. A tokenizer may join characters across that boundary;
//! then the bytes of the tokens decide, so that no token with a byte of the answer is left out, and the case is counted.

use std::ops::Range;

use llm_runtime::{ChatTemplate, Encoding, Error, Message, RenderedChat, Tokenizer};
use serde::Serialize;

use super::cutoff::shorten;
use super::error::SftError;
use super::plain::PlainTemplate;
use super::read::BadRecords;
use super::record::{SftContent, SftRecord};
use super::turns::{Answer, LaidOut, Renderer};

/// How a conversation becomes text.
#[derive(Debug, Clone)]
pub enum SftTemplate {
    /// The model's own chat template, or a built-in one. It writes all control tokens itself.
    Chat(Box<ChatTemplate>),
    /// Text with slots.
    Plain(PlainTemplate),
}

impl From<ChatTemplate> for SftTemplate {
    fn from(template: ChatTemplate) -> Self {
        Self::Chat(Box::new(template))
    }
}

impl From<PlainTemplate> for SftTemplate {
    fn from(template: PlainTemplate) -> Self {
        Self::Plain(template)
    }
}

/// What is learned of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LearnOn {
    /// The last message, with its end token.
    #[default]
    LastAssistant,
    /// Every message of the assistant, each with its end token.
    AllAssistants,
    /// Every token.
    Everything,
}

/// Whether a beginning of sequence stands first, for plain templates and texts. Chat templates write it themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bos {
    /// As the tokenizer does for prompts at inference.
    #[default]
    Auto,
    /// Yes, where the vocabulary has one.
    Always,
    /// No.
    Never,
}

/// How prompt and answer become tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Join {
    /// As one text.
    #[default]
    Together,
    /// Each for itself, one behind the other: the prompt's tokens are then always those of inference. SentencePiece puts a
    /// blank before the answer.
    Apart,
}

/// How to encode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct EncodeOptions {
    /// What is learned.
    pub learn_on: LearnOn,
    /// Tokens that an example may have, control tokens included; without it nothing is shortened. Old turns are dropped
    /// first, then the front of the last question is cut: of a question in two parts the input, then the rest. The system
    /// message stays. An answer is never cut: a record that can't be brought under the limit is skipped.
    pub cutoff: Option<usize>,
    /// The beginning of sequence.
    pub bos: Bos,
    /// Prompt and answer together or apart.
    pub join: Join,
}

/// A training example.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SftExample {
    /// The token ids.
    pub ids: Vec<u32>,
    /// For each id whether the model learns to write it after the ids before it.
    pub learned: Vec<bool>,
}

impl SftExample {
    /// The first learned id; `None` if there is none.
    pub fn labels_from(&self) -> Option<usize> {
        self.learned.iter().position(|learned| *learned)
    }

    /// The learned ids in order.
    pub fn learned_ids(&self) -> Vec<u32> {
        let learned = self.ids.iter().zip(&self.learned).filter(|(_, learned)| **learned);
        learned.map(|(id, _)| *id).collect()
    }

    /// Ids that a loss counts: the learned ones, without the first of the sequence, which nothing predicts.
    pub fn targets(&self) -> usize {
        self.learned.iter().skip(1).filter(|learned| **learned).count()
    }
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encoded {
    /// An example.
    Example {
        /// The tokens.
        example: SftExample,
        /// Messages dropped from the front.
        dropped_turns: usize,
        /// Tokens cut from the front of the last question, counted in the question alone.
        cut_tokens: usize,
        /// Whether the prompt's ids do not open the example's.
        boundary_moved: bool,
    },
    /// It can't be brought under the cutoff.
    TooLong {
        /// Tokens of the whole record.
        tokens: usize,
        /// Tokens of its last answer with the end token.
        completion_tokens: usize,
    },
}

/// A record that gave no example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SkippedRecord {
    /// File and number.
    pub place: String,
    /// Why, and what to do.
    pub reason: String,
}

/// What an encoding did; token numbers are of the examples that came out of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct EncodeSummary {
    /// Records that came in.
    pub records: usize,
    /// Examples that came out.
    pub encoded: usize,
    /// Records that lost turns.
    pub shortened: usize,
    /// Messages dropped from the front of conversations.
    pub dropped_turns: usize,
    /// Records whose last question lost its front.
    pub cut_questions: usize,
    /// Tokens cut from those questions.
    pub cut_tokens: usize,
    /// Records left out because they can't be brought under the cutoff.
    pub too_long: usize,
    /// Records left out because they can't be encoded.
    pub bad: usize,
    /// Tokens.
    pub tokens: usize,
    /// Tokens that a loss counts.
    pub learned_tokens: usize,
    /// Examples in which the prompt's ids do not open the whole's.
    pub boundary_moved: usize,
    /// Tokens of the longest example.
    pub longest: usize,
    /// Every record that was left out.
    pub skipped: Vec<SkippedRecord>,
}

/// Makes an example of a record and brings it under the encoder's cutoff: [`SftEncoder::encode`], or something that knows the records
/// better.
pub type EncodeRecord<'a> = &'a dyn Fn(&SftEncoder<'_>, &SftRecord) -> Result<Encoded, SftError>;

/// Encodes records for one tokenizer and template.
pub struct SftEncoder<'a> {
    tokenizer: &'a Tokenizer,
    renderer: Renderer<'a>,
    options: EncodeOptions,
    /// Chat templates bring their own.
    is_plain: bool,
}

impl<'a> SftEncoder<'a> {
    /// An encoder.
    ///
    /// # Errors
    /// The cutoff has no room for a prompt and an answer of one token each.
    pub fn new(tokenizer: &'a Tokenizer, template: &'a SftTemplate, options: EncodeOptions) -> Result<Self, SftError> {
        if let Some(cutoff) = options.cutoff.filter(|cutoff| *cutoff < 2) {
            let problem = format!("{cutoff} is too small: at least 2 tokens are needed for a prompt and an answer");
            return Err(SftError::Setting { setting: "cutoff", problem });
        }
        let is_plain = matches!(template, SftTemplate::Plain(_));
        Ok(Self { tokenizer, renderer: Renderer::new(template, tokenizer.eos_token()), options, is_plain })
    }

    /// What the model must be given at inference to answer as it was trained: the ids of the messages with whatever opens
    /// the answer.
    ///
    /// # Errors
    /// The template refuses the messages, or the tokenizer fails.
    pub fn prompt(&self, messages: &[Message]) -> Result<Vec<u32>, Error> {
        let rendered = self.renderer.prompt(messages)?;
        Ok(self.encode_text(&rendered, &[], self.is_plain)?.ids)
    }

    /// Encodes one record.
    ///
    /// # Errors
    /// The record has no answer, the template refuses it, or the tokenizer fails.
    pub fn encode(&self, record: &SftRecord) -> Result<Encoded, SftError> {
        self.checked(record, |content| self.encode_content(content))
    }

    /// Encodes one record whole, however long it is: for those who bring it under the cutoff in a way of their own.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_whole(&self, record: &SftRecord) -> Result<Encoded, SftError> {
        self.checked(record, |content| Ok(self.tokenise(content)?.into_example(0, 0)))
    }

    /// Tokens that an example may have; `None` where nothing is shortened.
    pub fn cutoff(&self) -> Option<usize> {
        self.options.cutoff
    }

    /// Encodes records in order and counts what happens to them.
    ///
    /// # Errors
    /// With [`BadRecords::Fail`] the first record that can't be encoded. A record that is too long is never an error.
    pub fn encode_all<'r>(
        &self,
        records: impl IntoIterator<Item = &'r SftRecord>,
        bad_records: BadRecords,
    ) -> Result<(Vec<SftExample>, EncodeSummary), SftError> {
        self.encode_all_by(&|encoder, record| encoder.encode(record), records, bad_records)
    }

    /// As [`Self::encode_all`], each record encoded by `encode` instead of [`Self::encode`].
    ///
    /// # Errors
    /// As [`Self::encode_all`].
    pub fn encode_all_by<'r>(
        &self,
        encode: EncodeRecord<'_>,
        records: impl IntoIterator<Item = &'r SftRecord>,
        bad_records: BadRecords,
    ) -> Result<(Vec<SftExample>, EncodeSummary), SftError> {
        let mut examples = Vec::new();
        let mut summary = EncodeSummary::default();
        for record in records {
            summary.records += 1;
            match encode(self, record) {
                Ok(encoded) => examples.extend(summary.count(record, encoded, self.options.cutoff)),
                Err(error) if bad_records == BadRecords::Fail => return Err(error),
                Err(error) => {
                    summary.bad += 1;
                    let reason = match error {
                        SftError::Encode { problem, .. } => problem,
                        other => other.to_string(),
                    };
                    summary.skip(record, reason);
                }
            }
        }
        Ok((examples, summary))
    }

    /// Encodes a record that has something to learn from; errors name its place.
    fn checked(
        &self,
        record: &SftRecord,
        encode: impl FnOnce(&SftContent) -> Result<Encoded, Error>,
    ) -> Result<Encoded, SftError> {
        let failed = |problem: String| SftError::Encode { place: record.place.clone(), problem };
        if let Some(problem) = record.content.problem() {
            return Err(failed(problem));
        }
        encode(&record.content).map_err(|error| failed(error.to_string()))
    }

    fn encode_content(&self, content: &SftContent) -> Result<Encoded, Error> {
        let whole = self.tokenise(content)?;
        let Some(cutoff) = self.options.cutoff.filter(|cutoff| whole.example.ids.len() > *cutoff) else {
            return Ok(whole.into_example(0, 0));
        };
        let too_long = Encoded::TooLong { tokens: whole.example.ids.len(), completion_tokens: whole.completion_tokens };
        if whole.completion_tokens > cutoff {
            return Ok(too_long);
        }
        let fits = |content: &SftContent| Ok::<_, Error>(self.tokenise(content)?.example.ids.len() <= cutoff);
        match shorten(content, self.tokenizer, fits)? {
            None => Ok(too_long),
            Some(short) => Ok(self.tokenise(&short.content)?.into_example(short.dropped_turns, short.cut_tokens)),
        }
    }

    fn tokenise(&self, content: &SftContent) -> Result<Tokenised, Error> {
        let has_bos = self.is_plain || matches!(content, SftContent::Text { .. });
        let LaidOut { whole, answers } = self.renderer.lay_out(content, self.options.learn_on)?;
        let cuts: Vec<usize> = match self.options.join {
            Join::Together => Vec::new(),
            Join::Apart => answers.iter().map(|answer| answer.start).collect(),
        };
        let mut encoding = self.encode_text(&whole, &cuts, has_bos)?;
        let text_end = answers.last().map_or(0, |answer| answer.content.end);
        self.end_once(&mut encoding, &whole.text, text_end);
        let mut tokenised = Tokenised::new(encoding.ids.len());
        for (number, answer) in answers.iter().enumerate() {
            let (first, moved) = self.first_learned(&encoding, answer, has_bos)?;
            let is_last = number + 1 == answers.len();
            let after = if is_last { encoding.ids.len() } else { self.after_answer(&encoding, answer) };
            tokenised.example.learned[first..after.max(first)].fill(true);
            tokenised.boundary_moved |= moved;
            tokenised.completion_tokens = after.saturating_sub(first);
        }
        if self.options.learn_on == LearnOn::Everything {
            tokenised.example.learned.fill(true);
        }
        tokenised.example.ids = encoding.ids;
        Ok(tokenised)
    }

    /// Encodes a rendered text, cut at byte positions into texts of their own.
    fn encode_text(&self, rendered: &RenderedChat, cuts: &[usize], has_bos: bool) -> Result<Encoding, Error> {
        let mut encoding = Encoding::default();
        if let Some(bos) = self.bos().filter(|_| has_bos) {
            encoding.ids.push(bos);
            encoding.offsets.push(0..0);
        }
        let mut start = 0;
        for end in cuts.iter().copied().chain([rendered.text.len()]) {
            let Some(piece) = rendered.text.get(start..end) else { continue };
            let protected: Vec<Range<usize>> =
                rendered.contents.iter().map(|content| within(content, &(start..end))).collect();
            let encoded = self.tokenizer.encode_rendered(piece, &protected)?;
            encoding.ids.extend(encoded.ids);
            encoding.offsets.extend(encoded.offsets.into_iter().map(|offset| offset.start + start..offset.end + start));
            start = end;
        }
        Ok(encoding)
    }

    fn bos(&self) -> Option<u32> {
        let is_wanted = match self.options.bos {
            Bos::Auto => self.tokenizer.adds_bos(),
            Bos::Always => true,
            Bos::Never => false,
        };
        self.tokenizer.bos().filter(|_| is_wanted)
    }

    /// Sees to it that an end token follows the last answer, and nothing the model would never come to write after it.
    fn end_once(&self, encoding: &mut Encoding, text: &str, text_end: usize) {
        let after = encoding.offsets.partition_point(|offset| offset.start < text_end);
        let end = encoding.ids[after..].iter().position(|id| self.tokenizer.eos().contains(id)).map(|at| after + at);
        let Some(end) = end else {
            if let Some(eos) = self.tokenizer.eos().first() {
                encoding.ids.push(*eos);
                encoding.offsets.push(text.len()..text.len());
            }
            return;
        };
        let rest = text.get(encoding.offsets[end].end..).unwrap_or_default();
        if rest.trim().is_empty() {
            encoding.ids.truncate(end + 1);
            encoding.offsets.truncate(end + 1);
        }
    }

    /// The first token of an answer, and whether it is not the one behind the prompt as inference encodes it.
    fn first_learned(&self, whole: &Encoding, answer: &Answer, has_bos: bool) -> Result<(usize, bool), Error> {
        let prefix = self.encode_text(&answer.prefix, &[], has_bos)?.ids;
        let by_bytes = |start: usize| {
            let begins = |offset: &Range<usize>| offset.end > start || (offset.start == start && start > 0);
            whole.offsets.iter().position(begins).unwrap_or(whole.offsets.len())
        };
        let loses_nothing = prefix.len() <= first_touching(whole, answer.content.start);
        if whole.ids.starts_with(&prefix) && loses_nothing {
            return Ok((prefix.len(), false));
        }
        Ok((by_bytes(answer.start), true))
    }

    /// The token behind an answer that is not the last: behind its end token, or where the template ends it.
    fn after_answer(&self, encoding: &Encoding, answer: &Answer) -> usize {
        let after_content = encoding.offsets.partition_point(|offset| offset.start < answer.content.end);
        let after = encoding.offsets.partition_point(|offset| offset.start < answer.end).max(after_content);
        let is_end = |id: &u32| self.tokenizer.eos().contains(id);
        encoding.ids[after_content..after].iter().position(is_end).map_or(after, |at| after_content + at + 1)
    }
}

impl EncodeSummary {
    fn count(&mut self, record: &SftRecord, encoded: Encoded, cutoff: Option<usize>) -> Option<SftExample> {
        match encoded {
            Encoded::Example { example, dropped_turns, cut_tokens, boundary_moved } => {
                self.encoded += 1;
                self.shortened += usize::from(dropped_turns > 0);
                self.dropped_turns += dropped_turns;
                self.cut_questions += usize::from(cut_tokens > 0);
                self.cut_tokens += cut_tokens;
                self.boundary_moved += usize::from(boundary_moved);
                self.tokens += example.ids.len();
                self.learned_tokens += example.targets();
                self.longest = self.longest.max(example.ids.len());
                Some(example)
            }
            Encoded::TooLong { tokens, completion_tokens } => {
                self.too_long += 1;
                let cutoff = cutoff.unwrap_or_default();
                let reason = format!(
                    "{tokens} tokens, {completion_tokens} of them the answer, can't be brought under the cutoff of {cutoff}: raise it or shorten the record"
                );
                self.skip(record, reason);
                None
            }
        }
    }

    fn skip(&mut self, record: &SftRecord, reason: String) {
        self.skipped.push(SkippedRecord { place: record.place.to_string(), reason });
    }
}

/// An example on its way.
struct Tokenised {
    example: SftExample,
    completion_tokens: usize,
    boundary_moved: bool,
}

impl Tokenised {
    fn new(length: usize) -> Self {
        let example = SftExample { ids: Vec::new(), learned: vec![false; length] };
        Self { example, completion_tokens: 0, boundary_moved: false }
    }

    fn into_example(self, dropped_turns: usize, cut_tokens: usize) -> Encoded {
        Encoded::Example { example: self.example, dropped_turns, cut_tokens, boundary_moved: self.boundary_moved }
    }
}

/// The first token that holds a byte at or after a place.
fn first_touching(encoding: &Encoding, start: usize) -> usize {
    encoding.offsets.iter().position(|offset| offset.end > start).unwrap_or(encoding.offsets.len())
}

/// The part of a range inside another, counted from that one's start.
fn within(range: &Range<usize>, piece: &Range<usize>) -> Range<usize> {
    let start = range.start.clamp(piece.start, piece.end);
    let end = range.end.clamp(piece.start, piece.end).max(start);
    start - piece.start..end - piece.start
}
