//! The two models of a comparison.

use command_line::{AnyModel, Delivery, Failure, Runtime, Server, is_remote};
use llm_runtime::{GenerationOptions, Request, TextModel};
use strategy_prompting::SystemRole;

use super::duel::{Duel, Model};
use crate::chat::state::Question;
use crate::continuation::generation_options;
use crate::judge_arguments::HeadToHead;

/// Two models, and how both are asked. Each has its own tokeniser and chat template.
pub(super) struct Models {
    models: [AnyModel; 2],
    asking: Asking,
}

/// How both models are asked.
pub(super) struct Asking {
    generation: GenerationOptions,
    roles: [SystemRole; 2],
}

impl Models {
    /// Loads both; an option that neither has a use for is refused.
    pub(super) fn load(options: &HeadToHead, delivery: Delivery) -> Result<Self, Failure> {
        let HeadToHead { model, against, runtime, against_adapter, server, .. } = options;
        let are_remote = [is_remote(model), is_remote(against)];
        // Where only one is behind a server, options of either kind are about one of them.
        let is_mixed = are_remote[0] != are_remote[1];
        let load = |model: &str, runtime: Runtime| match (is_mixed, is_remote(model)) {
            (false, _) => AnyModel::load(model, &runtime, server, delivery),
            (true, true) => AnyModel::load(model, &runtime.without_local_options(), server, delivery),
            (true, false) => AnyModel::load(model, &runtime, &Server::default(), delivery),
        };
        for (option, name, is_given) in
            [("--adapter", model, runtime.adapter.is_some()), ("--against-adapter", against, against_adapter.is_some())]
        {
            if is_given && is_remote(name) {
                return Err(Failure::wrong_use(format!(
                    "{option} is about local models, but {name} is behind a server"
                )));
            }
        }
        let first = load(model, runtime.clone())?;
        let second = load(against, Runtime { adapter: against_adapter.clone(), ..runtime.clone() })?;
        Self::new([first, second], generation_options(&options.generation))
    }

    fn new(models: [AnyModel; 2], generation: GenerationOptions) -> Result<Self, Failure> {
        for model in &models {
            model.check(&generation)?;
        }
        let roles = models.each_ref().map(|model| SystemRole::for_template(model.template()));
        Ok(Self { models, asking: Asking { generation, roles } })
    }

    /// The two models' names.
    pub(super) fn names(&self) -> [String; 2] {
        self.models.each_ref().map(|model| model.identity().name)
    }

    pub(super) fn asking(&self) -> &Asking {
        &self.asking
    }

    pub(super) fn model(&mut self, model: Model) -> &mut AnyModel {
        &mut self.models[model.place()]
    }

    pub(super) fn into_parts(self) -> ([AnyModel; 2], Asking) {
        (self.models, self.asking)
    }
}

impl Asking {
    /// What a model is asked in a chat.
    pub(super) fn request(&self, duel: &Duel, model: Model, question: &Question) -> Result<Request, String> {
        duel.request(model, question, &self.generation, self.roles[model.place()])
    }
}
