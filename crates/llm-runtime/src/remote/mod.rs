//! Models behind servers that speak OpenAI's API: [`RemoteModel`].
//!
//! A [`crate::TextModel`] like the local engine, so that whatever takes one runs with a server as well. Chats go to
//! `/chat/completions`, plain text and token ids to `/completions`; requests are under way side by side, each on a thread of its
//! own, and are repeated with growing waits where a server stumbles. What the API has no word for (beams, attention) is refused per
//! request, by name, and never left out silently.
//!
//! ```no_run
//! use llm_runtime::{Event, GenerationOptions, Message, Prompt, RemoteModel, RemoteOptions, Request, TextModel};
//!
//! # fn main() -> Result<(), llm_runtime::Error> {
//! let options = RemoteOptions::new("openai:gpt-4o@https://api.openai.com/v1".parse()?);
//! let mut model = RemoteModel::new(options)?;
//! let prompt = Prompt::Chat(vec![Message::user("How are you?")]);
//! let mut requests = std::iter::once(Request::new(0, prompt, GenerationOptions::default()));
//! model.generate(&mut requests, &mut |event| {
//!     if let Event::Finished(completion) = event {
//!         println!("{}", completion.text);
//!     }
//!     std::ops::ControlFlow::Continue(())
//! })?;
//! # Ok(())
//! # }
//! ```
//!
//! A server renders chats itself, so there is no template on this side, and completions tell no prompt text and no spans. The same
//! seed is sent with the same request; whether that gives the same text is the server's affair.

mod address;
mod answer;
mod http;
mod journal;
mod options;
mod retry;
mod run;
mod score;
mod stream;
mod wire;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

pub use self::address::RemoteAddress;
pub use self::options::{Dialect, Patience, Prices, RemoteOptions, RetryPolicy};

use self::answer::{Answer, AnswerBuilder};
use self::http::{Client, Trouble};
use self::journal::RequestJournal;
use self::retry::{IsOver, Outcome, Pace, persist};
use self::run::Run;
use self::wire::Call;
use crate::text_model::{Event, ModelIdentity, Request, RequestError, RunStatistics, Score, ScoreRequest, TextModel};
use crate::{ApiKey, ChatTemplate, Error, GenerationOptions, InvalidOption, KeySource};

/// A model behind a server. Implements [`TextModel`].
pub struct RemoteModel {
    remote: Arc<Remote>,
}

impl RemoteModel {
    /// Reads the key and opens the request journal; asks the server nothing yet.
    ///
    /// # Errors
    /// A setting is out of range, the key can't be read, or the journal can't be opened.
    pub fn new(options: RemoteOptions) -> Result<Self, Error> {
        options.validate()?;
        let client = Client::new(&options, key(&options)?);
        let journal = options.journal.as_deref().map(RequestJournal::open).transpose()?.map(Mutex::new);
        let pace = Pace::new(options.minimum_delay);
        Ok(Self { remote: Arc::new(Remote { options, client, pace, journal }) })
    }

    /// The settings.
    pub fn options(&self) -> &RemoteOptions {
        &self.remote.options
    }

    /// Checks that the server's API can express generation options, as each request is checked again.
    ///
    /// # Errors
    /// The first option that it can't.
    pub fn check(&self, options: &GenerationOptions) -> Result<(), InvalidOption> {
        wire::check(options, self.remote.options.dialect())
    }
}

impl TextModel for RemoteModel {
    /// The address; there is no hash of weights that are elsewhere.
    fn identity(&self) -> ModelIdentity {
        ModelIdentity { name: self.remote.options.address.to_string(), ..ModelIdentity::default() }
    }

    /// `None`: the server renders chats.
    fn template(&self) -> Option<&ChatTemplate> {
        None
    }

    /// As [`TextModel::generate`]. If the sink breaks or a request is cancelled, answers that are under way are not waited for;
    /// what they cost is spent, and those that come nevertheless are kept in the request journal.
    ///
    /// # Errors
    /// The server does not know key, model or address (as long as no request succeeded: later that fails a request only), or the
    /// request journal can't be written.
    fn generate(
        &mut self,
        requests: &mut dyn Iterator<Item = Request>,
        sink: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<RunStatistics, Error> {
        Run::new(self.remote.clone(), sink).serve(requests)
    }

    /// Scores token by token, as vLLM and the server of this crate can: the server tokenises (`/tokenize`), and tells the
    /// log-probabilities of the echoed tokens. The chat's answer is rendered by the server's template.
    ///
    /// # Errors
    /// As [`Self::generate`].
    fn score(&mut self, requests: &[ScoreRequest]) -> Result<Vec<Result<Score, RequestError>>, Error> {
        score::score(&self.remote, requests)
    }
}

fn key(options: &RemoteOptions) -> Result<Option<ApiKey>, Error> {
    let key = options.key.read()?;
    if options.key == KeySource::Usual && key.is_some() && !options.address.is_private() {
        tracing::warn!(
            "{} is not sent to {}: the connection is not encrypted, and the variable may hold another server's key. \
             Name the key's variable or file to send it",
            KeySource::USUAL_VARIABLE,
            options.address.host()
        );
        return Ok(None);
    }
    Ok(key)
}

/// What the threads of all requests share.
struct Remote {
    options: RemoteOptions,
    client: Client,
    pace: Pace,
    journal: Option<Mutex<RequestJournal>>,
}

/// A call, and how its answer is read.
struct Question {
    call: Call,
    digest: String,
    /// How many alternatives per token were asked for, if log-probabilities were.
    top: Option<usize>,
    /// How many prompt tokens are echoed.
    echoes: usize,
}

impl Remote {
    fn question(&self, call: Call, top: Option<usize>, echoes: usize) -> Question {
        let digest = call.digest(self.options.address.url());
        Question { call, digest, top, echoes }
    }

    /// The answer that an earlier run got.
    fn remembered(&self, question: &Question) -> Option<Answer> {
        let journal = self.journal.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        journal.answer(&question.digest).cloned()
    }

    /// Asks until there is an answer, and keeps it. `told` hears the text so far where answers are streamed.
    ///
    /// # Errors
    /// The journal can't be written.
    fn ask(
        &self,
        question: &Question,
        streaming: bool,
        is_over: IsOver<'_>,
        told: &mut dyn FnMut(String),
    ) -> Result<Outcome<Answer>, Error> {
        let attempt = &mut || match streaming {
            true => self.streamed(question, is_over, told),
            false => self.whole(question).map(Some),
        };
        let (answer, attempts) = match self.persist(question, is_over, attempt) {
            Outcome::Answered(Some(answer), attempts) => (answer, attempts),
            Outcome::Answered(None, _) | Outcome::Over => return Ok(Outcome::Over),
            Outcome::Failed(trouble) => return Ok(Outcome::Failed(trouble)),
        };
        if let Some(journal) = &self.journal {
            journal.lock().unwrap_or_else(PoisonError::into_inner).keep(question.digest.clone(), &answer)?;
        }
        Ok(Outcome::Answered(answer, attempts))
    }

    fn persist<T>(
        &self,
        question: &Question,
        is_over: IsOver<'_>,
        attempt: &mut dyn FnMut() -> Result<T, Trouble>,
    ) -> Outcome<T> {
        let salt = question.digest.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0);
        persist(&self.options.retry, &self.pace, salt, is_over, attempt)
    }

    fn whole(&self, question: &Question) -> Result<Answer, Trouble> {
        let bytes = self.client.whole(&question.call)?;
        let mut builder = self.builder(question);
        let answer = builder.take(&bytes).and_then(|()| builder.finish());
        answer.map_err(|flaw| self.client.flawed(flaw))
    }

    fn streamed(
        &self,
        question: &Question,
        is_over: IsOver<'_>,
        told: &mut dyn FnMut(String),
    ) -> Result<Option<Answer>, Trouble> {
        let (body, is_stream) = self.client.streamed(&question.call)?;
        let builder = self.builder(question);
        let answer = match is_stream {
            true => stream::read(body, builder, &mut |text| {
                told(text);
                !is_over()
            }),
            false => stream::read_whole(body, builder).map(Some),
        };
        answer.map_err(|flaw| self.client.flawed(flaw))
    }

    fn builder(&self, question: &Question) -> AnswerBuilder<'_> {
        AnswerBuilder::new(self.client.key(), question.top, question.echoes)
    }
}
