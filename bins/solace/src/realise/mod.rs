//! `solace realise`: what was planned becomes text.

mod generators;
mod language_model;
mod realiser;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use command_line::{Failure, Format, Progress, interrupt, output_place, print_json};
use serde::Serialize;
use strategy_prompting::{RowFile, read_rows};

pub(crate) use self::language_model::Prompting;
pub(crate) use self::realiser::{Ask, Decoding, Realiser, RealiserOptions, Said, realiser};
use crate::arguments::Realise;
use crate::candidates::{CANDIDATE_ROWS, CandidateRow, candidate_id};
use crate::plan::{PLAN_ROWS, PlanRow};
use crate::point::{self, Point};

/// Temperature where several different candidates are wanted.
const DRAWN: f32 = 0.7;

/// What was said.
#[derive(Serialize)]
struct Summary {
    places: usize,
    candidates: usize,
    expected: usize,
}

pub(crate) fn run(options: &Realise, format: Format) -> Result<ExitCode, Failure> {
    output_place::check_file(&options.out)?;
    let points = point::read(&options.places.data, options.places.turns, options.places.limit)?;
    let plan = read_rows(&options.plan, PLAN_ROWS)?;
    let decoding = Decoding {
        temperature: options.temperature.unwrap_or(if options.candidates > 1 { DRAWN } else { 0.0 }),
        max_new_tokens: options.max_new_tokens,
        seed: options.seed,
    };
    let realising = RealiserOptions { decoding, runtime: &options.runtime, server: &options.server };
    let asks = asks(&points, &plan, options.candidates, &options.plan)?;
    let mut realiser = realiser(&options.realiser, realising)?;
    let rows = realise(realiser.as_mut(), &asks, &options.out, options.resume)?;
    let summary = Summary { places: points.len(), candidates: rows.rows().len(), expected: asks.len() };
    match format {
        Format::Json => print_json(&summary)?,
        Format::Text => {
            println!("{}: {} of {} candidates", options.out.display(), summary.candidates, summary.expected)
        }
    }
    Ok(if summary.candidates < summary.expected { ExitCode::from(interrupt::EXIT_CODE) } else { ExitCode::SUCCESS })
}

/// What is to be said, in the order of the places.
///
/// # Errors
/// A place has no plan.
pub(crate) fn asks<'a>(
    points: &'a [Point],
    plan: &'a [PlanRow],
    candidates: usize,
    path: &Path,
) -> Result<Vec<Ask<'a>>, Failure> {
    let by_point: HashMap<&str, &PlanRow> = plan.iter().map(|row| (row.point.as_str(), row)).collect();
    let mut asks = Vec::new();
    for point in points {
        let Some(row) = by_point.get(point.id()) else {
            let problem =
                format!("{}: nothing is planned for {}: go on with `solace plan --resume`", path.display(), point.id());
            return Err(Failure::work(problem));
        };
        let free = [(None, "")];
        let planned: Vec<(Option<&str>, &str)> = match row.strategies.is_empty() {
            true => free.to_vec(),
            false => row.strategies.iter().map(|one| (Some(one.strategy.as_str()), one.motivation.as_str())).collect(),
        };
        for (strategy, motivation) in planned {
            asks.extend((0..candidates).map(|number| Ask { point, strategy, motivation, number }));
        }
    }
    Ok(asks)
}

/// Says what a file does not hold yet.
pub(crate) fn realise(
    realiser: &mut dyn Realiser,
    asks: &[Ask<'_>],
    out: &Path,
    resume: bool,
) -> Result<RowFile<CandidateRow>, Failure> {
    let made_by = realiser.made_by();
    let mut rows = RowFile::open(out, resume, &made_by, CANDIDATE_ROWS)?;
    let pending: Vec<Ask<'_>> = asks.iter().copied().filter(|ask| !rows.contains(&ask.id())).collect();
    interrupt::listen();
    let mut bar = Progress::new("realising", (asks.len() - pending.len()) as u64, asks.len() as u64);
    realiser.realise(&pending, &mut |ask, said| {
        if let Some(Said { text, tokens }) = said {
            rows.append(row(ask, text, tokens, &made_by))?;
            bar.set(rows.rows().len() as u64);
        }
        Ok(if interrupt::was_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    bar.finish();
    Ok(rows)
}

fn row(ask: &Ask<'_>, text: String, tokens: usize, made_by: &str) -> CandidateRow {
    CandidateRow {
        id: candidate_id(ask.point.id(), ask.strategy, ask.number),
        point: ask.point.id().to_owned(),
        conversation: ask.point.conversation().to_owned(),
        strategy: ask.strategy.map(str::to_owned),
        number: ask.number,
        text,
        tokens,
        made_by: made_by.to_owned(),
    }
}
