//! A judge that answers by a function of its prompt.

use std::ops::ControlFlow;

use llm_runtime::{
    ChatTemplate, Completion, Continuation, Error, Event, FinishReason, ModelIdentity, Prompt, PromptReport, Request,
    RequestError, RunStatistics, Score, ScoreRequest, TextModel,
};

/// Answers by a function of the user message.
pub(crate) struct ScriptedJudge<F> {
    pub(crate) answer: F,
    /// Requests answered so far.
    pub(crate) asked: usize,
    /// Their seeds, where it wrote.
    pub(crate) seeds: Vec<u64>,
}

impl<F: FnMut(&str) -> Result<String, RequestError>> ScriptedJudge<F> {
    pub(crate) fn new(answer: F) -> Self {
        Self { answer, asked: 0, seeds: Vec::new() }
    }
}

fn user_message(prompt: &Prompt) -> &str {
    match prompt {
        Prompt::Chat(messages) => &messages[1].content,
        _ => panic!("a judge is asked in messages"),
    }
}

impl<F: FnMut(&str) -> Result<String, RequestError>> TextModel for ScriptedJudge<F> {
    fn identity(&self) -> ModelIdentity {
        ModelIdentity { name: "scripted".into(), ..ModelIdentity::default() }
    }

    fn template(&self) -> Option<&ChatTemplate> {
        None
    }

    /// Requests finish in the reverse of their order, to be difficult.
    fn generate(
        &mut self,
        requests: &mut dyn Iterator<Item = Request>,
        sink: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<RunStatistics, Error> {
        let requests: Vec<Request> = requests.collect();
        for request in requests.iter().rev() {
            self.asked += 1;
            self.seeds.push(request.options.seed);
            let event = match (self.answer)(user_message(&request.prompt)) {
                Ok(text) => Event::Finished(Completion {
                    key: request.key,
                    text,
                    tokens: vec![1],
                    new_tokens: 1,
                    finish_reason: FinishReason::EndOfSequence,
                    stop: None,
                    logprobs: Vec::new(),
                    text_logprobs: Vec::new(),
                    hypotheses: Vec::new(),
                    prompt: PromptReport::default(),
                    prompt_tokens: 1,
                    served_by: None,
                    attempts: 0,
                    attention: None,
                }),
                Err(error) => Event::Failed { key: request.key, error },
            };
            if sink(event).is_break() {
                break;
            }
        }
        Ok(RunStatistics::default())
    }

    /// A continuation is as likely as it is what the judge would write.
    fn score(&mut self, requests: &[ScoreRequest]) -> Result<Vec<Result<Score, RequestError>>, Error> {
        let mut scores = Vec::new();
        for request in requests {
            self.asked += 1;
            let Continuation::Text(choice) = &request.continuation else { panic!("verdicts are texts") };
            let score = (self.answer)(user_message(&request.prompt)).map(|written| {
                let sum = if written.ends_with(choice) { -0.5 } else { -2.0 };
                Score { tokens: vec![1], logprobs: vec![sum as f32], sum, attention: None }
            });
            scores.push(score);
        }
        Ok(scores)
    }
}
