//! Candidates become pairs: cleaned, filtered, each chosen reply with its rejected ones.

use std::collections::{HashMap, HashSet};

use dpo::{PairText, PreferencePair};
use llm_runtime::seeded_stream;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

use super::candidates::{Argument, Candidates, Post};
use super::cleaning::normalised;
use super::funnel::{Funnel, Stage};
use super::negatives::Negatives;
use super::pair_file::text_of;
use super::pair_rules::PairRules;
use super::part::Part;
use super::split::Assignment;

/// Replies to other posts that are kept in memory to draw from.
const POOL: usize = 20_000;

/// A pair, where it stood in the corpus, and the part that it belongs to, if that is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// Place of its post in the corpus.
    pub place: u64,
    /// The pair.
    pub pair: PreferencePair,
    /// Its part.
    pub part: Option<Part>,
}

/// A post whose replies are cleaned and filtered.
struct Filtered {
    place: u64,
    post: Post,
    prompt: String,
    part: Option<Part>,
    arguments: Vec<Argument>,
    /// Places of the corpus' own pairs in `arguments`, with its name for them.
    matches: Vec<(String, usize, usize)>,
}

/// Makes pairs of one post after another.
pub struct PairMaker {
    rules: PairRules,
    examples: Vec<Example>,
    /// Pairs that are there, in normalised words, by the part that the corpus puts them in: one that stands in two parts is no repetition but a leak.
    known: HashSet<(Option<Part>, [String; 3])>,
    /// For pairs over posts: posts with a chosen reply, and replies to draw from.
    waiting: Vec<Filtered>,
    pool: Vec<(String, Argument)>,
    offered: usize,
    stream: ChaCha8Rng,
}

impl PairMaker {
    /// One that goes by these rules.
    pub fn new(rules: PairRules) -> Self {
        let stream = seeded_stream(rules.seed, "pool of other posts");
        Self {
            rules,
            examples: Vec::new(),
            known: HashSet::new(),
            waiting: Vec::new(),
            pool: Vec::new(),
            offered: 0,
            stream,
        }
    }

    /// Makes the pairs of a post. The post and its arguments are counted as read already.
    pub fn add_candidates(&mut self, candidates: Candidates, funnel: &mut Funnel) {
        let Some(filtered) = filter(&self.rules, candidates, funnel) else { return };
        if self.rules.negatives == Negatives::OtherPost {
            self.wait(filtered, funnel);
            return;
        }
        let pairs = pairs_within(&self.rules, &filtered);
        if pairs.is_empty() {
            funnel.posts.drop_one(reason_without_pairs(&filtered, self.rules.negatives));
        }
        for (name, chosen, rejected) in pairs {
            self.take(&filtered, name, chosen, rejected, filtered.part, funnel);
        }
    }

    /// Takes a pair that somebody else made. It is counted as read already.
    pub fn add_pair(&mut self, pair: PreferencePair, part: Option<Part>, funnel: &mut Funnel) {
        match cleaned(&self.rules, pair) {
            Ok(pair) => self.keep(Example { place: self.examples.len() as u64, pair, part }, &mut funnel.pairs),
            Err(reason) => funnel.pairs.drop_one(reason),
        }
    }

    /// Posts that wait for replies to other posts, in the corpus' order; each once.
    pub fn waiting_groups(&mut self) -> Vec<String> {
        self.waiting.sort_by_key(|filtered| filtered.place);
        self.waiting.iter().map(|filtered| filtered.post.id.clone()).collect()
    }

    /// All pairs, in the corpus' order. Those over posts stay within the parts of `assignment`: a reply must not be read in one part and asked for in another.
    pub fn finish(mut self, assignment: Option<&Assignment>, funnel: &mut Funnel) -> Vec<Example> {
        let part_of = |post: &str, told: Option<Part>| assignment.map_or(told, |assignment| assignment.part(post));
        let waiting = std::mem::take(&mut self.waiting);
        let pool = std::mem::take(&mut self.pool);
        let told: HashMap<&str, Option<Part>> =
            waiting.iter().map(|filtered| (filtered.post.id.as_str(), filtered.part)).collect();
        for filtered in &waiting {
            let post = filtered.post.id.as_str();
            let part = part_of(post, filtered.part);
            let is_near =
                |other: &str| other != post && told.get(other).is_some_and(|told| part_of(other, *told) == part);
            let others: Vec<&Argument> =
                pool.iter().filter(|(other, _)| is_near(other)).map(|(_, argument)| argument).collect();
            for chosen in filtered.arguments.iter().filter(|argument| argument.is_persuasive) {
                for rejected in Negatives::OtherPost.pick(chosen, &others, self.rules.per_chosen, self.rules.seed, post)
                {
                    self.take(filtered, None, chosen, rejected, part, funnel);
                }
            }
        }
        self.examples.sort_by_key(|example| example.place);
        self.examples
    }

    /// Keeps a post until all are known, and its delta 0 replies in a sample of bounded size.
    fn wait(&mut self, filtered: Filtered, funnel: &mut Funnel) {
        if !filtered.arguments.iter().any(|argument| argument.is_persuasive) {
            funnel.posts.drop_one("no reply that changed the view");
            return;
        }
        for argument in filtered.arguments.iter().filter(|argument| !argument.is_persuasive) {
            self.offered += 1;
            let entry = (filtered.post.id.clone(), argument.clone());
            if self.pool.len() < POOL {
                self.pool.push(entry);
            } else if let Some(place) = self.pool.get_mut(self.stream.random_range(0..self.offered)) {
                *place = entry;
            }
        }
        self.waiting.push(filtered);
    }

    fn take(
        &mut self,
        filtered: &Filtered,
        name: Option<String>,
        chosen: &Argument,
        rejected: &Argument,
        part: Option<Part>,
        funnel: &mut Funnel,
    ) {
        funnel.pairs.read_one();
        let pair = PreferencePair {
            id: format!("{}_{}_{}", filtered.post.id, chosen.id, rejected.id),
            group: filtered.post.id.clone(),
            prompt: PairText::Plain(filtered.prompt.clone()),
            chosen: chosen.text.clone(),
            rejected: rejected.text.clone(),
            other: provenance(filtered, name, chosen, rejected),
        };
        self.keep(Example { place: filtered.place, pair, part }, &mut funnel.pairs);
    }

    fn keep(&mut self, example: Example, stage: &mut Stage) {
        let pair = &example.pair;
        let words = [normalised(&text_of(&pair.prompt)), normalised(&pair.chosen), normalised(&pair.rejected)];
        if words[1] == words[2] {
            stage.drop_one("chosen and rejected are the same words");
        } else if !self.known.insert((example.part, words)) {
            stage.drop_one("there twice");
        } else {
            self.examples.push(example);
        }
    }
}

/// The post with what is left of its arguments; `None` if the post is left out.
fn filter(rules: &PairRules, candidates: Candidates, funnel: &mut Funnel) -> Option<Filtered> {
    let Candidates { place, post, part, arguments, matches } = candidates;
    let prompt = match rules.prompt(&post) {
        Ok(prompt) => prompt,
        Err(reason) => {
            funnel.posts.drop_one(reason);
            funnel.replies.drop_many("its post was left out", arguments.len());
            return None;
        }
    };
    let mut kept: Vec<Argument> = Vec::new();
    let mut by_words: HashMap<String, usize> = HashMap::new();
    let mut moved: HashMap<usize, usize> = HashMap::new();
    // Those that changed the view first: of the same words they are the ones to keep.
    let mut order: Vec<usize> = (0..arguments.len()).collect();
    order.sort_by_key(|place| arguments.get(*place).is_some_and(|argument| !argument.is_persuasive));
    for old in order {
        let Some(argument) = arguments.get(old) else { continue };
        let text = match rules.reply(argument) {
            Ok(text) => text,
            Err(reason) => {
                funnel.replies.drop_one(reason);
                continue;
            }
        };
        let words = normalised(&text);
        match by_words.get(&words).and_then(|known| Some((*known, kept.get(*known)?.is_persuasive))) {
            Some((known, is_persuasive)) => {
                funnel.replies.drop_one("the same words as another");
                if is_persuasive == argument.is_persuasive {
                    moved.insert(old, known);
                }
            }
            None => {
                by_words.insert(words, kept.len());
                moved.insert(old, kept.len());
                kept.push(Argument { text, ..argument.clone() });
            }
        }
    }
    let there = |one: super::candidates::Match| Some((one.id, *moved.get(&one.chosen)?, *moved.get(&one.rejected)?));
    let matches = matches.into_iter().filter_map(there).collect();
    Some(Filtered { place, post, prompt, part, arguments: kept, matches })
}

type Made<'a> = (Option<String>, &'a Argument, &'a Argument);

fn pairs_within<'a>(rules: &PairRules, filtered: &'a Filtered) -> Vec<Made<'a>> {
    let arguments = &filtered.arguments;
    if rules.negatives == Negatives::Given {
        let pair = |(name, chosen, rejected): &(String, usize, usize)| {
            Some((Some(name.clone()), arguments.get(*chosen)?, arguments.get(*rejected)?))
        };
        return filtered.matches.iter().filter_map(pair).collect();
    }
    let (chosen, pool): (Vec<&Argument>, Vec<&Argument>) =
        arguments.iter().partition(|argument| argument.is_persuasive);
    let pick = |chosen: &'a Argument| {
        let picked = rules.negatives.pick(chosen, &pool, rules.per_chosen, rules.seed, &filtered.post.id);
        picked.into_iter().map(move |rejected| (None, chosen, rejected)).collect::<Vec<_>>()
    };
    chosen.into_iter().flat_map(pick).collect()
}

fn reason_without_pairs(filtered: &Filtered, negatives: Negatives) -> &'static str {
    let has = |is_persuasive: bool| filtered.arguments.iter().any(|argument| argument.is_persuasive == is_persuasive);
    match negatives {
        Negatives::Given => "none of its pairs is left",
        _ if !has(true) => "no reply that changed the view",
        _ if !has(false) => "no reply that did not change the view",
        _ => "no reply that did not change the view is like one that did",
    }
}

fn provenance(filtered: &Filtered, name: Option<String>, chosen: &Argument, rejected: &Argument) -> Map<String, Value> {
    let text = |text: &str| (!text.is_empty()).then(|| json!(text));
    let fields = [
        ("pair_id", name.map(Value::from)),
        ("post_id", text(&filtered.post.id)),
        ("post_author", text(&filtered.post.author)),
        ("chosen_id", text(&chosen.id)),
        ("rejected_id", text(&rejected.id)),
        ("chosen_author", text(&chosen.author)),
        ("rejected_author", text(&rejected.author)),
        ("chosen_depth", chosen.depth.map(Value::from)),
        ("rejected_depth", rejected.depth.map(Value::from)),
        ("chosen_score", chosen.score.map(Value::from)),
        ("rejected_score", rejected.score.map(Value::from)),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// A pair whose texts are cleaned; its group, where that is the prompt, goes with it.
fn cleaned(rules: &PairRules, pair: PreferencePair) -> Result<PreferencePair, &'static str> {
    let before = text_of(&pair.prompt);
    let clean = |text: &str| rules.cleaning.clean(text);
    let prompt = match &pair.prompt {
        PairText::Plain(text) => PairText::Plain(clean(text)),
        PairText::Chat(messages) => {
            // What is labelled in a message would not be where its label says.
            PairText::Chat(
                messages
                    .iter()
                    .map(|message| llm_runtime::Message::new(message.role, clean(&message.content)))
                    .collect(),
            )
        }
    };
    let (chosen, rejected) = (clean(&pair.chosen), clean(&pair.rejected));
    let after = text_of(&prompt);
    if after.trim().is_empty() {
        return Err("the prompt is empty");
    }
    rules.check_prompt(&after)?;
    rules.check_reply(&chosen)?;
    rules.check_reply(&rejected)?;
    let group = if pair.group == before { after } else { pair.group };
    Ok(PreferencePair { group, prompt, chosen, rejected, ..pair })
}
