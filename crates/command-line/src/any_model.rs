//! Whatever `--model` names, for commands that only need text: a model of this machine, or one behind a server.

use std::ops::ControlFlow;

use llm_runtime::{
    ChatTemplate, Engine, Error, Event, GenerationOptions, KvType, ModelIdentity, RemoteAddress, RemoteModel,
    RemoteOptions, Request, RequestError, RunStatistics, Score, ScoreRequest, TextModel,
};

use crate::{Failure, Runtime, Server, load_engine};

/// A model here or elsewhere.
pub enum AnyModel {
    /// On this machine.
    Local(Box<Engine>),
    /// Behind a server.
    Remote(RemoteModel),
}

/// Whether text is wanted as it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// As it comes: somebody reads along.
    Streamed,
    /// When it is finished.
    Whole,
}

impl AnyModel {
    /// Loads a model, or makes ready to ask its server; options of the other kind are refused.
    ///
    /// # Errors
    /// It can't be loaded, or an option is about models of the other kind.
    pub fn load(model: &str, runtime: &Runtime, server: &Server, delivery: Delivery) -> Result<Self, Failure> {
        if !is_remote(model) {
            return match server.first_given() {
                Some(option) => Err(Failure::wrong_use(format!(
                    "{option} is about models behind servers (--model openai:NAME@URL), but `{model}` is a local one"
                ))),
                None => {
                    load_engine(model, runtime).map(|engine| Self::Local(Box::new(engine))).map_err(with_hint(model))
                }
            };
        }
        if let Some(option) = first_local_option(runtime) {
            return Err(Failure::wrong_use(format!(
                "{option} is about local models; what a server runs and how is decided there"
            )));
        }
        let address: RemoteAddress = model.parse()?;
        let options = RemoteOptions { streaming: delivery == Delivery::Streamed, ..server.options(address) };
        Ok(Self::Remote(RemoteModel::new(options)?))
    }

    /// The engine, where the model is a local one.
    pub fn engine(&self) -> Option<&Engine> {
        match self {
            Self::Local(engine) => Some(engine),
            Self::Remote(_) => None,
        }
    }

    /// Refuses generation options that the model can't carry out, before anything is asked.
    ///
    /// # Errors
    /// Names the option.
    pub fn check(&self, options: &GenerationOptions) -> Result<(), Failure> {
        let Self::Remote(remote) = self else { return options.validate().map_err(Failure::wrong_use) };
        remote.check(options).map_err(|invalid| match invalid.option {
            "top_k" => {
                Failure::wrong_use(format!("{invalid} (--top-k 0; its default here is that of the published runs)"))
            }
            _ => Failure::wrong_use(invalid),
        })
    }

    fn inner(&mut self) -> &mut dyn TextModel {
        match self {
            Self::Local(engine) => engine.as_mut(),
            Self::Remote(remote) => remote,
        }
    }
}

impl TextModel for AnyModel {
    fn identity(&self) -> ModelIdentity {
        match self {
            Self::Local(engine) => engine.identity(),
            Self::Remote(remote) => remote.identity(),
        }
    }

    fn template(&self) -> Option<&ChatTemplate> {
        match self {
            Self::Local(engine) => engine.template(),
            Self::Remote(remote) => remote.template(),
        }
    }

    fn generate(
        &mut self,
        requests: &mut dyn Iterator<Item = Request>,
        sink: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<RunStatistics, Error> {
        self.inner().generate(requests, sink)
    }

    fn score(&mut self, requests: &[ScoreRequest]) -> Result<Vec<Result<Score, RequestError>>, Error> {
        self.inner().score(requests)
    }
}

/// A bare name is often meant for a server.
fn with_hint(model: &str) -> impl FnOnce(Failure) -> Failure {
    let is_bare_name = !model.contains(['/', '.']) && !std::path::Path::new(model).exists();
    move |failure| match failure {
        Failure::Usage(message) if is_bare_name => {
            Failure::Usage(format!("{message}; a model behind a server is openai:NAME@URL"))
        }
        other => other,
    }
}

/// Whether a model is behind a server.
pub fn is_remote(model: &str) -> bool {
    model.starts_with(RemoteAddress::PREFIX)
}

/// Refuses a model behind a server where its insides are needed, and says what for.
///
/// # Errors
/// The model is behind a server.
pub fn must_be_local(model: &str, need: &str) -> Result<(), Failure> {
    if !is_remote(model) {
        return Ok(());
    }
    Err(Failure::wrong_use(format!("{need}, and a server shows nothing but text: give a local model")))
}

/// The first option that was given and is about local models.
fn first_local_option(runtime: &Runtime) -> Option<&'static str> {
    let model = &runtime.model;
    let given = [
        ("--adapter", runtime.adapter.is_some()),
        ("--context", runtime.context.is_some()),
        ("--kv-type", runtime.kv_type != KvType::default()),
        ("--tokenizer", model.tokenizer.is_some()),
        ("--chat-template", model.chat_template.is_some()),
        ("--dtype", model.dtype.is_some()),
        ("--quantize", model.quantize.is_some()),
        ("--plain-kernels", model.plain_kernels),
        ("--hub-endpoint", model.machine.hub_endpoint.is_some()),
        ("--hub-cache", model.machine.hub_cache.is_some()),
    ];
    given.into_iter().find(|(_, is_given)| *is_given).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        runtime: Runtime,
    }

    /// Each option that a server would be refused for is also one of those that are left out where another model beside it is local.
    #[test]
    fn without_local_options_nothing_is_refused() {
        let options: [&[&str]; 10] = [
            &["--adapter", "a"],
            &["--context", "9"],
            &["--kv-type", "f16"],
            &["--tokenizer", "t"],
            &["--chat-template", "llama2"],
            &["--dtype", "f16"],
            &["--quantize", "q4_k"],
            &["--plain-kernels"],
            &["--hub-endpoint", "http://127.0.0.1:1"],
            &["--hub-cache", "c"],
        ];
        for words in options {
            let Words { runtime } = Words::parse_from([&["program"], words].concat());
            assert_eq!(first_local_option(&runtime), Some(words[0]));
            assert_eq!(first_local_option(&runtime.without_local_options()), None, "{words:?}");
        }
    }
}
