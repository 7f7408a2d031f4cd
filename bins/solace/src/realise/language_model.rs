//! A language model that is told the strategy in its prompt, as `sra` tells it.

use std::ops::ControlFlow;
use std::path::Path;

use command_line::{AnyModel, Delivery, Failure, adapter_folder};
use esconv_data::StrategySet;
use llm_runtime::{Event, FinishReason, GenerationOptions, Message, Prompt, Request, TextModel, sha256_of_files};
use strategy_prompting::{
    HistoryFormat, InstructionTemplate, Layout, StrategyText, SystemRole, build, scored_by, tidy_response,
};

use super::realiser::{Ask, Decoding, Realiser, RealiserOptions, Said, SaidSink};
use crate::point::Point;
use crate::strategies::counterparts;

/// The published sampling, where anything is drawn.
const TOP_K: usize = 50;
const TOP_P: f32 = 0.9;

/// The strategies that a prompt can describe.
pub(crate) struct StrategyTexts {
    set: StrategySet,
}

impl StrategyTexts {
    pub(crate) fn open(name: &str) -> Result<Self, Failure> {
        Ok(Self { set: StrategySet::by_name_or_path(name)? })
    }

    /// All of them, in the order of their set.
    pub(crate) fn all(&self) -> Vec<StrategyText> {
        self.set.strategies.iter().map(StrategyText::from).collect()
    }

    /// The description of a strategy of a plan, maybe under the name that this set has for it.
    ///
    /// # Errors
    /// The set has nothing like it.
    pub(crate) fn find(&self, label: &str) -> Result<StrategyText, Failure> {
        match counterparts(&self.set, label).first() {
            Some(strategy) => Ok(StrategyText::from(*strategy)),
            None => Err(self.set.find(label).err().map_or_else(
                || Failure::work(format!("the set {} has no strategy `{label}`", self.set.name)),
                Failure::from,
            )),
        }
    }
}

/// How a place becomes a prompt.
pub(crate) struct Prompting {
    pub(crate) layout: Layout,
    conditional: InstructionTemplate,
    free: InstructionTemplate,
    pub(crate) strategies: StrategyTexts,
}

impl Prompting {
    pub(crate) fn open(layout: Layout, instruction: &str, free: &str, strategies: &str) -> Result<Self, Failure> {
        let conditional = InstructionTemplate::by_name_or_path(instruction)?;
        let free = InstructionTemplate::by_name_or_path(free)?;
        if !conditional.is_conditional() {
            let problem = format!("--instruction {}: the template has no slot for a strategy", conditional.name());
            return Err(Failure::wrong_use(problem));
        }
        if free.is_conditional() {
            let problem = format!("--free-instruction {}: the template has a slot for a strategy", free.name());
            return Err(Failure::wrong_use(problem));
        }
        Ok(Self { layout, conditional, free, strategies: StrategyTexts::open(strategies)? })
    }

    /// The chat behind which the answer comes.
    pub(crate) fn messages(
        &self,
        point: &Point,
        strategy: Option<&StrategyText>,
        system_role: SystemRole,
    ) -> Result<Vec<Message>, Failure> {
        let template = if strategy.is_some() { &self.conditional } else { &self.free };
        let instruction = template.fill(&point.example.situation, strategy)?;
        Ok(build(self.layout, &point.dialogue, &instruction, HistoryFormat::Prompting, system_role))
    }

    /// For records.
    fn name(&self) -> String {
        let hash = |template: &InstructionTemplate| template.sha256().chars().take(8).collect::<String>();
        let (layout, set) = (self.layout.name(), &self.strategies.set.name);
        format!("{layout}, instructions {} and {}, {set}", hash(&self.conditional), hash(&self.free))
    }
}

pub(super) struct LanguageModelRealiser {
    model: AnyModel,
    prompting: Prompting,
    decoding: Decoding,
    /// Hash of the adapter.
    adapter: Option<String>,
}

impl LanguageModelRealiser {
    pub(super) fn open(name: &str, prompting: Prompting, with: RealiserOptions<'_>) -> Result<Self, Failure> {
        let model = AnyModel::load(name, with.runtime, with.server, Delivery::Whole)?;
        let adapter = with.runtime.adapter.as_deref().map(adapter_sha256).transpose()?;
        let realiser = Self { model, prompting, decoding: with.decoding, adapter };
        realiser.model.check(&realiser.generation(0))?;
        Ok(realiser)
    }

    fn generation(&self, stream: u64) -> GenerationOptions {
        let Decoding { temperature, max_new_tokens, seed } = self.decoding;
        let usual = GenerationOptions { max_new_tokens, temperature, ..GenerationOptions::default() };
        match temperature > 0.0 {
            true => GenerationOptions { top_k: TOP_K, top_p: TOP_P, seed: seed ^ stream, ..usual },
            false => usual,
        }
    }

    fn request(&self, key: usize, ask: &Ask<'_>) -> Result<Request, Failure> {
        let strategy = ask.strategy.map(|label| self.prompting.strategies.find(label)).transpose()?;
        let role = SystemRole::for_template(self.model.template());
        let messages = self.prompting.messages(ask.point, strategy.as_ref(), role)?;
        Ok(Request::new(key as u64, Prompt::Chat(messages), self.generation(ask.stream())))
    }
}

impl Realiser for LanguageModelRealiser {
    fn made_by(&self) -> String {
        let model = scored_by(&self.model.identity());
        let adapter = self.adapter.as_ref().map(|hash| format!(" with adapter {hash}")).unwrap_or_default();
        format!("model {model}{adapter} · {} · {}", self.prompting.name(), self.decoding.name())
    }

    fn realise(&mut self, asks: &[Ask<'_>], sink: &mut SaidSink<'_>) -> Result<(), Failure> {
        let requests = asks.iter().enumerate().map(|(key, ask)| self.request(key, ask));
        let requests = requests.collect::<Result<Vec<_>, _>>()?;
        let mut problem = None;
        self.model.generate(&mut requests.into_iter(), &mut |event| {
            let (key, said) = match event {
                Event::Text { key, .. } => (key, None),
                Event::Failed { key, error } => {
                    let id = ask(asks, key).map(Ask::id).unwrap_or_default();
                    problem = Some(Failure::work(format!("{id}: {error}")));
                    return ControlFlow::Break(());
                }
                // Ended by whoever listens.
                Event::Finished(completion) if completion.finish_reason == FinishReason::Cancelled => {
                    (completion.key, None)
                }
                Event::Finished(completion) => {
                    let strategy = ask(asks, completion.key).and_then(|ask| ask.strategy).unwrap_or_default();
                    let text = tidy_response(&completion.text, strategy).to_string();
                    (completion.key, Some(Said { text, tokens: completion.new_tokens }))
                }
            };
            let Some(ask) = ask(asks, key) else { return ControlFlow::Continue(()) };
            sink(ask, said).unwrap_or_else(|failure| {
                problem = Some(failure);
                ControlFlow::Break(())
            })
        })?;
        problem.map_or(Ok(()), Err)
    }
}

fn adapter_sha256(folder: &Path) -> Result<String, Failure> {
    let folder = adapter_folder(folder);
    Ok(sha256_of_files(&[lora::CONFIG_FILE, lora::WEIGHTS_FILE].map(|name| folder.join(name)))?)
}

fn ask<'a, 'b>(asks: &'b [Ask<'a>], key: u64) -> Option<&'b Ask<'a>> {
    asks.get(usize::try_from(key).ok()?)
}
