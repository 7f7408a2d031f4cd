//! `thtra helpfulness score`: how helpful responses are.

use std::path::Path;
use std::process::ExitCode;

use command_line::{Failure, Format, Progress, interrupt, output_place, print_json};
use esconv_data::read_text;
use helpfulness::{Exchange, HelpfulnessModel, Mask, Score};
use llm_runtime::sha256_of_files;
use serde::{Deserialize, Serialize};
use strategy_prompting::{RowFile, RowKind};
use thtra::helpfulness_folder;

use crate::helpfulness_arguments::HelpfulnessScore;

/// Lines of a file that are scored before anything is written.
const LINES_AT_A_TIME: usize = 32;

/// A scored response, a line of the file of scores.
#[derive(Serialize, Deserialize)]
struct ScoredResponse {
    /// Line and place within it, both from 1: `12.1`.
    id: String,
    /// SHA-256 of the model.
    model: String,
    response: String,
    #[serde(flatten)]
    score: Score,
}

const SCORES: RowKind<ScoredResponse> = RowKind {
    name: "row of thtra helpfulness score",
    beginning: r#"{"id":"#,
    id: |row| row.id.clone(),
    made_by: |row| &row.model,
};

pub(crate) fn run(options: &HelpfulnessScore, format: Format) -> Result<ExitCode, Failure> {
    match (&options.input, &options.out) {
        (Some(input), Some(out)) => score_file(options, input, out, format),
        _ => score_texts(options, format),
    }
}

/// What is asked on the command line.
#[derive(Serialize)]
struct Answer<'a> {
    response: &'a str,
    #[serde(flatten)]
    score: Score,
}

fn score_texts(options: &HelpfulnessScore, format: Format) -> Result<ExitCode, Failure> {
    let context = options.context.as_deref().unwrap_or_default();
    let exchange = |response| Exchange { situation: &options.situation, context, response };
    let exchanges: Vec<Exchange<'_>> = options.response.iter().map(|response| exchange(response.as_str())).collect();
    let scores = options.trained.open()?.score(&exchanges)?;
    let answers = options.response.iter().zip(scores).map(|(response, score)| Answer { response, score });
    match format {
        Format::Json => print_json(&answers.collect::<Vec<_>>())?,
        Format::Text => {
            println!("helpfulness  rating  response");
            for Answer { response, score } in answers {
                println!("{:>11.4}  {:>6.2}  {response}", score.helpfulness, score.rating);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A line of the file of exchanges.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default)]
    situation: String,
    context: Texts,
    #[serde(alias = "response")]
    responses: Texts,
}

/// One text, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Several(Vec<String>),
}

impl Texts {
    fn all(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Several(texts) => texts,
        }
    }
}

/// What became of a file.
#[derive(Serialize)]
struct Scored<'a> {
    scores: &'a Path,
    responses: usize,
    mean_helpfulness: Option<f64>,
    mean_rating: Option<f64>,
}

fn score_file(options: &HelpfulnessScore, input: &Path, out: &Path, format: Format) -> Result<ExitCode, Failure> {
    output_place::check_file(out)?;
    let lines = read_lines(input)?;
    let model = options.trained.open()?;
    let folder = helpfulness_folder(&options.trained.model);
    let made_by = sha256_of_files(&[folder.join("helpfulness.json"), folder.join("helpfulness.safetensors")])?;
    let mut rows = RowFile::open(out, options.resume, &made_by, SCORES)?;
    check(&rows, &lines, out, input)?;
    interrupt::listen();
    let mut progress = Progress::new("lines", 0, lines.len() as u64);
    // Under the inverted mask the responses of one line are one batch, as in the published code.
    let at_a_time = if model.config.network.mask == Mask::Inverted { 1 } else { LINES_AT_A_TIME };
    for (place, chunk) in lines.chunks(at_a_time).enumerate() {
        if interrupt::was_asked() {
            break;
        }
        score_lines(&model, chunk, place * at_a_time, &made_by, &mut rows)?;
        progress.set((place * at_a_time + chunk.len()) as u64);
    }
    progress.finish();
    told(rows.rows(), out, format)?;
    Ok(if interrupt::was_asked() { ExitCode::from(interrupt::EXIT_CODE) } else { ExitCode::SUCCESS })
}

fn read_lines(input: &Path) -> Result<Vec<Line>, Failure> {
    let text = read_text(input)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let line = |(number, line): (usize, &str)| {
        let wrong = |problem: String| Failure::work(format!("{}, line {}: {problem}", input.display(), number + 1));
        let line: Line = serde_json::from_str(line).map_err(|error| {
            wrong(format!("not an exchange ({error}): expected {{\"situation\": …, \"context\": …, \"response\": …}}"))
        })?;
        match line.responses.all().is_empty() {
            true => Err(wrong("an exchange without a response".to_owned())),
            false => Ok(line),
        }
    };
    let lines: Vec<Line> = lines.map(line).collect::<Result<_, _>>()?;
    match lines.is_empty() {
        true => Err(Failure::work(format!("{}: holds no exchange", input.display()))),
        false => Ok(lines),
    }
}

fn id(line: usize, place: usize) -> String {
    format!("{}.{}", line + 1, place + 1)
}

/// What is scored already must be about the same responses.
fn check(rows: &RowFile<ScoredResponse>, lines: &[Line], out: &Path, input: &Path) -> Result<(), Failure> {
    let asked = lines.iter().enumerate().flat_map(|(line, exchange)| {
        exchange.responses.all().iter().enumerate().map(move |(place, response)| (id(line, place), response))
    });
    let asked: std::collections::BTreeMap<String, &String> = asked.collect();
    match rows.rows().iter().find(|row| asked.get(&row.id) != Some(&&row.response)) {
        None => Ok(()),
        Some(row) => Err(Failure::work(format!(
            "{}: row {} is about another response than that of {}: resume with the same input, or choose another file",
            out.display(),
            row.id,
            input.display()
        ))),
    }
}

/// Scores the responses of some lines, the first of which is number `first`, and adds what is not there yet.
fn score_lines(
    model: &HelpfulnessModel,
    lines: &[Line],
    first: usize,
    made_by: &str,
    rows: &mut RowFile<ScoredResponse>,
) -> Result<(), Failure> {
    let is_missing = |(line, exchange): (usize, &Line)| {
        (0..exchange.responses.all().len()).any(|place| !rows.contains(&id(first + line, place)))
    };
    if !lines.iter().enumerate().any(is_missing) {
        return Ok(());
    }
    let contexts: Vec<String> = lines.iter().map(|line| line.context.all().join(" ")).collect();
    let (mut ids, mut exchanges) = (Vec::new(), Vec::new());
    for (number, (line, context)) in lines.iter().zip(&contexts).enumerate() {
        for (place, response) in line.responses.all().iter().enumerate() {
            ids.push(id(first + number, place));
            exchanges.push(Exchange { situation: &line.situation, context, response });
        }
    }
    for ((id, exchange), score) in ids.into_iter().zip(&exchanges).zip(model.score(&exchanges)?) {
        if !rows.contains(&id) {
            let (model, response) = (made_by.to_owned(), exchange.response.to_owned());
            rows.append(ScoredResponse { id, model, response, score })?;
        }
    }
    Ok(())
}

fn told(rows: &[ScoredResponse], out: &Path, format: Format) -> Result<(), Failure> {
    let mean = |value: fn(&Score) -> f32| {
        let sum: f64 = rows.iter().map(|row| f64::from(value(&row.score))).sum();
        (!rows.is_empty()).then(|| sum / rows.len() as f64)
    };
    let scored = Scored {
        scores: out,
        responses: rows.len(),
        mean_helpfulness: mean(|score| score.helpfulness),
        mean_rating: mean(|score| score.rating),
    };
    if format == Format::Json {
        return Ok(print_json(&scored)?);
    }
    let in_words = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
    println!("{}: {} responses", out.display(), scored.responses);
    println!("mean helpfulness  {}", in_words(scored.mean_helpfulness));
    println!("mean rating       {}", in_words(scored.mean_rating));
    Ok(())
}
