//! `magic parse-answers`: what any engine wrote to the prompts becomes inferred strategies.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use command_line::{Failure, Format, print_json};
use magic::{
    Indent, ParseStatus, ParsedAnswer, Task, count_by_status, parse_answer, read_array, read_prompts, write_json,
};
use serde::Serialize;

use crate::arguments::ParseAnswers;

#[derive(Serialize)]
struct Summary {
    file: PathBuf,
    answers: usize,
    by_status: BTreeMap<ParseStatus, usize>,
}

pub(crate) fn run(options: &ParseAnswers, format: Format) -> Result<ExitCode, Failure> {
    let template = options.template.load(Task::Inference)?;
    let answers: Vec<String> = read_array(&options.answers, "answer (a text)")?;
    let prompts = options.prompts.as_deref().map(|path| prompts(path, answers.len(), &options.answers)).transpose()?;
    let prompt = |number: usize| prompts.as_ref().and_then(|prompts| prompts.get(number)).map(String::as_str);
    let parsed: Vec<ParsedAnswer> =
        answers.iter().enumerate().map(|(number, answer)| parse_answer(answer, prompt(number), &template)).collect();
    write_json(&options.out, &parsed, Indent::Two)?;
    let summary = Summary { file: options.out.clone(), answers: parsed.len(), by_status: count_by_status(&parsed) };
    match format {
        Format::Json => print_json(&summary)?,
        Format::Text => print(&summary),
    }
    Ok(ExitCode::SUCCESS)
}

fn prompts(path: &Path, answers: usize, answers_file: &Path) -> Result<Vec<String>, Failure> {
    let prompts = read_prompts(path)?;
    if prompts.len() != answers {
        return Err(Failure::work(format!(
            "{} holds {answers} answers, but {} holds {} prompts: an answer belongs to the prompt in its place",
            answers_file.display(),
            path.display(),
            prompts.len()
        )));
    }
    Ok(prompts)
}

fn print(summary: &Summary) {
    let count = |status| summary.by_status.get(&status).copied().unwrap_or(0);
    println!(
        "{}: {} answers; the strategy in brackets {}, as plain words {}, not found {} (taken as Others)",
        summary.file.display(),
        summary.answers,
        count(ParseStatus::Bracket),
        count(ParseStatus::Bare),
        count(ParseStatus::Fallback)
    );
}
