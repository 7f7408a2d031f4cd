//! Corpora of arguments, in the forms that `persuasion prepare` reads: an argument is a reply of a dialogue, and one with another strategy is the weaker one.

use std::path::Path;

use demo_corpus::{DemoDialogue, Pair};
use serde_json::{Map, Value, json};

use super::files::{write, write_lines};

/// Writes them.
pub(super) fn write_all(folder: &Path, dialogues: &[DemoDialogue]) -> Result<(), String> {
    let in_part = |first: usize| {
        numbered(dialogues).filter(move |(number, _)| [number % 4 == 0, number % 4 == 1, number % 4 > 1][first])
    };
    for (part, name) in ["dev", "test", "train"].into_iter().enumerate() {
        write_lines(&folder.join(format!("ukpconvarg1/{name}.jsonl")), in_part(part).map(topic_row))?;
    }
    let rows = numbered(dialogues)
        .map(|(_, pair)| json!({"prompt": pair.prompt, "chosen": pair.chosen, "rejected": pair.rejected}));
    write(&folder.join("preferences.json"), &Value::Array(rows.collect()).to_string())?;
    write_convokit(&folder.join("winning-args-corpus"), dialogues)?;
    write_lines(&folder.join("posts.jsonl"), numbered(dialogues).map(|(number, pair)| post(number, &pair)))?;
    write_lines(&folder.join("comments.jsonl"), numbered(dialogues).flat_map(|(number, pair)| comments(number, &pair)))
}

/// The pairs of replies with their numbers, long enough to be arguments, and each said once.
fn numbered(dialogues: &[DemoDialogue]) -> impl Iterator<Item = (usize, Pair)> + '_ {
    let argument = |number: usize, reply: &str| {
        format!(
            "{reply} This is reason number {number}, and it has been good enough for me for as long as I can think of it."
        )
    };
    dialogues.iter().flat_map(DemoDialogue::pairs).enumerate().map(move |(number, pair)| {
        let Pair { prompt, chosen, rejected } = pair;
        let (chosen, rejected) = (argument(2 * number, &chosen), argument(2 * number + 1, &rejected));
        (number, Pair { prompt: format!("View {number}. {prompt}"), chosen, rejected })
    })
}

fn topic_row((number, pair): (usize, Pair)) -> Value {
    let Pair { prompt, chosen, rejected } = pair;
    json!({"id": format!("pair{number}"), "topic": format!("topic{}", number % 4), "prompt": prompt, "chosen": chosen, "rejected": rejected})
}

/// The winning-arguments corpus as ConvoKit has it.
fn write_convokit(folder: &Path, dialogues: &[DemoDialogue]) -> Result<(), String> {
    let conversation = |(number, pair): (usize, Pair)| {
        let meta = json!({
            "op-userID": format!("asker{number}"), "op-title": format!("View {number}"), "op-text-body": pair.prompt, "train": u8::from(number % 3 != 2),
            "pair_ids": [format!("p{number}")],
        });
        (format!("t3_v{number}"), json!({"meta": meta, "vectors": []}))
    };
    let conversations: Map<String, Value> = numbered(dialogues).map(conversation).collect();
    write(&folder.join("conversations.json"), &Value::Object(conversations).to_string())?;
    let utterances = |(number, pair): (usize, Pair)| {
        [(pair.chosen, 1), (pair.rejected, 0)].map(|(text, success)| {
            json!({
                "id": format!("u{number}_{success}"), "conversation_id": format!("t3_v{number}"), "reply_to": format!("t3_v{number}"),
                "speaker": format!("writer{number}_{success}"), "timestamp": number, "text": text,
                "meta": {"success": success, "pair_ids": [format!("p{number}")]},
            })
        })
    };
    write_lines(&folder.join("utterances.jsonl"), numbered(dialogues).flat_map(utterances))
}

/// A post of a dump of Reddit.
fn post(number: usize, pair: &Pair) -> Value {
    json!({"id": format!("p{number}"), "author": format!("asker{number}"), "title": format!("CMV: view {number}"), "selftext": pair.prompt})
}

/// Two replies to it, and the delta for the first.
fn comments(number: usize, pair: &Pair) -> [Value; 3] {
    let comment = |id: &str, author: &str, parent: &str, body: &str| {
        json!({
            "id": format!("{id}{number}"), "author": format!("{author}{number}"), "body": body, "parent_id": format!("{parent}{number}"),
            "link_id": format!("t3_p{number}"), "created_utc": number, "score": 1,
        })
    };
    [
        comment("a", "winner", "t3_p", &pair.chosen),
        comment("b", "other", "t3_p", &pair.rejected),
        comment("c", "asker", "t1_a", "You have a point there. \u{2206}"),
    ]
}
