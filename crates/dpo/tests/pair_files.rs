//! Pair files in every form, and there and back again.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use dpo::{PairColumns, PairText, PreferencePair, ReadPairs, read_pairs, write_pairs};
use llm_runtime::{Message, Role};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

#[test]
fn an_array_lines_and_a_table_hold_the_same_pairs() {
    let array = r#"[
        {"prompt": "Tea?", "chosen": "Yes, \"Earl\" [Grey], {hot}", "rejected": "No\nno"},
        {"prompt": "Tea?", "rejected": "Coffee", "chosen": "Green \\"}
    ]"#;
    let lines = concat!(
        r#"{"prompt": "Tea?", "chosen": "Yes, \"Earl\" [Grey], {hot}", "rejected": "No\nno"}"#,
        "\n\n",
        r#"{"prompt": "Tea?", "rejected": "Coffee", "chosen": "Green \\"}"#,
    );
    let table = "prompt,chosen,rejected\nTea?,\"Yes, \"\"Earl\"\" [Grey], {hot}\",\"No\nno\"\nTea?,Green \\,Coffee\n";
    let expected =
        [plain("0", "Tea?", r#"Yes, "Earl" [Grey], {hot}"#, "No\nno"), plain("1", "Tea?", r"Green \", "Coffee")];
    let files = [
        ("array.json", array),
        ("lines.json", lines),
        ("lines.jsonl", lines),
        ("table.csv", table),
        ("array", array),
        ("lines", lines),
        ("table", table),
    ];
    for (name, text) in files {
        for beginning in ["", "\u{feff}"] {
            assert_eq!(pairs_of(name, &format!("{beginning}{text}")), expected, "{name}");
        }
    }
}

#[test]
fn windows_line_ends_are_no_part_of_records() {
    let lines = "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\"}\r\n\r\n";
    assert_eq!(pairs_of("lines.jsonl", lines), [plain("0", "a", "b", "c")]);
    assert_eq!(pairs_of("table.csv", "prompt,chosen,rejected\r\na,b,c\r\n"), [plain("0", "a", "b", "c")]);
}

#[test]
fn ids_groups_and_further_fields_are_kept() {
    let text = r#"{"score": 0.1, "id": 17, "group": "post 3", "prompt": "a", "chosen": "b", "rejected": "c", "tags": ["x"]}
        {"id": "", "group": null, "prompt": "d", "chosen": "e", "rejected": "f"}"#;
    let [first, second] = pairs_of("pairs.jsonl", text).try_into().unwrap();
    assert_eq!((first.id.as_str(), first.group.as_str()), ("17", "post 3"));
    assert_eq!(Value::from(first.other), json!({"score": 0.1, "tags": ["x"]}));
    assert_eq!((second.id.as_str(), second.group.as_str()), ("1", "d"));
    assert!(second.other.is_empty());
}

#[test]
fn fields_may_have_other_names() {
    let columns = PairColumns::parse(["prompt=question", "chosen=good", "rejected=bad", "group=topic"]).unwrap();
    let options = ReadPairs { columns, skip_bad: false };
    let text = "topic,question,good,bad,prompt\ntea,a,b,c,another\n";
    let pair = &read("pairs.csv", text, &options)[0];
    assert_eq!((pair.group.as_str(), pair.chosen.as_str()), ("tea", "b"));
    assert_eq!(pair.prompt, PairText::Plain("a".into()));
    assert_eq!(Value::from(pair.other.clone()), json!({"prompt": "another"}));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairs.jsonl");
    write_pairs(&path, std::slice::from_ref(pair)).unwrap();
    let again = &read_pairs(&path, &ReadPairs::default()).unwrap().pairs[0];
    assert_eq!(again.prompt, pair.prompt);
    assert_eq!(Value::from(again.other.clone()), json!({"other_prompt": "another"}));
}

#[test]
fn names_of_columns_that_make_no_sense_are_refused() {
    for (assignments, problem) in [
        (vec!["question"], "write FIELD=NAME"),
        (vec!["prompt="], "write FIELD=NAME"),
        (vec!["answer=a"], "there is no field `answer`"),
        (vec!["prompt=a", "prompt=b"], "was said to be `a` already"),
        (vec!["prompt=chosen"], "`prompt` and `chosen` would both be read from `chosen`"),
    ] {
        let message = PairColumns::parse(assignments).unwrap_err().to_string();
        assert!(message.contains(problem), "{message}");
    }
    assert_eq!(PairColumns::parse(["chosen=rejected", "rejected=chosen"]).unwrap().name("chosen"), "rejected");
}

/// TRL's conversational form, with the prompt given or implicit.
#[test]
fn turns_of_a_chat_are_read_as_trl_has_them() {
    let turn = |role: &str, content: &str| json!({"role": role, "content": content});
    let (system, question) = (turn("system", "Be kind."), turn("user", "Tea?"));
    let (yes, no) = (turn("assistant", "Yes."), turn("assistant", "No."));
    let prompt = || PairText::Chat(vec![Message::new(Role::System, "Be kind."), Message::new(Role::User, "Tea?")]);
    let records = [
        json!({"prompt": [system, question], "chosen": [yes], "rejected": [no]}),
        json!({"prompt": [system, question], "chosen": "Yes.", "rejected": "No."}),
        json!({"chosen": [system, question, yes], "rejected": [system, question, no]}),
        // As in UltraFeedback.
        json!({"prompt": "Tea?", "chosen": [system, question, yes], "rejected": [system, question, no]}),
    ];
    for record in records {
        let [pair] = pairs_of("chat.jsonl", &record.to_string()).try_into().unwrap();
        assert_eq!((pair.prompt, pair.chosen.as_str(), pair.rejected.as_str()), (prompt(), "Yes.", "No."), "{record}");
        assert_eq!(pair.group, "system: Be kind.\nuser: Tea?");
        assert!(pair.other.is_empty());
    }
    let record = json!({"prompt": "Tea?", "chosen": [yes], "rejected": [no]});
    assert_eq!(pairs_of("chat.json", &record.to_string()), [plain("0", "Tea?", "Yes.", "No.")]);
}

#[test]
fn ukpconvarg1_is_read() {
    let Some(folder) = golden_files::data("preference/ukpconvarg1") else { return };
    let options = ReadPairs { columns: PairColumns::parse(["group=topic"]).unwrap(), skip_bad: true };
    let mut topics_of_splits = Vec::new();
    for split in ["train", "dev", "test"] {
        let path = folder.join(format!("{split}.jsonl"));
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        let file = read_pairs(&path, &options).unwrap();
        assert_eq!(file.pairs.len() + file.skipped.len(), lines, "{split}");
        assert_eq!(file.counts.values().sum::<usize>(), file.skipped.len());
        assert!(file.skipped.len() * 100 < lines, "{split}: {:?}", file.skipped);
        let topics: HashSet<String> = file.pairs.into_iter().map(|pair| pair.group).collect();
        topics_of_splits.push(topics);
    }
    assert!(topics_of_splits[0].is_disjoint(&topics_of_splits[2]));
}

#[test]
fn a_file_is_replaced_as_a_whole_and_leaves_nothing_beside_it() {
    let (folder, path) = written("pairs.jsonl", b"old");
    write_pairs(&path, &[plain("0", "a", "b", "c")]).unwrap();
    assert_eq!(read_pairs(&path, &ReadPairs::default()).unwrap().pairs, [plain("0", "a", "b", "c")]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

    let nowhere = folder.path().join("no folder/pairs.csv");
    let message = write_pairs(&nowhere, &[]).unwrap_err().to_string();
    assert!(message.contains("no folder"), "{message}");
}

#[test]
fn what_has_no_form_in_a_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let chat =
        PreferencePair { prompt: PairText::Chat(vec![Message::new(Role::User, "a")]), ..plain("x7", "a", "b", "c") };
    let message = write_pairs(&folder.path().join("pairs.csv"), &[chat]).unwrap_err().to_string();
    assert!(message.contains("pair x7") && message.contains(".jsonl"), "{message}");
    let message = write_pairs(&folder.path().join("pairs.txt"), &[]).unwrap_err().to_string();
    assert!(message.contains(".jsonl, .json or .csv"), "{message}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pairs_come_back_from_json(pairs in pairs(text_or_chat(), further())) {
        for name in ["pairs.json", "pairs.jsonl"] {
            prop_assert_eq!(&there_and_back(name, &pairs), &pairs, "{}", name);
        }
    }

    #[test]
    fn pairs_of_texts_come_back_from_csv(pairs in pairs(text().prop_map(PairText::Plain), column())) {
        prop_assert_eq!(there_and_back("pairs.csv", &pairs), pairs);
    }
}

fn text() -> impl Strategy<Value = String> {
    // Blank texts are refused by themselves.
    r#"[a-z"',;{}\[\]\\\r\n\t é😀]{0,12}[a-z]"#
}

fn text_or_chat() -> impl Strategy<Value = PairText> {
    let role = proptest::sample::select(vec![Role::System, Role::User, Role::Assistant]);
    let turn = (role, text()).prop_map(|(role, content)| Message::new(role, content));
    prop_oneof![text().prop_map(PairText::Plain), proptest::collection::vec(turn, 1..4).prop_map(PairText::Chat)]
}

fn further() -> impl Strategy<Value = Map<String, Value>> {
    let value = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e6..1e6).prop_map(Value::from),
        text().prop_map(Value::from),
        proptest::collection::vec(text(), 0..3).prop_map(Value::from),
    ];
    proptest::collection::vec((text().prop_map(|name| format!("field {name}")), value), 0..3)
        .prop_map(|fields| fields.into_iter().collect())
}

/// One that every pair of a file has.
fn column() -> impl Strategy<Value = Map<String, Value>> {
    "[ a-z\r\n\"]{0,5}".prop_map(|text| Map::from_iter([("note".to_owned(), Value::from(text))]))
}

fn pairs(
    prompt: impl Strategy<Value = PairText>,
    other: impl Strategy<Value = Map<String, Value>>,
) -> impl Strategy<Value = Vec<PreferencePair>> {
    let pair = (text(), prompt, text(), other);
    proptest::collection::vec(pair, 1..5).prop_map(|pairs| {
        let pair = |(place, (group, prompt, reply, other)): (usize, (String, PairText, String, _))| PreferencePair {
            id: format!("pair {place}"),
            group,
            prompt,
            rejected: format!("not {reply}"),
            chosen: reply,
            other,
        };
        pairs.into_iter().enumerate().map(pair).collect()
    })
}

fn there_and_back(name: &str, pairs: &[PreferencePair]) -> Vec<PreferencePair> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    write_pairs(&path, pairs).unwrap();
    read_pairs(&path, &ReadPairs::default()).unwrap().pairs
}

fn plain(id: &str, prompt: &str, chosen: &str, rejected: &str) -> PreferencePair {
    PreferencePair {
        id: id.into(),
        group: prompt.into(),
        prompt: PairText::Plain(prompt.into()),
        chosen: chosen.into(),
        rejected: rejected.into(),
        other: Map::new(),
    }
}

fn pairs_of(name: &str, text: &str) -> Vec<PreferencePair> {
    read(name, text, &ReadPairs::default())
}

fn read(name: &str, text: &str, options: &ReadPairs) -> Vec<PreferencePair> {
    let (_folder, path) = written(name, text.as_bytes());
    read_pairs(&path, options).unwrap().pairs
}

/// The folder goes when it is dropped.
pub(crate) fn written(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = Path::new(folder.path()).join(name);
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}
