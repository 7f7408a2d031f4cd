//! Corpora that are not what they should be, and words that make no sense.

use serde_json::{Value, json};

use crate::corpora::{
    Place, complaint, dump, lines, op_pair, pair_records, prepare, said, text, words, write_convokit, write_dump,
};

/// Ten good pairs and a bad line behind them.
fn with_bad_line(line: &[u8]) -> Vec<u8> {
    [lines(&pair_records(5)).as_bytes(), line, b"\n"].concat()
}

#[test]
fn bad_pairs_are_refused_with_file_and_line_or_counted() {
    let place = Place::new();
    let out = place.name("out");
    let good = pair_records(6).pop().unwrap();
    let with = |field: &str, value: Value| {
        let mut record = good.clone();
        record[field] = value;
        record.to_string().into_bytes()
    };
    let mut without = good.clone();
    without.as_object_mut().unwrap().remove("rejected");
    let table: [(Vec<u8>, &str, &str); 8] = [
        (without.to_string().into(), "`rejected` is missing", "missing field"),
        (with("chosen", json!(" \n")), "`chosen` is empty", "empty text"),
        (with("prompt", json!("")), "`prompt` is empty", "empty text"),
        (with("rejected", good["chosen"].clone()), "are the same", "identical replies"),
        (with("chosen", json!(7)), "`chosen` is a number", "wrong type"),
        (with("id", json!("pair3")), "the id `pair3` stands in line 4 already", "duplicate id"),
        (b"{\"prompt\": \"caf\xe9\"}".to_vec(), "is not UTF-8", "not UTF-8"),
        (b"{\"prompt\": ".to_vec(), "not a JSON object", "not a JSON object"),
    ];
    for (line, says, reason) in table {
        let input = place.write("pairs.jsonl", with_bad_line(&line));
        let told = complaint(&["--input", &input, "--out", &out], 1);
        assert!(told.contains("pairs.jsonl, line 11") && told.contains(says), "{says}: {told}");
        assert!(!place.path("out").exists(), "{says}");
        let output = prepare(&["--input", &input, "--out", &out, "--skip-bad"]).output().unwrap();
        let told = text(&output.stderr);
        assert!(output.status.success() && told.contains("left out") && told.contains(says), "{says}: {told}");
        let pairs = place.json("out/funnel.json")["pairs"].clone();
        let dropped = json!({format!("bad record: {reason}"): 1});
        assert_eq!(pairs, json!({"read": 11, "dropped": dropped, "left": 10}), "{reason}");
        std::fs::remove_dir_all(place.path("out")).unwrap();
    }
}

#[test]
fn prompts_that_are_too_long_are_counted() {
    let place = Place::new();
    let mut records = pair_records(6);
    records[11]["prompt"] = json!(words(1, 200));
    let input = place.write("pairs.jsonl", lines(&records));
    said(&["--input", &input, "--out", &place.name("out"), "--max-prompt-words", "100"]);
    assert_eq!(place.json("out/funnel.json")["pairs"]["dropped"], json!({"the prompt is too long": 1}));
}

#[test]
fn ids_in_two_files_are_refused_with_both() {
    let place = Place::new();
    let records = pair_records(6);
    place.write("corpus/train.jsonl", lines(&records[..8]));
    place.write("corpus/test.jsonl", lines(&records[6..]));
    let (corpus, out) = (place.name("corpus"), place.name("out"));
    let told = complaint(&["--input", &corpus, "--out", &out], 1);
    for says in ["test.jsonl", "pair `pair6`", "train.jsonl already"] {
        assert!(told.contains(says), "{told}");
    }
    said(&["--input", &corpus, "--out", &out, "--skip-bad"]);
    assert_eq!(place.pairs("out/test.jsonl").len(), 4);
}

#[test]
fn what_stands_in_two_parts_is_an_error_unless_it_is_allowed_or_dropped() {
    let place = Place::new();
    let mut records = pair_records(6);
    let own = |number: usize| words(number, 40);
    records.iter_mut().enumerate().for_each(|(number, record)| record["chosen"] = json!(own(number)));
    let (corpus, out) = (place.name("corpus"), place.name("out"));
    let run = |records: &[Value]| {
        place.write("corpus/train.jsonl", lines(&records[..6]));
        place.write("corpus/validation.jsonl", lines(&records[6..8]));
        place.write("corpus/test.jsonl", lines(&records[8..]));
    };
    let mut shared_prompt = records.clone();
    shared_prompt[8]["prompt"] = json!(format!("  {}", records[0]["prompt"].as_str().unwrap().to_uppercase()));
    let mut shared_reply = records.clone();
    shared_reply[9]["rejected"] = records[1]["chosen"].clone();
    for (changed, says, first, second) in
        [(&shared_prompt, "1 prompts", "pair0", "pair8"), (&shared_reply, "1 replies", "pair1", "pair9")]
    {
        run(changed);
        let told = complaint(&["--input", &corpus, "--out", &out], 1);
        assert!(told.contains("LEAK: ") && told.contains(says), "{told}");
        assert!(
            told.contains(&format!("`{first}` of train")) && told.contains(&format!("`{second}` of test")),
            "{told}"
        );
        assert!(!place.path("out").exists());
        let told = said(&["--input", &corpus, "--out", &out, "--allow-leakage"]);
        assert!(told.contains(&format!("in two parts: {says}")), "{told}");
        assert_eq!(place.all_pairs("out").len(), 12);
        said(&["--input", &corpus, "--out", &out, "--drop-leakage"]);
        let kept: Vec<Value> = place.pairs("out/train.jsonl").iter().map(|pair| pair["id"].clone()).collect();
        assert!(!kept.contains(&json!(first)), "{kept:?}");
        assert_eq!(place.pairs("out/test.jsonl").len(), 4, "the test loses nothing");
        std::fs::remove_dir_all(place.path("out")).unwrap();
    }
}

#[test]
fn near_duplicates_and_shared_authors_are_told_and_no_error() {
    let place = Place::new();
    let mut records = pair_records(6);
    records[2]["chosen"] = json!(words(2, 80));
    records[10]["chosen"] = json!(format!("{} indeed", words(2, 80)));
    records[3]["chosen_author"] = json!("somebody");
    records[9]["rejected_author"] = json!("somebody");
    place.write("corpus/train.jsonl", lines(&records[..8]));
    place.write("corpus/test.jsonl", lines(&records[8..]));
    let (corpus, out) = (place.name("corpus"), place.name("out"));
    let told = said(&["--input", &corpus, "--out", &out]);
    assert!(told.contains("in two parts: 1 nearly the same replies, 1 authors"), "{told}");
    let near = &place.json("out/leakage.json")["near_replies"]["first"][0];
    assert_eq!((&near["pair"], &near["other_pair"]), (&json!("pair2"), &json!("pair10")));
    assert!(near["similarity"].as_f64().unwrap() > 0.95);
    said(&["--input", &corpus, "--out", &out, "--drop-leakage"]);
    assert_eq!(place.json("out/leakage.json")["dropped"], json!(1));
    assert_eq!(place.pairs("out/train.jsonl").len(), 7);
}

#[test]
fn bad_lines_of_a_dump_are_refused_with_file_and_line_or_counted() {
    let place = Place::new();
    let (posts, comments) = dump(5);
    let source = write_dump(&place, &posts, &comments);
    let out = place.name("out");
    let words: Vec<&str> = source.iter().map(String::as_str).chain(["--out", &out]).collect();
    let without = |record: &Value, field: &str| {
        let mut record = record.clone();
        record.as_object_mut().unwrap().remove(field);
        record.to_string().into_bytes()
    };
    let table = [
        ("posts.jsonl", lines(&posts), without(&posts[0], "title"), "line 6: missing field `title`", "posts"),
        ("posts.jsonl", lines(&posts), b"\xff\xfe".to_vec(), "line 6: is not UTF-8", "posts"),
        (
            "comments.jsonl",
            lines(&comments),
            without(&comments[0], "link_id"),
            "line 36: missing field `link_id`",
            "replies",
        ),
        ("comments.jsonl", lines(&comments), without(&comments[0], "body"), "line 36: missing field `body`", "replies"),
        ("comments.jsonl", lines(&comments), b"{\"id\": \"x".to_vec(), "line 36: EOF while parsing", "replies"),
    ];
    for (file, good, bad, says, stage) in table {
        place.write(file, [good.as_bytes(), &bad].concat());
        let told = complaint(&words, 1);
        assert!(told.contains(file) && told.contains(says), "{says}: {told}");
        said(&[words.as_slice(), &["--skip-bad"]].concat());
        assert_eq!(place.json("out/funnel.json")[stage]["dropped"]["bad record"], json!(1), "{says}");
        place.write(file, good);
    }
}

#[test]
fn other_corpora_that_are_broken_are_refused_with_their_place() {
    let place = Place::new();
    let out = place.name("out");
    let mut pair = op_pair(0, 0);
    pair.as_object_mut().unwrap().remove("negative");
    let list = place.write("train.jsonlist", lines(&[op_pair(1, 0), pair]));
    write_convokit(&place.path("ck"), 2);
    let conversations = place.read("ck/conversations.json").replacen("op-text-body", "text", 1);
    place.write("ck/conversations.json", conversations);
    place.write("alone/conversations.json", "{}");
    place.write("topics/one/op.json", json!({"op_title": "T"}).to_string());
    place.write("empty/readme.txt", "nothing");
    let table = [
        (list, "line 2: missing field `positive` or `negative`"),
        (place.name("ck"), "conversation `t3_v0`: missing field `op-text-body`"),
        (place.name("alone"), "no utterances.jsonl"),
        (place.name("topics"), "op.json"),
        (place.name("empty"), "no corpus is here"),
        (place.name("nowhere"), "No such file"),
        (place.write("pairs.jsonl", ""), "there are no pairs in it"),
    ];
    for (input, says) in table {
        let told = complaint(&["--input", &input, "--out", &out], 1);
        assert!(told.contains(says), "{input}: {told}");
    }
    let archive = place.write("posts.bz2", "");
    let told = complaint(&["--posts", &archive, "--comments", &archive, "--out", &out], 1);
    assert!(told.contains("decompress it first"), "{told}");
}

#[test]
fn too_little_is_told() {
    let place = Place::new();
    let out = place.name("out");
    let few = place.write("few.jsonl", lines(&pair_records(3)));
    let told = complaint(&["--input", &few, "--out", &out], 1);
    assert!(told.contains("3 groups leave none for validation at a split of 60-20-20"), "{told}");
    let told = complaint(&["--input", &few, "--out", &out, "--min-words", "500"], 1);
    assert!(told.contains("no pair is left") && told.contains("6 too short"), "{told}");
}

#[test]
fn words_that_make_no_sense_are_wrong_use() {
    let place = Place::new();
    let pairs = place.write("pairs.jsonl", lines(&pair_records(5)));
    let (posts, comments) = dump(5);
    let [_, posts, _, comments] = write_dump(&place, &posts, &comments);
    let table: [(&[&str], &str); 13] = [
        (&[], "Usage"),
        (&["--posts", &posts], "--comments"),
        (&["--input", &pairs, "--posts", &posts, "--comments", &comments], "cannot be used with"),
        (&["--input", &pairs, "--split", "60-20-30"], "add up to 100"),
        (&["--input", &pairs, "--negatives", "nearest"], "expected given, random, matched"),
        (&["--input", &pairs, "--negatives", "random"], "have their rejected replies already"),
        (&["--input", &pairs, "--depth", "top"], "neither scores nor depths"),
        (&["--input", &pairs, "--depth", "0"], "expected any, top or a number from 1"),
        (&["--input", &pairs, "--column", "answer=x"], "there is no field `answer`"),
        (&["--input", &pairs, "--split", "keep"], "does not say of all pairs"),
        (&["--input", &pairs, "--min-words", "9", "--max-words", "3"], "no reply has 9 words at least and 3 at most"),
        (&["--posts", &posts, "--comments", &comments, "--negatives", "given"], "a dump makes no pairs itself"),
        (&["--posts", &posts, "--comments", &comments, "--prompt-template", "Reply:"], "neither {title} nor {body}"),
    ];
    for (words, says) in table {
        let told = complaint(words, 2);
        assert!(told.contains(says), "{words:?}: {told}");
    }
}
