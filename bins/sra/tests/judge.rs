//! `sra judge` and `sra compare`: with a small model, with a scripted server, killed and gone on with; and the published comparison.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::program::{model, real, run, short_run, sra, text};
use crate::scripted_judge::{ScriptedJudge, between};

const NO_DELAY: Duration = Duration::ZERO;

fn written(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Two runs over the same dialogue by different seeds, in two layouts each.
struct Runs {
    folder: tempfile::TempDir,
}

impl Runs {
    fn new() -> Self {
        let runs = Self { folder: tempfile::tempdir().unwrap() };
        for (name, seed) in [("one", "1"), ("two", "2")] {
            let mut words = short_run(&runs.folder.path().join(name));
            words.extend(["--layout", "c1_hf,standard", "--seed", seed, "--quiet"].map(str::to_owned));
            let output = run(&words);
            assert!(output.status.success(), "{}", text(&output.stderr));
        }
        runs
    }

    fn path(&self, name: &str) -> String {
        written(&self.folder.path().join(name))
    }

    /// `sra judge` of these words, without a key that may be in the environment.
    fn judge(&self, words: &[&str]) -> Output {
        let words: Vec<&str> = ["judge"].iter().chain(words).copied().collect();
        sra(&words).env_remove("OPENAI_API_KEY").output().unwrap()
    }

    fn rows(&self, name: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn parsed(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn replies(prompt: &str) -> [&str; 2] {
    ["A", "B"].map(|name| between(prompt, &format!("[Reply {name} begins]"), &format!("[Reply {name} ends]")))
}

/// The longer reply is better, the same one is a tie.
fn by_length(prompt: &str) -> Result<String, u16> {
    let [a, b] = replies(prompt).map(str::len);
    let verdict = ["[[B]]", "[[C]]", "[[A]]"][1 + usize::from(a > b) - usize::from(a < b)];
    Ok(format!("[[A]] is one way to say it, but I say\n{verdict}"))
}

#[test]
fn a_small_model_judges_by_likelihood_and_its_taste_for_places_is_shown() {
    let runs = Runs::new();
    let (one, two, out) = (runs.path("one"), runs.path("two"), runs.path("judged.jsonl"));
    let words =
        [&one, &two, "--model", "demo", "--by", "likelihood", "--layout", "c1_hf", "--limit", "4", "--out", &out];
    let output = runs.judge(&words);
    let told = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for expected in
        ["A  one, c1_hf", "B  two, c1_hf", "strategy-following", "likelihood", "pairs judged alike in both orders"]
    {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    let rows = runs.rows("judged.jsonl");
    assert_eq!(rows.len(), 4);
    for row in &rows {
        for side in ["forward", "swapped"] {
            let probabilities: Vec<f64> = serde_json::from_value(row[side]["probabilities"].clone()).unwrap();
            assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9 && probabilities.len() == 3);
            assert!(row[side]["verdict"].is_string());
        }
    }
    // The same again, of two layouts of one run.
    let other = runs.path("layouts.jsonl");
    let words = [&one, &one, "--model", "demo", "--by", "likelihood", "--layout", "c1_hf,standard", "--limit", "3"];
    let found = parsed(&runs.judge(&[&words[..], &["--out", &other, "--format", "json"]].concat()));
    assert_eq!((&found["first"], &found["second"]), (&json!("one, c1_hf"), &json!("one, standard")));
    let all = &found["all"];
    assert_eq!(all["wins"].as_u64().unwrap() + all["ties"].as_u64().unwrap() + all["losses"].as_u64().unwrap(), 3);
}

#[test]
fn a_server_judges_by_a_rule_and_the_key_is_kept_nowhere() {
    let runs = Runs::new();
    let server = ScriptedJudge::start(by_length, NO_DELAY);
    let (one, two, out) = (runs.path("one"), runs.path("two"), runs.path("judged.jsonl"));
    let name = server.name();
    let words = ["judge", &one, &two, "--model", &name, "--layout", "standard", "--out", &out, "--format", "json"];
    let output = sra(&words).env("OPENAI_API_KEY", "sk-judge-93b1d27c4e8a5f60").output().unwrap();
    let found = parsed(&output);
    let rows = runs.rows("judged.jsonl");
    assert_eq!(rows.len(), 30);
    assert_eq!(server.asked().len(), 60);
    // Every verdict follows the longer answer across the swap.
    assert_eq!(found["all"]["positions"]["swap_consistency"], 1.0);
    let texts: std::collections::HashMap<String, String> = ["one", "two"]
        .iter()
        .flat_map(|run| crate::program::records(&runs.folder.path().join(run)))
        .map(|line| serde_json::from_str::<Value>(&line).unwrap())
        .map(|row| (row["id"].as_str().unwrap().to_owned(), row["text"].as_str().unwrap().trim().to_owned()))
        .collect();
    for row in &rows {
        let (first, second) = row["id"].as_str().unwrap().split_once('+').unwrap();
        assert!(texts.contains_key(first) && texts.contains_key(second) && row["strategy"].is_string());
        assert!(row["judge"].as_str().unwrap().contains("text, temperature 0.1, at most 1024 tokens, seed 0"));
    }
    let asked = server.asked();
    let seeds: std::collections::HashSet<u64> = asked.iter().map(|body| body["seed"].as_u64().unwrap()).collect();
    assert_eq!(seeds.len(), 60, "each request has its own seed");
    assert!(asked[0]["messages"][1]["content"].as_str().unwrap().contains("seeker: "));
    let everything = std::fs::read_to_string(&out).unwrap() + &text(&output.stdout) + &text(&output.stderr);
    assert!(!everything.contains("93b1d27c4e8a5f60"));
}

/// Some pairs get no verdict, some no answer.
fn moody(prompt: &str) -> Result<String, u16> {
    let [a, b] = replies(prompt);
    match (a.len() + b.len()) % 5 {
        0 => Ok("I can't decide. [[D]]".into()),
        1 => Err(400),
        _ => by_length(prompt),
    }
}

#[test]
fn unreadable_verdicts_are_kept_and_failures_are_asked_again() {
    let runs = Runs::new();
    let server = ScriptedJudge::start(moody, NO_DELAY);
    let (one, two, out) = (runs.path("one"), runs.path("two"), runs.path("judged.jsonl"));
    let call = |server: &ScriptedJudge, more: &[&str]| {
        let name = server.name();
        let words = [&one, &two, "--model", &name, "--layout", "c1_hf", "--out", &out, "--retries", "0"];
        runs.judge(&[&words[..], more].concat())
    };
    let output = call(&server, &["--format", "json"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("could not be judged") && told.contains("400") && told.contains("--resume"), "{told}");
    let rows = runs.rows("judged.jsonl");
    let dropped = rows.iter().filter(|row| row["forward"]["verdict"].is_null()).count();
    assert!(dropped > 0 && rows.len() < 30, "{dropped} of {}", rows.len());
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["all"]["dropped"].as_u64().unwrap() as usize, dropped);

    // Gone on with, only what failed is asked again; it fails again.
    let before = server.asked().len();
    assert_eq!(call(&server, &["--resume"]).status.code(), Some(1));
    assert!(server.asked().len() - before < 60 && runs.rows("judged.jsonl").len() == rows.len());

    // A file that exists is not added to unasked, nor by another judge, nor with other answers.
    assert!(text(&call(&server, &[]).stderr).contains("exists already"));
    let other = text(&call(&server, &["--resume", "--temperature", "0.9"]).stderr);
    assert!(other.contains("holds rows made by"), "{other}");
    let name = server.name();
    let words = [&two, &one, "--model", &name, "--layout", "c1_hf", "--out", &out, "--resume"];
    let swapped = text(&runs.judge(&words).stderr);
    assert!(swapped.contains("was judged of other answers"), "{swapped}");
}

#[test]
fn killed_and_gone_on_with_the_file_is_the_same() {
    let runs = Runs::new();
    let server = ScriptedJudge::start(by_length, Duration::from_millis(30));
    let (one, two) = (runs.path("one"), runs.path("two"));
    let name = server.name();
    let words = |out: &str| {
        let words = ["judge", &one, &two, "--model", &name, "--layout", "c1_hf", "--seed", "5", "--quiet"];
        [&words[..], &["--concurrency", "2", "--out", out]].concat().iter().map(|word| (*word).to_owned()).collect()
    };
    let sorted = |path: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let (whole, killed) = (runs.path("whole.jsonl"), runs.path("killed.jsonl"));
    let all: Vec<String> = words(&whole);
    assert!(run(&all).status.success());
    let expected = sorted(&whole);
    assert_eq!(expected.len(), 30);

    let mut again: Vec<String> = words(&killed);
    again.push("--resume".into());
    let again: Vec<&str> = again.iter().map(String::as_str).collect();
    for part in 1..3 {
        let mut child = sra(&again).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while sorted(&killed).len() < 8 * part && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!((1..30).contains(&sorted(&killed).len()), "killed midway");
    }
    // A line that the kill tore is cut off and judged again.
    let mut torn = std::fs::read_to_string(&killed).unwrap();
    torn.truncate(torn.len() - 20);
    std::fs::write(&killed, torn).unwrap();
    let output = sra(&again).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(sorted(&killed) == expected, "the rows differ");
}

#[test]
fn an_interrupt_keeps_what_is_judged_and_exits_with_130() {
    let runs = Runs::new();
    let server = ScriptedJudge::start(by_length, Duration::from_millis(50));
    let (one, two, out, name) = (runs.path("one"), runs.path("two"), runs.path("judged.jsonl"), server.name());
    let words = ["judge", &one, &two, "--model", &name, "--layout", "c1_hf", "--concurrency", "1", "--out", &out];
    let mut child = sra(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while std::fs::metadata(&out).map_or(0, |file| file.len()) == 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    // SAFETY: signals the child just started.
    unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGINT) };
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!((1..30).contains(&runs.rows("judged.jsonl").len()));
}

/// Rates by the length of the reply.
fn rate_by_length(prompt: &str) -> Result<String, u16> {
    let length = between(prompt, "[Reply begins]", "[Reply ends]").len();
    Ok(format!("Some reason.\n[[{}]]", 1 + length % 5))
}

#[test]
fn answers_of_one_run_and_of_generate_are_rated() {
    let runs = Runs::new();
    let server = ScriptedJudge::start(rate_by_length, NO_DELAY);
    let (one, out, name) = (runs.path("one"), runs.path("rated.jsonl"), server.name());
    let words = [&one, "--model", &name, "--layout", "c1_hf", "--samples", "2", "--out", &out, "--format", "json"];
    let found = parsed(&runs.judge(&words));
    assert_eq!((found["answers"].as_u64(), found["unrated"].as_u64()), (Some(30), Some(0)));
    assert_eq!(server.asked().len(), 60);
    let mean = found["all"]["mean"].as_f64().unwrap();
    assert!((1.0..=5.0).contains(&mean) && found["by_strategy"].as_object().unwrap().len() == 15);
    assert!(runs.rows("rated.jsonl")[0]["judge"].as_str().unwrap().ends_with("mean of 2"));

    // Answers of `sra generate`, alone and two files against each other.
    let chats = runs.path("chats.jsonl");
    let chat = |number: usize| {
        json!({"conversation": format!("c{number}"), "strategy": "Question", "messages": [
            {"role": "system", "content": "Ask something."}, {"role": "user", "content": format!("Hi {number}")},
            {"role": "assistant", "content": "How are you?"}]})
        .to_string()
    };
    std::fs::write(&chats, (0..4).map(|number| chat(number) + "\n").collect::<String>()).unwrap();
    let model = written(&model());
    for (file, seed) in [("a.jsonl", "1"), ("b.jsonl", "2")] {
        let out = runs.path(file);
        let words = ["generate", "--quiet", "--model", &model, "--data", &chats, "--out", &out, "--seed", seed];
        let output = sra(&[&words[..], &["--max-new-tokens", "8"]].concat()).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    let (a, b) = (runs.path("a.jsonl"), runs.path("b.jsonl"));
    let rated = runs.judge(&[&a, "--model", &name, "--template", "rate-empathy", "--out", &runs.path("ra.jsonl")]);
    assert!(
        rated.status.success() && text(&rated.stdout).contains("4 answers, 0 without a rating"),
        "{}",
        text(&rated.stderr)
    );
    let server = ScriptedJudge::start(by_length, NO_DELAY);
    let words = [&a, &b, "--model", &server.name(), "--out", &runs.path("ab.jsonl"), "--format", "json"];
    let found = parsed(&runs.judge(&words));
    assert_eq!((&found["first"], &found["second"]), (&json!("a.jsonl, standard"), &json!("b.jsonl, standard")));
    let asked = server.asked();
    assert_eq!(asked.len(), 8);
    let prompt = asked[0]["messages"][1]["content"].as_str().unwrap();
    assert!(prompt.contains("Ask something.") && prompt.contains("seeker: Hi ") && !prompt.contains("How are you?"));
}

#[test]
fn a_template_of_ones_own_is_filled() {
    let runs = Runs::new();
    let server = ScriptedJudge::start(|_| Ok("[[A]]".into()), NO_DELAY);
    let template = runs.path("own.txt");
    std::fs::write(&template, "Be strict.\n---\n1: {{ response_a }}\n2: {{ response_b }}").unwrap();
    let (one, two, out, name) = (runs.path("one"), runs.path("two"), runs.path("judged.jsonl"), server.name());
    let words = [&one, &two, "--model", &name, "--template", &template, "--layout", "c1_hf", "--limit", "2"];
    let output = runs.judge(&[&words[..], &["--out", &out]].concat());
    // It always likes what it sees first.
    let told = text(&output.stdout);
    assert!(told.contains("for either: 100.0 %") && told.contains("in both orders: 0.0 %"), "{told}");
    assert_eq!(server.asked()[0]["messages"][0]["content"], "Be strict.");
    assert!(runs.rows("judged.jsonl")[0]["judge"].as_str().unwrap().contains("own.txt"));
}

#[test]
fn what_does_not_fit_together_is_refused_before_a_judge_is_asked() {
    let runs = Runs::new();
    let (one, two, out) = (runs.path("one"), runs.path("two"), runs.path("out.jsonl"));
    let bad = runs.path("bad.txt");
    std::fs::write(&bad, "no divider").unwrap();
    let empty = runs.path("empty.jsonl");
    std::fs::write(&empty, "").unwrap();
    let plain = runs.path("plain.jsonl");
    let chat = json!({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]});
    std::fs::write(&plain, chat.to_string() + "\n").unwrap();
    for (words, code, says) in [
        (vec![&one[..], "--template", "quality"], 2, "the template quality compares two runs"),
        (vec![&one, &two, "--template", "rate-empathy"], 2, "the template rate-empathy rates one run"),
        (vec![&one, &two, "--template", "beauty"], 2, "unknown judge template `beauty`"),
        (vec![&one, &two, "--template", &bad], 2, "a line `---` must divide"),
        (vec![&one, &two], 2, "holds the layouts c1_hf, standard: choose with --layout"),
        (vec![&one, &two, "--layout", "c5_hf"], 2, "no answer has the layout c5_hf"),
        (vec![&one, "--layout", "c1_hf,standard"], 2, "2 layouts for 1 runs"),
        (vec![&one, &two, "--layout", "c1_hf", "--samples", "3"], 2, "--samples is about ratings"),
        (vec![&one, "--by", "likelihood", "--samples", "3"], 2, "--samples is about ratings that are written"),
        (vec![&one, "--layout", "c1_hf", "--samples", "0"], 2, "0"),
        (vec![&empty], 1, "there are no answers to judge"),
        (vec![&plain], 1, "there is no `model_response`"),
        (vec!["nowhere"], 1, "nowhere: "),
        (vec![&one, &two, "--layout", "c1_hf", "--temperature", "-1"], 2, "temperature"),
        (vec![&one, &two, "--layout", "c1_hf", "--retries", "2"], 2, "--retries is about models behind servers"),
    ] {
        let output = runs.judge(&[&words[..], &["--model", "demo", "--out", &out]].concat());
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {told}");
        assert!(told.contains(says), "{words:?}: {told}");
        assert!(!Path::new(&out).exists(), "{words:?}");
    }
}

#[test]
fn tasks_go_to_annotators_and_their_answers_come_back() {
    let runs = Runs::new();
    let (one, two, out) = (runs.path("one"), runs.path("two"), runs.path("tasks"));
    let words = ["compare", &one, &two, "--layout", "c1_hf", "--most", "10", "--seed", "3", "--out", &out];
    let output = sra(&words).output().unwrap();
    let told = text(&output.stdout);
    assert!(output.status.success() && told.contains("10 tasks of 30 pairs (one, c1_hf and two, c1_hf)"), "{told}");
    let read = |name: &str| std::fs::read_to_string(Path::new(&out).join(name)).unwrap();
    let tasks: Value = serde_json::from_str(&read("tasks.json")).unwrap();
    assert_eq!(tasks.as_array().unwrap().len(), 10);
    assert!(!read("tasks.json").contains("one, c1_hf") && read("view.xml").contains("preference"));
    // Annotators may be at work on these.
    let again = sra(&words).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("exists"), "{}", text(&again.stderr));

    // Both annotators always like what stands on the right.
    let annotated: Vec<Value> = tasks
        .as_array()
        .unwrap()
        .iter()
        .map(|task| {
            let annotation = |by: u64, choice: &str| {
                json!({"completed_by": by, "result": [{"from_name": "preference", "value": {"choices": [choice]}}]})
            };
            json!({"data": task["data"], "annotations": [annotation(1, "2"), annotation(2, "3")]})
        })
        .collect();
    let export = runs.path("export.json");
    std::fs::write(&export, serde_json::to_string(&annotated).unwrap()).unwrap();
    let key = written(&Path::new(&out).join("key.json"));
    let words = ["compare", "--annotations", &export, "--key", &key, "--format", "json"];
    let found = parsed(&sra(&words).output().unwrap());
    assert_eq!((found["tasks"].as_u64(), found["annotations"].as_u64()), (Some(10), Some(20)));
    let key: Value = serde_json::from_str(&read("key.json")).unwrap();
    let on_the_right =
        key["tasks"].as_object().unwrap().values().filter(|task| task["systems"][1] == "one, c1_hf").count() as u64;
    assert_eq!(found["systems"]["one, c1_hf"]["wins"].as_u64(), Some(2 * on_the_right));
    assert!((1..10).contains(&on_the_right), "sides are drawn");
    for (words, says) in [
        (vec!["compare", &one, "--out", &out], "two runs are compared"),
        (vec!["compare", &one, &two], "--out"),
        (vec!["compare", "--annotations", &export], "`strategy` is missing"),
        (vec!["compare", "--annotations", &export, "--key", &export], "not a key.json"),
    ] {
        let output = sra(&words).output().unwrap();
        let told = text(&output.stderr);
        assert!(!output.status.success() && (told.contains(says) || told.contains("conv_id")), "{words:?}: {told}");
    }
}

#[test]
fn the_published_comparison_is_recomputed() {
    let Some(published) = real("sra/annotation-results.json") else { return };
    let published = written(&published);
    let words = ["compare", "--annotations", &published, "--usual-differences"];
    let output = sra(&words).output().unwrap();
    let told = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for expected in ["260 annotations of 133 tasks", "interval 0.9118, ordinal 0.9237", "0.8222 (133", "0.8035 (127"] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    let found = parsed(&sra(&[&words[..2], &[&published, "--format", "json"]].concat()).output().unwrap());
    assert_eq!((found["tasks"].as_u64(), found["annotations"].as_u64()), (Some(135), Some(264)));
}
