//! `persuasion prepare` on every form of corpus.

use std::collections::BTreeSet;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::corpora::{
    Place, comment, dump, lines, op_pair, pair_records, prepare, said, text, words, write_convokit, write_dump,
};

fn groups(pairs: &[Value]) -> BTreeSet<String> {
    pairs.iter().map(|pair| pair["group"].as_str().unwrap().to_owned()).collect()
}

fn run(place: &Place, source: &[String], more: &[&str]) -> String {
    let out = place.name("out");
    let words: Vec<&str> =
        source.iter().map(String::as_str).chain(["--out", &out]).chain(more.iter().copied()).collect();
    said(&words)
}

#[test]
fn a_dump_becomes_pairs_that_tell_where_they_come_from() {
    let place = Place::new();
    let (posts, comments) = dump(10);
    let told = run(&place, &write_dump(&place, &posts, &comments), &[]);
    let [train, validation, test] =
        ["train", "validation", "test"].map(|part| place.pairs(&format!("out/{part}.jsonl")));
    assert_eq!([train.len(), validation.len(), test.len()], [6, 2, 2], "{told}");
    let all = place.all_pairs("out");
    assert_eq!(groups(&all).len(), 10);
    for pair in &all {
        let post = pair["group"].as_str().unwrap().trim_start_matches('p');
        let chosen = format!("c{post}_0");
        assert_eq!(pair["chosen_id"], json!(chosen));
        assert_eq!(pair["id"], json!(format!("p{post}_{chosen}_{}", pair["rejected_id"].as_str().unwrap())));
        assert_eq!(pair["post_author"], json!(format!("asker{post}")));
        assert_eq!((&pair["chosen_depth"], &pair["chosen_score"]), (&json!(1), &json!(3)));
        let prompt = pair["prompt"].as_str().unwrap();
        assert!(
            prompt.starts_with(&format!("CMV: cats of kind {post} beat dogs\n\nI think so & always did")),
            "{prompt}"
        );
    }
    let funnel = place.json("out/funnel.json");
    assert_eq!(funnel["replies"]["read"], json!(70));
    assert_eq!(funnel["replies"]["dropped"], json!({"by a bot": 10, "by the post's author": 20}));
    assert_eq!(funnel["pairs"], json!({"read": 10, "dropped": {}, "left": 10}));
    assert_eq!(funnel["parts"]["train"], json!({"pairs": 6, "groups": 6}));
    assert!(!std::fs::read_dir(place.path("out")).unwrap().any(|file| file.unwrap().path().is_dir()));
}

#[test]
fn compressed_dumps_give_the_same_pairs() {
    let place = Place::new();
    let (posts, comments) = dump(6);
    run(&place, &write_dump(&place, &posts, &comments), &[]);
    let plain = place.files("out");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(lines(&posts).as_bytes()).unwrap();
    let posts = place.write("posts.gz", gzip.finish().unwrap());
    let comments_file = place.name("comments.jsonl");
    let mut words: Vec<String> = ["--posts", &posts, "--comments", &comments_file].map(str::to_owned).into();
    run(&place, &words, &[]);
    assert_eq!(place.files("out"), plain);
    let made = std::process::Command::new("zstd").args(["-q", "--long=31", &comments_file]).output();
    if !made.is_ok_and(|made| made.status.success()) {
        eprintln!("skipped: there is no program zstd");
        return;
    }
    words[3] = format!("{comments_file}.zst");
    run(&place, &words, &[]);
    assert_eq!(place.files("out"), plain);
}

#[test]
fn without_the_program_zstd_the_error_says_what_to_do() {
    let place = Place::new();
    let posts = place.write("posts.zst", b"\x28\xb5\x2f\xfd");
    let (out, none) = (place.name("out"), place.name("nowhere"));
    let output = prepare(&["--posts", &posts, "--comments", &posts, "--out", &out]).env("PATH", none).output().unwrap();
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(told.contains("posts.zst") && told.contains("zstd -d --long=31"), "{told}");
}

#[test]
fn the_same_input_and_seed_give_the_same_bytes_and_another_seed_another_split() {
    let place = Place::new();
    let (posts, comments) = dump(12);
    let source = write_dump(&place, &posts, &comments);
    run(&place, &source, &[]);
    let first = place.files("out");
    run(&place, &source, &[]);
    assert_eq!(place.files("out"), first);
    run(&place, &source, &["--seed", "7"]);
    assert_ne!(place.files("out")[0], first[0]);
}

#[test]
fn who_refuses_who_else_gives_and_who_takes_no_notice() {
    let place = Place::new();
    let (mut posts, mut comments) = dump(5);
    let long = |number| words(number, 25);
    posts.push(json!({"id": "r", "author": "asker", "title": "On rivers", "selftext": "They should run uphill."}));
    for (id, author) in [("r1", "one"), ("r2", "two"), ("r3", "three"), ("r4", "four"), ("r5", "[deleted]")] {
        comments.push(comment("r", id, author, "t3_r", &long(9000 + id.len() + usize::from(id.as_bytes()[1]))));
    }
    comments.extend([
        comment("r", "s1", "asker", "t1_r1", "Fine, that changed it. !delta"),
        comment("r", "s2", "asker", "t1_r2", "!delta"),
        comment("r", "t2", "DeltaBot", "t1_s2", "This delta has been rejected: you gave no reason."),
        comment("r", "s3", "reader", "t1_r3", "Have a ∆ from me."),
        comment("r", "s4", "asker", "t1_r4", "&gt; !delta\n\nI did not write that."),
    ]);
    // Nobody's view moves here, and the author answers nobody.
    posts.push(json!({"id": "n", "author": "silent", "title": "On hills", "selftext": "They are too high."}));
    comments.push(comment("n", "n1", "somebody", "t3_n", &long(777)));
    run(&place, &write_dump(&place, &posts, &comments), &["--split", "80-20-0"]);
    let of_r: Vec<Value> = place.all_pairs("out").into_iter().filter(|pair| pair["group"] == "r").collect();
    assert_eq!(of_r.len(), 1, "only one reply has a delta that counts");
    assert_eq!((&of_r[0]["chosen_id"], &of_r[0]["rejected_id"]), (&json!("r1"), &json!("r4")));
    let dropped = &place.json("out/funnel.json")["replies"]["dropped"];
    for reason in ["its delta was refused", "its delta is not of the post's author", "its author is unknown"] {
        assert_eq!(dropped[reason], json!(1), "{reason}");
    }
    assert_eq!(dropped["the post's author took no notice"], json!(1));
}

#[test]
fn filters_leave_out_and_count() {
    let place = Place::new();
    let (mut posts, mut comments) = dump(5);
    posts[0]["selftext"] = json!("[removed]");
    posts[1]["selftext"] = json!("");
    posts[2]["selftext"] = json!(words(3, 60));
    comments[22]["body"] = json!("[deleted]");
    comments[23]["body"] = json!("Too short.");
    comments[29]["score"] = json!(-4);
    comments[30]["body"] = comments[31]["body"].clone();
    posts.push(posts[3].clone());
    comments.push(comments[21].clone());
    comments.push(comment("gone", "g", "somebody", "t3_gone", "Where is it?"));
    let more = ["--max-prompt-words", "50", "--min-score", "0", "--split", "50-50-0"];
    run(&place, &write_dump(&place, &posts, &comments), &more);
    let funnel = place.json("out/funnel.json");
    let posts = json!({"deleted or removed": 1, "the prompt is too long": 1, "there twice": 1, "without text": 1});
    assert_eq!((&funnel["posts"]["dropped"], &funnel["posts"]["left"]), (&posts, &json!(2)));
    let replies = &funnel["replies"]["dropped"];
    for (reason, count) in [
        ("its post was left out", 12),
        ("deleted or removed", 1),
        ("too short", 1),
        ("its score is too low", 1),
        ("the same words as another", 1),
        ("there twice", 1),
        ("its post is not there", 1),
    ] {
        assert_eq!(replies[reason], json!(count), "{reason}: {replies}");
    }
}

#[test]
fn negatives_are_drawn_as_asked_for() {
    let place = Place::new();
    let (posts, comments) = dump(10);
    let source = write_dump(&place, &posts, &comments);
    run(&place, &source, &["--negatives", "matched"]);
    // Reply 0 has 23 words, reply 1 has 24, and so on: the next in length is within a tenth, as is the one after; words in common decide.
    let lengths = |pair: &Value| pair["rejected"].as_str().unwrap().split_whitespace().count();
    assert!(place.all_pairs("out").iter().all(|pair| lengths(pair) < 26), "the farthest in length is never taken");
    run(&place, &source, &["--negatives", "random", "--per-chosen", "5"]);
    assert_eq!(place.all_pairs("out").len(), 30, "no more than there are");
    run(&place, &source, &["--negatives", "other-post"]);
    let pairs = place.all_pairs("out");
    assert_eq!(pairs.len(), 10);
    for pair in &pairs {
        let rejected = pair["rejected_id"].as_str().unwrap();
        assert!(!rejected.starts_with(&format!("c{}_", &pair["group"].as_str().unwrap()[1..])), "{rejected}");
    }
}

#[test]
fn the_same_author_at_the_same_depth() {
    let place = Place::new();
    let (posts, mut comments) = dump(5);
    // In post 3 the winner wrote a second reply to the post, and one further down.
    comments.push(comment("p3", "again", "reader3_0", "t3_p3", &words(4000, 24)));
    comments.push(comment("p3", "below", "reader3_0", "t1_c3_1", &words(4001, 24)));
    run(&place, &write_dump(&place, &posts, &comments), &["--negatives", "same-author-depth", "--split", "100-0-0"]);
    let pairs = place.all_pairs("out");
    assert_eq!(pairs.len(), 1);
    assert_eq!(pairs[0]["rejected_id"], json!("again"));
    let dropped = &place.json("out/funnel.json")["posts"]["dropped"];
    assert_eq!(dropped["no reply that did not change the view is like one that did"], json!(4));
}

#[test]
fn only_replies_to_the_post_itself() {
    let place = Place::new();
    let (posts, mut comments) = dump(5);
    for number in 0..5 {
        comments.push(comment(
            &format!("p{number}"),
            &format!("deep{number}"),
            "digger",
            &format!("t1_c{number}_1"),
            &words(5000 + number, 30),
        ));
    }
    let source = write_dump(&place, &posts, &comments);
    let dropped = |place: &Place| place.json("out/funnel.json")["replies"]["dropped"]["too deep in the thread"].clone();
    run(&place, &source, &["--depth", "top"]);
    assert_eq!(dropped(&place), json!(5));
    run(&place, &source, &["--depth", "2"]);
    assert_eq!(dropped(&place), Value::Null);
}

#[test]
fn pair_files_keep_their_other_fields_and_split_as_python_does() {
    let place = Place::new();
    let records = pair_records(7);
    let input = place.write("pairs.json", json!(records).to_string());
    run(&place, &["--input".into(), input], &["--split-rng", "python"]);
    let topic = |number: usize| records[2 * number]["prompt"].as_str().unwrap();
    // random.seed(42); random.shuffle(list(range(7))) gives 1 3 4 2 6 0 5.
    let prompts = |part: &str| -> Vec<Value> {
        place.pairs(&format!("out/{part}.jsonl")).iter().map(|pair| pair["prompt"].clone()).collect()
    };
    let twice = |topics: &[usize]| -> Vec<Value> {
        topics.iter().flat_map(|number| [json!(topic(*number)), json!(topic(*number))]).collect()
    };
    assert_eq!(prompts("train"), twice(&[1, 3, 4, 2]));
    assert_eq!(prompts("validation"), twice(&[6]));
    assert_eq!(prompts("test"), twice(&[0, 5]));
    for pair in place.all_pairs("out") {
        let number: usize = pair["id"].as_str().unwrap().trim_start_matches("pair").parse().unwrap();
        assert_eq!(pair["source"], json!({"page": number}));
        assert_eq!((&pair["chosen"], &pair["rejected"]), (&records[number]["chosen"], &records[number]["rejected"]));
    }
}

#[test]
fn json_lines_and_csv_give_the_same_pairs() {
    let place = Place::new();
    let records = pair_records(6);
    let lines_file = place.write("all.jsonl", lines(&records));
    run(&place, &["--input".into(), lines_file], &[]);
    let expected = place.all_pairs("out");
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(["id", "post", "chosen", "rejected"]).unwrap();
    for record in &records {
        let cells = ["id", "prompt", "chosen", "rejected"].map(|name| record[name].as_str().unwrap());
        table.write_record(cells).unwrap();
    }
    let table = place.write("all.csv", table.into_inner().unwrap());
    run(&place, &["--input".into(), table], &["--column", "prompt=post"]);
    let texts = |pairs: &[Value]| -> Vec<[Value; 4]> {
        pairs.iter().map(|pair| ["id", "prompt", "chosen", "rejected"].map(|name| pair[name].clone())).collect()
    };
    assert_eq!(texts(&place.all_pairs("out")), texts(&expected));
}

#[test]
fn parts_that_the_input_has_are_kept() {
    let place = Place::new();
    let records = pair_records(6);
    for (name, part) in [("train", &records[..8]), ("dev", &records[8..10]), ("test", &records[10..])] {
        place.write(&format!("corpus/{name}.jsonl"), lines(part));
    }
    place.write("corpus/notes.json", "[]");
    let told = run(&place, &["--input".into(), place.name("corpus")], &[]);
    assert!(told.contains("split: keep"), "{told}");
    let sizes = ["train", "validation", "test"].map(|part| place.pairs(&format!("out/{part}.jsonl")).len());
    assert_eq!(sizes, [8, 2, 2]);
    assert_eq!(place.pairs("out/train.jsonl")[0]["id"], json!("pair0"), "the order is that of the file");
    run(&place, &["--input".into(), place.name("corpus")], &["--split", "50-25-25"]);
    let sizes = ["train", "validation", "test"].map(|part| place.pairs(&format!("out/{part}.jsonl")).len());
    assert_eq!(sizes, [6, 2, 4]);
}

#[test]
fn pairs_are_grouped_by_a_field() {
    let place = Place::new();
    let mut records = pair_records(10);
    records.iter_mut().enumerate().for_each(|(number, record)| record["topic"] = json!(number / 4));
    let input = place.write("pairs.jsonl", lines(&records));
    run(&place, &["--input".into(), input], &["--group-by", "topic"]);
    assert_eq!(groups(&place.all_pairs("out")).len(), 5);
    let sizes = ["train", "validation", "test"].map(|part| place.pairs(&format!("out/{part}.jsonl")).len());
    assert_eq!(sizes, [12, 4, 4]);
}

#[test]
fn chats_stay_chats() {
    let place = Place::new();
    let turn = |role: &str, content: String| json!({"role": role, "content": content});
    let pair = |number: usize| {
        json!({
            "prompt": [turn("system", "Be kind.".into()), turn("user", format!("What of idea {}?", words(number, 4)))],
            "chosen": [turn("assistant", words(50 + number, 9))], "rejected": [turn("assistant", words(80 + number, 9))],
        })
    };
    let input = place.write("chats.jsonl", lines(&(0..5).map(pair).collect::<Vec<_>>()));
    run(&place, &["--input".into(), input], &[]);
    let first = &place.all_pairs("out")[0];
    assert_eq!(first["prompt"][0], turn("system", "Be kind.".into()));
    assert!(first["chosen"].is_string() || first["chosen"].is_array());
}

#[test]
fn the_first_form_of_winning_arguments() {
    let place = Place::new();
    let records: Vec<Value> = (0..6).flat_map(|post| [op_pair(post, 0), op_pair(post, 1)]).collect();
    place.write("wa/train_pair_data.jsonlist", lines(&records[..8]));
    place.write("wa/heldout_pair_data.jsonlist", lines(&records[8..]));
    run(&place, &["--input".into(), place.name("wa")], &[]);
    let (train, test) = (place.pairs("out/train.jsonl"), place.pairs("out/test.jsonl"));
    assert_eq!((train.len(), test.len()), (8, 4));
    assert!(!place.path("out/validation.jsonl").exists());
    assert_eq!(train[0]["group"], json!("q0"));
    assert_eq!(train[0]["id"], json!("q0_k0_k1"));
    assert!(train[0]["chosen"].as_str().unwrap().ends_with("\n\nAnd one thing more."));
    run(
        &place,
        &["--input".into(), place.name("wa")],
        &["--split", "60-20-20", "--negatives", "random", "--per-chosen", "2"],
    );
    assert_eq!(place.all_pairs("out").len(), 24, "every winner with both that did not win");
}

#[test]
fn winning_arguments_of_convokit() {
    let place = Place::new();
    write_convokit(&place.path("ck"), 9);
    run(&place, &["--input".into(), place.name("ck")], &[]);
    let (train, test) = (place.pairs("out/train.jsonl"), place.pairs("out/test.jsonl"));
    assert_eq!((train.len(), test.len()), (6, 3));
    let first = &train[0];
    assert_eq!(first["pair_id"], json!("p_0"));
    assert_eq!(first["chosen"], json!(format!("{}\n\n{}", words(1, 15), words(0, 15))), "the older piece comes first");
    assert_eq!((&first["chosen_author"], &first["rejected_author"]), (&json!("writer0_0"), &json!("writer0_1")));
    let funnel = place.json("out/funnel.json");
    assert_eq!(funnel["replies"]["dropped"]["empty"], json!(9));
}

#[test]
fn folders_of_topics() {
    let place = Place::new();
    let splits = ["train", "train", "train", "val", "test"];
    for (post, split) in splits.iter().enumerate() {
        let record = op_pair(post, 0);
        let about = json!({"op_title": record["op_title"], "op_text": record["op_text"], "op_user": "x", "topic_id": post, "pair_ids": [],
            "split": split});
        place.write(&format!("topics/t{post}/post{post}/op.json"), about.to_string());
        let pair = json!({"positive": record["positive"], "negative": record["negative"]});
        let pairs = if post % 2 == 0 { json!({"a": pair}) } else { json!([pair]) };
        place.write(&format!("topics/t{post}/post{post}/pairs.json"), pairs.to_string());
    }
    run(&place, &["--input".into(), place.name("topics")], &[]);
    let sizes = ["train", "validation", "test"].map(|part| place.pairs(&format!("out/{part}.jsonl")).len());
    assert_eq!(sizes, [3, 1, 1]);
    assert_eq!(place.pairs("out/test.jsonl")[0]["group"], json!("post4"));
}

#[test]
fn what_length_alone_is_worth_is_told() {
    let place = Place::new();
    let mut records = pair_records(5);
    let (chosen, rejected) = (records[0]["chosen"].clone(), records[0]["rejected"].clone());
    (records[0]["chosen"], records[0]["rejected"]) = (rejected, chosen);
    let input = place.write("pairs.jsonl", lines(&records));
    run(&place, &["--input".into(), input], &[]);
    let words = &place.json("out/lengths.json")["all"]["words"];
    assert_eq!(words["longer_wins"]["accuracy"], json!(0.9));
    assert_eq!(words["mean_difference"], json!((9.0 * 4.0 - 4.0) / 10.0));
    assert_eq!((&words["chosen"]["longest"], &words["chosen"]["median"]), (&json!(13), &json!(13.0)));
}
