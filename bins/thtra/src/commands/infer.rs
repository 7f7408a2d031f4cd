//! `thtra infer`: answers to the samples of a file, kept as they come.

use std::path::Path;
use std::process::ExitCode;

use command_line::{Failure, Format, Progress, console, interrupt, output_place, print_json};
use serde::Serialize;
use strategy_prompting::RowFile;
use thtra::{GENERATION_ROWS, Generation, Inference, QuestionSet, StrategyMode, TrainedModel};

use crate::answer_arguments::{Answers, Infer};

/// What a finished inference tells.
#[derive(Serialize)]
struct Finished<'a> {
    model: String,
    mode: Option<StrategyMode>,
    samples: usize,
    /// Of the real responses.
    perplexity: f64,
    generations: &'a Path,
}

pub(crate) fn run(options: &Infer, format: Format) -> Result<ExitCode, Failure> {
    output_place::check_file(&options.out)?;
    let (model, set) = open(&options.answers)?;
    interrupt::listen();
    let Some(rows) = answered(&options.answers, &model, &set, options.strategy, &options.out)? else {
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    };
    let loss: f64 = rows.iter().map(|row| row.loss).sum();
    let tokens: usize = rows.iter().map(|row| row.token_num).sum();
    let told = Finished {
        model: model.folder.display().to_string(),
        mode: rows.first().and_then(|row| row.mode),
        samples: rows.len(),
        perplexity: (loss / tokens as f64).exp(),
        generations: &options.out,
    };
    match format {
        Format::Json => print_json(&told)?,
        Format::Text => {
            let mode = told.mode.map_or_else(|| "none".into(), StrategyMode::name);
            println!("model        {}", told.model);
            println!("strategies   {mode}");
            println!("samples      {}", told.samples);
            println!("perplexity   {:.3} of the real responses", told.perplexity);
            println!("generations  {}", told.generations.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The model and the samples.
pub(crate) fn open(options: &Answers) -> Result<(TrainedModel, QuestionSet), Failure> {
    options.decoding.options()?;
    let lengths = options.lengths.lengths();
    lengths.check().map_err(Failure::wrong_use)?;
    let device = options.machine.device.open()?;
    let model = options.trained.open(&device)?;
    let set = QuestionSet::read(&options.data, &model, lengths, options.limit)?;
    Ok((model, set))
}

/// Answers all samples that have no answer in the file yet, and gives the answers in the order of the samples; none if it was interrupted.
pub(crate) fn answered(
    options: &Answers,
    model: &TrainedModel,
    set: &QuestionSet,
    mode: StrategyMode,
    path: &Path,
) -> Result<Option<Vec<Generation>>, Failure> {
    let inference = Inference::new(model, mode, options.decoding.options()?, options.seed)?;
    let mut rows = RowFile::open(path, options.resume, inference.maker(), GENERATION_ROWS)?;
    let samples = set.samples();
    let mut pending: Vec<usize> = (0..samples.len()).filter(|number| !rows.contains(&set.ids()[*number])).collect();
    // A batch waits for its longest sample.
    pending.sort_by_key(|number| samples[*number].encoder_ids.len());
    let mut done = samples.len() - pending.len();
    let mut bar = Progress::new("answering", done as u64, samples.len() as u64);
    for numbers in pending.chunks(options.batch_size) {
        if interrupt::was_asked() {
            bar.finish();
            console::tell(format_args!("interrupted: --resume goes on with {}", path.display()));
            return Ok(None);
        }
        for row in inference.answer(set, numbers)? {
            rows.append(row)?;
        }
        done += numbers.len();
        bar.set(done as u64);
    }
    bar.finish();
    Ok(Some(set.in_order(rows.rows())?.into_iter().cloned().collect()))
}
