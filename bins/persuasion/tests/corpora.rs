//! Made-up corpora in every form that is read, and the program run on them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

/// `persuasion prepare` with these words.
pub(crate) fn prepare(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_persuasion"));
    command.arg("prepare").args(words).env_remove("RUST_LOG");
    command
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What words that must succeed print.
pub(crate) fn said(words: &[&str]) -> String {
    let output = prepare(words).output().unwrap();
    assert!(output.status.success(), "{words:?}\n{}", text(&output.stderr));
    text(&output.stdout)
}

/// What words that must fail with this code say.
pub(crate) fn complaint(words: &[&str], code: i32) -> String {
    let Output { status, stderr, .. } = prepare(words).output().unwrap();
    let told = text(&stderr);
    assert_eq!(status.code(), Some(code), "{words:?}: {told}");
    assert!(!told.contains("panicked"), "{words:?}: {told}");
    told
}

/// A folder that vanishes with the test.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn name(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }

    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> String {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), contents).unwrap();
        self.name(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }

    /// The pairs of a file; none where there is no file.
    pub(crate) fn pairs(&self, name: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The pairs of all parts.
    pub(crate) fn all_pairs(&self, folder: &str) -> Vec<Value> {
        ["train", "validation", "test"].iter().flat_map(|part| self.pairs(&format!("{folder}/{part}.jsonl"))).collect()
    }

    /// The bytes of everything that `prepare` writes.
    pub(crate) fn files(&self, folder: &str) -> Vec<(String, Vec<u8>)> {
        let names = ["train.jsonl", "validation.jsonl", "test.jsonl", "funnel.json", "lengths.json", "leakage.json"];
        names.map(|name| (name.to_owned(), std::fs::read(self.path(folder).join(name)).unwrap())).into()
    }
}

pub(crate) fn lines(records: &[Value]) -> String {
    records.iter().map(|record| format!("{record}\n")).collect()
}

/// A text of so many words, different for each number.
pub(crate) fn words(number: usize, count: usize) -> String {
    let words = (0..count).map(|place| format!("w{}", (number * 31 + place * place + 7 * place) % 9973));
    format!("reply{number} {}", words.collect::<Vec<_>>().join(" "))
}

/// A comment of a dump. `parent` is `t3_post` or `t1_comment`; the earlier in the alphabet its id begins, the older it is.
pub(crate) fn comment(post: &str, id: &str, author: &str, parent: &str, body: &str) -> Value {
    json!({
        "id": id, "author": author, "body": body, "parent_id": parent, "link_id": format!("t3_{post}"),
        "created_utc": 1000 * u64::from(id.as_bytes()[0]) + id.len() as u64, "score": 3, "permalink": "/r/made/up",
    })
}

/// A dump of posts: in each the author gives a delta to one of four replies, answers another and argues with nobody else.
pub(crate) fn dump(posts: usize) -> (Vec<Value>, Vec<Value>) {
    let mut comments = Vec::new();
    let mut all = Vec::new();
    for number in 0..posts {
        let post = format!("p{number}");
        let (author, top) = (format!("asker{number}"), format!("t3_{post}"));
        all.push(json!({
            "id": post, "author": author, "title": format!("CMV: cats of kind {number} beat dogs"),
            "selftext": format!("I think so &amp; always did, for reason {}.", words(number, 6)), "subreddit": "made_up",
        }));
        for reply in 0..4 {
            let body = words(number * 10 + reply, 22 + reply);
            comments.push(comment(
                &post,
                &format!("c{number}_{reply}"),
                &format!("reader{number}_{reply}"),
                &top,
                &body,
            ));
        }
        let winner = format!("t1_c{number}_0");
        comments.push(comment(&post, &format!("d{number}"), &author, &winner, "You have a point there. &#8710;"));
        comments.push(comment(
            &post,
            &format!("b{number}"),
            "DeltaBot",
            &format!("t1_d{number}"),
            "Confirmed: 1 delta awarded.",
        ));
        comments.push(comment(&post, &format!("e{number}"), &author, &format!("t1_c{number}_1"), "I do not see why."));
    }
    (all, comments)
}

/// Writes a dump and gives the words that name it.
pub(crate) fn write_dump(place: &Place, posts: &[Value], comments: &[Value]) -> [String; 4] {
    let posts = place.write("posts.jsonl", lines(posts));
    let comments = place.write("comments.jsonl", lines(comments));
    ["--posts".into(), posts, "--comments".into(), comments]
}

/// Pairs of so many topics, two each.
pub(crate) fn pair_records(topics: usize) -> Vec<Value> {
    let pair = |number: usize| {
        let topic = number / 2;
        json!({
            "id": format!("pair{number}"), "prompt": format!("Is proposal {} worth a try?", words(topic + 500, 3)),
            "chosen": words(2 * number, 12), "rejected": words(2 * number + 1, 8), "source": {"page": number},
        })
    };
    (0..2 * topics).map(pair).collect()
}

/// A record of the winning-arguments corpus in its first form.
pub(crate) fn op_pair(post: usize, number: usize) -> Value {
    let side = |reply: usize| {
        json!({"author": format!("writer{reply}"), "comments": [
            {"body": words(reply, 25), "id": format!("k{reply}"), "score": 2}, {"body": "And one thing more.", "id": format!("l{reply}")},
        ]})
    };
    json!({
        "op_author": format!("asker{post}"), "op_title": format!("Topic {post}"), "op_text": format!("My view is {}", words(post + 900, 9)),
        "op_name": format!("t3_q{post}"), "positive": side(100 * post + 2 * number), "negative": side(100 * post + 2 * number + 1),
    })
}

pub(crate) fn write_convokit(folder: &Path, posts: usize) {
    let mut conversations = serde_json::Map::new();
    let mut utterances = Vec::new();
    for post in 0..posts {
        let id = format!("t3_v{post}");
        let pairs = json!([format!("p_{post}")]);
        let about = json!({
            "op-userID": format!("asker{post}"), "op-title": format!("View {post}"), "op-text-body": format!("I hold that {}", words(post + 700, 8)),
            "train": u8::from(post % 3 != 2), "pair_ids": pairs,
        });
        // Older releases keep these fields at the top, newer ones under `meta`.
        conversations.insert(id.clone(), if post % 2 == 0 { about } else { json!({"meta": about, "vectors": []}) });
        for (side, success) in [(0, 1), (1, 0)] {
            for piece in 0..2 {
                let speaker = format!("writer{post}_{side}");
                utterances.push(json!({
                    "id": format!("u{post}_{side}_{piece}"), "conversation_id": id, "timestamp": 10 - piece,
                    (if post % 2 == 0 { "reply-to" } else { "reply_to" }): id,
                    (if post % 2 == 0 { "user" } else { "speaker" }): speaker,
                    "text": words(post * 8 + side * 4 + piece, 15), "meta": {"success": success, "pair_ids": pairs, "score": 5},
                }));
            }
        }
        utterances.push(
            json!({"id": format!("x{post}"), "conversation_id": id, "reply-to": id, "user": "passer-by", "timestamp": 3,
            "text": "Just passing.", "meta": {"success": null, "pair_ids": []}}),
        );
        utterances.push(
            json!({"id": format!("y{post}"), "conversation_id": id, "reply-to": id, "user": null, "timestamp": 3,
            "text": null, "meta": {"success": 0, "pair_ids": pairs}}),
        );
    }
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("conversations.json"), Value::Object(conversations).to_string()).unwrap();
    std::fs::write(folder.join("utterances.jsonl"), lines(&utterances)).unwrap();
}
