//! Folders as training runs and searches leave them, with made-up numbers and texts.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hyper_search::{ActiveTrial, Distribution, History, Outcome, Sampler, SearchError, Study, StudyOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How large a made-up run is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) posts: usize,
    pub(crate) pairs_per_post: usize,
    pub(crate) epochs: usize,
    /// Sentences of a reply; a post has three times as many.
    pub(crate) sentences: usize,
}

pub(crate) const SMALL: Size = Size { posts: 10, pairs_per_post: 2, epochs: 3, sentences: 2 };

/// Steps that are recorded in an epoch, one for each training pair.
const HELD_OUT_PART: usize = 4;

/// A folder that vanishes with the test, in which runs are.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn name(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn append(&self, name: &str, content: &str) {
        self.write(name, &(self.read(name) + content));
    }

    /// A run of this size; `skill` (0 to 1) says how many pairs it ranks right in the end.
    pub(crate) fn run(&self, name: &str, size: Size, skill: f64) {
        let made = MadeUp { size, skill };
        self.write(&format!("{name}/config.toml"), &made.config());
        self.write(&format!("{name}/events.jsonl"), &lines(made.events()));
        self.write(&format!("{name}/outputs/pairs.jsonl"), &lines(made.pairs()));
        self.write(&format!("{name}/outputs/samples.jsonl"), &lines(made.samples()));
        self.write(&format!("{name}/outputs/generations.jsonl"), &lines(made.generations()));
        self.write(&format!("{name}/outputs/evaluation.json"), &made.evaluation().to_string());
    }
}

/// `persuasion` with these words.
pub(crate) fn persuasion(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_persuasion")).args(words).env_remove("RUST_LOG").output().unwrap()
}

/// What words that must succeed print.
pub(crate) fn said(words: &[&str]) -> String {
    let output = persuasion(words);
    assert!(output.status.success(), "{words:?}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What words that must fail with this code say.
pub(crate) fn complaint(words: &[&str], code: i32) -> String {
    let Output { status, stderr, .. } = persuasion(words);
    let told = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(code), "{words:?}: {told}");
    assert!(!told.contains("panicked"), "{words:?}: {told}");
    told
}

/// A page of a run in the folder, by the program.
pub(crate) fn page_of(place: &Place, run: &str) -> String {
    said(&["report", &place.name(run)]);
    place.read(&format!("{run}/report.html"))
}

/// The data of a page.
pub(crate) fn data_of(page: &str) -> Value {
    let begin = "<script type=\"application/json\" id=\"data\">";
    let (_, behind) = page.split_once(begin).unwrap();
    serde_json::from_str(behind.split_once("</script>").unwrap().0).unwrap()
}

pub(crate) fn lines(rows: impl IntoIterator<Item = Value>) -> String {
    rows.into_iter().fold(String::new(), |mut text, row| {
        writeln!(text, "{row}").unwrap();
        text
    })
}

struct MadeUp {
    size: Size,
    skill: f64,
}

impl MadeUp {
    fn config(&self) -> String {
        format!(
            "method = \"dpo\"\nmodel = \"small-llama\"\nseed = 42\nlearning_rate = 5e-5\nbeta = 0.1\nepochs = {}\n\n[lora]\nrank = 16\n\
             alpha = {}\ntargets = [\"q_proj\", \"v_proj\"]\n",
            self.size.epochs,
            16.0 * self.skill
        )
    }

    fn pair_count(&self) -> usize {
        self.size.posts * self.size.pairs_per_post
    }

    fn is_held_out(&self, pair: usize) -> bool {
        (pair / self.size.pairs_per_post).is_multiple_of(HELD_OUT_PART)
    }

    fn steps_per_epoch(&self) -> usize {
        (0..self.pair_count()).filter(|pair| !self.is_held_out(*pair)).count()
    }

    fn pairs(&self) -> impl Iterator<Item = Value> {
        (0..self.pair_count()).map(|pair| {
            let post = pair / self.size.pairs_per_post;
            json!({
                "example_id": format!("pair-{pair}"),
                "split": if self.is_held_out(pair) { "validation" } else { "train" },
                "prompt": prompt(post, 3 * self.size.sentences),
                "chosen": sentences(2 * pair + 1, self.size.sentences),
                "rejected": sentences(2 * pair + 90, self.size.sentences),
            })
        })
    }

    fn margin(&self, pair: usize, progress: f64) -> f64 {
        let level = if noise(pair) < self.skill { 1.4 } else { -0.6 };
        progress * (level + noise(pair + 7))
    }

    fn sample(&self, pair: usize, kind: &str, epoch: f64, step: usize) -> Value {
        let margin = self.margin(pair, epoch / self.size.epochs as f64);
        json!({
            "example_id": format!("pair-{pair}"), "type": kind, "epoch": epoch, "step": step,
            "loss": (-margin).exp().ln_1p(), "chosen_reward": 0.4 * margin, "rejected_reward": -0.6 * margin,
            "policy_logps_chosen": -90.0 + 4.0 * margin, "policy_logps_rejected": -80.0 - 6.0 * margin,
            "reference_logps_chosen": -90.0, "reference_logps_rejected": -80.0,
            "chosen_tokens": 40 + pair % 9, "rejected_tokens": 36 + pair % 7,
        })
    }

    fn samples(&self) -> Vec<Value> {
        let mut rows = Vec::new();
        let mut step = 0;
        let held_out: Vec<usize> = (0..self.pair_count()).filter(|pair| self.is_held_out(*pair)).collect();
        rows.extend(held_out.iter().map(|pair| self.sample(*pair, "eval", 0.0, 0)));
        for epoch in 1..=self.size.epochs {
            for pair in (0..self.pair_count()).filter(|pair| !self.is_held_out(*pair)) {
                step += 1;
                rows.push(self.sample(pair, "train", step as f64 / self.steps_per_epoch() as f64, step));
            }
            rows.extend(held_out.iter().map(|pair| self.sample(*pair, "eval", epoch as f64, step)));
        }
        rows
    }

    fn events(&self) -> Vec<Value> {
        let per_epoch = self.steps_per_epoch();
        let total = per_epoch * self.size.epochs;
        let event = |step: usize, kind: &str, data: Value| json!({"t": 1.7e9 + step as f64, "step": step, "epoch": step as f64 / per_epoch as f64, "kind": kind, "data": data});
        let mut events = vec![event(0, "message", json!({"text": "begins"}))];
        for step in 1..=total {
            let progress = step as f64 / total as f64;
            let margin = 2.0 * progress * self.skill + 0.5 * (noise(step) - 0.5);
            events.push(event(step, "scalar", scalars("", margin, progress, 0.04 * noise(step + 3))));
            if step.is_multiple_of(per_epoch) {
                events.push(event(step, "scalar", scalars("eval_", 1.5 * progress * self.skill, progress, 0.0)));
            }
        }
        events.push(event(total, "message", json!({"text": "finished", "exit_code": 0})));
        events
    }

    fn generations(&self) -> Vec<Value> {
        let mut rows = Vec::new();
        for epoch in 0..=self.size.epochs {
            for post in (0..self.size.posts).step_by(HELD_OUT_PART) {
                let pair = post * self.size.pairs_per_post;
                let mut reply: Vec<String> = (0..self.size.sentences).map(|at| sentence(pair + at)).collect();
                reply.iter_mut().take(epoch).for_each(|text| *text = text.replace("might", "will certainly"));
                rows.push(json!({
                    "example_id": format!("pair-{pair}"), "epoch": epoch, "step": epoch * self.steps_per_epoch(),
                    "prompt": prompt(post, 3 * self.size.sentences), "generated_text": reply.join(" "),
                    "chosen": sentences(2 * pair + 1, self.size.sentences), "rejected": sentences(2 * pair + 90, self.size.sentences),
                    "finish_reason": "stop",
                }));
            }
        }
        rows
    }

    fn evaluation(&self) -> Value {
        let skill = self.skill;
        json!({
            "pairs": self.pair_count(),
            "reward_accuracy": {"mean": skill, "low": (skill - 0.12).max(0.0), "high": (skill + 0.1).min(1.0), "groups": self.size.posts},
            "longer_wins": {"mean": 0.53, "low": 0.42, "high": 0.64},
            "margin": {"mean": 1.31, "low": 0.9, "high": 1.8},
            "perplexity_chosen": {"base": 14.2, "adapter": 15.9},
            "win_rate": {"against": "base", "value": 0.61, "interval": [0.5, 0.71], "judge": "none but a made-up one"},
        })
    }
}

fn scalars(prefix: &str, margin: f64, progress: f64, gradient: f64) -> Value {
    let values = [
        ("loss", (-margin).exp().ln_1p()),
        ("rewards/chosen", 0.4 * margin),
        ("rewards/rejected", -0.6 * margin),
        ("rewards/margins", margin),
        ("rewards/accuracies", (0.5 + 0.22 * margin).clamp(0.0, 1.0)),
        ("logps/chosen", -90.0 + 4.0 * margin),
        ("logps/rejected", -80.0 - 6.0 * margin),
        ("perplexity_policy/chosen", 14.0 + progress),
        ("perplexity_policy/rejected", 16.0 + 9.0 * progress),
        ("perplexity_reference/chosen", 14.0),
        ("perplexity_reference/rejected", 16.0),
        ("kl/chosen", 2.0 * progress),
        ("kl/rejected", 3.0 * progress),
    ];
    let mut named: serde_json::Map<_, _> =
        values.iter().map(|(name, value)| (format!("{prefix}{name}"), json!(value))).collect();
    match prefix {
        "" => {
            named.insert("learning_rate".into(), json!(5e-5 * (progress * std::f64::consts::PI / 2.0).cos()));
            named.insert("grad_norm".into(), json!(0.5 + gradient));
        }
        _ => drop(named.insert(format!("{prefix}samples_per_second"), json!(31.5))),
    }
    Value::Object(named)
}

/// A number between 0 and 1 that looks like chance.
fn noise(number: usize) -> f64 {
    let mixed = (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40) as f64 / f64::from(1_u32 << 24)
}

fn prompt(post: usize, count: usize) -> String {
    format!("CMV: {}\n\n{}", sentence(post + 500), sentences(post + 1000, count))
}

fn sentences(from: usize, count: usize) -> String {
    (from..from + count).map(sentence).collect::<Vec<_>>().join(" ")
}

fn sentence(number: usize) -> String {
    const WHO: [&str; 7] =
        ["A city", "The school board", "My neighbour", "Every voter", "A tired nurse", "The library", "Nobody"];
    const DOES: [&str; 5] =
        ["might gain from", "should think twice about", "has paid dearly for", "can hardly do without", "might regret"];
    const WHAT: [&str; 6] = [
        "free buses",
        "a shorter working week",
        "the new bridge",
        "stricter rules",
        "quiet streets",
        "one more election",
    ];
    const WHY: [&str; 4] = [
        "because the numbers say so",
        "even if it costs a little",
        "as the last years have shown",
        "and I would like to know why",
    ];
    let pick = |words: &[&str], salt: usize| {
        words[(noise(number * 31 + salt) * words.len() as f64) as usize % words.len()].to_owned()
    };
    format!("{} {} {}, {}.", pick(&WHO, 1), pick(&DOES, 2), pick(&WHAT, 3), pick(&WHY, 4))
}

/// A search of so many trials that ended and one that runs.
pub(crate) fn search(folder: &Path, trials: u64) {
    let study = Study::create(folder, StudyOptions::maximize(Spread)).unwrap();
    let run = |trial: &mut ActiveTrial| -> Result<Outcome, Box<dyn std::error::Error>> {
        let rate = trial.log_float("learning_rate", 1e-6..=1e-4)?;
        let beta = trial.categorical("beta", &["0.1", "0.2", "0.3"])?;
        trial.int("num_train_epochs", 2..=5)?;
        let value = 0.9 - 0.1 * (rate.log10() + 5.0).powi(2) + beta.parse::<f64>()? / 10.0;
        trial.report(1, value)?;
        match trial.number() % 6 {
            3 => Ok(Outcome::Pruned),
            4 if trial.number() == 4 => Err("no <b> today".into()),
            _ => Ok(Outcome::Complete(value)),
        }
    };
    study.optimize(trials, run).unwrap();
    std::mem::forget(study.ask().unwrap());
}

/// Suggests values that are spread over each range.
struct Spread;

impl Sampler for Spread {
    fn sample_jointly(&mut self, _history: &History<'_>, _number: u64) -> Result<BTreeMap<String, f64>, SearchError> {
        Ok(BTreeMap::new())
    }

    fn sample(
        &mut self,
        _history: &History<'_>,
        number: u64,
        name: &str,
        distribution: &Distribution,
    ) -> Result<f64, SearchError> {
        let share = noise(number as usize * 17 + name.len());
        Ok(match distribution {
            Distribution::Float { low, high, .. } => low * (high / low).powf(share),
            Distribution::Int { low, high, .. } => *low as f64 + (share * (high - low) as f64).round(),
            Distribution::Categorical { choices } => (share * choices.len() as f64).floor(),
        })
    }
}

/// The results of a search of so many trials.
pub(crate) fn study_results(trials: u64) -> Value {
    let trial = |number: u64| {
        let value = noise(number as usize);
        json!({
            "number": number, "value": if number % 5 == 4 { Value::Null } else { json!(value) },
            "params": {"learning_rate": 1e-6 * 100_f64.powf(value), "beta": 0.1 + 0.05 * (number % 4) as f64, "lr_scheduler_type": "cosine"},
            "wandb_run_id": null,
        })
    };
    json!({"best_trial": trial(2), "all_trials": (0..trials).map(trial).collect::<Vec<_>>()})
}

/// Writes over a file's text what `change` makes of it.
pub(crate) fn change(path: &Path, change: impl Fn(&str) -> String) {
    let text = std::fs::read_to_string(path).unwrap();
    std::fs::write(path, change(&text)).unwrap();
}
