//! What stands in two parts: groups, prompts, replies, texts that are nearly the same, authors.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::Serialize;

use super::cleaning::normalised;
use super::error::CorpusError;
use super::near_duplicates::near_duplicates;
use super::pair_file::text_of;
use super::pair_maker::Example;
use super::part::Part;

/// The first findings of a kind that are told; of the others only the number.
const TOLD: usize = 20;
/// Characters of a text that are shown.
const SHOWN: usize = 100;

/// Something that stands in two parts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// The parts.
    pub parts: [Part; 2],
    /// A pair of the first part in which it stands, by its id.
    pub pair: String,
    /// One of the second.
    pub other_pair: String,
    /// It, or its beginning.
    pub what: String,
    /// For texts that are nearly the same: the share of common runs of three words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity: Option<f64>,
}

/// How often something stands in two parts, and where, of the first.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Shared {
    /// Different ones, counted for every two parts.
    pub count: usize,
    /// The first of them.
    pub first: Vec<Finding>,
}

/// What stands in two parts.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Leakage {
    /// Groups: posts, topics.
    pub groups: Shared,
    /// Prompts of the same words.
    pub prompts: Shared,
    /// Replies of the same words, whether chosen or rejected.
    pub replies: Shared,
    /// Prompts of nearly the same words.
    pub near_prompts: Shared,
    /// Replies of nearly the same words.
    pub near_replies: Shared,
    /// Authors of replies, where they are known. People write in many threads: this is no error.
    pub authors: Shared,
    /// Pairs that were left out because of what they share with a later part.
    pub dropped: usize,
}

/// Something and where it stands: its part, and the first pair in which it stands there.
type Places = BTreeMap<String, BTreeMap<Part, usize>>;

/// Looks for what stands in two parts; an example without a part is in none.
pub fn leakage(examples: &[Example]) -> Leakage {
    let prompts = places(examples, |example| vec![text_of(&example.pair.prompt)], normalised);
    let replies = places(examples, replies_of, normalised);
    Leakage {
        groups: shared(examples, &places(examples, |example| vec![example.pair.group.clone()], str::to_owned)),
        near_prompts: near(examples, &prompts),
        near_replies: near(examples, &replies),
        prompts: shared(examples, &prompts),
        replies: shared(examples, &replies),
        authors: shared(examples, &places(examples, authors_of, str::to_owned)),
        dropped: 0,
    }
}

impl Leakage {
    /// # Errors
    /// A group, prompt or reply stands in two parts.
    pub fn check(&self) -> Result<(), CorpusError> {
        let kinds = [("groups", &self.groups), ("prompts", &self.prompts), ("replies", &self.replies)];
        let found: Vec<String> = kinds
            .iter()
            .filter(|(_, shared)| shared.count > 0)
            .map(|(kind, shared)| format!("{} {kind}", shared.count))
            .collect();
        let Some(first) = kinds.iter().find_map(|(_, shared)| shared.first.first()) else { return Ok(()) };
        let Finding { parts: [part, other_part], pair, other_pair, what, .. } = first;
        Err(CorpusError::Leak(format!(
            "{} stand in two parts, the first in pair `{pair}` of {} and pair `{other_pair}` of {}: \"{what}\". --drop-leakage leaves out what \
             shares with a later part, --allow-leakage writes everything and tells all in leakage.json",
            found.join(", "),
            part.name(),
            other_part.name(),
        )))
    }
}

/// Leaves out every pair whose group, prompt or reply stands, in the same or nearly the same words, in a later part as well, and says how many that are. The test
/// loses nothing.
pub fn drop_leaking(examples: &mut Vec<Example>) -> usize {
    let before = examples.len();
    let prompts = places(examples, |example| vec![text_of(&example.pair.prompt)], normalised);
    let replies = places(examples, replies_of, normalised);
    let groups = places(examples, |example| vec![example.pair.group.clone()], str::to_owned);
    let latest = |places: &Places| -> BTreeMap<String, Part> {
        places.iter().filter_map(|(text, parts)| Some((text.clone(), *parts.keys().next_back()?))).collect()
    };
    let (groups, mut prompt_parts, mut reply_parts) = (latest(&groups), latest(&prompts), latest(&replies));
    for (places, parts) in [(&prompts, &mut prompt_parts), (&replies, &mut reply_parts)] {
        for (one, other, _) in near_texts(places) {
            let latest = parts.get(one).copied().max(parts.get(other).copied());
            for text in [one, other] {
                parts.extend(latest.map(|latest| (text.to_owned(), latest)));
            }
        }
    }
    examples.retain(|example| {
        let is_clean = |parts: &BTreeMap<String, Part>, text: &str| parts.get(text).copied() <= example.part;
        is_clean(&groups, &example.pair.group)
            && is_clean(&prompt_parts, &normalised(&text_of(&example.pair.prompt)))
            && replies_of(example).iter().all(|reply| is_clean(&reply_parts, &normalised(reply)))
    });
    before - examples.len()
}

fn replies_of(example: &Example) -> Vec<String> {
    vec![example.pair.chosen.clone(), example.pair.rejected.clone()]
}

fn authors_of(example: &Example) -> Vec<String> {
    let name = |field: &&str| Some(example.pair.other.get(*field)?.as_str()?.to_owned());
    ["chosen_author", "rejected_author"].iter().filter_map(name).collect()
}

fn places(examples: &[Example], texts: impl Fn(&Example) -> Vec<String>, form: fn(&str) -> String) -> Places {
    let mut places = Places::new();
    for (place, example) in examples.iter().enumerate() {
        let Some(part) = example.part else { continue };
        for text in texts(example) {
            places.entry(form(&text)).or_default().entry(part).or_insert(place);
        }
    }
    places
}

fn shared(examples: &[Example], places: &Places) -> Shared {
    let mut found = Shared::default();
    for (text, parts) in places {
        let parts: Vec<(Part, usize)> = parts.iter().map(|(part, place)| (*part, *place)).collect();
        for (at, one) in parts.iter().enumerate() {
            for other in &parts[at + 1..] {
                found.add(examples, *one, *other, text, None);
            }
        }
    }
    found
}

fn near(examples: &[Example], places: &Places) -> Shared {
    let mut found = Shared::default();
    for (one, other, similarity) in near_texts(places) {
        let (Some(ones), Some(others)) = (places.get(one), places.get(other)) else { continue };
        let mut known = HashSet::new();
        for (part, place) in ones {
            for (other_part, other_place) in others.iter().filter(|(other_part, _)| *other_part != part) {
                let (first, second) = (
                    (*part, *place).min((*other_part, *other_place)),
                    (*part, *place).max((*other_part, *other_place)),
                );
                if known.insert((first.0, second.0)) {
                    found.add(examples, first, second, one, Some(similarity));
                }
            }
        }
    }
    found
}

/// Texts that are nearly the same and that stand in different parts.
fn near_texts(places: &Places) -> Vec<(&str, &str, f64)> {
    let texts: Vec<&str> = places.keys().map(String::as_str).collect();
    let parts: Vec<BTreeSet<Part>> = places.values().map(|parts| parts.keys().copied().collect()).collect();
    let may_pair = |one: usize, other: usize| parts[one].len() > 1 || parts[one] != parts[other];
    let found = near_duplicates(&texts, &may_pair);
    found.into_iter().map(|(one, other, similarity)| (texts[one], texts[other], similarity)).collect()
}

impl Shared {
    fn add(
        &mut self,
        examples: &[Example],
        one: (Part, usize),
        other: (Part, usize),
        text: &str,
        similarity: Option<f64>,
    ) {
        self.count += 1;
        let id = |place: usize| examples.get(place).map(|example| example.pair.id.clone()).unwrap_or_default();
        if self.first.len() < TOLD {
            let what = text.chars().take(SHOWN).collect();
            self.first.push(Finding {
                parts: [one.0, other.0],
                pair: id(one.1),
                other_pair: id(other.1),
                what,
                similarity,
            });
        }
    }
}
