//! `thtra eval`: answers to test samples, and what they are worth.

mod table;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use command_line::{Failure, Format, MetricTables, interrupt, output_place, print_json};
use esc_metrics::interval::Resampling;
use esc_metrics::{ResourceFolders, Resources};
use helpfulness::{Exchange, HelpfulnessModel};
use llm_runtime::{output_file, sha256_of_files};
use seq2seq::search::DecodingOptions;
use serde::Serialize;
use thtra::{
    Compared, Evaluated, Evaluation, Evaluator, Generation, Helpfulness, Layout, Lengths, StrategyMode, metric_names,
    open_helpfulness, read_generations,
};

use super::infer::{answered, open};
use crate::answer_arguments::{Answers, Eval};

/// The generations that count.
pub(crate) const GENERATIONS: &str = "generations.jsonl";
const GOLD_GENERATIONS: &str = "generations_gold.jsonl";
const METRICS: &str = "metrics.json";
const METRICS_LIST: &str = "metrics_list.jsonl";

/// What decides the numbers.
#[derive(Serialize)]
struct Settings {
    /// Where generations come from, if not from a model here.
    generations: Option<PathBuf>,
    inference: Option<InferenceSettings>,
    helpfulness: Option<PathBuf>,
    against: Option<PathBuf>,
    against_sha256: Option<String>,
    glove: Option<PathBuf>,
    resampling: Resampling,
}

/// How generations are made.
#[derive(Serialize)]
struct InferenceSettings {
    model: PathBuf,
    model_sha256: String,
    layout: Layout,
    data: PathBuf,
    data_sha256: String,
    lengths: Lengths,
    limit: Option<usize>,
    decoding: DecodingOptions,
    seed: u64,
}

/// `metrics.json`.
#[derive(Serialize)]
struct Report {
    settings: Settings,
    /// The first is what counts; an oracle may stand beside it.
    evaluations: Vec<Evaluation>,
    /// The other generations, and the first evaluation against them.
    against: Option<Evaluation>,
    comparison: Option<Compared>,
}

/// Sets of generations to be scored, the one that counts first.
struct Rounds {
    sets: Vec<Vec<Generation>>,
    inference: Option<InferenceSettings>,
}

pub(crate) fn run(options: &Eval, format: Format) -> Result<ExitCode, Failure> {
    let usual = Resampling::default();
    let resampling =
        Resampling::new(options.resamples, usual.confidence(), usual.seed()).map_err(Failure::wrong_use)?;
    output_place::check_folder(&options.out)?;
    let resources = resources(&options.tables)?;
    let helpfulness = options.helpfulness.as_deref().map(|folder| {
        let device = options.answers.machine.device.open()?;
        Ok::<_, Failure>(open_helpfulness(folder, options.helpfulness_encoder.as_deref(), &device)?)
    });
    let helpfulness = helpfulness.transpose()?;
    let against = options.against.as_deref().map(read_generations).transpose()?;
    interrupt::listen();
    let Some(rounds) = rounds(options)? else { return Ok(ExitCode::from(interrupt::EXIT_CODE)) };
    make_folder(options)?;

    let resources = match &options.glove {
        Some(file) => {
            let rows = rounds.sets.iter().chain(&against).flatten();
            resources.with_vectors_for(file, rows.flat_map(|row| [&row.generation, &row.response]))?
        }
        None => resources,
    };
    let evaluator = Evaluator::new(&resources, resampling)?;
    let evaluate = |rows: &Vec<Generation>| -> Result<Evaluated, Failure> {
        let numbers = helpfulness.as_ref().map(|model| numbers_of(model, rows)).transpose()?;
        Ok(evaluator.evaluate(rows, numbers)?)
    };
    let evaluated = rounds.sets.iter().map(evaluate).collect::<Result<Vec<_>, _>>()?;
    let against_evaluated = against.as_ref().map(evaluate).transpose()?;
    let comparison = match (evaluated.first(), &against_evaluated) {
        (Some(first), Some(second)) => Some(evaluator.compare(first, second)?),
        _ => None,
    };
    write_list(&options.out.join(METRICS_LIST), evaluated.first())?;
    let report = Report {
        settings: Settings {
            generations: options.generations.clone(),
            inference: rounds.inference,
            helpfulness: options.helpfulness.clone(),
            against: options.against.clone(),
            against_sha256: options.against.as_ref().map(|path| sha256_of_files(&[path])).transpose()?,
            glove: options.glove.clone(),
            resampling,
        },
        evaluations: evaluated.into_iter().map(|evaluated| evaluated.scores).collect(),
        against: against_evaluated.map(|evaluated| evaluated.scores),
        comparison,
    };
    let path = options.out.join(METRICS);
    output_file::write(&path, serde_json::to_string_pretty(&report)?).map_err(Failure::at(&path))?;
    match format {
        Format::Json => print_json(&report)?,
        Format::Text => table::print(&report, &path),
    }
    Ok(ExitCode::SUCCESS)
}

fn resources(tables: &MetricTables) -> Result<Resources, Failure> {
    let MetricTables { nltk_data, meteor, wordnet } = tables;
    let folders = ResourceFolders { nltk_data: nltk_data.clone(), meteor: meteor.clone(), wordnet: wordnet.clone() };
    Ok(Resources::find_for(&metric_names(), &folders)?)
}

/// Only when what is asked for could be read: an error leaves no empty folder.
fn make_folder(options: &Eval) -> Result<(), Failure> {
    fs::create_dir_all(&options.out).map_err(Failure::at(&options.out))
}

/// The generations of a file, or those of a model; none if it was interrupted.
fn rounds(options: &Eval) -> Result<Option<Rounds>, Failure> {
    if let Some(path) = &options.generations {
        return Ok(Some(Rounds { sets: vec![read_generations(path)?], inference: None }));
    }
    let (model, set) = open(&options.answers)?;
    make_folder(options)?;
    let has_strategies = model.layout != Layout::Vanilla;
    let gold = (!options.no_gold && has_strategies && options.strategy != StrategyMode::Gold)
        .then_some((StrategyMode::Gold, GOLD_GENERATIONS));
    let mut sets = Vec::new();
    for (mode, file) in std::iter::once((options.strategy, GENERATIONS)).chain(gold) {
        match answered(&options.answers, &model, &set, mode, &options.out.join(file))? {
            Some(rows) => sets.push(rows),
            None => return Ok(None),
        }
    }
    let Answers { data, lengths, limit, decoding, seed, .. } = &options.answers;
    let inference = InferenceSettings {
        model: model.folder,
        model_sha256: model.sha256,
        layout: model.layout,
        data: data.clone(),
        data_sha256: set.sha256,
        lengths: lengths.lengths(),
        limit: *limit,
        decoding: decoding.options()?,
        seed: *seed,
    };
    Ok(Some(Rounds { sets, inference: Some(inference) }))
}

/// How helpful generations and real responses are.
fn numbers_of(model: &HelpfulnessModel, rows: &[Generation]) -> Result<Helpfulness<Vec<f64>>, Failure> {
    let score = |text: fn(&Generation) -> &str| -> Result<Vec<f64>, Failure> {
        let exchanges: Vec<Exchange<'_>> = rows
            .iter()
            .map(|row| Exchange { situation: &row.situation, context: &row.context, response: text(row) })
            .collect();
        Ok(model.score(&exchanges)?.into_iter().map(|score| f64::from(score.helpfulness)).collect())
    };
    Ok(Helpfulness { generations: score(|row| &row.generation)?, responses: score(|row| &row.response)? })
}

/// The scores of each generation that counts, one a line.
fn write_list(path: &Path, evaluated: Option<&Evaluated>) -> Result<(), Failure> {
    let mut lines = Vec::new();
    for row in evaluated.into_iter().flat_map(Evaluated::samples) {
        writeln!(lines, "{}", serde_json::to_string(&row)?).map_err(Failure::at(path))?;
    }
    output_file::write(path, lines).map_err(Failure::at(path))
}
