//! The command `score`: which response is laid beside which reference, what is printed, and what is refused.

use std::path::PathBuf;

use clap::Parser;
use esc_metrics::front::{ComparisonReport, Outcome, ScoreArguments, ScoreReport};
use esc_metrics::meteor::MeteorResources;
use serde_json::json;
use tempfile::TempDir;

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    score: ScoreArguments,
}

/// A folder of files that are scored.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, text: &str) -> &Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    fn put_rows(&self, name: &str, rows: &[serde_json::Value]) -> &Self {
        let lines: Vec<String> = rows.iter().map(|row| row.to_string() + "\n").collect();
        self.put(name, &lines.concat())
    }

    /// `score` of these words; those that name a file of the desk stand for it.
    fn score(&self, words: &[&str]) -> Result<Outcome, String> {
        let words = words.iter().map(|word| {
            let path = self.path(word);
            if path.exists() { path.to_string_lossy().into_owned() } else { (*word).to_owned() }
        });
        let program = Program::try_parse_from(std::iter::once("score".to_owned()).chain(words));
        program.map_err(|error| error.to_string())?.score.run(&[]).map_err(|error| error.to_string())
    }

    fn report(&self, words: &[&str]) -> ScoreReport {
        match self.score(words) {
            Ok(Outcome::Scores(report)) => report,
            other => panic!("{other:?}"),
        }
    }

    fn comparison(&self, words: &[&str]) -> ComparisonReport {
        match self.score(words) {
            Ok(Outcome::Comparison(report)) => report,
            other => panic!("{other:?}"),
        }
    }

    /// The value of the single metric that is asked for.
    fn value(&self, words: &[&str]) -> f64 {
        self.report(&[words, &["--resamples", "0"]].concat()).rows[0].value
    }

    fn problem(&self, words: &[&str]) -> String {
        self.score(words).unwrap_err().replace(self.0.path().to_str().unwrap(), "DESK")
    }
}

const F1: &[&str] = &["--metric", "f1"];

fn f1<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [words, F1].concat()
}

#[test]
fn lines_are_laid_beside_lines() {
    let desk = Desk::new();
    desk.put("hyp.txt", "we walk home\r\n\r\nit rains")
        .put("ref.txt", "\u{feff}we walk home\nnothing\nit rains a lot\n");
    // 1, 0, and 2 of 2 and 2 of 4 words.
    let expected = (1.0 + 0.0 + 2.0 / 3.0) / 3.0;
    assert!((desk.value(&f1(&["hyp.txt", "ref.txt"])) - expected).abs() < 1e-12);
}

#[test]
fn several_files_are_several_references_and_the_best_counts() {
    let desk = Desk::new();
    desk.put("hyp.txt", "a b\nc d\n").put("one.txt", "a b\nx y\n").put("two.txt", "x y\nc d\n");
    assert_eq!(desk.value(&f1(&["hyp.txt", "one.txt"])), 0.5);
    assert_eq!(desk.value(&f1(&["hyp.txt", "one.txt", "two.txt"])), 1.0);
    desk.put_rows("rows.jsonl", &[json!({"id": 1, "hyp": "a b", "refs": ["x y", "a b"]})]);
    assert_eq!(desk.value(&f1(&["rows.jsonl"])), 1.0);
}

#[test]
fn rows_with_ids_find_their_references_in_any_order() {
    let desk = Desk::new();
    desk.put_rows("hyp.jsonl", &[json!({"id": "x", "text": "a b"}), json!({"id": "y", "text": "c d"})]);
    let references = [json!({"id": "z", "response": "e f"}), json!({"id": "y", "response": "c d"})];
    desk.put_rows("ref.jsonl", &[&references[..], &[json!({"id": "x", "response": "a b"})]].concat());
    assert_eq!(desk.value(&f1(&["hyp.jsonl", "ref.jsonl"])), 1.0);
    // One array, as some programs write it.
    desk.put("ref.json", r#"[{"id": "x", "response": "a b"}, {"id": "y", "response": "c d"}]"#);
    assert_eq!(desk.value(&f1(&["hyp.jsonl", "ref.json"])), 1.0);
}

#[test]
fn a_run_is_scored_by_example_strategy_and_layout() {
    let desk = Desk::new();
    let record = |example: &str, strategy: &str, layout: &str, text: &str| {
        json!({"id": format!("{example}{strategy}{layout}"), "example": example, "conversation": "c",
            "strategy": strategy, "layout": layout, "text": text})
    };
    let records = [
        record("e2", "Question", "c1_hf", "and why"),
        record("e1", "Question", "c1_hf", "who was it"),
        record("e1", "Others", "c1_hf", "good night"),
        record("e2", "Question", "standard", "x"),
        record("e1", "Question", "standard", "who was it"),
        record("e1", "Others", "standard", "good night"),
    ];
    desk.put_rows("run/continuations.jsonl", &records);
    // A run that goes on may end in half a line.
    let whole = std::fs::read_to_string(desk.path("run/continuations.jsonl")).unwrap();
    desk.put("run/continuations.jsonl", &(whole + "{\"id\": \"e3"));
    let example =
        |id: &str, text: &str| json!({"id": id, "conversation": "c", "strategy": ["Question"], "response": text});
    desk.put_rows("examples.jsonl", &[example("e1", "who was it"), example("e2", "and why")]);
    let words = ["run", "examples.jsonl", "--layout", "c1_hf", "--by", "--metric", "f1", "--resamples", "0"];
    let report = desk.report(&words);
    assert_eq!((report.items, report.units.as_str()), (3, "1 conversation"));
    assert!((report.rows[0].value - 2.0 / 3.0).abs() < 1e-12);
    let parts: Vec<_> =
        report.parts.iter().map(|(name, part)| (name.as_str(), part.items, part.rows[0].value)).collect();
    assert_eq!(parts, [("Others", 1, 0.0), ("Question", 2, 1.0)]);

    let words = ["run", "examples.jsonl", "--against", "run", "--layout", "c1_hf,standard", "--metric", "f1"];
    let compared = desk.comparison(&words);
    assert_eq!(compared.items, 3);
    assert!((compared.rows[0].first - 2.0 / 3.0).abs() < 1e-12 && (compared.rows[0].second - 1.0 / 3.0).abs() < 1e-12);
    let problem = desk.problem(&["run", "examples.jsonl", "--against", "run"]);
    assert!(problem.contains("6 responses to 3 examples and strategies: choose a layout"), "{problem}");
    let problem = desk.problem(&["run", "examples.jsonl", "--layout", "c5_hf"]);
    assert!(problem.contains("no response has the layout c5_hf (layouts: c1_hf, standard)"), "{problem}");
    desk.put("ref.txt", &"a\n".repeat(6));
    let problem = desk.problem(&["run", "ref.txt"]);
    assert!(problem.contains("a run's responses come in any order"), "{problem}");
}

#[test]
fn answers_to_chats_bring_their_references() {
    let desk = Desk::new();
    let row = |row: usize, reference: &str, answer: &str| {
        json!({"row": row, "model_response": answer,
            "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": reference}]})
    };
    desk.put_rows("answers.jsonl", &[row(2, "e f", "e f"), row(0, "a b", "a b")]);
    assert_eq!(desk.value(&f1(&["answers.jsonl"])), 1.0);
    // In a file of other references each finds the line that it answers.
    desk.put("ref.txt", "a x\nno\ne x\n");
    desk.put_rows("plain.jsonl", &[json!({"row": 2, "text": "e f"}), json!({"row": 0, "text": "a b"})]);
    assert_eq!(desk.value(&f1(&["plain.jsonl", "ref.txt"])), 0.5);
    desk.put("short.txt", "a x\nno\n");
    assert!(desk.problem(&["plain.jsonl", "short.txt"]).contains("2 references do not fit the 2 responses"));
}

#[test]
fn a_better_system_is_told_from_a_worse_one() {
    let desk = Desk::new();
    let rows = |text: fn(usize) -> String| -> Vec<serde_json::Value> {
        (0..60).map(|id| json!({"id": id, "conversation": id / 3, "text": text(id)})).collect()
    };
    desk.put_rows("good.jsonl", &rows(|id| format!("we talk about part {id} of it all")));
    desk.put_rows("bad.jsonl", &rows(|id| format!("part {}", id % 7)).into_iter().rev().collect::<Vec<_>>());
    let references: Vec<_> =
        (0..60).map(|id| json!({"id": id, "ref": format!("let us talk about part {id}")})).collect();
    desk.put_rows("ref.jsonl", &references);
    let words = ["good.jsonl", "ref.jsonl", "--against", "bad.jsonl", "--metric", "f1,distinct", "--resamples", "300"];
    let report = desk.comparison(&words);
    assert_eq!((report.items, report.units.as_str()), (60, "20 conversations"));
    let found = report.rows[0].comparison.as_ref().unwrap();
    assert!(report.rows[0].first > report.rows[0].second && found.items == 20);
    assert!(found.bootstrap.p < 0.01 && found.randomisation.p < 0.01 && found.bootstrap.difference.low > 0.0);
    assert!(report.rows[1].comparison.is_none(), "distinct words of a resample mean nothing");
    let table = Outcome::Comparison(report).to_string();
    assert!(table.contains("f1|thu-coai") && table.contains("not resampled") && table.contains("A - B"), "{table}");
}

#[test]
fn systems_that_answered_other_items_are_not_compared() {
    let desk = Desk::new();
    let row = |id: &str| json!({"id": id, "text": "a", "ref": "a"});
    desk.put_rows("ab.jsonl", &[row("a"), row("b")]).put_rows("abc.jsonl", &[row("a"), row("b"), row("c")]);
    assert_eq!(
        desk.problem(&["abc.jsonl", "--against", "ab.jsonl"]),
        "DESK/ab.jsonl: no response for `c`, which DESK/abc.jsonl answers: compare answers to the same"
    );
    let problem = desk.problem(&["ab.jsonl", "--against", "abc.jsonl"]);
    assert!(problem.starts_with("DESK/ab.jsonl: no response for `c`"), "{problem}");
}

#[test]
fn tables_show_values_intervals_and_signatures() {
    let desk = Desk::new();
    desk.put("hyp.txt", "a b c d\na b\n").put("ref.txt", "a b c d\nb a\n");
    let report = desk.report(&["hyp.txt", "ref.txt", "--seed", "4"]);
    let names: Vec<&str> = report.rows.iter().map(|row| row.name.as_str()).collect();
    // Whoever has METEOR's tables gets all of it.
    let has_tables = MeteorResources::find().unwrap().is_some();
    let meteor = if has_tables { "meteor15" } else { "meteor15-exact-stem" };
    for name in ["bleu", "bleu-4", "rouge-lsum", meteor, "cider", "chrf2", "f1", "distinct-3", "length"] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    let table = Outcome::Scores(report).to_string();
    assert!(table.contains("2 responses, default\n95 % intervals by 1000 resamples of 2 responses"), "{table}");
    assert_eq!(table.contains("note: METEOR without its synonyms"), !has_tables, "{table}");
    let again = desk.score(&["hyp.txt", "ref.txt", "--seed", "4"]).unwrap();
    assert_eq!(table, again.to_string());
    let list = desk.score(&["--list"]).unwrap();
    assert!(list.to_string().lines().count() > 20 && serde_json::to_value(&list).unwrap()[0]["name"] == "bleu-coco");
    let as_json = serde_json::to_value(desk.report(&["hyp.txt", "ref.txt", "--preset", "thu-coai"])).unwrap();
    assert_eq!((&as_json["suite"], as_json["items"].as_u64()), (&json!("thu-coai"), Some(2)));
    assert!(as_json["rows"][0]["signature"].as_str().unwrap().ends_with("|x100"), "{as_json}");
}

#[test]
fn word_vectors_are_kept_for_the_words_that_occur() {
    let desk = Desk::new();
    desk.put("vectors.txt", "glad 0.9 0.1\nhappy 0.8 0.2\nrain -0.1 -0.7\n");
    desk.put("hyp.txt", "glad\n\n").put("other.txt", "rain\nhappy\n").put("ref.txt", "happy\nglad\n");
    let words = ["hyp.txt", "ref.txt", "--vectors", "vectors.txt", "--preset", "multiesc", "--resamples", "0"];
    let report = desk.report(&words);
    let average = report.rows.iter().find(|row| row.name == "embedding-average").unwrap();
    assert!(average.value > 0.4 && average.signature.contains("vectors:vectors|dim:2"), "{average:?}");
    let compared = desk.comparison(&[&words[..], &["--against", "other.txt"]].concat());
    let average = compared.rows.iter().find(|row| row.name == "embedding-average").unwrap();
    // The second system's words are known too: two words, one of them near its reference.
    assert!(average.second.is_finite() && average.second != 0.0, "{average:?}");
}

#[test]
fn what_is_wrong_is_told_with_file_and_row() {
    let desk = Desk::new();
    let row = |id: &str| json!({"id": id, "text": "a"});
    desk.put("two.txt", "a\nb\n").put("three.txt", "a\nb\nc\n").put("empty.txt", "");
    desk.put("broken.jsonl", "{\"text\": \"a\"}\n\n{\"text\": \n").put("number.jsonl", "{\"text\": \"a\"}\n3\n");
    desk.put("nothing.jsonl", "{\"text\": \"a\"}\n{\"txt\": \"b\"}\n").put("latin.txt", "");
    std::fs::write(desk.path("latin.txt"), b"caf\xe9\n").unwrap();
    desk.put_rows("ids.jsonl", &[row("a"), row("b"), row("c")]);
    desk.put_rows("refs.jsonl", &[row("a")]).put_rows("twice.jsonl", &[row("a"), row("b"), row("c"), row("a")]);
    desk.put("mixed.jsonl", "{\"text\": \"a\", \"refs\": [\"b\", 3]}\n").put("array.json", "[1, 2");
    for (words, expected) in [
        (&["two.txt", "three.txt"][..], "DESK/three.txt: 3 references do not fit the 2 responses of DESK/two.txt"),
        (&["empty.txt", "two.txt"], "DESK/empty.txt: there is nothing in it"),
        (&["nowhere.txt", "two.txt"], "nowhere.txt: No such file"),
        (&["latin.txt", "two.txt"], "DESK/latin.txt: line 1: not UTF-8 text (byte 4 of the file)"),
        (&["broken.jsonl"], "DESK/broken.jsonl: row 3: not JSON"),
        (&["number.jsonl"], "DESK/number.jsonl: row 2: neither an object nor a text"),
        (&["nothing.jsonl", "two.txt"], "DESK/nothing.jsonl: row 2: no response: one of the fields `hypothesis`"),
        (&["two.txt"], "DESK/two.txt: `row 1` has no reference: name a file of references"),
        (&["two.txt", "nothing.jsonl"], "DESK/nothing.jsonl: row 2: no reference: one of the fields `references`"),
        (&["ids.jsonl", "refs.jsonl"], "no reference for `b`, nor for 1 more of the 3 responses of DESK/ids.jsonl"),
        (&["ids.jsonl", "twice.jsonl"], "DESK/twice.jsonl: row 4: has the same name as row 1"),
        (&["mixed.jsonl"], "DESK/mixed.jsonl: row 1: `refs` holds something that is no text"),
        (&["array.json", "two.txt"], "DESK/array.json: not a JSON array"),
        (&["two.txt", "two.txt", "--by=mood"], "DESK/two.txt: `row 1` has no field `mood`, nor has its reference"),
        (&["two.txt", "two.txt", "--layout", "a,b"], "2 layouts for one system"),
        (&["two.txt", "two.txt", "--metric", "blue"], "unknown metric `blue`"),
        (&["two.txt", "two.txt", "--preset", "blue"], "unknown preset `blue`"),
        (&["two.txt", "two.txt", "--metric", "embedding"], "needs word vectors"),
        (&["two.txt", "two.txt", "--meteor", "two.txt"], "there is neither"),
        (&[], "HYP"),
    ] {
        let problem = desk.problem(words);
        assert!(problem.contains(expected), "{words:?}: {problem}");
    }
}
