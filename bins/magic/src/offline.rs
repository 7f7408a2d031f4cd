//! Models that are none: to try a collection without a server, and to take in answers from elsewhere.

use std::ops::ControlFlow;

use llm_runtime::{
    ChatTemplate, Completion, Event, FinishReason, ModelIdentity, Prompt, PromptReport, Request, RequestError,
    RunStatistics, Score, ScoreRequest, TextModel,
};

/// Where a pretended model has its answers from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OfflineModel {
    /// It repeats the last line of the prompt's clip, which names the strategy in brackets.
    Echo,
    /// It reads them from a list, by the place of the item; `None` is a request that fails.
    Answers(Vec<Option<String>>),
}

impl OfflineModel {
    fn answer(&self, request: &Request) -> Result<String, RequestError> {
        let missing = || RequestError::Unsupported(format!("the list holds no answer {}", request.key));
        match self {
            Self::Echo => Ok(last_labelled_line(&request.prompt).to_owned()),
            Self::Answers(answers) => {
                let answer = usize::try_from(request.key).ok().and_then(|key| answers.get(key)?.clone());
                answer.ok_or_else(missing)
            }
        }
    }
}

/// The line whose label is marked.
fn last_labelled_line(prompt: &Prompt) -> &str {
    let text = match prompt {
        Prompt::Chat(messages) => messages.last().map_or("", |message| &message.content),
        Prompt::Text(text) => text,
        Prompt::Tokens(_) => "",
    };
    text.lines().rfind(|line| line.ends_with("]***")).unwrap_or_default()
}

impl TextModel for OfflineModel {
    fn identity(&self) -> ModelIdentity {
        let name = match self {
            Self::Echo => "echo",
            Self::Answers(_) => "file",
        };
        ModelIdentity { name: name.into(), ..ModelIdentity::default() }
    }

    fn template(&self) -> Option<&ChatTemplate> {
        None
    }

    fn generate(
        &mut self,
        requests: &mut dyn Iterator<Item = Request>,
        sink: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<RunStatistics, llm_runtime::Error> {
        let mut statistics = RunStatistics::default();
        for request in requests {
            let key = request.key;
            let event = match self.answer(&request) {
                Ok(text) => {
                    statistics.requests += 1;
                    Event::Finished(completion(key, text))
                }
                Err(error) => {
                    statistics.failed += 1;
                    Event::Failed { key, error }
                }
            };
            if sink(event).is_break() {
                break;
            }
        }
        Ok(statistics)
    }

    fn score(&mut self, requests: &[ScoreRequest]) -> Result<Vec<Result<Score, RequestError>>, llm_runtime::Error> {
        let unsupported = || RequestError::Unsupported("only a real model can score".into());
        Ok(requests.iter().map(|_| Err(unsupported())).collect())
    }
}

fn completion(key: u64, text: String) -> Completion {
    Completion {
        key,
        text,
        tokens: Vec::new(),
        new_tokens: 0,
        finish_reason: FinishReason::EndOfSequence,
        stop: None,
        logprobs: Vec::new(),
        text_logprobs: Vec::new(),
        hypotheses: Vec::new(),
        prompt: PromptReport::default(),
        prompt_tokens: 0,
        served_by: None,
        attempts: 0,
        attention: None,
    }
}
