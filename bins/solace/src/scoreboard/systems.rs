//! The systems of a scoreboard, from a TOML file.

use std::path::{Path, PathBuf};

use command_line::Failure;
use llm_runtime::input_file;
use serde::Deserialize;
use strategy_prompting::Layout;

use crate::arguments::{Realiser, Who};
use crate::plan::PlannerName;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    system: Vec<System>,
}

/// A planner and a realiser.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct System {
    pub(super) name: String,
    planner: String,
    pub(super) planner_adapter: Option<PathBuf>,
    #[serde(default = "human_assistant")]
    pub(super) plain: String,
    model: Option<String>,
    magic: Option<PathBuf>,
    thtra: Option<PathBuf>,
    pub(super) adapter: Option<PathBuf>,
    #[serde(default = "c1_hf")]
    layout: Layout,
    #[serde(default = "train")]
    instruction: String,
    #[serde(default = "train_unconditional")]
    free_instruction: String,
    #[serde(default = "esconv8")]
    pub(super) strategies: String,
}

fn human_assistant() -> String {
    "human-assistant".into()
}

fn c1_hf() -> Layout {
    Layout::C1HistoryFirst
}

fn train() -> String {
    "train".into()
}

fn train_unconditional() -> String {
    "train-unconditional".into()
}

fn esconv8() -> String {
    "esconv8".into()
}

impl System {
    /// Where its plan and its answers are kept.
    pub(super) fn folder(&self) -> String {
        let plain = |letter: char| if letter.is_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
        let name: String = self.name.chars().map(plain).collect();
        name.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
    }

    pub(super) fn planner(&self) -> Result<PlannerName, Failure> {
        PlannerName::parse(&self.planner)
            .map_err(|problem| Failure::wrong_use(format!("{}: planner `{}`: {problem}", self.name, self.planner)))
    }

    pub(super) fn realiser(&self) -> Result<Realiser, Failure> {
        let named = [self.model.is_some(), self.magic.is_some(), self.thtra.is_some()];
        if named.into_iter().filter(|is_named| *is_named).count() != 1 {
            let problem = format!("{}: expected one of `model`, `magic` and `thtra`", self.name);
            return Err(Failure::wrong_use(problem));
        }
        if self.model.is_none() && self.adapter.is_some() {
            return Err(Failure::wrong_use(format!("{}: `adapter` is about language models (`model`)", self.name)));
        }
        Ok(Realiser {
            who: Who { model: self.model.clone(), magic: self.magic.clone(), thtra: self.thtra.clone() },
            layout: self.layout,
            instruction: self.instruction.clone(),
            free_instruction: self.free_instruction.clone(),
            strategies: self.strategies.clone(),
        })
    }
}

/// Reads the systems and checks what can be checked without a model.
pub(super) fn read(path: &Path) -> Result<Vec<System>, Failure> {
    let text = input_file::read_text(path).map_err(Failure::at(path))?;
    parse(&text).map_err(|failure| failure.about(&path.display().to_string()))
}

fn parse(text: &str) -> Result<Vec<System>, Failure> {
    let File { system: systems } =
        toml::from_str(text).map_err(|error| Failure::work(format!("not a list of [[system]]: {error}")))?;
    if systems.is_empty() {
        return Err(Failure::work("no [[system]] is in it"));
    }
    for (place, system) in systems.iter().enumerate() {
        let folder = system.folder();
        if folder.is_empty() {
            return Err(Failure::work(format!("system {}: a name needs a letter or a digit", place + 1)));
        }
        if systems[..place].iter().any(|earlier| earlier.folder() == folder) {
            return Err(Failure::work(format!(
                "two systems would keep their answers in the folder {folder}: give one another name"
            )));
        }
        system.planner()?;
        system.realiser()?;
    }
    Ok(systems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_are_checked_before_anything_is_loaded() {
        let one = "[[system]]\nname = \"SRA, planned\"\nplanner = \"gold\"\nmodel = \"demo\"\n";
        let systems = parse(one).unwrap();
        assert_eq!((systems[0].folder().as_str(), systems[0].strategies.as_str()), ("sra-planned", "esconv8"));
        let cases = [
            ("", "[[system]]"),
            ("[[system]]\nname = \"a\"\n", "planner"),
            ("[[system]]\nname = \"a\"\nplanner = \"best\"\nmodel = \"demo\"\n", "planner `best`"),
            ("[[system]]\nname = \"a\"\nplanner = \"gold\"\n", "expected one of `model`"),
            ("[[system]]\nname = \"a\"\nplanner = \"gold\"\nmodel = \"m\"\nthtra = \"t\"\n", "expected one of `model`"),
            ("[[system]]\nname = \"a\"\nplanner = \"gold\"\nthtra = \"t\"\nadapter = \"x\"\n", "`adapter` is about"),
            ("[[system]]\nname = \"?\"\nplanner = \"gold\"\nmodel = \"demo\"\n", "a letter or a digit"),
            ("[[system]]\nname = \"a\"\nplaner = \"gold\"\n", "planer"),
            (&format!("{one}{}", one.replace(',', "")), "give one another name"),
        ];
        for (text, expected) in cases {
            let message = parse(text).err().map(|failure| failure.message()).unwrap_or_default();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
