//! Continuation records: one JSON line per generated turn, with everything needed to make it again.
//!
//! A record holds only what the request and the model decide. What varies between runs of the same request (time,
//! tokens taken from the cache) stays out, so that a resumed run gives the same lines as an uninterrupted one.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use llm_runtime::{
    Completion, FinishReason, GenerationOptions, Hypothesis, Message, ModelIdentity, Prompt, Request, ServedBy, Span,
    TextLogprob, TokenLogprob, input_file,
};
use serde::{Deserialize, Serialize};

use crate::dialogue::Dialogue;
use crate::error::Error;
use crate::instruction::{InstructionTemplate, StrategyText};
use crate::layout::{HistoryFormat, Layout, SystemRole, build};
use crate::sweep::SweepItem;

/// Name and version of the program that made a record.
pub const CREATED_BY: &str = concat!("strategy-prompting ", env!("CARGO_PKG_VERSION"));

/// An instruction template as a record keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstructionSource {
    /// The template's name.
    pub name: String,
    /// Hex SHA-256 of `source`.
    pub sha256: String,
    /// The template's text with its slots.
    pub source: String,
}

impl From<&InstructionTemplate> for InstructionSource {
    fn from(template: &InstructionTemplate) -> Self {
        Self {
            name: template.name().to_owned(),
            sha256: template.sha256().to_owned(),
            source: template.source().to_owned(),
        }
    }
}

/// One generated supporter turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContinuationRecord {
    /// The record's id, see [`SweepItem::id`].
    pub id: String,
    /// The example's id.
    pub example: String,
    /// The conversation it was cut from.
    pub conversation: String,
    /// The supporter turn that was continued.
    pub turn: usize,
    /// The strategy's label, or [`crate::UNCONDITIONAL`].
    pub strategy: String,
    /// The strategy's description paragraph; empty where the template names no strategy.
    pub strategy_description: String,
    /// Name of the strategy set.
    pub strategy_set: String,
    /// The layout.
    pub layout: Layout,
    /// How the history block was written.
    pub history_format: HistoryFormat,
    /// Where the system text went.
    pub system_role: SystemRole,
    /// The instruction template.
    pub instruction: InstructionSource,
    /// The model.
    pub model: ModelIdentity,
    /// The run's seed.
    pub run_seed: u64,
    /// How it was generated, with the item's own seed.
    pub generation: GenerationOptions,
    /// The rendered prompt, control tokens as text; empty where a server rendered it.
    pub prompt: String,
    /// The prompt's messages, with where their parts are, where a server rendered them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prompt_messages: Vec<Message>,
    /// Prompt tokens, the beginning-of-sequence token included.
    pub prompt_tokens: usize,
    /// Where the prompt's parts are, in bytes of `prompt` and in its tokens.
    pub spans: Vec<Span>,
    /// The generated text, untouched.
    pub text: String,
    /// The text as [`crate::tidy_response`] makes it; absent until post-processing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
    /// New tokens, the end-of-sequence token included.
    pub new_tokens: usize,
    /// Their ids; empty where a server does not tell them.
    pub tokens: Vec<u32>,
    /// Why the generation ended.
    pub finish_reason: FinishReason,
    /// Log-probabilities per new token, if they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logprobs: Vec<TokenLogprob>,
    /// The same from a server that does not tell token ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub text_logprobs: Vec<TextLogprob>,
    /// What the server said about itself, where the model is behind one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_by: Option<ServedBy>,
    /// All hypotheses of beam search, best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hypotheses: Vec<Hypothesis>,
    /// The seeker's situation.
    pub situation: String,
    /// The history's texts, without an opening supporter turn, not stripped.
    pub dialog: Vec<String>,
    /// The history's speakers, `seeker` or `supporter`.
    pub speakers: Vec<String>,
    /// Name and version of the program.
    pub created_by: String,
}

impl ContinuationRecord {
    /// The record of a finished item.
    ///
    /// # Errors
    /// The item's options can't be written as JSON.
    pub fn new(
        item: &SweepItem<'_>,
        model: &ModelIdentity,
        system_role: SystemRole,
        completion: Completion,
    ) -> Result<Self, Error> {
        let plan = item.plan();
        let is_rendered_here = !completion.prompt.text.is_empty();
        Ok(Self {
            id: item.id()?,
            example: item.example.id.clone(),
            conversation: item.example.conversation.clone(),
            turn: item.example.turn,
            strategy: item.strategy_name().to_owned(),
            strategy_description: item.strategy.map(|strategy| strategy.description.clone()).unwrap_or_default(),
            strategy_set: plan.strategy_set().to_owned(),
            layout: item.layout,
            history_format: plan.settings().history_format,
            system_role,
            instruction: plan.template().into(),
            model: model.clone(),
            run_seed: plan.settings().seed,
            generation: item.options(),
            prompt: completion.prompt.text,
            prompt_messages: if is_rendered_here { Vec::new() } else { item.messages(system_role)? },
            prompt_tokens: completion.prompt_tokens,
            spans: completion.prompt.spans,
            text: completion.text,
            response: None,
            new_tokens: completion.new_tokens,
            tokens: completion.tokens,
            finish_reason: completion.finish_reason,
            logprobs: completion.logprobs,
            text_logprobs: completion.text_logprobs,
            served_by: completion.served_by,
            hypotheses: completion.hypotheses,
            situation: item.example.situation.clone(),
            dialog: item.example.dialogue.texts(),
            speakers: item.example.dialogue.speakers(),
            created_by: CREATED_BY.to_owned(),
        })
    }

    /// The messages of its prompt, built again from the record alone.
    ///
    /// # Errors
    /// The record's template or dialogue is not valid.
    pub fn messages(&self) -> Result<Vec<Message>, Error> {
        self.messages_with(&StrategyText {
            name: self.strategy.clone(),
            description: self.strategy_description.clone(),
        })
    }

    /// The messages of its prompt with another strategy in place of its own.
    ///
    /// # Errors
    /// As for [`Self::messages`].
    pub fn messages_with(&self, strategy: &StrategyText) -> Result<Vec<Message>, Error> {
        let template = InstructionTemplate::parse(&self.instruction.name, &self.instruction.source)?;
        let instruction = template.fill(&self.situation, Some(strategy))?;
        let dialogue = Dialogue::from_speakers(&self.example, &self.speakers, &self.dialog)?;
        Ok(build(self.layout, &dialogue, &instruction, self.history_format, self.system_role))
    }

    /// The request that makes the record again with the same model.
    ///
    /// # Errors
    /// As for [`Self::messages`].
    pub fn request(&self, key: u64) -> Result<Request, Error> {
        Ok(Request::new(key, Prompt::Chat(self.messages()?), self.generation.clone()))
    }
}

/// What to do with a last line that does not end (a run is writing it, or was killed while it did).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TornLine {
    /// It is an error.
    #[default]
    Refuse,
    /// It is left out.
    Skip,
}

/// Reads records one by one.
///
/// # Errors
/// The file can't be opened. The items are errors, with the line's number, where a line can't be read or is no record;
/// reading goes on after a line that is no record.
pub fn read_records(path: &Path, torn: TornLine) -> Result<Records, Error> {
    let lines = input_file::open_lines(path).map_err(Error::io(path))?;
    Ok(Records { path: path.to_owned(), lines, number: 0, torn })
}

/// The iterator of [`read_records`].
#[derive(Debug)]
pub struct Records {
    path: PathBuf,
    lines: BufReader<File>,
    number: usize,
    torn: TornLine,
}

impl Iterator for Records {
    type Item = Result<ContinuationRecord, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut line = Vec::new();
            self.number += 1;
            match self.lines.read_until(b'\n', &mut line) {
                Err(source) => return Some(Err(Error::Io { path: self.path.clone(), source })),
                Ok(0) => return None,
                Ok(_) => {}
            }
            let is_torn = line.last() != Some(&b'\n');
            if is_torn && self.torn == TornLine::Skip {
                return None;
            }
            if is_torn {
                return Some(Err(
                    self.refuse("the line does not end; the run is going on or was killed: resume it".into())
                ));
            }
            if !line.trim_ascii().is_empty() {
                let record = serde_json::from_slice(&line);
                return Some(record.map_err(|error| self.refuse(format!("not a continuation record: {error}"))));
            }
        }
    }
}

impl Records {
    fn refuse(&self, problem: String) -> Error {
        Error::Line { path: self.path.clone(), line: self.number, problem }
    }
}
