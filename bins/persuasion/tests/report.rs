//! `persuasion report`: what the page holds, whatever the files hold.

use serde_json::{Value, json};

use crate::report_folder::{Place, SMALL, change, complaint, data_of, lines, page_of, said, search, study_results};

/// A text that would run if any of it became markup.
const HOSTILE: &str =
    "</script><img src=x onerror=\"document.title='ran'\"><!--<script>document.title='ran'</script>]]>";

#[test]
fn the_page_needs_nothing_else_and_shows_all_that_the_run_has_left() {
    let place = Place::new();
    place.run("first", SMALL, 0.8);
    let page = page_of(&place, "first");
    for outside in ["http://", "https://", "src=", "@import", "url(", "fetch(", "XMLHttpRequest"] {
        let found = page.matches(outside).count();
        let named = page.matches("xmlns=\"http://www.w3.org/2000/svg\"").count();
        assert_eq!(found, if outside == "http://" { named } else { 0 }, "{outside}");
    }
    for title in [
        "Loss",
        "Reward accuracy",
        "Reward margin",
        "Rewards",
        "Perplexity by the policy",
        "Learning rate",
        "Norm of the gradient",
    ] {
        assert!(page.contains(&format!("<title>{title}</title>")), "{title}");
    }
    for axis in ["optimiser step", "share of pairs", "loss (nats)", "nats per reply"] {
        assert!(page.contains(&format!(">{axis}</text>")), "{axis}");
    }
    assert!(page.contains("<h1>first</h1>") && page.contains("<p class=\"lead\">finished; 42 steps, 3 epochs"));
    assert!(
        page.contains("<tr><th scope=\"row\">lora.targets</th><td>[&quot;q_proj&quot;, &quot;v_proj&quot;]</td></tr>")
    );
    assert!(page.contains("<tr><th scope=\"row\">reward_accuracy</th><td>0.8</td><td>0.68 to 0.9</td>"));
    assert!(page.contains("<title>samples_per_second</title>"));
}

#[test]
fn each_text_is_in_the_page_once() {
    let place = Place::new();
    place.run("first", SMALL, 0.8);
    let data = data_of(&page_of(&place, "first"));
    let texts = data["texts"].as_array().unwrap();
    let mut once = texts.clone();
    once.sort_by_key(Value::to_string);
    once.dedup();
    assert_eq!(once.len(), texts.len());
    // 14 training pairs in 3 epochs and 6 held-out ones in 4 evaluations.
    assert_eq!(data["samples"]["pair"].as_array().unwrap().len(), 14 * 3 + 6 * 4);
    assert_eq!(data["samples"]["pairs"].as_array().unwrap().len(), 20);
    let first = &data["samples"]["pairs"][0];
    let pair: Value = serde_json::from_str(place.read("first/outputs/pairs.jsonl").lines().next().unwrap()).unwrap();
    assert_eq!((&first[0], &first[1]), (&pair["example_id"], &pair["split"]));
    assert_eq!(texts[first[3].as_u64().unwrap() as usize], pair["chosen"]);
    let replies = data["generations"][0]["replies"].as_array().unwrap();
    assert_eq!(replies.iter().map(|reply| reply["step"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 14, 28, 42]);
}

#[test]
fn samples_can_be_left_out() {
    let place = Place::new();
    place.run("first", SMALL, 0.8);
    for (choice, rows) in [("all", 66), ("held-out", 24), ("last", 6), ("none", 0)] {
        let out = place.name("out.html");
        said(&["report", &place.name("first"), "--samples", choice, "--out", &out]);
        let data = data_of(&place.read("out.html"));
        assert_eq!(data["samples"]["pair"].as_array().unwrap().len(), rows, "{choice}");
    }
}

#[test]
fn no_text_of_the_data_becomes_markup() {
    let place = Place::new();
    place.run("hostile", SMALL, 0.8);
    spoil(&place, "hostile");
    let page = page_of(&place, "hostile");
    assert!(!page.contains("<img") && !page.contains("onerror=\"") && !page.contains("<!--"));
    // The data and the script, and no other element that could run.
    assert_eq!((page.matches("<script").count(), page.matches("</script>").count()), (2, 2));
    let data = data_of(&page);
    assert!(data["texts"].as_array().unwrap().contains(&json!(HOSTILE)));
}

/// Puts the hostile text wherever a file has a text.
pub(crate) fn spoil(place: &Place, run: &str) {
    let outputs = place.path(&format!("{run}/outputs"));
    let hostile_rows = |text: &str| {
        lines(text.lines().map(|line| {
            let mut row: Value = serde_json::from_str(line).unwrap();
            for (key, value) in row.as_object_mut().unwrap() {
                if !["type", "split", "example_id"].contains(&key.as_str()) && value.is_string() {
                    *value = json!(HOSTILE);
                }
            }
            row
        }))
    };
    for file in ["pairs.jsonl", "generations.jsonl"] {
        change(&outputs.join(file), hostile_rows);
    }
    for file in ["pairs.jsonl", "samples.jsonl", "generations.jsonl"] {
        change(&outputs.join(file), |text| text.replace("\"pair-0\"", &json!(HOSTILE).to_string()));
    }
    change(&outputs.join("evaluation.json"), |text| text.replace("\"base\"", &json!(HOSTILE).to_string()));
    place.append(&format!("{run}/config.toml"), &format!("note = '''{}'''\n", HOSTILE.replace('\'', "")));
    let scalar = json!({"t": 1.7e9, "step": 42, "epoch": 3.0, "kind": "scalar", "data": {HOSTILE: 1.0}});
    let message = json!({"t": 1.7e9, "step": 42, "epoch": 3.0, "kind": "message", "data": {"text": HOSTILE}});
    place.append(&format!("{run}/events.jsonl"), &lines([scalar, message]));
}

#[test]
fn a_run_that_is_going_on_can_be_reported() {
    let place = Place::new();
    place.write("young/config.toml", "method = \"dpo\"\n");
    let page = page_of(&place, "young");
    for missing in [
        "events.jsonl is not there",
        "outputs/samples.jsonl is not there",
        "outputs/generations.jsonl is not there",
        "writes outputs/evaluation.json",
    ] {
        assert!(page.contains(missing), "{missing}");
    }
    place.run("torn", SMALL, 0.8);
    for file in ["events.jsonl", "outputs/pairs.jsonl", "outputs/samples.jsonl", "outputs/generations.jsonl"] {
        let whole = place.read(&format!("torn/{file}"));
        place.write(&format!("torn/{file}"), &whole[..whole.len() - 20]);
    }
    let page = page_of(&place, "torn");
    assert!(page.contains("not finished: it goes on or was stopped"));
    let data = data_of(&page);
    assert_eq!(data["samples"]["pair"].as_array().unwrap().len(), 65);
    // The texts of the pair whose line was cut are not there; its samples are.
    assert_eq!(data["samples"]["pairs"].as_array().unwrap().iter().filter(|pair| pair[2].is_null()).count(), 1);
}

#[test]
fn numbers_that_are_none_are_told_as_such() {
    let place = Place::new();
    place.run("diverged", SMALL, 0.8);
    let sample = json!({"example_id": "pair-0", "type": "eval", "epoch": 3, "step": 42, "loss": "NaN", "chosen_reward": "-Infinity", "rejected_reward": null});
    place.append("diverged/outputs/samples.jsonl", &lines([sample]));
    let scalar = json!({"t": 1.7e9, "step": 43, "epoch": 3.0, "kind": "scalar", "data": {"loss": "NaN", "eval_loss": "Infinity"}});
    place.append("diverged/events.jsonl", &lines([scalar]));
    let page = page_of(&place, "diverged");
    assert!(page.contains("2 values are missing"), "the picture of the loss counts them");
    let data = data_of(&page);
    let columns = &data["samples"]["columns"];
    // The row of the same pair and step is the one that counts.
    let rows = data["samples"]["pair"].as_array().unwrap().len();
    assert_eq!(rows, 66);
    let at = columns["loss"].as_array().unwrap().iter().position(|value| value == "NaN").unwrap();
    assert_eq!((&columns["chosen_reward"][at], &columns["rejected_reward"][at]), (&json!("-Infinity"), &Value::Null));
}

#[test]
fn what_is_wrong_is_told_with_file_and_line() {
    let place = Place::new();
    let cases = [
        ("config.toml", "beta = = 1\n", "config.toml, line 1: not TOML"),
        ("events.jsonl", "{\"what\": 1}\n", "events.jsonl, line 1: not an event"),
        (
            "outputs/pairs.jsonl",
            "{\"example_id\": 1, \"split\": \"train\", \"prompt\": \"a\", \"chosen\": \"b\"}\n",
            "pairs.jsonl, line 1: missing field `rejected`",
        ),
        (
            "outputs/samples.jsonl",
            "\n{\"example_id\": 1, \"type\": \"eval\", \"step\": 1, \"loss\": \"low\"}\n",
            "samples.jsonl, line 2: a number was expected, not \"low\"",
        ),
        ("outputs/generations.jsonl", "{\"example_id\": 1\n{}\n", "generations.jsonl, line 1: "),
        ("outputs/evaluation.json", "{\n\"a\": }", "evaluation.json, line 2: not JSON"),
    ];
    for (file, content, told) in cases {
        place.run("damaged", SMALL, 0.8);
        place.write(&format!("damaged/{file}"), content);
        let complaint = complaint(&["report", &place.name("damaged")], 1);
        assert!(complaint.contains(told), "{file}: {complaint}");
    }
    let pair = |text: &str| json!({"example_id": 1, "split": "train", "prompt": "a", "chosen": text, "rejected": "c"});
    place.run("doubled", SMALL, 0.8);
    place.write("doubled/outputs/pairs.jsonl", &lines([pair("b"), pair("b"), pair("d")]));
    let told = complaint(&["report", &place.name("doubled")], 1);
    assert!(told.contains("pairs.jsonl, line 3: `1` of the split `train` has other texts in line 1"), "{told}");
    let told = complaint(&["report", &place.name("nothing")], 1);
    assert!(told.contains("there is no run in this folder"), "{told}");
    place.write("folder/report.html/is/a/folder", "");
    place.write("folder/config.toml", "");
    assert!(complaint(&["report", &place.name("folder")], 1).contains("report.html"));
}

#[test]
fn a_search_shows_its_best_trial_its_figures_and_all_its_trials() {
    let place = Place::new();
    search(&place.path("study"), 12);
    let page = page_of(&place, "study");
    assert!(page.contains("<p class=\"lead\">13 trials: 9 complete, 2 pruned, 1 failed, 1 running</p>"));
    for figure in ["history", "parameters and values", "values by parameter", "importance of parameters"] {
        assert!(page.contains(&format!("<title>study: {figure}</title>")), "{figure}");
    }
    assert!(page.contains("<td>no &lt;b&gt; today</td>") && !page.contains("<b> today"));
    assert!(page.contains("<th scope=\"col\">learning_rate</th>"));
    place.append("study/journal.jsonl", "{}\n");
    assert!(complaint(&["report", &place.name("study")], 1).contains("not a record of a study"));
}

#[test]
fn the_results_of_a_search_do_where_the_journal_is_gone() {
    let place = Place::new();
    place.write("study/study_results.json", &study_results(12).to_string());
    let page = page_of(&place, "study");
    assert!(page.contains("Trial 2: <strong>") && page.contains("trials/0002"));
    assert!(page.contains("<th scope=\"col\">learning_rate</th>") && page.contains("class=\"plain sortable\""));
    assert_eq!(page.matches("<td>cosine</td>").count(), 13);
}
