//! The tables of a run as the published dashboards show them: one row has the texts beside the numbers.

use std::collections::HashMap;
use std::path::Path;

use command_line::Failure;
use llm_runtime::input_file;
use serde_json::{Map, Value};
use training::RunDir;
use training::tracking::{MOST_TABLE_ROWS, Table};

use super::tables::{GENERATIONS_FILE, PAIRS_FILE, SAMPLES_FILE};

const SAMPLES: &str = "sample_level_metrics_table_data";
const SAMPLE_COLUMNS: [&str; 14] = [
    "example_id",
    "type",
    "epoch",
    "step",
    "prompt",
    "loss",
    "chosen_reward",
    "rejected_reward",
    "policy_logps_chosen",
    "policy_logps_rejected",
    "chosen",
    "rejected",
    "policy_chosen_pred_text",
    "policy_rejected_pred_text",
];
const GENERATIONS: &str = "eval_sample_gen_txt_table_data";
const GENERATION_COLUMNS: [&str; 6] = ["example_id", "epoch", "prompt", "generated_text", "chosen", "rejected"];

/// The tables of a run that has ended, by name; of long ones the newest rows that a dashboard takes. A table without rows is left out.
pub(super) fn published(run: &RunDir) -> Result<Vec<(&'static str, Table)>, Failure> {
    let folder = run.outputs();
    let texts = rows(&folder.join(PAIRS_FILE))?;
    let texts: HashMap<String, &Map<String, Value>> = texts.iter().map(|row| (key(row, "split"), row)).collect();
    let mut tables = Vec::new();
    for (name, file, columns) in
        [(SAMPLES, SAMPLES_FILE, &SAMPLE_COLUMNS[..]), (GENERATIONS, GENERATIONS_FILE, &GENERATION_COLUMNS[..])]
    {
        let rows = rows(&folder.join(file))?;
        let newest = &rows[rows.len().saturating_sub(MOST_TABLE_ROWS)..];
        let cells = |row: &Map<String, Value>| {
            let texts = texts.get(&key(row, "type"));
            let cell = |column: &&str| row.get(*column).or_else(|| texts?.get(*column)).cloned().unwrap_or_default();
            columns.iter().map(cell).collect()
        };
        let table = Table {
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            rows: newest.iter().map(cells).collect(),
        };
        if !table.rows.is_empty() {
            tables.push((name, table));
        }
    }
    Ok(tables)
}

/// What names a pair in both parts: its part and its id.
fn key(row: &Map<String, Value>, part: &str) -> String {
    let is_learned = row.get(part).and_then(Value::as_str) == Some("train");
    format!("{is_learned} {}", row.get("example_id").unwrap_or(&Value::Null))
}

fn rows(path: &Path) -> Result<Vec<Map<String, Value>>, Failure> {
    let text = input_file::read_text(path).map_err(Failure::at(path))?;
    let parse = |(number, line)| {
        let problem = |error| Failure::work(format!("{}: line {}: {error}", path.display(), number + 1));
        serde_json::from_str(line).map_err(problem)
    };
    text.lines().enumerate().map(parse).collect()
}
