//! Data files.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use demo_corpus::{DemoDialogue, Generator, Labels, Manner, write_esconv};
use esconv_data::Speaker;
use serde_json::{Value, json};

use super::{arguments, recipes};
use crate::programs::make_folder;

/// Dialogues of the corpus.
const DIALOGUES: u64 = 40;

/// Writes all of them.
pub(super) fn write_all(folder: &Path) -> Result<(), String> {
    for inner in ["magic", "pairs", "ukpconvarg1", "winning-args-corpus"] {
        make_folder(&folder.join(inner))?;
    }
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
    let replies = || dialogues.iter().flat_map(DemoDialogue::pairs);
    write(&folder.join("responses.txt"), &replies().map(|pair| format!("{}\n", pair.rejected)).collect::<String>())?;
    write(&folder.join("references.txt"), &replies().map(|pair| format!("{}\n", pair.chosen)).collect::<String>())?;
    write(&folder.join("space.toml"), "learning_rate = { choices = [5e-4, 1e-3, 2e-3] }\n")?;
    write(&folder.join("systems.toml"), &recipes::SYSTEMS.replace("{in}", &folder.display().to_string()))?;
    write(&folder.join("preset.toml"), recipes::PRESET)?;
    arguments::write_all(folder, &dialogues)
}

fn dialogues(manner: Manner) -> Result<Vec<DemoDialogue>, String> {
    let generator = Generator::new(17).map_err(|error| error.to_string())?.with_manner(manner);
    Ok((0..DIALOGUES).map(|index| generator.conversation_with(index, Labels::Esconv8)).collect())
}

pub(super) fn write_lines(path: &Path, rows: impl Iterator<Item = Value>) -> Result<(), String> {
    write(path, &rows.map(|row| format!("{row}\n")).collect::<String>())
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), String> {
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
