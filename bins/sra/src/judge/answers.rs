//! The answers that are judged: continuation records, or answers to held-out chats.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use judging::{PairItem, RatingItem};
use llm_runtime::Message;
use serde_json::Value;
use strategy_prompting::{
    ContinuationRecord, Dialogue, InstructionTemplate, StrategyText, TornLine, UNCONDITIONAL, read_chat_rows,
    read_records, tidy_response,
};

use crate::adherence::records_file;
use crate::failure::Failure;

/// An answer with what a judge needs to know.
pub(crate) struct Answered {
    /// The record's id; with several answers to one dialogue each has its own.
    pub(crate) id: String,
    /// What two systems' answers are matched by: dialogue and strategy.
    pub(crate) key: String,
    pub(crate) conversation: String,
    pub(crate) strategy: String,
    pub(crate) layout: String,
    instruction: String,
    history: Vec<Message>,
    pub(crate) response: String,
}

/// The answers of a system, by what they are matched by.
pub(crate) struct System {
    /// Its name in tables.
    pub(crate) name: String,
    pub(crate) answers: BTreeMap<String, Answered>,
}

/// Reads a run folder, a file of records, or a file of `sra generate`; with a layout only answers of that layout.
///
/// # Errors
/// The file can't be read, holds no answers, or holds several layouts and none was chosen.
pub(crate) fn read(path: &Path, layout: Option<&str>) -> Result<System, Failure> {
    let file = records_file(path);
    let all = if is_chats(&file)? { chats(&file)? } else { records(&file)? };
    let layouts: Vec<String> = {
        let mut layouts: Vec<String> = all.iter().map(|answer| answer.layout.clone()).collect();
        layouts.sort();
        layouts.dedup();
        layouts
    };
    let chosen = match (layout, layouts.as_slice()) {
        (Some(layout), known) if known.iter().any(|known| known == layout) => layout.to_owned(),
        (Some(layout), known) => {
            let known = known.join(", ");
            return Err(Failure::wrong_use(format!("{}: no answer has the layout {layout} (layouts: {known})", path.display())));
        }
        (None, [only]) => only.clone(),
        (None, []) => return Err(Failure::work(format!("{}: there are no answers to judge", path.display()))),
        (None, several) => {
            let several = several.join(", ");
            return Err(Failure::wrong_use(format!("{}: holds the layouts {several}: choose with --layout", path.display())));
        }
    };
    let shown = path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
    let answers = all.into_iter().filter(|answer| answer.layout == chosen);
    Ok(System { name: format!("{shown} ({chosen})"), answers: answers.map(|answer| (answer.key.clone(), answer)).collect() })
}

/// The answers that both systems gave, in the order of their keys; at most `limit`, evenly spread.
///
/// # Errors
/// There are none.
pub(crate) fn pairs(first: System, second: &System, limit: Option<usize>) -> Result<Vec<PairItem>, Failure> {
    let (first_name, second_name) = (&first.name, &second.name);
    let both: Vec<(Answered, &Answered)> = first
        .answers
        .into_iter()
        .filter_map(|(key, answer)| Some((answer, second.answers.get(&key)?)))
        .collect();
    if both.is_empty() {
        return Err(Failure::work(format!(
            "{first_name} and {second_name} answered no dialogue with the same strategy; runs of the same --data, --turns and --seed do"
        )));
    }
    let pair = |(first, second): (Answered, &Answered)| PairItem {
        id: format!("{}+{}", first.id, second.id),
        group: first.conversation,
        label: first.strategy,
        instruction: first.instruction,
        history: first.history,
        first: first.response,
        second: second.response.clone(),
    };
    Ok(spread(both, limit).into_iter().map(pair).collect())
}

/// A system's answers to be rated; at most `limit`, evenly spread.
pub(crate) fn ratings(system: System, limit: Option<usize>) -> Vec<RatingItem> {
    let item = |answer: Answered| RatingItem {
        id: answer.id,
        group: answer.conversation,
        label: answer.strategy,
        instruction: answer.instruction,
        history: answer.history,
        response: answer.response,
    };
    spread(system.answers.into_values().collect(), limit).into_iter().map(item).collect()
}

fn spread<T>(items: Vec<T>, limit: Option<usize>) -> Vec<T> {
    let count = items.len();
    let limit = limit.unwrap_or(count).min(count);
    let is_chosen = |number: usize| (number + 1) * limit / count.max(1) > number * limit / count.max(1);
    items.into_iter().enumerate().filter(|(number, _)| is_chosen(*number)).map(|(_, item)| item).collect()
}

/// Whether the file's first row is a chat and not a record.
fn is_chats(file: &Path) -> Result<bool, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| Failure::work(format!("{}: {error}", file.display())))?;
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    Ok(serde_json::from_str::<Value>(first).is_ok_and(|row| row.get("messages").is_some()))
}

fn records(file: &Path) -> Result<Vec<Answered>, Failure> {
    let mut answers = Vec::new();
    for record in read_records(file, TornLine::Skip)? {
        let record = record?;
        if record.strategy != UNCONDITIONAL {
            answers.push(of_record(record)?);
        }
    }
    Ok(answers)
}

fn of_record(record: ContinuationRecord) -> Result<Answered, Failure> {
    let template = InstructionTemplate::parse(&record.instruction.name, &record.instruction.source)?;
    let strategy = StrategyText { name: record.strategy.clone(), description: record.strategy_description.clone() };
    let dialogue = Dialogue::from_speakers(&record.example, &record.speakers, &record.dialog)?;
    Ok(Answered {
        key: format!("{}\u{1f}{}", record.example, record.strategy),
        conversation: record.conversation,
        instruction: template.fill(&record.situation, Some(&strategy))?.text,
        history: dialogue.turns().iter().map(|turn| Message::new(turn.role, turn.text.clone())).collect(),
        response: record.response.unwrap_or_else(|| tidy_response(&record.text, &record.strategy)),
        id: record.id,
        strategy: record.strategy,
        layout: record.layout.name().to_owned(),
    })
}

/// Rows of `sra generate`: chats with `model_response`.
fn chats(file: &Path) -> Result<Vec<Answered>, Failure> {
    let rows = read_chat_rows(file)?;
    rows.into_iter()
        .map(|row| {
            let field = |name: &str| row.fields.get(name).and_then(Value::as_str);
            let refuse = |problem: &str| Failure::work(format!("{}, line {}: {problem}", file.display(), row.number + 1));
            let response = field("model_response").ok_or_else(|| refuse("no `model_response`: not a file of `sra generate`"))?;
            let number = row.fields.get("row").and_then(Value::as_u64).unwrap_or(row.number as u64);
            let strategy = field("strategy").unwrap_or(UNCONDITIONAL).to_owned();
            Ok(Answered {
                id: format!("row-{number}"),
                key: format!("{number}\u{1f}{strategy}"),
                conversation: field("conversation").map_or_else(|| format!("row-{number}"), str::to_owned),
                layout: field("layout").unwrap_or("standard").to_owned(),
                instruction: row.instruction().to_owned(),
                history: row.history(),
                response: response.to_owned(),
                strategy,
            })
        })
        .collect()
}

/// `--layout A` or `--layout A,B` for one or two systems.
///
/// # Errors
/// More layouts than systems.
pub(crate) fn layouts<'a>(given: &'a [String], runs: &[PathBuf]) -> Result<Vec<Option<&'a str>>, Failure> {
    match given {
        [] => Ok(vec![None; runs.len()]),
        [one] => Ok(vec![Some(one); runs.len()]),
        several if several.len() == runs.len() => Ok(several.iter().map(|layout| Some(layout.as_str())).collect()),
        several => {
            let (layouts, runs) = (several.len(), runs.len());
            Err(Failure::wrong_use(format!("{layouts} layouts for {runs} runs: give one for all, or one for each")))
        }
    }
}
