//! Tasks for annotators, and the key that tells what they saw.

use std::collections::BTreeMap;

use llm_runtime::{Message, Role};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::item::PairItem;

/// The labelling view that tasks are made for, as Label Studio reads it.
pub const LABELLING_VIEW: &str = include_str!("../../data/label-studio-view.xml");

/// Longer answers are cut for annotators.
const LONGEST_ANSWER: usize = 2000;

/// A pair with the systems it compares.
#[derive(Debug, Clone, PartialEq)]
pub struct SidedPair {
    /// The answers.
    pub item: PairItem,
    /// The two systems' names.
    pub systems: [String; 2],
    /// A number of each answer that preferences are to be compared with: its SRA, say.
    pub values: Option<[f64; 2]>,
}

/// What Label Studio imports, and the key.
#[derive(Debug, Clone)]
pub struct AnnotationTasks {
    /// Tasks, as Label Studio's JSON.
    pub tasks: serde_json::Value,
    /// What stands where.
    pub key: AnnotationKey,
}

/// What stands where in every task.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AnnotationKey {
    /// By task.
    pub tasks: BTreeMap<String, KeyEntry>,
}

/// What stands where in a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyEntry {
    /// The pair's id.
    pub pair: String,
    /// The conversation.
    pub conversation: String,
    /// The strategy.
    pub strategy: String,
    /// The systems on the left and on the right.
    pub systems: [String; 2],
    /// Their answers' numbers.
    pub values: Option<[f64; 2]>,
}

impl AnnotationTasks {
    /// Tasks of at most `most` pairs: strategies as even as possible, chosen, ordered and sided by `seed`.
    pub fn new(pairs: &[SidedPair], most: usize, seed: u64) -> Self {
        let mut tasks = Vec::new();
        let mut key = AnnotationKey::default();
        for pair in evenly(pairs, most, seed) {
            let id = task_id(pair);
            let flipped = stream(seed, "side", &id).random_bool(0.5);
            tasks.push(serde_json::json!({ "data": data(pair, &id, flipped) }));
            key.tasks.insert(id, entry(pair, flipped));
        }
        Self { tasks: tasks.into(), key }
    }
}

/// Pairs in an order by seed, one per conversation at a time, each time of the strategy used least so far.
fn evenly(pairs: &[SidedPair], most: usize, seed: u64) -> Vec<&SidedPair> {
    let mut groups: BTreeMap<&str, Vec<&SidedPair>> = BTreeMap::new();
    for pair in pairs {
        groups.entry(&pair.item.conversation).or_default().push(pair);
    }
    let mut groups: Vec<Vec<&SidedPair>> = groups.into_values().collect();
    let order = |pair: &SidedPair| stream(seed, "order", &task_id(pair)).random::<u64>();
    for group in &mut groups {
        group.sort_by_key(|pair| order(pair));
    }
    groups.sort_by_key(|group| order(group[0]));
    let mut used: BTreeMap<&str, usize> = BTreeMap::new();
    let mut chosen = Vec::new();
    while chosen.len() < most && groups.iter().any(|group| !group.is_empty()) {
        for group in groups.iter_mut().filter(|group| !group.is_empty()) {
            let least =
                (0..group.len()).min_by_key(|at| used.get(group[*at].item.strategy.as_str()).copied().unwrap_or(0));
            let pair = group.remove(least.unwrap_or(0));
            *used.entry(&pair.item.strategy).or_default() += 1;
            chosen.push(pair);
        }
    }
    chosen.truncate(most);
    chosen
}

/// A name that tells nothing: no system stands in it.
fn task_id(pair: &SidedPair) -> String {
    let digest = Sha256::digest([&pair.item.id, &pair.systems[0], &pair.systems[1]].map(String::as_str).join("\u{1f}"));
    llm_runtime::hex(&digest[..8])
}

/// Order and side are drawn apart, else the tasks that come first would all have the same side.
fn stream(seed: u64, what: &str, task: &str) -> ChaCha8Rng {
    let digest = Sha256::digest(format!("{seed}\u{1f}{what}\u{1f}{task}"));
    ChaCha8Rng::from_seed(digest.into())
}

fn data(pair: &SidedPair, id: &str, flipped: bool) -> serde_json::Value {
    let PairItem { strategy, instruction, history, first, second, .. } = &pair.item;
    let (left, right) = if flipped { (second, first) } else { (first, second) };
    serde_json::json!({
        "task": id,
        "strategy": strategy,
        "instruction": instruction,
        "dialogue": history.iter().map(turn).collect::<Vec<_>>(),
        "left": shortened(left),
        "right": shortened(right),
    })
}

fn turn(message: &Message) -> serde_json::Value {
    let speaker = if message.role == Role::User { "seeker" } else { "supporter" };
    serde_json::json!({ "speaker": speaker, "text": message.content.trim() })
}

fn shortened(answer: &str) -> String {
    let answer = answer.trim();
    match answer.char_indices().nth(LONGEST_ANSWER) {
        Some((end, _)) => format!("{} …", &answer[..end]),
        None => answer.to_owned(),
    }
}

fn entry(pair: &SidedPair, flipped: bool) -> KeyEntry {
    let PairItem { id, conversation, strategy, .. } = pair.item.clone();
    let (mut systems, mut values) = (pair.systems.clone(), pair.values);
    if flipped {
        systems.reverse();
        values.iter_mut().for_each(|values| values.reverse());
    }
    KeyEntry { pair: id, conversation, strategy, systems, values }
}
