//! `sra score` on what the other commands write.

use std::path::Path;

use serde_json::Value;

use crate::program::{dialogues, model, records, run, short_run, sra, text};

fn score(words: &[&str]) -> Value {
    let output = sra(&[&["score", "--format", "json"], words].concat()).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn written(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The prepared examples of the shipped dialogues.
fn prepared(folder: &Path) -> String {
    let examples = written(&folder.join("examples.jsonl"));
    let words = ["prepare", "--input", &written(&dialogues()), "--out", &examples];
    assert!(sra(&words).output().unwrap().status.success());
    examples
}

/// But for rounding.
fn same_values(rows: &Value, expected: &Value) {
    let (rows, expected) = (rows.as_array().unwrap(), expected.as_array().unwrap());
    assert_eq!(rows.len(), expected.len());
    for (row, expected) in rows.iter().zip(expected) {
        let difference = row["value"].as_f64().unwrap() - expected["value"].as_f64().unwrap();
        assert!(row["name"] == expected["name"] && difference.abs() < 1e-12, "{row}: {expected}");
    }
}

#[test]
fn a_run_is_scored_against_prepared_examples_whatever_the_order_of_its_records() {
    let folder = tempfile::tempdir().unwrap();
    let examples = prepared(folder.path());
    let out = folder.path().join("run");
    let mut words = short_run(&out);
    words.extend(["--layout", "c1_hf,standard"].map(str::to_owned));
    assert!(run(&words).status.success());
    let run_folder = written(&out);
    let metrics = ["--metric", "f1,length,rouge-l-coco", "--resamples", "100"];
    let found = score(&[&[run_folder.as_str(), &examples, "--by"], &metrics[..]].concat());
    let lines = records(&out);
    assert_eq!(found["items"].as_u64().unwrap() as usize, lines.len());
    assert_eq!(found["units"], "1 conversation");
    assert_eq!(found["parts"].as_object().unwrap().len(), 15);
    // Sorted, the records stand in another order than they were finished in.
    let sorted = written(&folder.path().join("sorted.jsonl"));
    std::fs::write(&sorted, lines.join("\n")).unwrap();
    let again = score(&[&[sorted.as_str(), &examples], &metrics[..]].concat());
    // Sums in another order differ by rounding.
    same_values(&found["rows"], &again["rows"]);

    // The same by hand: texts beside the responses of their examples.
    let responses: std::collections::HashMap<String, String> = std::fs::read_to_string(&examples)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|row| (row["id"].as_str().unwrap().to_owned(), row["response"].as_str().unwrap().to_owned()))
        .collect();
    let on_one_line = |text: &str| text.replace(['\n', '\r'], " ");
    let (mut hypotheses, mut references) = (String::new(), String::new());
    for line in &lines {
        let record: Value = serde_json::from_str(line).unwrap();
        hypotheses += &(on_one_line(record["text"].as_str().unwrap()) + "\n");
        references += &(on_one_line(&responses[record["example"].as_str().unwrap()]) + "\n");
    }
    let (hypothesis_file, reference_file) = (folder.path().join("hyp.txt"), folder.path().join("ref.txt"));
    std::fs::write(&hypothesis_file, hypotheses).unwrap();
    std::fs::write(&reference_file, references).unwrap();
    let plain = score(&[&[written(&hypothesis_file).as_str(), &written(&reference_file)], &metrics[..]].concat());
    same_values(&found["rows"], &plain["rows"]);

    let words = [run_folder.as_str(), &examples, "--against", &run_folder, "--layout", "c1_hf,standard"];
    let compared = score(&[&words[..], &metrics[..]].concat());
    assert_eq!(compared["items"].as_u64().unwrap() as usize, lines.len() / 2);
    assert_eq!(compared["systems"][1], format!("{run_folder} (standard)"));
    assert!(compared["rows"][0]["comparison"]["bootstrap"]["p"].is_number());
}

#[test]
fn answers_of_generate_need_no_file_of_references() {
    let folder = tempfile::tempdir().unwrap();
    let chats = written(&folder.path().join("chats.jsonl"));
    let chat = |number: usize| {
        format!(
            "{{\"conversation\": \"c{number}\", \"messages\": [{{\"role\": \"user\", \"content\": \"Hi {number}\"}}, \
             {{\"role\": \"assistant\", \"content\": \"Hello number {number}\"}}]}}\n"
        )
    };
    std::fs::write(&chats, (0..5).map(chat).collect::<String>()).unwrap();
    let out = written(&folder.path().join("answers.jsonl"));
    let model = written(&model());
    let words = ["generate", "--model", &model, "--data", &chats, "--out", &out, "--max-new-tokens", "8", "--quiet"];
    let output = sra(&words).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let found = score(&[&out, "--preset", "thu-coai", "--resamples", "50"]);
    assert_eq!((found["items"].as_u64(), found["units"].as_str()), (Some(5), Some("5 conversations")));
    // The chats themselves, as references, are the same references.
    let beside = score(&[&out, &chats, "--preset", "thu-coai", "--resamples", "50"]);
    assert_eq!(found["rows"], beside["rows"]);
}

#[test]
fn tables_lists_and_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let (hyp, reference) = (folder.path().join("hyp.txt"), folder.path().join("ref.txt"));
    std::fs::write(&hyp, "I hear how tired you are.\nLet us look at it together.\n").unwrap();
    std::fs::write(&reference, "I hear how tired you are.\nWe can look at this together.\n").unwrap();
    let (hyp, reference) = (written(&hyp), written(&reference));
    let output = sra(&["score", &hyp, &reference]).output().unwrap();
    let table = text(&output.stdout);
    assert!(output.status.success() && table.contains("2 responses, default"), "{table}");
    assert!(table.contains("bleu|sacrebleu") && table.contains("rouge|rouge-score"), "{table}");
    let list = text(&sra(&["score", "--list"]).output().unwrap().stdout);
    assert!(list.contains("meteor-exact-stem") && list.contains("distinct-thu-coai"), "{list}");
    for (words, code, says) in [
        (vec!["score", &hyp, &reference, "--metric", "blue"], 2, "unknown metric `blue`"),
        (vec!["score", &hyp, &reference, "--preset", "blue"], 2, "unknown preset `blue`"),
        (vec!["score", &hyp, "nowhere.txt"], 1, "nowhere.txt: "),
        (vec!["score", &hyp], 1, "has no reference"),
        (vec!["score"], 2, "HYP"),
    ] {
        let output = sra(&words).output().unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {told}");
        assert!(told.contains(says), "{words:?}: {told}");
    }
}
