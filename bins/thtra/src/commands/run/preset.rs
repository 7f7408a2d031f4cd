//! Presets: which stages there are, and with which options.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use command_line::Failure;
use llm_runtime::input_file;
use serde::Deserialize;
use toml::Table;

/// Names and texts of the built-in presets.
const BUILT_IN: [(&str, &str); 4] = [
    ("paper", include_str!("../../../presets/paper.toml")),
    ("small", include_str!("../../../presets/small.toml")),
    ("joint", include_str!("../../../presets/joint.toml")),
    ("vanilla", include_str!("../../../presets/vanilla.toml")),
];

/// A preset. Tables are named after subcommands and hold their options.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Preset {
    pub(super) description: String,
    /// BlenderBot-small to begin with.
    pub(super) base: Option<String>,
    /// In its place a model that begins with nothing, which learns a vocabulary of so many tokens.
    pub(super) size: Option<String>,
    pub(super) vocabulary: Option<u32>,
    /// BERT below the helpfulness model.
    pub(super) encoder: Option<String>,
    /// In its place an encoder that knows nothing.
    pub(super) encoder_size: Option<String>,
    #[serde(default)]
    pub(super) process: Table,
    #[serde(default)]
    pub(super) prepare: Table,
    pub(super) helpfulness: Option<Table>,
    pub(super) train_lookahead: Option<Table>,
    pub(super) train_situation: Option<Table>,
    /// By name.
    #[serde(default)]
    pub(super) baselines: BTreeMap<String, Table>,
    /// By name.
    #[serde(default)]
    pub(super) alignments: BTreeMap<String, Alignment>,
    #[serde(default)]
    pub(super) eval: Table,
    /// Where it stands, for errors.
    #[serde(skip)]
    pub(super) file: PathBuf,
}

/// A third stage.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Alignment {
    #[serde(default)]
    pub(super) candidates: Table,
    #[serde(default)]
    pub(super) align: Table,
}

/// The text of a built-in preset or of a file.
pub(super) fn text_of(name: &str) -> Result<String, Failure> {
    if let Some((_, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
        return Ok((*text).to_owned());
    }
    input_file::read_text(Path::new(name)).map_err(|error| {
        let known = BUILT_IN.map(|(name, _)| name).join(", ");
        Failure::wrong_use(format!("--preset {name}: {error}; built in are {known}"))
    })
}

impl Preset {
    pub(super) fn open(name: &str) -> Result<Self, Failure> {
        let wrong = |problem: String| Failure::wrong_use(format!("--preset {name}: {problem}"));
        let preset: Self = toml::from_str(&text_of(name)?).map_err(|error| wrong(error.to_string()))?;
        preset.check().map_err(wrong)?;
        Ok(Self { file: Path::new(name).to_owned(), ..preset })
    }

    fn check(&self) -> Result<(), String> {
        if self.base.is_some() == self.size.is_some() || self.size.is_some() != self.vocabulary.is_some() {
            return Err("expected either `base`, or `size` with `vocabulary`".into());
        }
        if self.helpfulness.is_some() && self.encoder.is_some() == self.encoder_size.is_some() {
            return Err("[helpfulness] needs either `encoder` or `encoder-size`".into());
        }
        if self.train_situation.is_some() && self.train_lookahead.is_none() {
            return Err("[train-situation] goes on with the model of [train-lookahead], which is missing".into());
        }
        if !self.alignments.is_empty() && (self.train_situation.is_none() || self.helpfulness.is_none()) {
            return Err("[alignments] need [train-situation] and [helpfulness]".into());
        }
        if let Some(name) = self.models().find(|name| !is_folder_name(name)) {
            return Err(format!("`{name}` is to be the name of a folder: expected letters, digits and hyphens"));
        }
        let names: Vec<&str> = self.models().collect();
        if let Some((_, twice)) = names.iter().enumerate().find(|(place, name)| names[..*place].contains(name)) {
            return Err(format!("`{twice}` is the name of two models: each has a folder of its own"));
        }
        if self.models().next().is_none() {
            return Err("there is nothing to train: expected [train-lookahead] or [baselines]".into());
        }
        Ok(())
    }

    /// The models that are trained, in their order: names of their folders.
    pub(super) fn models(&self) -> impl Iterator<Item = &str> {
        let stages = [(&self.train_lookahead, super::LOOK_AHEAD), (&self.train_situation, super::SITUATION)];
        let stages = stages.into_iter().filter_map(|(stage, name)| stage.as_ref().map(|_| name));
        self.baselines.keys().map(String::as_str).chain(stages).chain(self.alignments.keys().map(String::as_str))
    }
}

fn is_folder_name(name: &str) -> bool {
    const TAKEN: [&str; 7] = ["process", "prepare", "data", "prepared", "eval", super::LOGS, super::HELPFULNESS];
    let is_fine = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    let is_of_a_stage = name.starts_with("candidates-") || name.starts_with("eval-");
    !name.is_empty() && name.chars().all(is_fine) && !TAKEN.contains(&name) && !is_of_a_stage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_presets_can_be_read() {
        for (name, _) in BUILT_IN {
            let preset = Preset::open(name).unwrap();
            assert!(preset.models().count() > 0 && !preset.description.is_empty(), "{name}");
        }
        let models = |name| Preset::open(name).unwrap().models().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(models("paper"), ["look-ahead", "situation", "aligned"]);
        assert_eq!(models("small"), ["joint", "look-ahead", "situation", "aligned", "aligned-across"]);
    }

    #[test]
    fn presets_that_make_no_sense_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        let told = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Preset::open(path.to_str().unwrap()).unwrap_err().message()
        };
        let start = "description = \"x\"\nbase = \"b\"\n";
        for (text, says) in [
            ("description = 7", "invalid type"),
            ("description = \"x\"\n[baselines.joint]", "either `base`, or `size`"),
            (start, "nothing to train"),
            (&format!("{start}[helpfulness]"), "either `encoder` or `encoder-size`"),
            (&format!("{start}[train-situation]"), "[train-lookahead], which is missing"),
            (&format!("{start}[alignments.a]"), "need [train-situation]"),
            (&format!("{start}[baselines.data]"), "`data` is to be the name of a folder"),
            (&format!("{start}[baselines.eval-joint]"), "`eval-joint` is to be the name of a folder"),
            (&format!("{start}[train-lookahead]\n[baselines.look-ahead]"), "`look-ahead` is the name of two models"),
            (&format!("{start}[tune]"), "unknown field `tune`"),
        ] {
            let told = told(text);
            assert!(told.contains(says) && told.contains("mine.toml"), "{says}: {told}");
        }
        let told = Preset::open("huge").unwrap_err().message();
        assert!(told.contains("paper, small, joint, vanilla"), "{told}");
    }
}
