//! Training pairs brought under a length limit: ours, which drops the oldest turns of the dialogue, and the published cut.

use llm_runtime::{Message, Role};
use lora::sft::{Encoded, SftContent, SftEncoder, SftError, SftExample, SftRecord};

use crate::error::Error;
use crate::template::Template;
use crate::truncation::{KeptTokens, fit_oldest_turns, proportional_cut};

/// Encodes a pair; where it is too long for the encoder's cutoff, its prompt loses the oldest turns of its clip, as `template` finds them. Head,
/// cue, last turn and answer are never cut: what still does not fit, or has no clip, is [`Encoded::TooLong`].
///
/// # Errors
/// As [`SftEncoder::encode`].
pub fn encode_dropping_turns(
    template: &Template,
    encoder: &SftEncoder<'_>,
    record: &SftRecord,
) -> Result<Encoded, SftError> {
    let whole = encoder.encode_whole(record)?;
    let Some((limit, example)) = too_long(encoder, &whole) else { return Ok(whole) };
    let refused = Encoded::TooLong { tokens: example.ids.len(), completion_tokens: example.learned_ids().len() };
    let Some(prompt) = prompt(record) else { return Ok(refused) };
    let Some((template, turns)) = template.take_apart(prompt) else { return Ok(refused) };
    let count = &mut |prompt: &str| match encoder.encode_whole(&with_prompt(record, prompt))? {
        Encoded::Example { example, .. } => Ok(example.ids.len()),
        Encoded::TooLong { tokens, .. } => Ok(tokens),
    };
    match fit_oldest_turns(&template, &turns, limit, count) {
        Err(Unfit::TooLong) => Ok(refused),
        Err(Unfit::Record(error)) => Err(error),
        Ok(fitted) => Ok(match encoder.encode_whole(&with_prompt(record, &fitted.text))? {
            Encoded::Example { example, cut_tokens, boundary_moved, .. } => {
                Encoded::Example { example, dropped_turns: fitted.dropped_turns, cut_tokens, boundary_moved }
            }
            too_long => too_long,
        }),
    }
}

/// Encodes a pair; where it is too long for the encoder's cutoff, prompt and answer are cut at their ends as [`proportional_cut`] says.
///
/// # Errors
/// As [`SftEncoder::encode`].
pub fn encode_proportionally(encoder: &SftEncoder<'_>, record: &SftRecord) -> Result<Encoded, SftError> {
    let whole = encoder.encode_whole(record)?;
    let Some((limit, example)) = too_long(encoder, &whole) else { return Ok(whole) };
    let prompt = example.labels_from().unwrap_or(example.ids.len());
    let kept = proportional_cut(prompt, example.ids.len() - prompt, limit);
    let cut_tokens = example.ids.len() - kept.prompt - kept.answer;
    Ok(Encoded::Example { example: cut(example, prompt, kept), dropped_turns: 0, cut_tokens, boundary_moved: false })
}

/// The limit and the example, where it has more tokens.
fn too_long<'e>(encoder: &SftEncoder<'_>, whole: &'e Encoded) -> Option<(usize, &'e SftExample)> {
    match (encoder.cutoff(), whole) {
        (Some(limit), Encoded::Example { example, .. }) if example.ids.len() > limit => Some((limit, example)),
        _ => None,
    }
}

/// Why turns could not be dropped.
enum Unfit {
    TooLong,
    Record(SftError),
}

impl From<Error> for Unfit {
    fn from(_: Error) -> Self {
        Self::TooLong
    }
}

impl From<SftError> for Unfit {
    fn from(error: SftError) -> Self {
        Self::Record(error)
    }
}

/// What the model reads last before it answers.
fn prompt(record: &SftRecord) -> Option<&str> {
    match &record.content {
        SftContent::Text { prompt, .. } => Some(prompt),
        SftContent::Chat(messages) => {
            messages.iter().rfind(|message| message.role == Role::User).map(|message| message.content.as_str())
        }
    }
}

fn with_prompt(record: &SftRecord, text: &str) -> SftRecord {
    let mut record = record.clone();
    match &mut record.content {
        SftContent::Text { prompt, .. } => *prompt = text.to_owned(),
        SftContent::Chat(messages) => {
            if let Some(message) = messages.iter_mut().rfind(|message| message.role == Role::User) {
                *message = Message::user(text);
            }
        }
    }
    record
}

fn cut(example: &SftExample, prompt: usize, kept: KeptTokens) -> SftExample {
    let keep = |place: &usize| *place < kept.prompt || (prompt..prompt + kept.answer).contains(place);
    let places = || (0..example.ids.len()).filter(keep);
    SftExample {
        ids: places().map(|place| example.ids[place]).collect(),
        learned: places().map(|place| example.learned[place]).collect(),
    }
}
