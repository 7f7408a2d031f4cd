//! What is to be done: the stages of a preset as command lines.

use std::path::Path;

use command_line::{Failure, option_words};
use toml::{Table, Value};

use super::preset::Preset;
use super::{HELPFULNESS, LOOK_AHEAD, SITUATION};

/// A subcommand with its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stage {
    /// Its name in the run.
    pub(super) name: String,
    /// The subcommand and all options.
    pub(super) words: Vec<String>,
    /// Whether it can go on where it was cut; otherwise it is done anew.
    pub(super) resumes: bool,
}

/// What a plan is made of.
pub(super) struct Wanted<'a> {
    pub(super) preset: &'a Preset,
    pub(super) input: &'a Path,
    pub(super) out: &'a Path,
    /// Folder of the BlenderBot-small to begin with, unless the preset begins with nothing.
    pub(super) base: Option<String>,
    /// Folder of the encoder, as well.
    pub(super) encoder: Option<String>,
}

impl Wanted<'_> {
    /// All stages in their order.
    pub(super) fn stages(&self) -> Result<Vec<Stage>, Failure> {
        let mut stages = vec![self.process()?, self.prepare()?];
        let preset = self.preset;
        for (name, table) in &preset.baselines {
            stages.push(self.train(name, "train-baseline", table, self.beginning())?);
        }
        if let Some(table) = &preset.train_lookahead {
            stages.push(self.train(LOOK_AHEAD, "train-lookahead", table, self.beginning())?);
        }
        if let Some(table) = &preset.train_situation {
            let base = vec!["--base".to_owned(), self.model(LOOK_AHEAD)];
            stages.push(self.train(SITUATION, "train-situation", table, base)?);
        }
        if let Some(table) = &preset.helpfulness {
            stages.push(self.helpfulness(table)?);
        }
        for (name, alignment) in &preset.alignments {
            stages.push(self.candidates(name, &alignment.candidates)?);
            stages.push(self.align(name, &alignment.align)?);
        }
        for name in preset.models() {
            stages.push(self.eval(name)?);
        }
        Ok(stages)
    }

    fn process(&self) -> Result<Stage, Failure> {
        let wired = [("--input", self.input.display().to_string()), ("--out", self.folder("data"))];
        self.stage("process", &["process"], wired, &self.preset.process, false)
    }

    fn prepare(&self) -> Result<Stage, Failure> {
        let tokenizer = match (&self.base, self.preset.vocabulary) {
            (None, Some(size)) => ("--learn-tokenizer", size.to_string()),
            (base, _) => ("--tokenizer", base.clone().unwrap_or_default()),
        };
        let wired = [("--data-dir", self.folder("data")), ("--out", self.folder("prepared")), tokenizer];
        self.stage("prepare", &["prepare"], wired, &self.preset.prepare, false)
    }

    fn train(&self, name: &str, command: &str, table: &Table, begin: Vec<String>) -> Result<Stage, Failure> {
        let wired = [("--prepared", self.folder("prepared")), ("--out", self.folder(name))];
        let mut stage = self.stage(name, &[command], wired, table, true)?;
        stage.words.extend(begin);
        Ok(stage)
    }

    fn helpfulness(&self, table: &Table) -> Result<Stage, Failure> {
        let encoder = match (&self.encoder, &self.preset.encoder_size) {
            (None, Some(size)) => ("--size", size.clone()),
            (encoder, _) => ("--encoder", encoder.clone().unwrap_or_default()),
        };
        let wired = [("--data-dir", self.folder("data")), ("--out", self.folder(HELPFULNESS)), encoder];
        self.stage(HELPFULNESS, &["helpfulness", "train"], wired, table, true)
    }

    fn candidates(&self, name: &str, table: &Table) -> Result<Stage, Failure> {
        let wired = [
            ("--model", self.model(SITUATION)),
            ("--data-dir", self.folder("data")),
            ("--helpfulness", self.folder(HELPFULNESS)),
            ("--out", self.candidates_of(name)),
        ];
        let mut stage = self.stage(&format!("candidates-{name}"), &["candidates"], wired, table, true)?;
        stage.words.extend(self.lengths(table)?);
        Ok(stage)
    }

    fn align(&self, name: &str, table: &Table) -> Result<Stage, Failure> {
        let wired = [
            ("--base", self.model(SITUATION)),
            ("--candidates", self.candidates_of(name)),
            ("--prepared", self.folder("prepared")),
            ("--data-dir", self.folder("data")),
            ("--helpfulness", self.folder(HELPFULNESS)),
            ("--out", self.folder(name)),
        ];
        self.stage(name, &["align"], wired, table, true)
    }

    fn eval(&self, name: &str) -> Result<Stage, Failure> {
        let test = self.out.join("data").join(thtra::Part::Test.file()).display().to_string();
        let wired = [("--model", self.folder(name)), ("--data", test), ("--out", self.folder(&format!("eval/{name}")))];
        let mut stage = self.stage(&format!("eval-{name}"), &["eval"], wired, &self.preset.eval, true)?;
        stage.words.extend(self.lengths(&self.preset.eval)?);
        if self.preset.helpfulness.is_some() {
            stage.words.extend(["--helpfulness".to_owned(), self.folder(HELPFULNESS)]);
        }
        if self.preset.alignments.contains_key(name) {
            let before = self.folder(&format!("eval/{SITUATION}/{}", crate::commands::eval::GENERATIONS));
            stage.words.extend(["--against".to_owned(), before]);
        }
        Ok(stage)
    }

    /// How many tokens may stay: where dialogues are laid out anew, as many as in the prepared samples, unless the stage says otherwise.
    fn lengths(&self, stage: &Table) -> Result<Vec<String>, Failure> {
        let is_length = |(name, _): &(&String, &Value)| name.starts_with("max-") && !stage.contains_key(*name);
        let own = self.preset.prepare.iter().filter(is_length).map(|(name, value)| (name.clone(), value.clone()));
        option_words(&self.preset.file, &own.collect())
    }

    /// What a first training begins with.
    fn beginning(&self) -> Vec<String> {
        match (&self.base, &self.preset.size) {
            (None, Some(size)) => {
                let tokenizer = self.folder(&format!("prepared/{}", thtra::TOKENIZER_FOLDER));
                vec!["--size".to_owned(), size.clone(), "--tokenizer".to_owned(), tokenizer]
            }
            (base, _) => vec!["--base".to_owned(), base.clone().unwrap_or_default()],
        }
    }

    fn stage<const N: usize>(
        &self,
        name: &str,
        command: &[&str],
        wired: [(&str, String); N],
        table: &Table,
        resumes: bool,
    ) -> Result<Stage, Failure> {
        let mut words: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        words.extend(wired.into_iter().flat_map(|(option, value)| [option.to_owned(), value]));
        words.extend(option_words(&self.preset.file, table)?);
        Ok(Stage { name: name.to_owned(), words, resumes })
    }

    fn folder(&self, name: &str) -> String {
        self.out.join(name).display().to_string()
    }

    fn model(&self, name: &str) -> String {
        self.out.join(name).join(thtra::MODEL_FOLDER).display().to_string()
    }

    fn candidates_of(&self, name: &str) -> String {
        self.folder(&format!("candidates-{name}"))
    }
}
