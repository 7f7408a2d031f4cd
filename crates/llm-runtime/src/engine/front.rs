//! From requests to jobs: rendering, tokenising, and the checks that refuse a request before it costs anything.

use std::sync::Arc;

use super::job::{BeamDecoder, Decoder, Job, SampleDecoder, ScoreDecoder};
use super::probe::Wishes;
use super::sequence::Sequence;
use super::stop::StopMatcher;
use crate::beam::BeamSearch;
use crate::cache::BLOCK_SIZE;
use crate::sampling::Sampler;
use crate::text_model::{CancelToken, Continuation, Prompt, PromptReport, Request, RequestError, ScoreRequest, Span};
use crate::tokenizer::{Encoding, Tokenizer};
use crate::{
    ChatTemplate, GenerationOptions, GenerationPrompt, InvalidOption, Message, Part, RenderedChat, TokenizerError,
};

/// Tokenizer, template and the limits a request must keep.
#[derive(Clone)]
pub(crate) struct Front {
    pub(crate) tokenizer: Tokenizer,
    pub(super) template: Option<ChatTemplate>,
    pub(super) eos: Vec<u32>,
    pub(crate) context_length: usize,
    pub(super) vocabulary: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    /// Cache blocks in all.
    pub(super) blocks: usize,
}

/// A request that was tokenised and checked.
pub(crate) struct Draft {
    key: u64,
    prompt: PromptReport,
    kind: DraftKind,
    pub(crate) cancel: Option<CancelToken>,
    wishes: Wishes,
}

/// A draft, or the key of a request that is refused and why.
pub(crate) type Drafted = Result<Draft, (u64, RequestError)>;

enum DraftKind {
    Generate(GenerationOptions),
    Score { prompt_length: usize },
}

impl Front {
    pub(crate) fn generation(&self, request: Request) -> Result<Draft, RequestError> {
        request.options.validate()?;
        if request.options.beam_width > 1 && (request.probe.is_some() || request.edit.is_some()) {
            let problem = "attention is captured and edited with one beam only".into();
            return Err(InvalidOption { option: "beam_width", problem }.into());
        }
        let prompt = self.prompt(&request.prompt)?;
        self.check_length(prompt.tokens.len(), request.options.max_new_tokens, request.options.beam_width)?;
        let length = prompt.tokens.len();
        let bos = self.tokenizer.bos();
        let wishes = Wishes::new(request.probe.as_ref(), request.edit.as_ref(), &prompt, length, bos)?;
        let kind = DraftKind::Generate(request.options);
        Ok(Draft { key: request.key, prompt, kind, cancel: request.cancel, wishes })
    }

    pub(crate) fn scoring(&self, key: u64, request: &ScoreRequest) -> Result<Draft, RequestError> {
        let mut prompt = self.prompt(&request.prompt)?;
        let mut prompt_length = prompt.tokens.len();
        match &request.continuation {
            Continuation::Tokens(tokens) => prompt.tokens.extend_from_slice(tokens),
            Continuation::Text(text) => prompt_length = self.append(&mut prompt, &request.prompt, text)?,
        }
        self.check_tokens(&prompt.tokens)?;
        self.check_length(prompt.tokens.len(), 0, 1)?;
        if prompt_length == 0 {
            return Err(RequestError::EmptyPrompt);
        }
        let bos = self.tokenizer.bos();
        let wishes = Wishes::new(request.probe.as_ref(), request.edit.as_ref(), &prompt, prompt_length, bos)?;
        Ok(Draft { key, prompt, kind: DraftKind::Score { prompt_length }, cancel: None, wishes })
    }

    /// Tokenises prompt and continuation together; gives the number of tokens that end inside the prompt.
    pub(crate) fn append(&self, report: &mut PromptReport, prompt: &Prompt, text: &str) -> Result<usize, RequestError> {
        let start = report.text.len();
        if matches!(prompt, Prompt::Tokens(_)) {
            let length = report.tokens.len();
            let encoding = self.tokenizer.encode(text).map_err(|error| RequestError::Tokenizer(error.to_string()))?;
            report.tokens.extend(encoding.ids);
            return Ok(length);
        }
        let whole = format!("{}{text}", report.text);
        let encoding = match prompt {
            Prompt::Chat(messages) => {
                let rendered = self.render(messages)?;
                let mut protected = rendered.contents;
                protected.push(start..whole.len());
                let encoding = self.tokenizer.encode_rendered(&whole, &protected);
                // A token may straddle the border, so parts are found again.
                encoding.inspect(|encoding| {
                    report.spans = rendered.spans.into_iter().map(|part| span(part, encoding)).collect();
                })
            }
            _ => self.encode_text(&whole),
        }
        .map_err(|error| RequestError::Tokenizer(error.to_string()))?;
        let prompt_length = match prompt {
            // Only the beginning-of-sequence token: a token for the space that some tokenizers put first has no place in the text.
            Prompt::Text(text) if text.is_empty() => usize::from(self.tokenizer.adds_bos()).min(encoding.ids.len()),
            _ => encoding.offsets.iter().take_while(|bytes| bytes.end <= start).count(),
        };
        report.text = whole;
        report.tokens = encoding.ids;
        Ok(prompt_length)
    }

    fn encode_text(&self, text: &str) -> Result<Encoding, TokenizerError> {
        if self.tokenizer.adds_bos() { self.tokenizer.encode_with_bos(text) } else { self.tokenizer.encode(text) }
    }

    fn render(&self, messages: &[Message]) -> Result<RenderedChat, RequestError> {
        let template = self.template.as_ref().ok_or_else(|| {
            RequestError::Template("the model has no chat template: choose a built-in one with --chat-template".into())
        })?;
        template.render(messages, GenerationPrompt::Add).map_err(|error| RequestError::Template(error.to_string()))
    }

    pub(crate) fn prompt(&self, prompt: &Prompt) -> Result<PromptReport, RequestError> {
        let tokenizer_error = |error: TokenizerError| RequestError::Tokenizer(error.to_string());
        let report = match prompt {
            Prompt::Tokens(tokens) => PromptReport { tokens: tokens.clone(), ..PromptReport::default() },
            Prompt::Text(text) => {
                let encoding = self.encode_text(text).map_err(tokenizer_error)?;
                PromptReport { text: text.clone(), tokens: encoding.ids, ..PromptReport::default() }
            }
            Prompt::Chat(messages) => {
                let rendered = self.render(messages)?;
                let encoding =
                    self.tokenizer.encode_rendered(&rendered.text, &rendered.contents).map_err(tokenizer_error)?;
                let spans = rendered.spans.into_iter().map(|part| span(part, &encoding)).collect();
                PromptReport { text: rendered.text, tokens: encoding.ids, reused: 0, spans }
            }
        };
        self.check_tokens(&report.tokens)?;
        Ok(report)
    }

    pub(super) fn check_tokens(&self, tokens: &[u32]) -> Result<(), RequestError> {
        let vocabulary = self.vocabulary;
        if tokens.is_empty() {
            return Err(RequestError::EmptyPrompt);
        }
        match tokens.iter().find(|id| **id as usize >= vocabulary) {
            Some(id) => Err(RequestError::UnknownToken { id: *id, vocabulary }),
            None => Ok(()),
        }
    }

    /// Most new tokens that a prompt leaves room for.
    #[cfg(feature = "serve")]
    pub(crate) fn room_behind(&self, prompt: usize) -> usize {
        let cached = self.blocks.saturating_sub(prompt.div_ceil(BLOCK_SIZE) + 1) * BLOCK_SIZE;
        self.context_length.saturating_sub(prompt).min(cached)
    }

    fn check_length(&self, prompt: usize, new: usize, beams: usize) -> Result<(), RequestError> {
        if prompt.saturating_add(new) > self.context_length {
            return Err(RequestError::ContextTooLong { prompt, new, context: self.context_length });
        }
        // Each beam may end up with blocks of its own for everything new, and a copy of the block where it begins.
        let needed = prompt.div_ceil(BLOCK_SIZE) + beams * (new.div_ceil(BLOCK_SIZE) + 1);
        if needed > self.blocks {
            return Err(RequestError::CacheTooSmall { needed, block: BLOCK_SIZE, available: self.blocks });
        }
        Ok(())
    }

    pub(super) fn job(&self, draft: Draft) -> Job<'_> {
        let Draft { key, prompt, kind, cancel, wishes } = draft;
        let (decoder, new) = match kind {
            DraftKind::Score { prompt_length } => {
                (Decoder::Score(ScoreDecoder { prompt_length, logprobs: Vec::new() }), 0)
            }
            DraftKind::Generate(options) => (self.decoder(&options, &prompt.tokens), options.max_new_tokens),
        };
        let longest = prompt.tokens.len() + new;
        let sequences = vec![Sequence::new(prompt.tokens.clone(), wishes.private_from())];
        let attention = wishes.probe.as_ref().map(|probe| Box::new(probe.begin(self.layers, self.heads)));
        let wishes = Arc::new(wishes);
        Job { key, sequences, prompt, decoder, cancel, wishes, attention, longest, started: None }
    }

    fn decoder(&self, options: &GenerationOptions, prompt: &[u32]) -> Decoder<'_> {
        let eos = if options.ignore_eos { Vec::new() } else { self.eos.to_vec() };
        if options.beam_width > 1 {
            return Decoder::Beam(Box::new(BeamDecoder {
                search: Some(BeamSearch::new(options, prompt, &eos)),
                width: options.beam_width,
                tokenizer: &self.tokenizer,
                eos,
                stops: options.stop.clone(),
            }));
        }
        Decoder::Sample(Box::new(SampleDecoder {
            sampler: Sampler::new(options, prompt, &eos),
            stream: self.tokenizer.decode_stream(),
            stop: StopMatcher::new(&options.stop),
            stopped_by: None,
            eos,
            max_new_tokens: options.max_new_tokens,
            report: options.logprobs,
            text: String::new(),
            logprobs: Vec::new(),
        }))
    }
}

/// The tokens that overlap a part's bytes.
fn span(part: Part, encoding: &Encoding) -> Span {
    let Part { label, range } = part;
    let first = encoding.offsets.partition_point(|bytes| bytes.end <= range.start);
    let last = encoding.offsets.partition_point(|bytes| bytes.start < range.end);
    let tokens = if range.is_empty() { first..first } else { first..last.max(first) };
    Span { label, bytes: range, tokens }
}
