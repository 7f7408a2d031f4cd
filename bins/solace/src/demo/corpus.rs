//! The built-in dialogues as files of the papers' programs.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use command_line::Failure;
use demo_corpus::{DemoDialogue, Generator, Labels, Manner, Split, write_esconv};
use esconv_data::{Conversation, LabelSet, Speaker};
use serde_json::{Value, json};

/// How many dialogues there are of each use.
pub(super) struct Counts {
    train: u64,
    valid: u64,
    places: u64,
    held_out: u64,
}

impl Counts {
    pub(super) fn of(size: f64) -> Self {
        let count = |whole: f64| ((whole * size).round() as u64).max(12);
        Self { train: count(400.0), valid: count(40.0), places: count(100.0), held_out: count(40.0) }
    }
}

/// Writes ESConv.json for ThTra, multiesc/ for MAGIC, places.json for candidates and held-out.json for the scoreboard. No dialogue is in two of the last three.
pub(super) fn write(folder: &Path, counts: &Counts) -> Result<(), Failure> {
    let dialogues = |split: Split, first: u64, count: u64| dialogues(split, first..first + count);
    let train = dialogues(Split::Train, 0, counts.train)?;
    esconv(&folder.join("ESConv.json"), &train)?;
    esconv(&folder.join("places.json"), &dialogues(Split::Train, counts.train, counts.places)?)?;
    esconv(&folder.join("held-out.json"), &dialogues(Split::Heldout, counts.valid, counts.held_out)?)?;
    let multi = folder.join("multiesc");
    std::fs::create_dir_all(&multi).map_err(Failure::at(&multi))?;
    let valid = dialogues(Split::Heldout, 0, counts.valid)?;
    for (name, dialogues) in [("train", &train), ("valid", &valid), ("test", &valid)] {
        multiesc(&multi.join(format!("{name}.txt")), dialogues)?;
    }
    Ok(())
}

fn dialogues(split: Split, numbers: std::ops::Range<u64>) -> Result<Vec<DemoDialogue>, Failure> {
    let generator = Generator::new(demo_corpus::SEED)?.with_manner(Manner::Responsive);
    Ok(numbers.map(|number| generator.conversation_with(split.index(number), Labels::Esconv8)).collect())
}

fn esconv(path: &Path, dialogues: &[DemoDialogue]) -> Result<(), Failure> {
    let mut file = BufWriter::new(File::create(path).map_err(Failure::at(path))?);
    write_esconv(dialogues, &mut file).and_then(|()| file.flush()).map_err(Failure::at(path))
}

/// As MultiESC's files have it: a conversation a line, its own labels.
fn multiesc(path: &Path, dialogues: &[DemoDialogue]) -> Result<(), Failure> {
    let lines: Vec<String> = dialogues.iter().map(|dialogue| line(&dialogue.conversation).to_string()).collect();
    std::fs::write(path, format!("{}\n", lines.join("\n"))).map_err(Failure::at(path))
}

fn line(conversation: &Conversation) -> Value {
    let turns = conversation.dialog.iter().map(|utterance| {
        let label = utterance.strategy.as_deref().and_then(|label| LabelSet::Esconv.to_multiesc(label));
        match utterance.speaker {
            Speaker::Seeker => json!({"text": utterance.content, "speaker": "usr"}),
            Speaker::Supporter => {
                json!({"text": utterance.content, "speaker": "sys", "strategy": label.unwrap_or("Others")})
            }
        }
    });
    json!({
        "emotion_type": conversation.emotion_type,
        "problem_type": conversation.problem_type,
        "situation": conversation.situation,
        "dialog": turns.collect::<Vec<_>>(),
    })
}
