//! `solace demo`: from nothing to a scoreboard of all systems, on built-in dialogues.

mod corpus;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use command_line::{Common, Failure, Format, interrupt};

use self::corpus::Counts;
use crate::arguments::Demo;
use crate::steps::step;

/// Steps of each of ThTra's trainings, and epochs of MAGIC's generator.
const THTRA_STEPS: f64 = 500.0;
const MAGIC_STEPS: f64 = 600.0;
/// Places that give candidates, and places that are answered for the scoreboard.
const CANDIDATE_PLACES: f64 = 100.0;
const BOARD_PLACES: f64 = 80.0;
/// Of any of these. So many places are of three conversations: pairs to learn from, to validate with and to test with.
const LEAST: usize = 12;

pub(crate) fn run(options: &Demo, common: &Common) -> Result<ExitCode, Failure> {
    let begun = Instant::now();
    interrupt::listen();
    let scratch = tempfile::tempdir().map_err(Failure::work)?;
    let folder = match &options.out {
        Some(out) => new_folder(out)?,
        None => scratch.path().to_owned(),
    };
    let device = options.machine.device.to_string();
    let demo = Demonstration { folder, size: options.size, device, common };
    demo.write()?;
    let is_whole = demo.train()? && demo.align()? && demo.compare()?;
    if !is_whole {
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    }
    eprintln!("\n{:.0} s", begun.elapsed().as_secs_f64());
    Ok(ExitCode::SUCCESS)
}

/// A demonstration is shown from its beginning: what is there stays as it is.
fn new_folder(out: &Path) -> Result<PathBuf, Failure> {
    let is_new = std::fs::read_dir(out).map_or(true, |mut entries| entries.next().is_none());
    if !is_new {
        return Err(Failure::wrong_use(format!("--out {}: the folder is not empty; name another one", out.display())));
    }
    std::fs::create_dir_all(out).map_err(Failure::at(out))?;
    Ok(out.to_owned())
}

struct Demonstration<'a> {
    common: &'a Common,
    folder: PathBuf,
    size: f64,
    device: String,
}

impl Demonstration<'_> {
    /// Dialogues and systems.
    fn write(&self) -> Result<(), Failure> {
        corpus::write(&self.folder, &Counts::of(self.size))?;
        let path = self.folder.join("systems.toml");
        std::fs::write(&path, self.systems()).map_err(Failure::at(&path))
    }

    /// Small models of ThTra and MAGIC, from nothing.
    fn train(&self) -> Result<bool, Failure> {
        let (steps, more) = (self.count(THTRA_STEPS), self.count(MAGIC_STEPS));
        let device = ["--device", &self.device];
        let loop_ = ["--max-steps", &steps, "--batch-size", "8", "--warmup-steps", "0.1", "--learning-rate", "5e-3"];
        let first: &[&str] = &["--size", "tiny", "--tokenizer", &self.path("prepared/tokenizer")];
        let second: &[&str] = &["--base", &self.path("look-ahead/model")];
        let prepared = self.path("prepared");
        Ok(self.step(&["thtra", "process", "--input", &self.path("ESConv.json"), "--out", &self.path("data")])?
            && self.step(
                &[
                    &["thtra", "prepare", "--data-dir", &self.path("data"), "--learn-tokenizer", "1100"][..],
                    &["--max-input-length", "64", "--layouts", "strat,strat-look-ahead", "--out", &prepared],
                ]
                .concat(),
            )?
            && self.step(
                &[
                    &["thtra", "train-lookahead", "--prepared", &prepared, "--out", &self.path("look-ahead")][..],
                    first,
                    &loop_,
                    &device,
                ]
                .concat(),
            )?
            && self.step(
                &[
                    &["thtra", "train-situation", "--prepared", &prepared, "--out", &self.path("situation")][..],
                    second,
                    &loop_,
                    &device,
                ]
                .concat(),
            )?
            && self.step(
                &[
                    &[
                        "thtra",
                        "helpfulness",
                        "train",
                        "--data-dir",
                        &self.path("data"),
                        "--size",
                        "tiny",
                        "--epochs",
                        "2",
                    ][..],
                    &["--max-input-length", "96", "--out", &self.path("helpful")],
                    &device,
                ]
                .concat(),
            )?
            && self.step(&[
                "magic",
                "preprocess",
                "--data-dir",
                &self.path("multiesc"),
                "--out-dir",
                &self.path("multiesc"),
            ])?
            && self.step(
                &[
                    &["magic", "train", "--train-data", &self.path("multiesc/train.json")][..],
                    &["--val-data", &self.path("multiesc/valid.json"), "--size", "tiny", "--vocabulary", "1000"],
                    &["--motivation", "none", "--max-length", "64", "--max-length-situation", "16"],
                    &["--max-length-res-memory", "24", "--batch-size", "8", "--max-steps", &more],
                    &["--warmup-steps", "0.1", "--learning-rate", "7e-3", "--output-dir", &self.path("memory")],
                    &device,
                ]
                .concat(),
            )?)
    }

    /// The pipeline: plan, realise, rank, pairs, DPO.
    fn align(&self) -> Result<bool, Failure> {
        let (data, plan, candidates) =
            (self.path("places.json"), self.path("plan.jsonl"), self.path("candidates.jsonl"));
        let (ranked, pairs, count) = (self.path("ranked.jsonl"), self.path("pairs"), self.count(CANDIDATE_PLACES));
        let device = ["--device", &self.device];
        let places = ["--data", &data, "--turns", "1..6", "--limit", &count];
        Ok(self.step(
            &[
                &["solace", "plan", "--planner", &format!("thtra:{}", self.path("situation"))][..],
                &["--strategies", "extes15", "--top", "4", "--out", &plan],
                &places,
                &device,
            ]
            .concat(),
        )? && self.step(
            &[
                &["solace", "realise", "--plan", &plan, "--model", "demo", "--strategies", "extes15"][..],
                &["--candidates", "2", "--max-new-tokens", "40", "--out", &candidates],
                &places,
                &device,
            ]
            .concat(),
        )? && self.step(
            &[
                &["solace", "rank", "--candidates", &candidates, "--helpfulness", &self.path("helpful")][..],
                &[
                    "--adherence",
                    "demo",
                    "--adherence-strategies",
                    "extes15",
                    "--classifier",
                    "demo",
                    "--metrics",
                    "f1",
                ],
                &["--weights", "helpfulness=1,adherence=0.5,follows=0.5", "--out", &ranked],
                &places,
                &device,
            ]
            .concat(),
        )? && self.step(&[&["solace", "pairs", "--ranked", &ranked, "--out", &pairs][..], &places].concat())?
            && self.step(
                &[
                    &["persuasion", "train", "--model", "demo", "--data", &pairs, "--template", "chat"][..],
                    &["--max-length", "384", "--max-prompt-length", "320", "--epochs", "2", "--learning-rate", "3e-4"],
                    &["--micro-batch", "4", "--accumulate", "2", "--targets", "all-linear", "--generate", "0"],
                    &["--sample-table", "off", "--out", &self.path("aligned")],
                    &device,
                ]
                .concat(),
            )?)
    }

    fn compare(&self) -> Result<bool, Failure> {
        let format = if self.common.format == Format::Json { "json" } else { "text" };
        self.step(
            &[
                &[
                    "solace",
                    "scoreboard",
                    "--systems",
                    &self.path("systems.toml"),
                    "--data",
                    &self.path("held-out.json"),
                ][..],
                &["--turns", "1..6", "--limit", &self.count(BOARD_PLACES), "--helpfulness", &self.path("helpful")],
                &["--adherence", "demo", "--adherence-strategies", "extes15", "--classifier", "demo"],
                &["--max-new-tokens", "40", "--out", &self.path("board"), "--device", &self.device, "--format", format],
            ]
            .concat(),
        )
    }

    /// All systems: those of the papers, and compositions of them.
    fn systems(&self) -> String {
        let (thtra, memory, aligned) = (self.path("situation"), self.path("memory"), self.path("aligned"));
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let (by_thtra, thtra, memory) = (quoted(&format!("thtra:{thtra}")), quoted(&thtra), quoted(&memory));
        let aligned = quoted(&aligned);
        format!(
            r#"# No strategy: what the demonstration model says by itself, before and after alignment to the pipeline's pairs.
[[system]]
name = "no strategy"
planner = "none"
model = "demo"

[[system]]
name = "no strategy, aligned"
planner = "none"
model = "demo"
adapter = {aligned}

# SRA's prompts with the strategy beside the last turn and in front of the dialogue, planned by ThTra.
[[system]]
name = "ThTra plans, SRA c1_hf"
planner = {by_thtra}
model = "demo"
strategies = "extes15"

[[system]]
name = "ThTra plans, SRA standard"
planner = {by_thtra}
model = "demo"
layout = "standard"
strategies = "extes15"

# MAGIC's question to a language model that was not fine-tuned for it.
[[system]]
name = "MAGIC plans, SRA c1_hf"
planner = "magic:demo"
plain = "chat"
model = "demo"
strategies = "extes15"

[[system]]
name = "ThTra plans, MAGIC"
planner = {by_thtra}
magic = {memory}

[[system]]
name = "ThTra"
planner = {by_thtra}
thtra = {thtra}

# What a perfect planner would be worth.
[[system]]
name = "annotated, SRA c1_hf"
planner = "gold"
model = "demo"
"#
        )
    }

    fn step(&self, line: &[&str]) -> Result<bool, Failure> {
        step(line, self.common)
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn count(&self, whole: f64) -> String {
        ((whole * self.size).round() as usize).max(LEAST).to_string()
    }
}
