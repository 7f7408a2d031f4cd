//! A model whose answer is a function of prompt and options alone, as a real one's is.

use std::collections::HashSet;
use std::ops::ControlFlow;

use llm_runtime::{
    ChatTemplate, Completion, Event, FinishReason, GenerationPrompt, ModelIdentity, Prompt, PromptReport, Request,
    RequestError, RunStatistics, Score, ScoreRequest, Span, TextModel,
};

/// How the model misbehaves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Fault {
    /// Not at all.
    #[default]
    None,
    /// Requests with these keys are refused.
    Refuses(HashSet<u64>),
    /// The run ends with an error after so many answers.
    DiesAfter(usize),
    /// Each answer comes twice.
    AnswersTwice,
    /// The last request gets no answer.
    ForgetsTheLast,
    /// Requests with these keys end as cancelled.
    Cancels(HashSet<u64>),
}

/// Serves requests in batches, the last of a batch first.
pub(crate) struct FakeModel {
    pub(crate) template: Option<ChatTemplate>,
    pub(crate) batch: usize,
    pub(crate) fault: Fault,
    pub(crate) served: usize,
}

impl FakeModel {
    pub(crate) fn new() -> Self {
        Self { template: ChatTemplate::built_in_by_name("llama3"), batch: 4, fault: Fault::None, served: 0 }
    }

    pub(crate) fn with(fault: Fault) -> Self {
        Self { fault, ..Self::new() }
    }

    fn answer(&self, request: Request) -> Event {
        let key = request.key;
        if matches!(&self.fault, Fault::Refuses(keys) if keys.contains(&key)) {
            return Event::Failed { key, error: RequestError::ContextTooLong { prompt: 900, new: 8, context: 512 } };
        }
        let Prompt::Chat(messages) = &request.prompt else { panic!("a chat was expected") };
        let rendered = self.template.as_ref().unwrap().render(messages, GenerationPrompt::Add).unwrap();
        let seed = rendered
            .text
            .bytes()
            .fold(request.options.seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let spans = rendered.spans.into_iter().map(|part| Span {
            label: part.label,
            tokens: part.range.clone(),
            bytes: part.range,
        });
        let is_cancelled = matches!(&self.fault, Fault::Cancels(keys) if keys.contains(&key));
        Event::Finished(Completion {
            key,
            text: format!("assistant: Answer \"{seed:x}\"\nwith two lines — and é"),
            tokens: vec![(seed % 97) as u32, 2],
            new_tokens: 2,
            finish_reason: if is_cancelled { FinishReason::Cancelled } else { FinishReason::EndOfSequence },
            stop: None,
            logprobs: Vec::new(),
            text_logprobs: Vec::new(),
            hypotheses: Vec::new(),
            attention: None,
            prompt_tokens: rendered.text.len(),
            served_by: None,
            attempts: 0,
            prompt: PromptReport {
                tokens: rendered.text.bytes().map(u32::from).collect(),
                reused: self.served,
                spans: spans.collect(),
                text: rendered.text,
            },
        })
    }
}

impl TextModel for FakeModel {
    fn identity(&self) -> ModelIdentity {
        ModelIdentity {
            name: "fake".into(),
            sha256: "ab".repeat(32),
            dtype: "f32".into(),
            template_sha256: "cd".into(),
        }
    }

    fn template(&self) -> Option<&ChatTemplate> {
        self.template.as_ref()
    }

    fn generate(
        &mut self,
        requests: &mut dyn Iterator<Item = Request>,
        sink: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<RunStatistics, llm_runtime::Error> {
        let mut statistics = RunStatistics::default();
        loop {
            let mut batch: Vec<Request> = std::iter::from_fn(|| requests.next()).take(self.batch).collect();
            if batch.is_empty() {
                return Ok(statistics);
            }
            if self.fault == Fault::ForgetsTheLast && batch.len() < self.batch {
                return Ok(statistics);
            }
            batch.reverse();
            for request in batch {
                if self.fault == Fault::DiesAfter(self.served) {
                    return Err(llm_runtime::Error::Invalid("the device went away".into()));
                }
                let key = request.key;
                let again = (self.fault == Fault::AnswersTwice).then(|| request.clone());
                let answers = std::iter::once(request).chain(again).map(|request| self.answer(request));
                for event in std::iter::once(Event::Text { key, delta: "As".into() }).chain(answers.collect::<Vec<_>>())
                {
                    if sink(event).is_break() {
                        return Ok(statistics);
                    }
                }
                self.served += 1;
                statistics.requests += 1;
            }
        }
    }

    fn score(&mut self, _: &[ScoreRequest]) -> Result<Vec<Result<Score, RequestError>>, llm_runtime::Error> {
        Err(llm_runtime::Error::Invalid("the fake model does not score".into()))
    }
}
