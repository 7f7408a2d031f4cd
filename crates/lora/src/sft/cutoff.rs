//! Shortening a record until it fits: whole old turns first, then the front of the last question.
//!
//! What stands nearest to the answer explains it best, so text is taken from the front. The system message stays, and the
//! answer is never touched. Of a question in two parts the input is cut first, since without its instruction it means nothing.

use std::ops::Range;

use llm_runtime::{Message, Role, Tokenizer, TokenizerError};

use super::record::{SftContent, SftRecord};

/// A record that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shortened {
    pub(super) content: SftContent,
    /// Messages that were dropped.
    pub(super) dropped_turns: usize,
    /// Tokens that the question lost, counted in the question alone.
    pub(super) cut_tokens: usize,
}

/// The first shortening that fits, from the mildest; `None` if even the strongest does not.
pub(super) fn shorten<E: From<TokenizerError>>(
    content: &SftContent,
    tokenizer: &Tokenizer,
    mut fits: impl FnMut(&SftContent) -> Result<bool, E>,
) -> Result<Option<Shortened>, E> {
    let mut shortened = Shortened { content: content.clone(), dropped_turns: 0, cut_tokens: 0 };
    if let SftContent::Chat(messages) = content {
        let system = messages.iter().take_while(|message| message.role == Role::System).count();
        let starts = later_questions(messages, system);
        let without = |start: &usize| {
            SftContent::Chat(messages[..system].iter().chain(&messages[*start..]).cloned().collect::<Vec<_>>())
        };
        if let Some(found) = first_that_fits(&starts, |start| fits(&without(start)))? {
            shortened.content = without(&starts[found]);
            shortened.dropped_turns = starts[found] - system;
            return Ok(Some(shortened));
        }
        if let Some(last) = starts.last() {
            shortened.content = without(last);
            shortened.dropped_turns = last - system;
        }
    }
    let Some(question) = question(&shortened.content) else { return Ok(None) };
    let cuts = cuts(&question, tokenizer)?;
    let apply = |cut: &Cut| with_question(&shortened.content, cut.apply(&question));
    let Some(found) = first_that_fits(&cuts, |cut| fits(&apply(cut)))? else { return Ok(None) };
    shortened.cut_tokens = cuts[found].tokens;
    shortened.content = apply(&cuts[found]);
    Ok(Some(shortened))
}

/// Where the conversation could begin instead: at each question but the first.
fn later_questions(messages: &[Message], system: usize) -> Vec<usize> {
    let is_question = |number: &usize| messages[*number].role == Role::User;
    (system + 1..messages.len()).filter(is_question).collect()
}

/// The first of the candidates, from the mildest to the strongest, that fits, by halving: lengths fall from one to the
/// next but for single tokens, and what is returned has been tried.
fn first_that_fits<C, E>(candidates: &[C], mut fits: impl FnMut(&C) -> Result<bool, E>) -> Result<Option<usize>, E> {
    let Some(last) = candidates.len().checked_sub(1) else { return Ok(None) };
    if !fits(&candidates[last])? {
        return Ok(None);
    }
    let (mut low, mut fitting) = (0, last);
    while low < fitting {
        let middle = (low + fitting) / 2;
        if fits(&candidates[middle])? { fitting = middle } else { low = middle + 1 }
    }
    Ok(Some(fitting))
}

/// The message that may lose text: the last question, or a text's prompt.
fn question(content: &SftContent) -> Option<Message> {
    match content {
        SftContent::Chat(messages) => messages.iter().rfind(|message| message.role == Role::User).cloned(),
        SftContent::Text { prompt, .. } => Some(Message::user(prompt.clone())),
    }
}

fn with_question(content: &SftContent, question: Message) -> SftContent {
    let mut content = content.clone();
    match &mut content {
        SftContent::Chat(messages) => {
            if let Some(place) = messages.iter_mut().rfind(|message| message.role == Role::User) {
                *place = question;
            }
        }
        SftContent::Text { prompt, .. } => *prompt = question.content,
    }
    content
}

/// What a question loses: the front of its text, and the front of its input.
struct Cut {
    text: Range<usize>,
    input: Range<usize>,
    tokens: usize,
}

impl Cut {
    fn apply(&self, question: &Message) -> Message {
        // From the back, so that the first range is still right when the second is gone.
        let mut question = question.clone();
        remove(&mut question, &self.input);
        remove(&mut question, &self.text);
        question
    }
}

/// All cuts that leave some text, from the mildest to the strongest: the input token by token, then the rest.
fn cuts(question: &Message, tokenizer: &Tokenizer) -> Result<Vec<Cut>, TokenizerError> {
    let content = &question.content;
    let offsets = tokenizer.encode(content)?.offsets;
    let input = question.parts.iter().find(|part| part.label == SftRecord::INPUT).map(|part| part.range.clone());
    let input = input.filter(|range| content.get(range.clone()).is_some()).unwrap_or(0..0);
    let mut cuts = Vec::new();
    let mut tokens = 0;
    let starts: Vec<usize> = token_starts(&offsets).filter(|start| content.is_char_boundary(*start)).collect();
    for start in starts.iter().copied().filter(|start| input.start < *start && *start < input.end) {
        tokens += 1;
        cuts.push(Cut { text: 0..0, input: input.start..start, tokens });
    }
    if !input.is_empty() {
        tokens += 1;
        cuts.push(Cut { text: 0..0, input: input.clone(), tokens });
    }
    for start in starts.into_iter().filter(|start| *start <= input.start || *start >= input.end) {
        tokens += 1;
        // Behind the input, one range reaches from there to the new start.
        let (text, input) = match start <= input.start {
            true => (0..start, input.clone()),
            false => (0..input.start, input.start..start),
        };
        cuts.push(Cut { text, input, tokens });
    }
    cuts.retain(|cut| !cut.apply(question).content.trim().is_empty());
    Ok(cuts)
}

/// Where tokens begin in the text, each place once, rising.
fn token_starts(offsets: &[Range<usize>]) -> impl Iterator<Item = usize> + '_ {
    let mut before = 0;
    offsets.iter().map(|offset| offset.start).filter(move |start| {
        let is_new = *start > before;
        before = before.max(*start);
        is_new
    })
}

/// Takes a range out of a message; its parts shrink and move with the text.
fn remove(message: &mut Message, range: &Range<usize>) {
    if range.is_empty() {
        return;
    }
    message.content.replace_range(range.clone(), "");
    let moved = |at: usize| at.min(range.start) + at.saturating_sub(range.end);
    for part in &mut message.parts {
        part.range = moved(part.range.start)..moved(part.range.end);
    }
}
