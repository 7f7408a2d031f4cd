//! A sweep: every chosen (layout, example, strategy) of a run, in the order in which prompts share most.
//!
//! The plan is made once from settings, strategies, template and examples, and is checked while it is made. Its items are
//! numbered; the number is the request's key. An item's id and seed come from its content, never from its number, so
//! that they are the same in every shard and after every restart.

use std::collections::{HashMap, HashSet};

use esconv_data::{Example, StrategySet};
use llm_runtime::{GenerationOptions, Message, Prompt, Request};
use serde::{Deserialize, Serialize};

use crate::attention::AttentionLevel;
use crate::dialogue::Dialogue;
use crate::digest::digest;
use crate::error::Error;
use crate::instruction::{InstructionTemplate, StrategyText};
use crate::layout::{HistoryFormat, Layout, SystemRole, build};
use crate::sampling::{Pair, PairSampling, Shard, TurnRange, sample_pairs};

/// Stands for the strategy where the template names none.
pub const UNCONDITIONAL: &str = "unconditional";

/// What is asked of a sweep, apart from its texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SweepSettings {
    /// Layouts, in the order in which they run.
    pub layouts: Vec<Layout>,
    /// How the history block is written.
    pub history_format: HistoryFormat,
    /// Supporter turns to continue.
    pub turns: TurnRange,
    /// Which pairs are continued.
    pub sampling: PairSampling,
    /// At most so many examples, the first ones (for [`PairSampling::PythonCompat`]: so many draws).
    pub limit: Option<usize>,
    /// Which share of the examples.
    pub shard: Shard,
    /// The run's seed; each item's own seed derives from it.
    pub seed: u64,
    /// How to generate. Its `seed` is replaced by the item's.
    pub generation: GenerationOptions,
    /// Which attention is kept; local models and one beam only.
    pub attention: Option<AttentionLevel>,
}

impl Default for SweepSettings {
    /// Layout `c1_hf`, turns 3 to 10, all pairs, seed 0, and the published sampling: temperature 0.7, top-k 50, top-p
    /// 0.9, up to 512 new tokens.
    fn default() -> Self {
        Self {
            layouts: vec![Layout::C1HistoryFirst],
            history_format: HistoryFormat::default(),
            turns: TurnRange::default(),
            sampling: PairSampling::default(),
            limit: None,
            shard: Shard::default(),
            seed: 0,
            generation: GenerationOptions {
                max_new_tokens: 512,
                temperature: 0.7,
                top_k: 50,
                top_p: 0.9,
                ..GenerationOptions::default()
            },
            attention: None,
        }
    }
}

/// An example of a plan: what its prompts are built from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepExample {
    /// The example's id.
    pub id: String,
    /// The conversation it was cut from.
    pub conversation: String,
    /// The supporter turn to be continued.
    pub turn: usize,
    /// The seeker's situation.
    pub situation: String,
    /// The history.
    pub dialogue: Dialogue,
}

/// All items of a run.
#[derive(Debug, Clone)]
pub struct SweepPlan {
    settings: SweepSettings,
    template: InstructionTemplate,
    strategy_set: String,
    strategies: Vec<StrategyText>,
    examples: Vec<SweepExample>,
    places: Vec<Place>,
    data_sha256: String,
}

/// Where an item's texts are.
#[derive(Debug, Clone, Copy)]
struct Place {
    layout: Layout,
    example: u32,
    strategy: Option<u32>,
}

impl SweepPlan {
    /// Chooses pairs and orders them.
    ///
    /// Order: by layout; then by conversation (in the order of the data); then history-first layouts by cut point with
    /// all strategies of one cut point together, because those share history and instruction up to the strategy, and
    /// the other layouts by strategy with the cut points ascending, because there each prompt continues the one before.
    ///
    /// A template that names no strategy gives one item per example and needs [`PairSampling::Exhaustive`].
    ///
    /// # Errors
    /// No layout or the same one twice, options or probability out of range, no strategies or two of one name, two
    /// examples of one id, a dialogue that can't be prompted, or a sampling that does not fit the template.
    pub fn new(
        settings: SweepSettings,
        strategy_set: &StrategySet,
        template: InstructionTemplate,
        examples: &[Example],
    ) -> Result<Self, Error> {
        settings.generation.validate()?;
        if settings.attention.is_some() && settings.generation.beam_width > 1 {
            let problem = "attention is captured with one beam only".into();
            return Err(Error::Setting { setting: "attention", problem });
        }
        let strategies: Vec<StrategyText> = strategy_set.strategies.iter().map(StrategyText::from).collect();
        check_names(&settings, &strategies, &template)?;
        let filtered = filter_examples(&settings, examples)?;
        let pairs = choose(&settings, &template, &filtered, &strategies)?;
        let (examples, places) = place(&settings, filtered, &pairs)?;
        let data_sha256 = data_digest(&examples);
        let strategy_set = strategy_set.name.to_string();
        Ok(Self { settings, template, strategy_set, strategies, examples, places, data_sha256 })
    }

    /// What was asked.
    pub fn settings(&self) -> &SweepSettings {
        &self.settings
    }

    /// The instruction template.
    pub fn template(&self) -> &InstructionTemplate {
        &self.template
    }

    /// Name of the strategy set.
    pub fn strategy_set(&self) -> &str {
        &self.strategy_set
    }

    /// The strategies, in the order of their set.
    pub fn strategies(&self) -> &[StrategyText] {
        &self.strategies
    }

    /// The examples that have items, in the order of the data.
    pub fn examples(&self) -> &[SweepExample] {
        &self.examples
    }

    /// Hex SHA-256 over ids, situations and dialogues of the examples.
    pub fn data_sha256(&self) -> &str {
        &self.data_sha256
    }

    /// How many items there are: the number of requests of a whole run.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nothing was chosen.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The items in running order.
    pub fn items(&self) -> impl Iterator<Item = SweepItem<'_>> {
        (0..self.places.len() as u64).filter_map(|key| self.item(key))
    }

    /// The item of that number; `None` beyond the last.
    pub fn item(&self, key: u64) -> Option<SweepItem<'_>> {
        let place = self.places.get(usize::try_from(key).ok()?)?;
        Some(SweepItem {
            plan: self,
            key,
            example: self.examples.get(place.example as usize)?,
            strategy: place.strategy.and_then(|strategy| self.strategies.get(strategy as usize)),
            layout: place.layout,
        })
    }

    /// What the plan would cost, before any token is generated.
    ///
    /// `count_tokens` tells how many tokens a prompt's messages have; at most `probes` prompts, evenly spread over the
    /// plan, are counted and extrapolated. The new tokens are an upper bound.
    ///
    /// # Errors
    /// A prompt can't be built.
    pub fn estimate(
        &self,
        system_role: SystemRole,
        probes: usize,
        count_tokens: &mut dyn FnMut(&[Message]) -> usize,
    ) -> Result<CostEstimate, Error> {
        let probes = probes.clamp(1, self.len().max(1)).min(self.len());
        let mut tokens = 0;
        for probe in 0..probes {
            if let Some(item) = self.item((probe * self.len() / probes) as u64) {
                tokens += count_tokens(&item.messages(system_role)?);
            }
        }
        let mean = if probes == 0 { 0.0 } else { tokens as f64 / probes as f64 };
        Ok(CostEstimate {
            requests: self.len(),
            examples: self.examples.len(),
            prompt_tokens: (mean * self.len() as f64).round() as u64,
            new_tokens_at_most: self.len() as u64 * self.settings.generation.max_new_tokens as u64,
        })
    }
}

/// What a plan would cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CostEstimate {
    /// Requests.
    pub requests: usize,
    /// Examples that have at least one request.
    pub examples: usize,
    /// Prompt tokens asked, before reuse; extrapolated.
    pub prompt_tokens: u64,
    /// Upper bound of the new tokens.
    pub new_tokens_at_most: u64,
}

/// One continuation to be made.
#[derive(Debug, Clone, Copy)]
pub struct SweepItem<'a> {
    plan: &'a SweepPlan,
    /// The item's number in the plan; the key of its request.
    pub key: u64,
    /// What is continued.
    pub example: &'a SweepExample,
    /// The strategy; `None` where the template names none.
    pub strategy: Option<&'a StrategyText>,
    /// The layout.
    pub layout: Layout,
}

impl<'a> SweepItem<'a> {
    /// The strategy's label, or [`UNCONDITIONAL`].
    pub fn strategy_name(&self) -> &'a str {
        self.strategy.map_or(UNCONDITIONAL, |strategy| &strategy.name)
    }

    /// The record's id: 32 hex digits of a SHA-256 over what decides the continuation (example, strategy, layout,
    /// template, history format, seed, generation options), apart from the model.
    ///
    /// # Errors
    /// The generation options can't be written as JSON.
    pub fn id(&self) -> Result<String, Error> {
        let settings = &self.plan.settings;
        let options = (settings.history_format, self.options());
        let options = serde_json::to_vec(&options).map_err(Error::json("generation options"))?;
        let description = self.strategy.map_or("", |strategy| &strategy.description);
        let fields: [&[u8]; 6] = [
            self.example.id.as_bytes(),
            self.strategy_name().as_bytes(),
            description.as_bytes(),
            self.layout.name().as_bytes(),
            self.plan.template.sha256().as_bytes(),
            &options,
        ];
        Ok(llm_runtime::hex(&digest("continuation-record", &fields)[..16]))
    }

    /// The item's own seed, from the run's seed, the example's id, strategy and layout; below 2^53, so that every JSON
    /// reader keeps it exactly.
    pub fn seed(&self) -> u64 {
        let fields: [&[u8]; 4] = [
            &self.plan.settings.seed.to_le_bytes(),
            self.example.id.as_bytes(),
            self.strategy_name().as_bytes(),
            self.layout.name().as_bytes(),
        ];
        let [a, b, c, d, e, f, g, h, ..] = digest("continuation-seed", &fields);
        u64::from_le_bytes([a, b, c, d, e, f, g, h]) >> 11
    }

    /// The generation options with the item's seed.
    pub fn options(&self) -> GenerationOptions {
        GenerationOptions { seed: self.seed(), ..self.plan.settings.generation.clone() }
    }

    /// The prompt's messages.
    ///
    /// # Errors
    /// The instruction can't be rendered.
    pub fn messages(&self, system_role: SystemRole) -> Result<Vec<Message>, Error> {
        let instruction = self.plan.template.fill(&self.example.situation, self.strategy)?;
        let format = self.plan.settings.history_format;
        Ok(build(self.layout, &self.example.dialogue, &instruction, format, system_role))
    }

    /// The request.
    ///
    /// # Errors
    /// The instruction can't be rendered.
    pub fn request(&self, system_role: SystemRole) -> Result<Request, Error> {
        let prompt = Prompt::Chat(self.messages(system_role)?);
        let probe = self.plan.settings.attention.map(AttentionLevel::probe);
        Ok(Request { probe, ..Request::new(self.key, prompt, self.options()) })
    }

    /// The plan it belongs to.
    pub fn plan(&self) -> &'a SweepPlan {
        self.plan
    }
}

fn check_names(
    settings: &SweepSettings,
    strategies: &[StrategyText],
    template: &InstructionTemplate,
) -> Result<(), Error> {
    if settings.layouts.is_empty() {
        return Err(Error::Setting { setting: "layouts", problem: "at least one layout is needed".into() });
    }
    if let Some(twice) = first_repeated(settings.layouts.iter().map(|layout| layout.name())) {
        return Err(Error::Setting { setting: "layouts", problem: format!("`{twice}` is named twice") });
    }
    if let Some(twice) = first_repeated(strategies.iter().map(|strategy| strategy.name.as_str())) {
        return Err(Error::Setting { setting: "strategies", problem: format!("two strategies are called `{twice}`") });
    }
    if template.is_conditional() && strategies.is_empty() {
        return Err(Error::Setting { setting: "strategies", problem: "the strategy set is empty".into() });
    }
    if !template.is_conditional() && settings.sampling != PairSampling::Exhaustive {
        return Err(Error::Setting {
            setting: "sampling",
            problem: format!(
                "the template `{}` names no strategy, so there are no pairs to sample; use exhaustive sampling",
                template.name()
            ),
        });
    }
    Ok(())
}

/// Id and example, by position in the filtered list.
type Filtered<'a> = Vec<(String, &'a Example)>;

fn filter_examples<'a>(settings: &SweepSettings, examples: &'a [Example]) -> Result<Filtered<'a>, Error> {
    let kept = examples.iter().filter(|example| settings.turns.contains(example.turn));
    let filtered: Filtered<'a> = kept.map(|example| (example.id.to_string(), example)).collect();
    match first_repeated(filtered.iter().map(|(id, _)| id.as_str())) {
        None => Ok(filtered),
        Some(twice) => Err(Error::Dialogue {
            example: twice.to_owned(),
            problem: "two examples have this id; ids must be unique in the data".into(),
        }),
    }
}

/// The chosen pairs; with an unconditional template the strategy means nothing and there is one pair per example.
fn choose(
    settings: &SweepSettings,
    template: &InstructionTemplate,
    filtered: &Filtered<'_>,
    strategies: &[StrategyText],
) -> Result<Vec<(usize, Option<usize>)>, Error> {
    let ids: Vec<&str> = filtered.iter().map(|(id, _)| id.as_str()).collect();
    let conditional = template.is_conditional();
    let names: Vec<&str> =
        if conditional { strategies.iter().map(|s| s.name.as_str()).collect() } else { vec![UNCONDITIONAL] };
    let pairs = sample_pairs(settings.sampling, settings.seed, &ids, &names, settings.limit)?;
    let in_shard = pairs.into_iter().filter(|pair| settings.shard.contains(pair.example));
    Ok(in_shard.map(|Pair { example, strategy }| (example, conditional.then_some(strategy))).collect())
}

fn place(
    settings: &SweepSettings,
    filtered: Filtered<'_>,
    pairs: &[(usize, Option<usize>)],
) -> Result<(Vec<SweepExample>, Vec<Place>), Error> {
    let chosen: HashSet<usize> = pairs.iter().map(|(example, _)| *example).collect();
    let mut number = HashMap::new();
    let mut examples = Vec::with_capacity(chosen.len());
    for (position, (id, example)) in filtered.into_iter().enumerate().filter(|(at, _)| chosen.contains(at)) {
        number.insert(position, examples.len());
        examples.push(SweepExample {
            id,
            conversation: example.conversation.to_string(),
            turn: example.turn,
            situation: example.situation.clone(),
            dialogue: Dialogue::of(example)?,
        });
    }
    let rank = conversation_ranks(&examples);
    let numbered: Vec<(usize, Option<usize>)> =
        pairs.iter().filter_map(|(example, strategy)| Some((*number.get(example)?, *strategy))).collect();
    let mut places = Vec::with_capacity(numbered.len() * settings.layouts.len());
    for layout in settings.layouts.iter().copied() {
        let mut ordered = numbered.clone();
        ordered.sort_by_key(|&(example, strategy)| {
            let cut_point = (examples[example].turn, example);
            match layout.is_history_first() {
                true => (rank[example], cut_point, strategy, (0, 0)),
                false => (rank[example], (0, 0), strategy, cut_point),
            }
        });
        for (example, strategy) in ordered {
            places.push(Place { layout, example: small(example)?, strategy: strategy.map(small).transpose()? });
        }
    }
    Ok((examples, places))
}

/// The rank of each example's conversation in the order of first appearance.
fn conversation_ranks(examples: &[SweepExample]) -> Vec<usize> {
    let mut ranks: HashMap<&str, usize> = HashMap::new();
    let rank_of =
        |example: &SweepExample, ranks: &HashMap<&str, usize>| ranks.get(example.conversation.as_str()).copied();
    let mut answer = Vec::with_capacity(examples.len());
    for example in examples {
        let rank = rank_of(example, &ranks).unwrap_or(ranks.len());
        ranks.insert(&example.conversation, rank);
        answer.push(rank);
    }
    answer
}

/// Millions of items are kept, so their positions are kept small.
fn small(position: usize) -> Result<u32, Error> {
    u32::try_from(position)
        .map_err(|_| Error::Setting { setting: "data", problem: format!("more than {} examples", u32::MAX) })
}

fn data_digest(examples: &[SweepExample]) -> String {
    let mut so_far = [0; 32];
    for example in examples {
        let turn = example.turn.to_le_bytes();
        let head: [&[u8]; 5] =
            [&so_far, example.id.as_bytes(), example.conversation.as_bytes(), &turn, example.situation.as_bytes()];
        let texts =
            example.dialogue.turns().iter().flat_map(|turn| [turn.role.as_str().as_bytes(), turn.text.as_bytes()]);
        so_far = digest("sweep-data", &head.into_iter().chain(texts).collect::<Vec<_>>());
    }
    llm_runtime::hex(&so_far)
}

fn first_repeated<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = HashSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}
