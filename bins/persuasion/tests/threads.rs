//! `persuasion threads` on a made-up dump.

use std::process::Command;

use serde_json::{Value, json};

use crate::corpora::{Place, comment, dump, text, write_dump};

fn threads(place: &Place, source: &[String], more: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_persuasion"));
    let out = place.name("threads.json");
    let output = command.arg("threads").args(source).args(["--out", &out]).args(more).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn every_answer_of_a_posts_author_is_the_end_of_a_thread() {
    let place = Place::new();
    let (posts, mut comments) = dump(40);
    comments.push(comment("p5", "z1", "digger", "t1_e5", "And so?"));
    let mut last = comment("p5", "zz", "asker5", "t1_z1", "Fair enough, !delta");
    last["created_utc"] = json!("999999");
    comments.push(last);
    comments.push(comment("p6", "q", "asker6", "t1_c6_2", "> ∆\n\nNot from me, &#8710; is meant as a quote"));
    let source = write_dump(&place, &posts, &comments);
    let told = threads(&place, &source, &[]);
    assert!(told.contains("82 threads of 40 posts, 42 with a delta"), "{told}");
    let records = place.pairs("threads.json");
    let order: Vec<&str> = records.iter().map(|record| record["submission_id"].as_str().unwrap()).collect();
    let number = |id: &&str| id[1..].parse::<usize>().unwrap();
    assert!(order.iter().map(number).collect::<Vec<_>>().is_sorted(), "posts come in the dump's order");
    let deep = records.iter().find(|record| record["comments_thread_leaf_comment_id"] == "zz").unwrap();
    let ids: Vec<&Value> =
        deep["comments_thread"].as_array().unwrap().iter().map(|comment| &comment["comment_id"]).collect();
    assert_eq!(ids, ["c5_1", "e5", "z1", "zz"]);
    assert_eq!(
        (&deep["comments_thread_root_comment_id"], &deep["comments_thread_is_delta"]),
        (&json!("c5_1"), &json!(true))
    );
    let first = &deep["comments_thread"][1];
    assert_eq!((&first["comment_parent_id"], &first["comment_link_id"]), (&json!("t1_c5_1"), &json!("t3_p5")));
    assert_eq!(deep["submission_author"], json!("asker5"));
    assert_eq!(
        std::fs::read_dir(place.path("threads.json").parent().unwrap()).unwrap().count(),
        3,
        "nothing else is left"
    );
}

#[test]
fn the_published_rule_knows_fewer_signs_and_counts_quoted_ones() {
    let place = Place::new();
    let (posts, mut comments) = dump(3);
    for (number, body) in [(0, "∆ for you"), (1, "> !delta\n\nWho said that?")] {
        comments.push(comment(
            &format!("p{number}"),
            &format!("zz{number}"),
            &format!("asker{number}"),
            &format!("t1_c{number}_2"),
            body,
        ));
    }
    let source = write_dump(&place, &posts, &comments);
    let is_delta = |place: &Place, leaf: &str| {
        let records = place.pairs("threads.json");
        records.iter().find(|record| record["comments_thread_leaf_comment_id"] == leaf).unwrap()["comments_thread_is_delta"].clone()
    };
    threads(&place, &source, &[]);
    assert_eq!([is_delta(&place, "zz0"), is_delta(&place, "zz1")], [json!(true), json!(false)]);
    threads(&place, &source, &["--delta-rule", "reference"]);
    assert_eq!([is_delta(&place, "zz0"), is_delta(&place, "zz1")], [json!(false), json!(true)]);
}
