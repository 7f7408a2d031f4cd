//! `thtra process`: a corpus becomes dialogue lines and helpfulness records.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use command_line::{Failure, Format, print_json};
use esconv_data::read_esconv;
use helpfulness::HelpfulnessRecord;
use serde::Serialize;
use thtra::{Dialogue, HELPFUL_LABEL, HelpfulnessData, Part, SPLIT_FILE, record_file, write_split};

use crate::arguments::Process;

/// What became of one part.
#[derive(Serialize)]
struct Made {
    part: Part,
    dialogues_file: PathBuf,
    dialogues: usize,
    turns: usize,
    samples: usize,
    records_file: PathBuf,
    records: usize,
    /// Records of each rating.
    scores: BTreeMap<usize, usize>,
}

pub(crate) fn run(options: &Process, format: Format) -> Result<ExitCode, Failure> {
    // All is read and checked before anything is written.
    let conversations = read_esconv(&options.input)?.conversations;
    let dialogues = Dialogue::of_corpus(&options.input, &conversations)?;
    let split = options.split.split(dialogues.len());
    if split.valid.is_empty() {
        let count = dialogues.len();
        let problem = format!("{count} conversations leave none for validation and test: at least 10 are needed");
        return Err(Failure::work(problem).about(&options.input.display().to_string()));
    }
    let records = HelpfulnessData::of_corpus(&conversations, &split);
    let out = &options.out;
    std::fs::create_dir_all(out).map_err(Failure::at(out))?;
    records.write(out, &split, &conversations)?;
    let mut made = Vec::new();
    for part in Part::ALL {
        let of_part: Vec<&Dialogue> = part.of(&split).iter().filter_map(|number| dialogues.get(*number)).collect();
        let dialogues_file = out.join(part.file());
        Dialogue::write_all(&dialogues_file, of_part.iter().copied())?;
        made.push(Made {
            part,
            dialogues_file,
            dialogues: of_part.len(),
            turns: of_part.iter().map(|dialogue| dialogue.turns.len()).sum(),
            samples: of_part.iter().map(|dialogue| dialogue.targets().count()).sum(),
            records_file: record_file(out, part),
            records: records.of(part).len(),
            scores: scores(records.of(part)),
        });
    }
    write_split(&out.join(SPLIT_FILE), &split)?;
    match format {
        Format::Json => print_json(&made)?,
        Format::Text => made.iter().for_each(print),
    }
    Ok(ExitCode::SUCCESS)
}

/// How many records have each rating: as many annotators as call the answer helpful.
fn scores(records: &[HelpfulnessRecord]) -> BTreeMap<usize, usize> {
    let mut scores = BTreeMap::new();
    for response in records.iter().flat_map(|record| &record.responses) {
        let score = response.annotations.iter().flatten().filter(|label| *label == HELPFUL_LABEL).count();
        *scores.entry(score).or_default() += 1;
    }
    scores
}

fn print(made: &Made) {
    let Made { dialogues_file, dialogues, turns, samples, records_file, records, scores, .. } = made;
    println!("{}: {dialogues} dialogues, {turns} turns, {samples} samples", dialogues_file.display());
    let scores: Vec<String> = scores.iter().map(|(score, count)| format!("{count} of {score}")).collect();
    println!("{}: {records} records; ratings: {}", records_file.display(), scores.join(", "));
}
