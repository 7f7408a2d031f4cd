//! `magic build-prompts`: dialogues and motivations become prompts for the strategy inference.

use std::path::PathBuf;
use std::process::ExitCode;

use command_line::{Failure, Format, print_json};
use magic::{
    Dialogue, Indent, PROMPT_FILES, SampleRule, Task, Template, inference_clips, read_motivations, training_prompts,
    write_json,
};
use serde::Serialize;

use crate::arguments::BuildPrompts;

/// What became of one split.
#[derive(Serialize)]
struct Split {
    file: PathBuf,
    prompts: usize,
    /// Prompts left out for want of a motivation.
    without_motivation: usize,
}

pub(crate) fn run(options: &BuildPrompts, format: Format) -> Result<ExitCode, Failure> {
    let template = options.template.load(Task::Inference)?;
    let motivations_file = options.motivations();
    let motivations = read_motivations(&motivations_file)?;
    let [train, valid, test] = options.data.splits().map(|(_, raw, rule)| prompts(&template, &raw, rule));
    let (train, valid, test) = (train?, valid?, test?);
    let all = train.len();
    let pairs = training_prompts(train, motivations, &motivations_file)?;

    std::fs::create_dir_all(&options.out_dir).map_err(Failure::at(&options.out_dir))?;
    let [train_file, valid_file, test_file] = PROMPT_FILES.map(|name| options.out_dir.join(name));
    write_json(&train_file, &pairs, Indent::Two)?;
    write_json(&valid_file, &valid, Indent::Two)?;
    write_json(&test_file, &test, Indent::Two)?;
    let splits = [
        Split { file: train_file, prompts: pairs.len(), without_motivation: all - pairs.len() },
        Split { file: valid_file, prompts: valid.len(), without_motivation: 0 },
        Split { file: test_file, prompts: test.len(), without_motivation: 0 },
    ];
    match format {
        Format::Json => print_json(&splits)?,
        Format::Text => splits.iter().for_each(print),
    }
    Ok(ExitCode::SUCCESS)
}

fn prompts(template: &Template, raw: &std::path::Path, rule: SampleRule) -> Result<Vec<String>, Failure> {
    let dialogues = Dialogue::read_all(raw)?;
    Ok(inference_clips(&dialogues, rule).iter().map(|clip| template.prompt(clip)).collect())
}

fn print(split: &Split) {
    let left_out = match split.without_motivation {
        0 => String::new(),
        count => format!(", {count} left out because their motivation is missing"),
    };
    println!("{}: {} prompts{left_out}", split.file.display(), split.prompts);
}
