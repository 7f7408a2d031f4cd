//! `magic eval`: responses to test samples, and what they are worth.

mod answering;
mod round;
mod table;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use command_line::{Failure, Format, MetricTables, console, interrupt, output_place, print_json};
use esc_metrics::classification::{Averaged, ClassificationReport, Labelled};
use esc_metrics::interval::Resampling;
use esc_metrics::{ComparedRow, ResourceFolders, Resources};
use llm_runtime::sha256_of_files;
use magic::{
    Evaluated, Evaluation, Evaluator, Indent, RESPONSE_ROWS, ResponseGenerator, ResponseRow, Sample, Strategy,
    metric_names, write_json,
};
use seq2seq::search::DecodingOptions;
use serde::Serialize;
use strategy_prompting::RowFile;

use self::answering::Answering;
use self::round::Round;
use crate::generator_arguments::Eval;

const RESPONSES: &str = "responses.jsonl";
const METRICS: &str = "metrics.json";
/// Spelt right, where the published code writes `response_lables.txt`.
const LABELS: &str = "response_labels.txt";

/// What decides the numbers.
#[derive(Serialize)]
struct Settings {
    generator: PathBuf,
    generator_sha256: String,
    test_data: PathBuf,
    test_sha256: String,
    inferred: Option<PathBuf>,
    limit: Option<usize>,
    ref_cleanup: bool,
    decoding: DecodingOptions,
    resampling: Resampling,
}

/// `metrics.json`.
#[derive(Serialize)]
struct Report {
    settings: Settings,
    evaluations: Vec<Evaluation>,
    /// The first evaluation against the second.
    comparison: Option<Vec<ComparedRow>>,
    /// Inferred strategies against those of the test file.
    inferred_strategies: Option<ClassificationReport>,
}

pub(crate) fn run(options: &Eval, format: Format) -> Result<ExitCode, Failure> {
    let (evaluator, resampling) = evaluator(options)?;
    output_place::check_folder(&options.out)?;
    let device = options.machine.device.open()?;
    let generator = ResponseGenerator::open(&options.model_path, &device)?;
    check_profile(options, &generator)?;
    let rounds = round::read(options, &generator)?;
    let settings = settings(options, &generator, resampling)?;

    fs::create_dir_all(&options.out).map_err(Failure::at(&options.out))?;
    let path = options.out.join(RESPONSES);
    let maker = format!("{} {}", settings.generator_sha256, serde_json::to_string(&settings.decoding)?);
    let mut rows = RowFile::open(&path, options.resume, &maker, RESPONSE_ROWS)?;
    interrupt::listen();
    for round in &rounds {
        let answering = Answering { generator: &generator, decoding: &settings.decoding, maker: &maker, round };
        if !answering.answer(options.batch_size, &mut rows)? {
            console::tell(format_args!("interrupted: --resume goes on with {}", path.display()));
            return Ok(ExitCode::from(interrupt::EXIT_CODE));
        }
    }

    let report = report(options, settings, &evaluator, &rounds, rows.rows())?;
    let path = options.out.join(METRICS);
    write_json(&path, &report, Indent::Two)?;
    match format {
        Format::Json => print_json(&report)?,
        Format::Text => table::print(&report, &path),
    }
    Ok(ExitCode::SUCCESS)
}

fn evaluator(options: &Eval) -> Result<(Evaluator, Resampling), Failure> {
    let MetricTables { nltk_data, meteor, wordnet } = &options.tables;
    let folders = ResourceFolders { nltk_data: nltk_data.clone(), meteor: meteor.clone(), wordnet: wordnet.clone() };
    let resources = Resources::find_for(&metric_names(), &folders)?;
    let usual = Resampling::default();
    let resampling =
        Resampling::new(options.resamples, usual.confidence(), usual.seed()).map_err(Failure::wrong_use)?;
    Ok((Evaluator::new(&resources, resampling, options.ref_cleanup)?, resampling))
}

fn check_profile(options: &Eval, generator: &ResponseGenerator) -> Result<(), Failure> {
    let found = generator.settings.profile;
    match options.profile {
        Some(wanted) if wanted != found => Err(Failure::wrong_use(format!(
            "{}: the generator was trained with --profile {}",
            generator.folder.display(),
            found.name()
        ))),
        _ => Ok(()),
    }
}

fn settings(options: &Eval, generator: &ResponseGenerator, resampling: Resampling) -> Result<Settings, Failure> {
    let decoding = options.decoding.options(generator.generator.config().eos_id, 1)?;
    Ok(Settings {
        generator: generator.folder.clone(),
        generator_sha256: generator.sha256()?,
        test_data: options.test_data.clone(),
        test_sha256: sha256_of_files(&[&options.test_data])?,
        inferred: options.inferred.clone(),
        limit: options.limit,
        ref_cleanup: options.ref_cleanup,
        decoding,
        resampling,
    })
}

fn report(
    options: &Eval,
    settings: Settings,
    evaluator: &Evaluator,
    rounds: &[Round],
    rows: &[ResponseRow],
) -> Result<Report, Failure> {
    let Some(given) = rounds.first() else { return Err(Failure::work("there is nothing to answer")) };
    write_lines(&options.out.join(LABELS), given.samples.iter().map(|sample| sample.response.as_str()))?;
    let strategies: Vec<Strategy> = given.samples.iter().map(|sample| sample.strategy).collect();
    let mut evaluated: Vec<Evaluated> = Vec::with_capacity(rounds.len());
    for round in rounds {
        let responses = round.responses(rows)?;
        let path = options.out.join(format!("responses_{}.txt", round.name));
        write_lines(&path, responses.iter().map(|row| row.response.as_str()))?;
        evaluated.push(evaluator.evaluate(round.name, &round.samples, &strategies, &round.dialogues(), &responses)?);
    }
    let comparison = match evaluated.as_slice() {
        [first, second] => Some(evaluator.compare(first, second, &given.dialogues())?),
        _ => None,
    };
    let inferred_strategies = rounds.get(1).map(|inferred| agreement(&given.samples, &inferred.samples)).transpose()?;
    let evaluations = evaluated.into_iter().map(|evaluated| evaluated.scores).collect();
    Ok(Report { settings, evaluations, comparison, inferred_strategies })
}

/// One text a line, as the tools of others read them.
fn write_lines<'a>(path: &Path, texts: impl Iterator<Item = &'a str>) -> Result<(), Failure> {
    let mut file = Vec::new();
    for text in texts {
        writeln!(file, "{}", text.replace(['\n', '\r'], " ")).map_err(Failure::at(path))?;
    }
    fs::write(path, file).map_err(Failure::at(path))
}

fn agreement(given: &[Sample], inferred: &[Sample]) -> Result<ClassificationReport, Failure> {
    let names: Vec<String> = Strategy::ALL.map(|strategy| strategy.name().to_owned()).to_vec();
    let ids = |samples: &[Sample]| samples.iter().map(|sample| sample.strategy.id()).collect::<Vec<_>>();
    let (gold, predicted) = (ids(given), ids(inferred));
    Ok(Labelled::new(&names, &gold, &predicted)?.report(Averaged::default()))
}
