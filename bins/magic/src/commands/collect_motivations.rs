//! `magic collect-motivations`: a chat model says why each strategy was chosen.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use command_line::{AnyModel, Delivery, Failure, Format, Progress, interrupt, is_remote, output_place, print_json};
use llm_runtime::{RunStatistics, TextModel};
use magic::{
    Collected, Dialogue, Indent, MOTIVATION_JOURNAL, MOTIVATION_ROWS, MOTIVATIONS_FILE, MotivationItem, MotivationRow,
    OfflineModel, Task, collect_motivations, in_order, made_by, motivation_items, of_items, read_motivations,
    write_json,
};
use serde::Serialize;
use strategy_prompting::RowFile;

use super::gaps;
use crate::arguments::{Backend, CollectMotivations};

/// Time between two requests, as published.
const PUBLISHED_DELAY: Duration = Duration::from_secs(3);

/// How the collection stands at its end.
#[derive(Serialize)]
struct Summary {
    file: PathBuf,
    journal: PathBuf,
    turns: usize,
    collected: usize,
    missing: usize,
    /// Of those that are missing, what was refused in this run.
    failed: usize,
    /// Motivations that lack something the prompt asks for.
    flagged: BTreeMap<&'static str, usize>,
    statistics: RunStatistics,
}

pub(crate) fn run(options: &CollectMotivations, format: Format) -> Result<ExitCode, Failure> {
    let template = options.template.load(Task::Collection)?;
    let generation = options.generation()?;
    output_place::check_folder(&options.out_dir)?;
    let items = motivation_items(&Dialogue::read_all(&options.train_file_path)?, &template);
    let mut model = model(options, &generation, items.len())?;
    std::fs::create_dir_all(&options.out_dir).map_err(Failure::at(&options.out_dir))?;
    let (journal, file) = (options.out_dir.join(MOTIVATION_JOURNAL), options.out_dir.join(MOTIVATIONS_FILE));
    let maker = made_by(model.as_ref(), &generation);
    let rows = RowFile::open(&journal, options.resume, &maker, MOTIVATION_ROWS).map_err(magic::Error::from)?;

    interrupt::listen();
    let mut collection = Collection::new(rows, &items);
    let pending: Vec<&MotivationItem> = items.iter().filter(|item| !collection.rows.contains(&item.id())).collect();
    let collected = collect_motivations(&pending, model.as_mut(), &generation, &mut |news| collection.take(news));
    collection.bar.finish();

    // Written whatever happened, so that the two files never contradict each other. What went wrong first is the error to tell.
    let motivations = in_order(&items, collection.rows.rows());
    let written = write_json(&file, &motivations, Indent::Four);
    let statistics = collected?;
    written?;
    let summary = collection.summary(file, journal, &items, statistics);
    match format {
        Format::Json => print_json(&summary)?,
        Format::Text => print(&summary),
    }
    Ok(gaps::exit_code(&summary.file, summary.missing, "motivations", collection.first_failure.as_deref()))
}

fn model(
    options: &CollectMotivations,
    generation: &llm_runtime::GenerationOptions,
    items: usize,
) -> Result<Box<dyn TextModel>, Failure> {
    match (options.backend, &options.answers) {
        (Backend::Model, None) => {
            let mut server = options.server.clone();
            if is_remote(&options.model) {
                server.min_delay.get_or_insert(PUBLISHED_DELAY);
            }
            let model = AnyModel::load(&options.model, &options.runtime, &server, Delivery::Whole)?;
            model.check(generation)?;
            Ok(Box::new(model))
        }
        (Backend::Echo, None) => Ok(Box::new(OfflineModel::Echo)),
        (Backend::File, Some(path)) => Ok(Box::new(OfflineModel::Answers(answers(path, items)?))),
        (Backend::File, None) => Err(Failure::wrong_use("--backend file needs --answers FILE")),
        (_, Some(_)) => Err(Failure::wrong_use("--answers is about --backend file")),
    }
}

/// Answers from elsewhere, as many as there are turns to be explained.
fn answers(path: &Path, items: usize) -> Result<Vec<Option<String>>, magic::Error> {
    let answers = read_motivations(path)?;
    if answers.len() != items {
        return Err(magic::Error::Length {
            path: path.to_owned(),
            found: answers.len(),
            what: "answers",
            expected: items,
            of: "supporter turns to be explained".into(),
        });
    }
    Ok(answers)
}

/// A collection under way.
struct Collection {
    rows: RowFile<MotivationRow>,
    bar: Progress,
    done: usize,
    failed: usize,
    first_failure: Option<String>,
}

impl Collection {
    fn new(rows: RowFile<MotivationRow>, items: &[MotivationItem]) -> Self {
        let done = of_items(items, rows.rows()).len();
        let bar = Progress::new("collecting", done as u64, items.len() as u64);
        Self { rows, bar, done, failed: 0, first_failure: None }
    }

    fn take(&mut self, news: Collected) -> Result<ControlFlow<()>, magic::Error> {
        match news {
            Collected::Row(row) => {
                self.rows.append(row)?;
                self.done += 1;
            }
            Collected::Failed { index, reason } => {
                self.failed += 1;
                self.first_failure.get_or_insert_with(|| format!("turn {index}: {reason}"));
            }
            Collected::Waiting => {}
        }
        self.bar.set((self.done + self.failed) as u64);
        Ok(if interrupt::was_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn summary(&self, file: PathBuf, journal: PathBuf, items: &[MotivationItem], statistics: RunStatistics) -> Summary {
        let rows = of_items(items, self.rows.rows());
        let count = |fails: fn(&MotivationRow) -> bool| rows.iter().filter(|row| fails(row)).count();
        let flagged = BTreeMap::from([
            ("do not name their strategy in brackets", count(|row| !row.checks.names_strategy)),
            ("have more than 40 words", count(|row| !row.checks.is_short)),
            ("have several lines", count(|row| !row.checks.is_one_line)),
            ("were cut at the longest length", count(|row| !row.checks.is_whole)),
        ]);
        let (turns, collected) = (items.len(), rows.len());
        let missing = turns - collected;
        Summary { file, journal, turns, collected, missing, failed: self.failed, flagged, statistics }
    }
}

fn print(summary: &Summary) {
    let Summary { file, collected, turns, statistics, .. } = summary;
    println!("{}: {collected} motivations of {turns}", file.display());
    for (what, count) in summary.flagged.iter().filter(|(_, count)| **count > 0) {
        println!("{count} {what}");
    }
    if statistics.attempts > 0 {
        let RunStatistics { attempts, prompt_tokens, generated_tokens, .. } = statistics;
        println!("the server was asked {attempts} times: {prompt_tokens} prompt tokens, {generated_tokens} new ones");
    }
    if let Some(cost) = statistics.cost {
        println!("cost {cost:.4}");
    }
}
