//! What the models of a run are worth, side by side.

use std::path::Path;

use command_line::Failure;
use esc_metrics::text_table::shown;
use serde::Serialize;
use serde_json::Value;

use super::plan::Stage;
use super::record::Record;

const FILE: &str = "comparison.json";
/// Scores of an evaluation that are compared; all are in its own file.
const SCORES: [&str; 6] = ["bleu-2", "bleu-4", "rouge-l", "f1", "distinct-2", "length"];

/// The table of a run.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    /// Each model by the strategies that it chooses itself.
    models: Vec<Model>,
    /// How long each stage took, in seconds.
    stages: Vec<(String, f64)>,
}

/// A model's numbers on the test samples.
#[derive(Debug, Serialize)]
struct Model {
    name: String,
    /// By name; what has no value for a model is left out.
    values: Vec<(String, f64)>,
}

/// Reads the evaluations of the models and writes them into one file.
pub(super) fn read<'a>(
    out: &Path,
    models: impl Iterator<Item = &'a str>,
    stages: &[Stage],
    record: &Record,
) -> Result<Comparison, Failure> {
    let models = models.map(|name| model(out, name)).collect::<Result<_, Failure>>()?;
    let seconds = |stage: &Stage| Some((stage.name.clone(), record.of(stage)?.seconds));
    let compared = Comparison { models, stages: stages.iter().filter_map(seconds).collect() };
    let path = out.join(FILE);
    std::fs::write(&path, serde_json::to_string_pretty(&compared)?).map_err(Failure::at(&path))?;
    Ok(compared)
}

fn model(out: &Path, name: &str) -> Result<Model, Failure> {
    let path = out.join("eval").join(name).join("metrics.json");
    let bytes = std::fs::read(&path).map_err(Failure::at(&path))?;
    let report: Value =
        serde_json::from_slice(&bytes).map_err(|error| Failure::work(format!("{}: {error}", path.display())))?;
    let first = &report["evaluations"][0];
    let strategies = &first["strategies"]["top_k"];
    let scores = SCORES.map(|wanted| {
        let found = first["scores"].as_array().into_iter().flatten().find(|row| row["name"] == wanted);
        (wanted, found.and_then(|row| row["value"].as_f64()))
    });
    let values = [
        ("perplexity", first["perplexity"]["value"].as_f64()),
        ("strategy-top-1", strategies[0]["mean"].as_f64().map(|share| 100.0 * share)),
        ("strategy-top-3", strategies[2]["mean"].as_f64().map(|share| 100.0 * share)),
        ("helpfulness", first["helpfulness"]["generations"]["mean"].as_f64()),
    ];
    let values = values.into_iter().chain(scores).filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Ok(Model { name: name.to_owned(), values: values.collect() })
}

pub(super) fn print(compared: &Comparison) {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in compared.models.iter().flat_map(|model| &model.values) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let width = compared.models.iter().map(|model| model.name.len()).max().unwrap_or(0).max(10);
    print!("{:<16}", "");
    compared.models.iter().for_each(|model| print!(" {:>width$}", model.name));
    println!();
    for name in names {
        print!("{name:<16}");
        for model in &compared.models {
            let value = model.values.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
            print!(" {:>width$}", value.map_or("-".to_owned(), shown));
        }
        println!();
    }
    let total: f64 = compared.stages.iter().map(|(_, seconds)| seconds).sum();
    println!(
        "\nstrategies as each model chooses them; intervals and oracles are in eval/*/metrics.json. {total:.0} s in all"
    );
}
