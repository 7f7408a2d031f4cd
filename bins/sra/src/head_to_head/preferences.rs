//! What people said of two models' answers: a file that grows by a row per judged turn, and the tally.

use std::collections::BTreeMap;
use std::path::Path;

use command_line::{Failure, Format};
use esc_metrics::judge::{JudgeReport, Winner};
use llm_runtime::FinishReason;
use serde::{Deserialize, Serialize};
use strategy_prompting::{Layout, RowFile, RowKind, UNCONDITIONAL};

use super::duel::{Duel, Model, Side};
use crate::chat::state::{Answer, Exchange};
use crate::judge::{print_head, print_row};

const ROWS: RowKind<Preference> = RowKind {
    name: "row of `sra head2head`",
    beginning: r#"{"id":"#,
    id: |row| row.id.clone(),
    made_by: |row| &row.models,
};

/// Which answer somebody liked better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Liked {
    Left,
    Right,
    Equal,
}

/// What was said of one turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Preference {
    id: String,
    /// The chat's number in the file.
    chat: u64,
    turn: usize,
    strategy: String,
    layout: Layout,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    situation: String,
    /// What both were told.
    text: String,
    first: ModelAnswer,
    second: ModelAnswer,
    /// Which of them stood on the left.
    left: Model,
    preferred: Winner,
    models: String,
}

/// One model's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct ModelAnswer {
    model: String,
    text: String,
    seed: u64,
    finish_reason: FinishReason,
}

/// The file of preferences.
pub(super) struct Preferences {
    file: RowFile<Preference>,
    names: [String; 2],
    models: String,
    chats: u64,
}

/// What all rows say.
#[derive(Serialize)]
struct Tally<'a> {
    first: &'a str,
    second: &'a str,
    /// The first model against the second; absent before anything was said.
    all: Option<JudgeReport>,
    by_strategy: BTreeMap<&'a str, JudgeReport>,
    /// How often the answer on the left was liked better, among all that were not equally good.
    left: Option<f64>,
}

impl Preferences {
    /// Opens a new file, or one with preferences of the same two models.
    pub(super) fn open(path: &Path, names: [String; 2]) -> Result<Self, Failure> {
        let models = names.join(" against ");
        let file = RowFile::open(path, true, &models, ROWS)?;
        let chats = file.rows().iter().map(|row| row.chat).max().unwrap_or(0);
        Ok(Self { file, names, models, chats })
    }

    /// The two models' names.
    pub(super) fn names(&self) -> &[String; 2] {
        &self.names
    }

    /// A number that no chat had.
    pub(super) fn next_chat(&mut self) -> u64 {
        self.chats += 1;
        self.chats
    }

    /// Keeps what was said of a chat's last turn.
    pub(super) fn add(&mut self, duel: &Duel, liked: Liked) -> Result<(), Failure> {
        let Some([first, second]) = duel.last() else { return Ok(()) };
        let answer = |model: Model, Exchange { answer, .. }: &Exchange| {
            let Answer { text, seed, finish_reason, .. } = answer.clone();
            ModelAnswer { model: self.names[model.place()].clone(), text, seed, finish_reason }
        };
        let row = Preference {
            id: format!("{}-{}", duel.number(), duel.asked()),
            chat: duel.number(),
            turn: duel.exchanges().count(),
            strategy: first.answer.strategy.clone().unwrap_or_else(|| UNCONDITIONAL.to_owned()),
            layout: first.answer.layout,
            situation: duel.situation().to_owned(),
            text: first.text.clone(),
            first: answer(Model::First, first),
            second: answer(Model::Second, second),
            left: duel.model_at(Side::Left),
            preferred: winner(duel, liked),
            models: self.models.clone(),
        };
        Ok(self.file.append(row)?)
    }

    /// Prints what all rows say, those of earlier calls included.
    pub(super) fn print(&self, format: Format) -> Result<(), Failure> {
        let tally = self.tally();
        if format == Format::Json {
            return Ok(command_line::print_json(&tally)?);
        }
        let Some(all) = &tally.all else { return Ok(()) };
        println!("\nA  {}\nB  {}", tally.first, tally.second);
        print_head();
        print_row("all", Some(all));
        for (strategy, report) in &tally.by_strategy {
            print_row(strategy, Some(report));
        }
        println!("sign test of A's wins against B's: p = {:.4}", all.sign_test_p);
        if let Some(left) = tally.left {
            println!("the answer on the left (or first) was liked better in {:.1} % of decided turns", 100.0 * left);
        }
        Ok(())
    }

    fn tally(&self) -> Tally<'_> {
        let rows = self.file.rows();
        let mut strategies: BTreeMap<&str, Vec<&Preference>> = BTreeMap::new();
        for row in rows {
            strategies.entry(&row.strategy).or_default().push(row);
        }
        let report = |rows: &[&Preference]| JudgeReport::of_winners(rows.iter().map(|row| Some(row.preferred))).ok();
        let sides: Vec<bool> = rows.iter().filter_map(Preference::is_for_left).collect();
        let for_left = sides.iter().filter(|is_for_left| **is_for_left).count();
        Tally {
            first: &self.names[0],
            second: &self.names[1],
            all: report(&rows.iter().collect::<Vec<_>>()),
            by_strategy: strategies.iter().filter_map(|(name, rows)| Some((*name, report(rows)?))).collect(),
            left: (!sides.is_empty()).then(|| for_left as f64 / sides.len() as f64),
        }
    }
}

impl Preference {
    /// Whether the left answer was liked better; `None` if neither was.
    fn is_for_left(&self) -> Option<bool> {
        match self.preferred {
            Winner::First => Some(self.left == Model::First),
            Winner::Second => Some(self.left == Model::Second),
            Winner::Tie => None,
        }
    }
}

fn winner(duel: &Duel, liked: Liked) -> Winner {
    let model = match liked {
        Liked::Equal => return Winner::Tie,
        Liked::Left => duel.model_at(Side::Left),
        Liked::Right => duel.model_at(Side::Right),
    };
    if model == Model::First { Winner::First } else { Winner::Second }
}
