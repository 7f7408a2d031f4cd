//! `solace scoreboard`: whole systems on the same dialogues.

mod measured;
mod speed;
mod systems;
mod table;

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use command_line::{Failure, Format, Runtime, interrupt, output_place, print_json};
use esc_metrics::{Resources, Suite};
use esconv_data::StrategySet;
use llm_runtime::sha256_of;
use serde::Serialize;
use strategy_prompting::{read_rows, write_atomically};

use self::measured::Line;
use self::speed::{Speed, Speeds};
use self::systems::System;
use crate::arguments::Scoreboard;
use crate::candidates::{CANDIDATE_ROWS, CandidateRow};
use crate::judges::Judges;
use crate::plan::{self, PLAN_ROWS, PlanRow, PlannerOptions};
use crate::point::{self, Point};
use crate::rank::judge;
use crate::realise::{self, Decoding, RealiserOptions};
use crate::steps::in_a_process_of_its_own;

/// Files of the scoreboard, and of each system.
const SPEED: &str = "speed.json";
const PLAN: &str = "plan.jsonl";
const ANSWERS: &str = "answers.jsonl";

/// What stands in scoreboard.json: the same in every run on a CPU.
#[derive(Serialize)]
struct Board {
    /// Hex SHA-256 of the dialogues, with situations and answers.
    data_sha256: String,
    places: usize,
    conversations: usize,
    judges: String,
    systems: Vec<Line>,
}

/// What a system did.
struct Done {
    plan: Vec<PlanRow>,
    answers: Vec<CandidateRow>,
}

pub(crate) fn run(options: &Scoreboard, format: Format) -> Result<ExitCode, Failure> {
    output_place::check_folder(&options.out)?;
    let points = point::read(&options.places.data, options.places.turns, options.places.limit)?;
    let systems = systems::read(&options.systems)?;
    std::fs::create_dir_all(&options.out).map_err(Failure::at(&options.out))?;
    let speed_file = options.out.join(SPEED);
    if let Some(system) = options.only {
        let system = systems.get(system).ok_or_else(|| Failure::wrong_use(format!("there is no system {system}")))?;
        let is_whole = answer(options, system, &points, &mut Speeds::open(&speed_file)?)?;
        return Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(interrupt::EXIT_CODE) });
    }
    let suite = Suite::of_names(&options.corpus_metrics, &Resources::built_in()).map_err(Failure::wrong_use)?;
    if !options.resume && speed_file.exists() {
        let problem = format!(
            "{}: a scoreboard is here already: --resume to go on with it, or another --out",
            options.out.display()
        );
        return Err(Failure::work(problem));
    }
    for place in 0..systems.len() {
        let words = std::env::args_os().skip(1).chain(["--only".into(), place.to_string().into()]);
        if !in_a_process_of_its_own(words, &format!("system {} did not answer everything", place + 1))? {
            return Ok(ExitCode::from(interrupt::EXIT_CODE));
        }
    }
    let done = systems
        .iter()
        .map(|system| Done::read(&options.out.join(system.folder()), &points))
        .collect::<Result<Vec<_>, _>>()?;
    let mut judges = Judges::open(&options.judging, &options.runtime, &options.server)?;
    let mut lines = Vec::new();
    for (system, done) in systems.iter().zip(&done) {
        let journal = options.out.join(system.folder()).join("judged.jsonl");
        let Some(judged) = judge(&mut judges, &points, &done.answers, &journal, options.resume)? else {
            return Ok(ExitCode::from(interrupt::EXIT_CODE));
        };
        lines.push(measured::line(system, &points, done, &judged, &suite)?);
    }
    let board = Board::new(&points, &judges, lines)?;
    write(&options.out.join("scoreboard.json"), &format!("{}\n", serde_json::to_string_pretty(&board)?))?;
    write(&options.out.join("scoreboard.md"), &table::markdown(&board.systems))?;
    match format {
        Format::Json => print_json(&board)?,
        Format::Text => {
            println!(
                "{} answers a system, of {} conversations; 95 % intervals by conversation\n",
                board.places, board.conversations
            );
            print!("{}", table::text(&board.systems));
            print!("{}", Speeds::open(&speed_file)?.text(&systems));
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Done {
    /// In the order of the places: rows stand as they were finished, and the last digit of a mean depends on the order of its sum.
    fn read(folder: &Path, points: &[Point]) -> Result<Self, Failure> {
        let mut plan = read_rows(&folder.join(PLAN), PLAN_ROWS)?;
        let mut answers = read_rows(&folder.join(ANSWERS), CANDIDATE_ROWS)?;
        let order: HashMap<&str, usize> = points.iter().enumerate().map(|(place, point)| (point.id(), place)).collect();
        plan.sort_by_key(|row| order.get(row.point.as_str()).copied());
        answers.sort_by_key(|row| order.get(row.point.as_str()).copied());
        Ok(Self { plan, answers })
    }
}

impl Board {
    fn new(points: &[Point], judges: &Judges, systems: Vec<Line>) -> Result<Self, Failure> {
        let examples: Vec<_> = points.iter().map(|point| &point.example).collect();
        let mut conversations: Vec<&str> = points.iter().map(Point::conversation).collect();
        conversations.sort_unstable();
        conversations.dedup();
        Ok(Self {
            data_sha256: sha256_of(serde_json::to_vec(&examples)?),
            places: points.len(),
            conversations: conversations.len(),
            judges: judges.made_by(),
            systems,
        })
    }
}

/// Plans and says what a system has not said yet; `false` after an interrupt.
fn answer(options: &Scoreboard, system: &System, points: &[Point], speeds: &mut Speeds) -> Result<bool, Failure> {
    let folder = options.out.join(system.folder());
    std::fs::create_dir_all(&folder).map_err(Failure::at(&folder))?;
    let (plan_file, answer_file) = (folder.join(PLAN), folder.join(ANSWERS));
    let about = |failure: Failure| failure.about(&system.name);
    let set = StrategySet::by_name_or_path(&system.strategies)?;
    let mut speed = Speed::begin();

    let runtime =
        |adapter: &Option<std::path::PathBuf>| Runtime { adapter: adapter.clone(), ..options.runtime.clone() };
    let planner_runtime = runtime(&system.planner_adapter);
    let planning = PlannerOptions { plain: &system.plain, runtime: &planner_runtime, server: &options.server };
    let planner = system.planner()?;
    let resume = options.resume;
    let plan =
        plan::plan(&planner, points, &set, 1, planning, &plan_file, resume && plan_file.exists()).map_err(about)?;
    if plan.rows().len() < points.len() {
        return Ok(false);
    }

    let decoding =
        Decoding { temperature: options.temperature, max_new_tokens: options.max_new_tokens, seed: options.seed };
    let realiser_runtime = runtime(&system.adapter);
    let with = RealiserOptions { decoding, runtime: &realiser_runtime, server: &options.server };
    let asks = realise::asks(points, plan.rows(), 1, &plan_file)?;
    let mut realiser = realise::realiser(&system.realiser()?, with).map_err(about)?;
    let before = rows_in(&answer_file);
    speed.answers_begin();
    let answers =
        realise::realise(realiser.as_mut(), &asks, &answer_file, resume && answer_file.exists()).map_err(about)?;
    if answers.rows().len() < asks.len() {
        return Ok(false);
    }
    if before == 0 {
        let tokens = answers.rows().iter().map(|row| row.tokens).sum();
        speeds.set(&system.name, speed.end(points.len(), tokens))?;
    }
    Ok(true)
}

/// Lines of a file; what can't be read has none.
fn rows_in(path: &Path) -> usize {
    std::fs::read(path).map_or(0, |text| text.iter().filter(|byte| **byte == b'\n').count())
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let problem = |source| strategy_prompting::Error::Io { path: path.to_owned(), source };
    Ok(write_atomically(path, |writer| writer.write_all(text.as_bytes()).map_err(problem))?)
}
