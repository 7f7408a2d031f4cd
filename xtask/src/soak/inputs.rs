//! What the commands work on: synthetic dialogues in each program's form, and what other commands make of them.

use std::collections::HashSet;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::Duration;

use demo_corpus::{DemoDialogue, Generator, Labels, Manner, write_esconv};
use esconv_data::Speaker;
use serde_json::{Value, json};

use super::jobs::{INPUTS, Input, Job};
use super::process::{Programs, start};
use super::{jobs, make};
use crate::server_process::ServerProcess;

/// How long an input may take to be made.
const PATIENCE: Duration = Duration::from_secs(600);
/// Dialogues of the corpus.
const DIALOGUES: u64 = 40;

/// The folder of the inputs, what is in it already, and a server once somebody needs it.
pub(super) struct Inputs<'a> {
    root: &'a Path,
    folder: PathBuf,
    programs: &'a Programs,
    made: HashSet<&'static str>,
    server: Option<ServerProcess>,
}

impl<'a> Inputs<'a> {
    /// Writes the data files.
    pub(super) fn new(root: &'a Path, work: &Path, programs: &'a Programs) -> Result<Self, String> {
        let folder = work.join("inputs");
        for inner in ["magic", "pairs"] {
            make(&folder.join(inner))?;
        }
        write_data(&folder)?;
        Ok(Self { root, folder, programs, made: HashSet::new(), server: None })
    }

    /// The words of a command, after everything that it needs has been made.
    pub(super) fn words_of(&mut self, job: &Job) -> Result<Vec<String>, String> {
        job.needs.iter().try_for_each(|name| self.make(name))?;
        if job.words.contains("{server}") && self.server.is_none() {
            self.server = Some(self.serve()?);
        }
        Ok(self.words(job.words))
    }

    fn make(&mut self, name: &'static str) -> Result<(), String> {
        if self.made.contains(name) {
            return Ok(());
        }
        let Some(Input { program, words, needs, .. }) = INPUTS.iter().find(|input| input.name == name) else {
            return Err(format!("nobody makes the input `{name}`"));
        };
        needs.iter().try_for_each(|name| self.make(name))?;
        let (words, log) = (self.words(words), self.folder.join(format!("{name}.log")));
        start(self.programs, program, &words, &self.folder, &log)?.wait(PATIENCE)?.must_be_good(name)?;
        self.made.insert(name);
        Ok(())
    }

    fn words(&self, text: &str) -> Vec<String> {
        let server =
            self.server.as_ref().map(|server| format!("openai:tiny@http://{}/v1", server.address)).unwrap_or_default();
        let places = [
            ("{in}", self.folder.display().to_string()),
            ("{root}", self.root.display().to_string()),
            ("{server}", server),
        ];
        let filled = |word: &str| places.iter().fold(word.to_owned(), |word, (name, value)| word.replace(name, value));
        text.split_whitespace().map(filled).collect()
    }

    fn serve(&self) -> Result<ServerProcess, String> {
        let words = self.words(
            "serve --model {root}/fixtures/models/tiny-llama --name tiny --address 127.0.0.1:0 --kv-memory 256M",
        );
        ServerProcess::start(self.programs.command("sra", &words, &self.folder), &self.folder.join("server.log"))
    }
}

fn write_data(folder: &Path) -> Result<(), String> {
    let dialogues = dialogues(Manner::Even)?;
    let corpus = folder.join("ESConv.json");
    let file = File::create(&corpus).map_err(|error| format!("{}: {error}", corpus.display()))?;
    // Its seekers rate every reply, which is what models of helpfulness learn from.
    let rated = write_esconv(&self::dialogues(Manner::Responsive)?, BufWriter::new(file));
    rated.map_err(|error| format!("{}: {error}", corpus.display()))?;
    for (name, part) in [("train", 0..6), ("valid", 6..8), ("test", 8..12)] {
        write_lines(&folder.join(format!("magic/{name}.txt")), dialogues[part].iter().map(magic_line))?;
    }
    for (name, part) in [("train", 0..20), ("validation", 20..25), ("test", 25..30)] {
        write_lines(&folder.join(format!("pairs/{name}.jsonl")), dialogues[part].iter().flat_map(pairs))?;
    }
    let exchanges = || dialogues.iter().flat_map(exchanges);
    write_lines(&folder.join("exchanges.jsonl"), exchanges().chain(exchanges()).chain(exchanges()))?;
    write(&folder.join("space.toml"), "learning_rate = { choices = [5e-4, 1e-3, 2e-3] }\n")?;
    write(&folder.join("systems.toml"), &jobs::SYSTEMS.replace("{in}", &folder.display().to_string()))?;
    write(&folder.join("preset.toml"), jobs::PRESET)
}

fn dialogues(manner: Manner) -> Result<Vec<DemoDialogue>, String> {
    let generator = Generator::new(17).map_err(|error| error.to_string())?.with_manner(manner);
    Ok((0..DIALOGUES).map(|index| generator.conversation_with(index, Labels::Esconv8)).collect())
}

fn write_lines(path: &Path, rows: impl Iterator<Item = Value>) -> Result<(), String> {
    write(path, &rows.map(|row| format!("{row}\n")).collect::<String>())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// A dialogue as `magic` reads it.
fn magic_line(dialogue: &DemoDialogue) -> Value {
    let conversation = &dialogue.conversation;
    let turn = |turn: &esconv_data::Utterance| match turn.speaker {
        Speaker::Seeker => json!({"text": turn.content, "speaker": "usr", "feedback": null}),
        Speaker::Supporter => {
            json!({"text": turn.content, "speaker": "sys", "strategy": magic_strategy(turn.strategy.as_deref())})
        }
    };
    json!({
        "emotion_type": conversation.emotion_type, "problem_type": conversation.problem_type, "situation": conversation.situation,
        "init_intensity": 4, "final_intensity": 2, "dialog": conversation.dialog.iter().map(turn).collect::<Vec<_>>(),
    })
}

/// Its annotation has one strategy for advice and facts.
fn magic_strategy(label: Option<&str>) -> &str {
    match label {
        Some("Providing Suggestions" | "Information") => "Providing Suggestions or Information",
        Some(label) => label,
        None => "Others",
    }
}

fn pairs(dialogue: &DemoDialogue) -> Vec<Value> {
    let group = format!("dialogue-{}", dialogue.index());
    let row = |(turn, pair): (usize, demo_corpus::Pair)| {
        json!({
            "id": format!("{group}-{turn}"), "group": group, "prompt": format!("{}\nSupporter:", pair.prompt),
            "chosen": pair.chosen, "rejected": pair.rejected,
        })
    };
    dialogue.pairs().into_iter().enumerate().map(row).collect()
}

fn exchanges(dialogue: &DemoDialogue) -> Vec<Value> {
    let situation = &dialogue.conversation.situation;
    let row = |pair: demo_corpus::Pair| json!({"situation": situation, "context": pair.prompt, "responses": [pair.chosen, pair.rejected]});
    dialogue.pairs().into_iter().map(row).collect()
}
