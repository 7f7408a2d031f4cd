//! `persuasion demo`: what preferences teach, on built-in pairs and the built-in model.

mod corpus;
mod judged;
mod space;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use command_line::{Failure, Format, interrupt, open_run, print_json};
use persuasion::report::{RunFiles, SampleRows, StudyFiles, run_page, study_page, write_page};
use serde::Serialize;
use training::{Control, End};

use self::corpus::Preferred;
use self::judged::{Stage, Worth, judge};
use super::search::{self, SearchOutcome};
use super::train::{Workbench, fit};
use crate::arguments::{Arguments, Command};
use crate::demo_arguments::Demo;
use crate::train_arguments::Setup;

/// What every training of the demonstration is given.
const SETUP: &str = "--model demo --template bare --max-length 128 --max-prompt-length 64 --device cpu --evaluation-batch 16 \
                     --max-new-tokens 40 --targets all-linear";
/// All replies, good and bad.
const PFT: &str =
    "--method pft --epochs 1 --learning-rate 2e-3 --micro-batch 8 --accumulate 1 --schedule cosine --generate 0";
/// Which of them are better.
const DPO: &str = "--epochs 1 --learning-rate 3e-4 --micro-batch 4 --accumulate 2 --beta 0.1 --generate 4";
/// Short runs for the search.
const TRIAL: &str = "--epochs 1 --learning-rate 3e-4 --micro-batch 4 --accumulate 1 --beta 0.1 --limit 192 --evaluate-every 12 \
                     --generate 0 --sample-table off";

/// What a seed gave.
#[derive(Serialize)]
struct Trained {
    seed: u64,
    stages: Vec<Worth>,
}

/// What the demonstration found.
#[derive(Serialize)]
struct Found {
    trained: Vec<Trained>,
    /// Reward accuracies of the search on validation pairs.
    search: Option<SearchOutcome>,
    seconds: f64,
}

pub(crate) fn run(options: &Demo, format: Format) -> Result<ExitCode, Failure> {
    let begun = Instant::now();
    check_out(options.out.as_deref())?;
    interrupt::listen();
    let scratch = tempfile::tempdir().map_err(Failure::work)?;
    let folder = options.out.as_deref().unwrap_or(scratch.path());
    let pairs = folder.join("pairs");
    corpus::write(&pairs, Preferred::Support, options.pairs, options.held_out)?;
    let mut trained = Vec::new();
    for seed in 1..=options.seeds {
        let Some(stages) = trainings(&folder.join(format!("seed-{seed}")), &pairs, seed)? else {
            return Ok(ExitCode::from(interrupt::EXIT_CODE));
        };
        trained.push(Trained { seed, stages });
    }
    let search = match options.trials {
        0 => None,
        trials => {
            let harder = folder.join("harder-pairs");
            corpus::write(&harder, Preferred::Understanding, options.pairs, options.held_out)?;
            search(folder, &harder, trials)?
        }
    };
    if interrupt::was_asked() {
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    }
    let found = Found { trained, search, seconds: begun.elapsed().as_secs_f64() };
    match format {
        Format::Json => print_json(&found)?,
        Format::Text => print(&found, options),
    }
    Ok(ExitCode::SUCCESS)
}

/// A demonstration is shown from its beginning: what is there stays as it is.
fn check_out(out: Option<&Path>) -> Result<(), Failure> {
    let Some(out) = out else { return Ok(()) };
    let is_new = std::fs::read_dir(out).map_or(true, |mut entries| entries.next().is_none());
    if is_new {
        return Ok(());
    }
    Err(Failure::wrong_use(format!("--out {}: the folder is not empty; name another one", out.display())))
}

/// Both trainings of a seed, and what base model and stages are worth; `None` if it was interrupted.
fn trainings(folder: &Path, pairs: &Path, seed: u64) -> Result<Option<Vec<Worth>>, Failure> {
    let (pft, dpo) = (folder.join("pft"), folder.join("dpo"));
    if train(&pft, pairs, &format!("{PFT} --seed {seed}"), &[])?.is_none() {
        return Ok(None);
    }
    let start = ["--init-adapter".into(), pft.display().to_string()];
    let Some(bench) = train(&dpo, pairs, &format!("{DPO} --seed {seed}"), &start)? else { return Ok(None) };
    let page = run_page(&RunFiles::read(&dpo)?, SampleRows::default());
    write_page(&dpo.join("report.html"), &page)?;
    let stages = [Stage::Base, Stage::Pft, Stage::Dpo];
    Ok(Some(stages.into_iter().map(|stage| judge(stage, &bench, pairs, seed)).collect::<Result<_, _>>()?))
}

/// `persuasion train` with these options in a new folder; `None` if it was interrupted.
fn train(out: &Path, pairs: &Path, own: &str, more: &[String]) -> Result<Option<Workbench>, Failure> {
    let setup = setup(pairs, own, more)?;
    let mut bench = Workbench::open(&setup)?;
    let settings = bench.settings(&setup)?;
    let run = open_run(out, false, &settings)?;
    bench.ask_reference(&setup)?;
    bench.begin_adapter(&setup, &settings)?;
    let fitted = fit(&bench, &setup, &settings, &run, false, &mut |_| Ok(Control::Continue))?;
    Ok((fitted.summary.end != End::Stopped).then_some(bench))
}

/// What a command line of `persuasion train` says.
fn setup(pairs: &Path, own: &str, more: &[String]) -> Result<Setup, Failure> {
    let pairs = pairs.display().to_string();
    let words = ["persuasion", "train", "--out", "unused", "--data", &pairs].into_iter().map(str::to_owned);
    let words = words.chain(SETUP.split_whitespace().chain(own.split_whitespace()).map(str::to_owned));
    match Arguments::try_parse_from(words.chain(more.iter().cloned())).map_err(Failure::Clap)?.command {
        Command::Train(train) => Ok(train.setup),
        _ => Err(Failure::work("the demonstration's command line trains nothing")),
    }
}

/// A search over short runs of DPO.
fn search(folder: &Path, pairs: &Path, trials: u64) -> Result<Option<SearchOutcome>, Failure> {
    let (study, space) = (folder.join("study"), folder.join("space.toml"));
    std::fs::write(&space, space::SPACE).map_err(Failure::at(&space))?;
    let paths = [("--data", pairs), ("--study", study.as_path()), ("--space", space.as_path())];
    let paths = paths.into_iter().flat_map(|(name, path)| [name.to_owned(), path.display().to_string()]);
    let fixed = format!("--trials {trials} --startup-trials 4 --pruner-startup 2");
    let fixed: Vec<&str> = [SETUP, TRIAL, &fixed].into_iter().flat_map(str::split_whitespace).collect();
    let words = ["persuasion", "search"].into_iter().chain(fixed).map(str::to_owned).chain(paths);
    let Command::Search(options) = Arguments::try_parse_from(words).map_err(Failure::Clap)?.command else {
        return Err(Failure::work("the demonstration's command line searches nothing"));
    };
    let results = search::search(&options)?;
    if interrupt::was_asked() {
        return Ok(None);
    }
    write_page(&study.join("report.html"), &study_page(&StudyFiles::read(&study)?))?;
    Ok(results.outcome())
}

fn print(found: &Found, options: &Demo) {
    println!(
        "{:>4}  {:<22} {:>15} {:>8} {:>12} {:>12}",
        "seed", "model", "reward accuracy", "margin", "unhelpful %", "perplexity"
    );
    for Trained { seed, stages } in &found.trained {
        for worth in stages {
            let reward = worth.reward_accuracy.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"));
            let margin = worth.margin.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"));
            println!(
                "{seed:>4}  {:<22} {reward:>15} {margin:>8} {:>12.1} {:>12.2}",
                worth.model, worth.unhelpful, worth.perplexity
            );
        }
    }
    if let Some(SearchOutcome { best, complete, pruned }) = &found.search {
        let worst = complete.iter().copied().fold(f64::INFINITY, f64::min);
        println!(
            "search             reward accuracy on harder pairs: {worst:.3} to {best:.3} in {} complete trials; {pruned} pruned",
            complete.len()
        );
    }
    println!("time               {:.0} s", found.seconds);
    if let Some(out) = &options.out {
        println!("pages              {}/seed-1/dpo/report.html, {0}/study/report.html", out.display());
    }
}
