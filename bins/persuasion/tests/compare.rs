//! `persuasion compare`: numbers of several runs, and who ranks the same pairs better.

use serde_json::{Value, json};

use crate::report_folder::{Place, SMALL, Size, change, complaint, lines, said};

const MANY: Size = Size { posts: 80, pairs_per_post: 3, epochs: 2, sentences: 1 };

fn compared(words: &[&str]) -> Value {
    serde_json::from_str(&said(&[&["compare", "--format", "json"], words].concat())).unwrap()
}

#[test]
fn a_better_run_is_told_from_a_worse_one_and_from_itself() {
    let place = Place::new();
    place.run("low", MANY, 0.5);
    place.run("high", MANY, 0.9);
    let [low, high] = ["low", "high"].map(|name| place.name(name));
    let found = compared(&[&low, &high, &low]);
    let better = &found["paired"][0];
    assert_eq!((&better["run"], &better["against"]), (&json!("high"), &json!("low (1)")));
    // 20 of 80 posts are held out.
    assert_eq!((&better["pairs"], &better["groups"], &better["left_out"]), (&json!(60), &json!(20), &json!(0)));
    let number = |name: &str| better[name].as_f64().unwrap();
    assert!((number("accuracy") - number("accuracy_against") - number("difference")).abs() < 1e-12);
    assert!(number("low") > 0.0 && number("high") < 1.0 && number("p") < 0.01, "{better}");
    let same = &found["paired"][1];
    assert_eq!(
        (&same["difference"], &same["low"], &same["high"], &same["p"]),
        (&json!(0.0), &json!(0.0), &json!(0.0), &json!(1.0))
    );
    // The same again is the same.
    assert_eq!(found, compared(&[&low, &high, &low]));
}

#[test]
fn the_accuracies_are_those_of_the_rows() {
    let place = Place::new();
    for name in ["one", "two"] {
        place.write(&format!("{name}/config.toml"), "");
    }
    let sample = |id: usize, step: u64, chosen: Value, rejected: f64| json!({"example_id": id, "type": "eval", "step": step, "chosen_reward": chosen, "rejected_reward": rejected});
    // At step 5 all are right; at the last step one is, one is equal, one is no number, and one has no reward.
    let mut rows: Vec<Value> = (0..4).map(|id| sample(id, 5, json!(1.0), 0.0)).collect();
    rows.extend([
        sample(0, 9, json!(1.0), 0.0),
        sample(1, 9, json!(0.0), 0.0),
        sample(2, 9, json!("NaN"), 0.0),
        sample(3, 9, Value::Null, 0.0),
    ]);
    place.write("one/outputs/samples.jsonl", &lines(rows.clone()));
    place.write("two/outputs/samples.jsonl", &lines(rows.into_iter().take(4)));
    let [one, two] = ["one", "two"].map(|name| place.name(name));
    let last = &compared(&[&two, &one])["paired"][0];
    assert_eq!((&last["pairs"], &last["left_out"], &last["steps"]), (&json!(3), &json!(1), &json!([9, 5])));
    assert!((last["accuracy"].as_f64().unwrap() - 1.0 / 3.0).abs() < 1e-12);
    let best = &compared(&[&two, &one, "--at", "best"])["paired"][0];
    assert_eq!((&best["accuracy"], &best["steps"], &best["difference"]), (&json!(1.0), &json!([5, 5]), &json!(0.0)));
}

#[test]
fn pairs_with_other_texts_are_not_the_same_pairs() {
    let place = Place::new();
    place.run("one", SMALL, 0.5);
    place.run("two", SMALL, 0.9);
    let first = "\"example_id\":\"pair-0\",\"split\":\"validation\",\"prompt\":\"";
    change(&place.path("two/outputs/pairs.jsonl"), |text| text.replace(first, &format!("{first}Other: ")));
    let [one, two] = ["one", "two"].map(|name| place.name(name));
    let found = &compared(&[&one, &two])["paired"][0];
    assert_eq!((&found["pairs"], &found["left_out"], &found["problem"]), (&json!(5), &json!(2), &Value::Null));
    std::fs::remove_file(place.path("two/outputs/samples.jsonl")).unwrap();
    let text = said(&["compare", &one, &two]);
    assert!(text.contains("two against one: not compared, for two has no rewards of held-out pairs"), "{text}");
}

#[test]
fn metrics_and_differing_settings_are_listed() {
    let place = Place::new();
    place.run("a/run", SMALL, 0.5);
    place.run("b/run", SMALL, 0.9);
    let [one, two] = ["a/run", "b/run"].map(|name| place.name(name));
    let found = compared(&[&one, &two]);
    assert_eq!((&found["runs"][0]["name"], &found["runs"][1]["name"]), (&json!("a/run"), &json!("b/run")));
    assert_eq!(found["settings"], json!([{"name": "lora.alpha", "values": ["8", "14.4"]}]));
    let metric = &found["runs"][1]["metrics"]["eval_rewards/accuracies"];
    assert_eq!((&metric["last_step"], &metric["best_step"]), (&json!(42), &json!(42)));
    assert_eq!(found["runs"][0]["steps"], 42);
    let text = said(&["compare", &one, &two]);
    for part in ["eval_rewards/accuracies, best", "lora.alpha", "b/run against a/run: ", "(step 42)"] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    assert!(!text.contains("lora.rank"), "{text}");
}

#[test]
fn the_page_lays_the_curves_over_each_other() {
    let place = Place::new();
    place.run("a<b", SMALL, 0.5);
    place.run("c", SMALL, 0.9);
    let out = place.name("compared.html");
    said(&["compare", &place.name("a<b"), &place.name("c"), "--html", &out]);
    let page = place.read("compared.html");
    assert!(
        page.contains("<title>Reward accuracy (held out)</title>")
            && page.contains("<title>Rewards, chosen (train)</title>")
    );
    assert!(page.contains("a&lt;b") && !page.contains("a<b"));
    assert!(page.contains("<th scope=\"row\">lora.alpha</th><td>8</td><td>14.4</td>"));
}

#[test]
fn wrong_uses_are_told_as_such() {
    let place = Place::new();
    place.run("one", SMALL, 0.5);
    let one = place.name("one");
    assert!(
        complaint(&["compare", &one], 2).contains("2 more values required")
            || complaint(&["compare", &one], 2).contains("values")
    );
    assert!(complaint(&["compare", &one, &one, "--resamples", "0"], 2).contains("0 resamples"));
    assert!(complaint(&["compare", &one, &one, "--confidence", "1.5"], 2).contains("between 0 and 1"));
    assert!(complaint(&["compare", &one, &place.name("nothing")], 1).contains("there is no run in this folder"));
}
