//! The winning-arguments corpus in ConvoKit's form: a folder with `utterances.jsonl` and `conversations.json`.
//!
//! A pair joins an argument that won with one that did not, in the same conversation; an argument is one utterance or a run of them by one author. Only
//! utterances that belong to a pair are kept in memory.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::bad_records::BadRecords;
use super::candidates::{Argument, Candidates, Match, Post};
use super::error::CorpusError;
use super::funnel::Funnel;
use super::line_source::{LineSource, read_json};
use super::part::Part;

pub(crate) const CONVERSATIONS: &str = "conversations.json";
/// With the ends under which it may stand there.
const UTTERANCES: [&str; 3] = ["utterances.jsonl", "utterances.jsonl.gz", "utterances.jsonl.zst"];

#[derive(Deserialize)]
struct UtteranceLine {
    id: String,
    #[serde(alias = "root")]
    conversation_id: String,
    #[serde(default, alias = "reply-to")]
    reply_to: Option<String>,
    #[serde(default, alias = "user")]
    speaker: Option<Value>,
    #[serde(default)]
    timestamp: Option<Value>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    meta: Map<String, Value>,
}

/// An utterance that belongs to a pair.
struct Utterance {
    id: String,
    author: String,
    text: String,
    reply_to: Option<String>,
    time: f64,
    is_persuasive: bool,
    score: Option<i64>,
}

/// Utterances of one conversation by the pair that they belong to.
type Pairs = BTreeMap<String, Vec<usize>>;

/// The file of utterances in a folder of this form.
pub(crate) fn utterances_file(folder: &Path) -> Option<PathBuf> {
    UTTERANCES.iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

/// Every conversation with its pairs, in the order of `conversations.json`.
///
/// # Errors
/// A file can't be read, or a record is bad and bad ones are not to be skipped.
pub fn read_convokit(folder: &Path, bad: &mut BadRecords, funnel: &mut Funnel) -> Result<Vec<Candidates>, CorpusError> {
    let path = folder.join(CONVERSATIONS);
    let conversations: Map<String, Value> = read_json(&path)?;
    let file = utterances_file(folder)
        .ok_or_else(|| CorpusError::format(folder, format!("{CONVERSATIONS} is here, but no {}", UTTERANCES[0])))?;
    let mut of_pairs = read_utterances(&file, bad, funnel)?;
    let mut all = Vec::new();
    for (place, (id, conversation)) in conversations.iter().enumerate() {
        let post = post(&path, id, conversation);
        let Some(post) = bad.sort(post, &mut funnel.posts)? else { continue };
        let (utterances, pairs) = of_pairs.remove(id).unwrap_or_default();
        let mut candidates =
            Candidates { place: place as u64, post, part: part(conversation), ..Candidates::default() };
        for (pair, members) in pairs {
            let sides = [true, false].map(|side| argument(&utterances, &members, side));
            match sides {
                [Some(chosen), Some(rejected)] => {
                    let (chosen, rejected) = (candidates.place_of(chosen), candidates.place_of(rejected));
                    candidates.matches.push(Match { id: pair, chosen, rejected });
                }
                // The pair is nothing without its other side, but the argument is one.
                [one, other] => one.into_iter().chain(other).for_each(|argument| {
                    candidates.place_of(argument);
                }),
            }
        }
        candidates.arguments.iter().for_each(|_| funnel.replies.read_one());
        all.push(candidates);
    }
    for (_, (utterances, _)) in of_pairs {
        utterances.iter().for_each(|_| funnel.replies.read_one());
        funnel.replies.drop_many("its conversation is not there", utterances.len());
    }
    Ok(all)
}

fn read_utterances(
    path: &Path,
    bad: &mut BadRecords,
    funnel: &mut Funnel,
) -> Result<BTreeMap<String, (Vec<Utterance>, Pairs)>, CorpusError> {
    let mut conversations: BTreeMap<String, (Vec<Utterance>, Pairs)> = BTreeMap::new();
    let mut lines = LineSource::open(path)?;
    while let Some(line) = lines.next_line()? {
        let mut stage = super::funnel::Stage::default();
        let read = bad.sort(lines.parse::<UtteranceLine>(&line), &mut stage)?;
        let Some(read) = read else {
            funnel.replies.absorb(&stage);
            continue;
        };
        let (pairs, success) = (pair_ids(&read.meta), success(&read.meta));
        let (Some(is_persuasive), false) = (success, pairs.is_empty()) else { continue };
        let author = author(read.speaker.as_ref());
        let text = read.text.unwrap_or_default();
        if text.trim().is_empty() {
            // The corpus holds some hundred utterances of which nothing is left.
            funnel.replies.read_one();
            funnel.replies.drop_one("empty");
            continue;
        }
        let time = read.timestamp.as_ref().and_then(number).unwrap_or(f64::INFINITY);
        let score = read.meta.get("score").and_then(Value::as_i64);
        let (utterances, by_pair) = conversations.entry(read.conversation_id).or_default();
        for pair in pairs {
            by_pair.entry(pair).or_default().push(utterances.len());
        }
        utterances.push(Utterance { id: read.id, author, text, reply_to: read.reply_to, time, is_persuasive, score });
    }
    Ok(conversations)
}

/// One side of a pair: what its author wrote, oldest first.
fn argument(utterances: &[Utterance], members: &[usize], is_persuasive: bool) -> Option<Argument> {
    let mut run: Vec<&Utterance> = members.iter().filter_map(|place| utterances.get(*place)).collect();
    run.retain(|utterance| utterance.is_persuasive == is_persuasive);
    run.sort_by(|one, other| one.time.total_cmp(&other.time));
    let first = *run.first()?;
    run.retain(|utterance| utterance.author == first.author);
    let by_id: HashMap<&str, &Utterance> =
        utterances.iter().map(|utterance| (utterance.id.as_str(), utterance)).collect();
    // Whoever replies to nothing that belongs to a pair replies to the post, or to somebody of whom nothing is known here.
    let is_top = first.reply_to.as_deref().is_none_or(|parent| !by_id.contains_key(parent));
    Some(Argument {
        id: first.id.clone(),
        author: first.author.clone(),
        text: run.iter().map(|utterance| utterance.text.as_str()).collect::<Vec<_>>().join("\n\n"),
        is_persuasive,
        depth: is_top.then_some(1),
        score: first.score,
    })
}

fn post(path: &Path, id: &str, conversation: &Value) -> Result<Post, CorpusError> {
    let text = |name: &str| {
        let problem = || {
            CorpusError::record(
                path,
                format!("conversation `{id}`"),
                format!("missing field `{name}`: expected a text"),
            )
        };
        field(conversation, name).and_then(Value::as_str).map(str::to_owned).ok_or_else(problem)
    };
    let author = field(conversation, "op-userID").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Post { id: id.to_owned(), author, title: text("op-title")?, body: text("op-text-body")? })
}

/// A field of a conversation: by itself, or under `meta` as newer releases write it.
fn field<'a>(conversation: &'a Value, name: &str) -> Option<&'a Value> {
    conversation.get(name).or_else(|| conversation.get("meta")?.get(name))
}

fn part(conversation: &Value) -> Option<Part> {
    match field(conversation, "train").and_then(number)? {
        1.0 => Some(Part::Train),
        0.0 => Some(Part::Test),
        _ => None,
    }
}

fn success(meta: &Map<String, Value>) -> Option<bool> {
    match meta.get("success").and_then(number)? {
        1.0 => Some(true),
        0.0 => Some(false),
        _ => None,
    }
}

fn pair_ids(meta: &Map<String, Value>) -> Vec<String> {
    let mut ids: Vec<String> = meta
        .get("pair_ids")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// A speaker is a name, or an object that has one.
fn author(speaker: Option<&Value>) -> String {
    let name = speaker.and_then(|speaker| speaker.as_str().or_else(|| speaker.get("id")?.as_str()));
    name.filter(|name| *name != "[deleted]").unwrap_or_default().to_owned()
}

/// A number, written as one, as a text or as a truth value.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::Bool(is_true) => Some(f64::from(u8::from(*is_true))),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}
