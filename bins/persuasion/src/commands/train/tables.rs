//! What a run writes down of its pairs: texts once, numbers at each evaluation, generated replies.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use command_line::Failure;
use dpo::{PairSample, PreferencePair};
use llm_runtime::Tokenizer;
use serde::Serialize;
use serde_json::{Value, json};
use training::RunDir;

use super::workbench::Part;
use crate::written_replies::prompt_text;

/// Texts by example.
pub(super) const PAIRS_FILE: &str = "pairs.jsonl";
/// Numbers by example and evaluation.
pub(super) const SAMPLES_FILE: &str = "samples.jsonl";
/// Generated replies by example and evaluation.
pub(super) const GENERATIONS_FILE: &str = "generations.jsonl";

/// When something was.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) step: u64,
    pub(crate) epoch: f64,
}

/// A generated reply.
pub(crate) struct Generation<'a> {
    pub(crate) pair: &'a PreferencePair,
    pub(crate) text: &'a str,
    pub(crate) finish_reason: &'a str,
}

/// The tables of a run.
pub(crate) struct Tables {
    folder: PathBuf,
    samples: File,
    generations: File,
}

impl Tables {
    /// Opens them. A run that is resumed keeps what it told up to its checkpoint, which is `after`.
    pub(crate) fn open(run: &RunDir, after: Option<u64>) -> Result<Self, Failure> {
        let folder = run.outputs();
        let open = |name: &str| -> Result<File, Failure> {
            let path = folder.join(name);
            keep_until(run, name, after)?;
            OpenOptions::new().create(true).append(true).open(&path).map_err(failed(&path))
        };
        Ok(Self { samples: open(SAMPLES_FILE)?, generations: open(GENERATIONS_FILE)?, folder })
    }

    /// Writes the texts of all pairs.
    pub(crate) fn write_pairs(&self, run: &RunDir, parts: &[(&str, &Part)]) -> Result<(), Failure> {
        let mut text = Vec::new();
        for (split, part) in parts {
            for pair in &part.pairs {
                let row = json!({
                    "example_id": pair.id, "split": split, "group": pair.group,
                    "prompt": prompt_text(&pair.prompt), "chosen": pair.chosen, "rejected": pair.rejected,
                });
                write_row(&mut text, &row).map_err(failed(&self.folder))?;
            }
        }
        run.write(&format!("outputs/{PAIRS_FILE}"), &text)?;
        Ok(())
    }

    /// Adds what pairs gave; `kind` is train or eval.
    pub(crate) fn add_samples(
        &mut self,
        kind: &str,
        at: Moment,
        part: &Part,
        samples: &[PairSample],
        tokenizer: &Tokenizer,
    ) -> std::io::Result<()> {
        let mut text = Vec::new();
        for sample in samples {
            let Some(pair) = part.pairs.get(sample.example) else { continue };
            let mut row = serde_json::to_value(sample)?;
            if let Value::Object(fields) = &mut row {
                fields.remove("example");
                fields.insert("example_id".into(), json!(pair.id));
                fields.insert("type".into(), json!(kind));
                fields.insert("step".into(), json!(at.step));
                fields.insert("epoch".into(), json!(at.epoch));
                let predicted = |ids: &[u32]| json!(tokenizer.decode_text(ids));
                fields.insert("policy_chosen_pred_text".into(), predicted(&sample.chosen_predicted));
                fields.insert("policy_rejected_pred_text".into(), predicted(&sample.rejected_predicted));
            }
            write_row(&mut text, &row)?;
        }
        self.samples.write_all(&text)
    }

    /// Adds generated replies.
    pub(crate) fn add_generations(&mut self, at: Moment, generations: &[Generation<'_>]) -> std::io::Result<()> {
        let mut text = Vec::new();
        for Generation { pair, text: reply, finish_reason } in generations {
            let row = json!({
                "example_id": pair.id, "epoch": at.epoch, "step": at.step, "prompt": prompt_text(&pair.prompt),
                "generated_text": reply, "chosen": pair.chosen, "rejected": pair.rejected,
                "finish_reason": finish_reason,
            });
            write_row(&mut text, &row)?;
        }
        self.generations.write_all(&text)
    }
}

fn write_row(text: &mut Vec<u8>, row: &impl Serialize) -> std::io::Result<()> {
    serde_json::to_writer(&mut *text, row)?;
    text.push(b'\n');
    Ok(())
}

/// Takes out what a row file tells of later steps, and a torn last row. Without `after` nothing is kept.
fn keep_until(run: &RunDir, name: &str, after: Option<u64>) -> Result<(), Failure> {
    let path = run.outputs().join(name);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(&path)(error)),
    };
    // As bytes: a row may be torn within a letter.
    let is_kept = |line: &&[u8]| {
        let row: Option<Value> = serde_json::from_slice(line).ok();
        let step = row.and_then(|row| row["step"].as_u64());
        step.zip(after).is_some_and(|(step, after)| step <= after)
    };
    let kept: Vec<&[u8]> =
        text.split(|byte| *byte == b'\n').filter(is_kept).flat_map(|line| [line, &b"\n"[..]]).collect();
    Ok(run.write(&format!("outputs/{name}"), &kept.concat())?)
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> Failure + '_ {
    move |error| Failure::work(format!("{}: {error}", path.display()))
}
