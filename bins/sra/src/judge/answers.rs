//! The answers that are judged: continuation records, or answers to held-out chats.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::{Path, PathBuf};

use command_line::Failure;
use judging::{PairItem, RatingItem};
use llm_runtime::{Message, input_file};
use serde_json::Value;
use strategy_prompting::{
    ChatRow, ContinuationRecord, Dialogue, InstructionTemplate, StrategyText, TornLine, UNCONDITIONAL, read_chat_rows,
    read_records, tidy_response,
};

use crate::adherence::records_file;

/// An answer with what a judge needs to know.
struct Answered {
    /// The record's id, or a name for a chat's answer.
    id: String,
    /// What two systems' answers are matched by: dialogue and strategy.
    key: (String, String),
    conversation: String,
    layout: String,
    instruction: String,
    history: Vec<Message>,
    response: String,
}

/// The answers of a system, all in one layout.
pub(crate) struct System {
    /// Its name in tables.
    pub(crate) name: String,
    /// Where they come from.
    path: PathBuf,
    answers: Vec<Answered>,
}

/// Two systems' answers to the same, and what the answers are called.
pub(crate) struct Pair {
    pub(crate) item: PairItem,
    pub(crate) ids: [String; 2],
}

/// Reads run folders, files of records, or files of `sra generate`; with a layout (one for all runs, or one for each) only answers of that layout.
///
/// # Errors
/// A file can't be read, holds no answers, or holds several layouts and none was chosen.
pub(crate) fn read_systems(runs: &[PathBuf], layouts: &[String]) -> Result<Vec<System>, Failure> {
    let layout_of = |at: usize| match layouts {
        [] => Ok(None),
        [one] => Ok(Some(one.as_str())),
        several if several.len() == runs.len() => Ok(several.get(at).map(String::as_str)),
        several => {
            let (layouts, runs) = (several.len(), runs.len());
            Err(Failure::wrong_use(format!("{layouts} layouts for {runs} runs: give one for all, or one for each")))
        }
    };
    let systems = runs.iter().enumerate().map(|(at, run)| System::read(run, layout_of(at)?));
    let mut systems = systems.collect::<Result<Vec<System>, Failure>>()?;
    if let [first, second] = systems.as_mut_slice()
        && first.name == second.name
    {
        for system in [first, second] {
            system.name = format!("{}, {}", system.path.display(), system.layout());
        }
    }
    Ok(systems)
}

impl System {
    fn read(path: &Path, layout: Option<&str>) -> Result<Self, Failure> {
        let file = records_file(path);
        let mut answers = if is_of_chats(&file)? { chats(&file)? } else { records(&file)? };
        let mut layouts: Vec<&str> = answers.iter().map(|answer| answer.layout.as_str()).collect();
        layouts.sort_unstable();
        layouts.dedup();
        let (shown, known) = (path.display(), layouts.join(", "));
        let chosen = match (layout, layouts.as_slice()) {
            (_, []) => return Err(Failure::work(format!("{shown}: there are no answers to judge"))),
            (Some(layout), layouts) if layouts.contains(&layout) => layout.to_owned(),
            (None, [only]) => (*only).to_owned(),
            (Some(layout), _) => {
                return Err(Failure::wrong_use(format!("{shown}: no answer has the layout {layout} (but {known})")));
            }
            (None, _) => {
                return Err(Failure::wrong_use(format!("{shown}: holds the layouts {known}: choose with --layout")));
            }
        };
        answers.retain(|answer| answer.layout == chosen);
        // Records stand in the order of finishing, which differs between runs.
        answers.sort_by(|left, right| (&left.key, &left.id).cmp(&(&right.key, &right.id)));
        Ok(Self { name: format!("{}, {chosen}", name(path)), path: path.to_owned(), answers })
    }

    fn layout(&self) -> &str {
        self.answers.first().map_or("", |answer| &answer.layout)
    }

    /// The answers by what they are matched by.
    fn by_key(self) -> Result<BTreeMap<(String, String), Answered>, Failure> {
        let mut by_key = BTreeMap::new();
        for answer in self.answers {
            if let Some(Answered { key: (dialogue, strategy), .. }) = by_key.insert(answer.key.clone(), answer) {
                let path = self.path.display();
                return Err(Failure::work(format!("{path}: answers {dialogue} twice with the strategy {strategy}")));
            }
        }
        Ok(by_key)
    }
}

/// The run's or file's own name.
fn name(path: &Path) -> String {
    let is_run_file = path.file_name().is_some_and(|name| name == strategy_prompting::CONTINUATIONS);
    let named = if is_run_file { path.parent().unwrap_or(path) } else { path };
    named.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// The answers that both systems gave, in the order of dialogues and strategies.
///
/// # Errors
/// There are none, a system answers the same twice, or dialogues of the same name differ.
pub(crate) fn pairs(first: System, second: System) -> Result<Vec<Pair>, Failure> {
    let names = [first.name.clone(), second.name.clone()];
    let (first, mut second) = (first.by_key()?, second.by_key()?);
    let mut pairs = Vec::new();
    for (key, answer) in first {
        let Some(other) = second.remove(&key) else { continue };
        if answer.history != other.history {
            let ([first, second], dialogue) = (names, key.0);
            return Err(Failure::work(format!("{first} and {second}: {dialogue} is not the same dialogue in both")));
        }
        pairs.push(pair(answer, other));
    }
    if pairs.is_empty() {
        let [first, second] = names;
        return Err(Failure::work(format!(
            "{first} and {second} answer no dialogue with the same strategy; runs over the same --data and --turns do"
        )));
    }
    Ok(pairs)
}

fn pair(first: Answered, second: Answered) -> Pair {
    let ids = [first.id, second.id];
    let item = PairItem {
        id: ids.join("+"),
        conversation: first.conversation,
        strategy: first.key.1,
        instruction: first.instruction,
        history: first.history,
        first: first.response,
        second: second.response,
    };
    Pair { item, ids }
}

/// A system's answers to be rated.
pub(crate) fn ratings(system: System) -> Vec<RatingItem> {
    let item = |answer: Answered| RatingItem {
        id: answer.id,
        conversation: answer.conversation,
        strategy: answer.key.1,
        instruction: answer.instruction,
        history: answer.history,
        response: answer.response,
    };
    system.answers.into_iter().map(item).collect()
}

/// Whether the file's first row is a chat and not a record.
fn is_of_chats(file: &Path) -> Result<bool, Failure> {
    let unreadable = |error: std::io::Error| Failure::work(format!("{}: {error}", file.display()));
    let mut lines = input_file::open_lines(file).map_err(unreadable)?;
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).map_err(unreadable)? > 0 {
        if !line.trim_ascii().is_empty() {
            return Ok(serde_json::from_slice::<Value>(&line).is_ok_and(|row| row.get("messages").is_some()));
        }
        line.clear();
    }
    Ok(false)
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
    let strategy = StrategyText { name: record.strategy.clone(), description: record.strategy_description };
    let dialogue = Dialogue::from_speakers(&record.example, &record.speakers, &record.dialog)?;
    Ok(Answered {
        instruction: template.fill(&record.situation, Some(&strategy))?.text,
        history: dialogue.turns().iter().map(|turn| Message::new(turn.role, turn.text.clone())).collect(),
        response: record.response.unwrap_or_else(|| tidy_response(&record.text, &record.strategy)),
        key: (record.example, record.strategy),
        id: record.id,
        conversation: record.conversation,
        layout: record.layout.name().to_owned(),
    })
}

fn chats(file: &Path) -> Result<Vec<Answered>, Failure> {
    read_chat_rows(file)?.into_iter().map(|row| of_chat(file, &row)).collect()
}

/// An answer of `sra generate`.
fn of_chat(file: &Path, row: &ChatRow) -> Result<Answered, Failure> {
    let response = row.answer().ok_or_else(|| {
        let (file, line) = (file.display(), row.number + 1);
        Failure::work(format!("{file}, line {line}: there is no `model_response`: it is no file of `sra generate`"))
    })?;
    let field = |name: &str| row.fields.get(name).and_then(Value::as_str);
    let dialogue = format!("chat {}", row.answered_number() + 1);
    Ok(Answered {
        id: row.answer_id(),
        key: (dialogue.clone(), field("strategy").unwrap_or(UNCONDITIONAL).to_owned()),
        conversation: field("conversation").unwrap_or(&dialogue).to_owned(),
        layout: field("layout").unwrap_or("standard").to_owned(),
        instruction: row.instruction().to_owned(),
        history: row.history(),
        response: response.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_named_after_its_folder() {
        for path in ["runs/tuned", "runs/tuned/", "runs/tuned/continuations.jsonl"] {
            assert_eq!(name(Path::new(path)), "tuned");
        }
        assert_eq!(name(Path::new("answers.jsonl")), "answers.jsonl");
    }
}
