//! `solace plan`: which strategies the next turn could follow.

mod language_model;
mod planner;
mod rows;

use std::ops::ControlFlow;
use std::process::ExitCode;

use command_line::{Failure, Format, Progress, interrupt, output_place, print_json};
use esconv_data::StrategySet;
use serde::Serialize;
use strategy_prompting::RowFile;

pub(crate) use self::planner::{PlannerName, PlannerOptions, Proposal, encoder_inputs, planner};
pub(crate) use self::rows::{PLAN_ROWS, PlanRow, Planned};
use crate::arguments::Plan;
use crate::point::{self, Point};
use crate::strategies::counterparts;

/// What was planned.
#[derive(Serialize)]
struct Summary {
    planner: String,
    places: usize,
    planned: usize,
}

pub(crate) fn run(options: &Plan, format: Format) -> Result<ExitCode, Failure> {
    output_place::check_file(&options.out)?;
    let points = point::read(&options.places.data, options.places.turns, options.places.limit)?;
    let set = StrategySet::by_name_or_path(&options.strategies)?;
    let planning = PlannerOptions { plain: &options.plain, runtime: &options.runtime, server: &options.server };
    let rows = plan(&options.planner, &points, &set, options.top, planning, &options.out, options.resume)?;
    let planned = rows.rows().len();
    let summary = Summary { planner: options.planner.to_string(), places: points.len(), planned };
    match format {
        Format::Json => print_json(&summary)?,
        Format::Text => {
            println!("{}: {planned} of {} places planned by {}", options.out.display(), points.len(), options.planner)
        }
    }
    Ok(if planned < points.len() { ExitCode::from(interrupt::EXIT_CODE) } else { ExitCode::SUCCESS })
}

/// Plans what a file does not hold yet.
pub(crate) fn plan(
    name: &PlannerName,
    points: &[Point],
    set: &StrategySet,
    top: usize,
    options: PlannerOptions<'_>,
    out: &std::path::Path,
    resume: bool,
) -> Result<RowFile<PlanRow>, Failure> {
    let mut planner = planner(name, options)?;
    let made_by = format!("{} · the best {top} of {}", planner.made_by(), set.name);
    let mut rows = RowFile::open(out, resume, &made_by, PLAN_ROWS)?;
    let pending: Vec<&Point> = points.iter().filter(|point| !rows.contains(point.id())).collect();
    interrupt::listen();
    let mut bar = Progress::new("planning", (points.len() - pending.len()) as u64, points.len() as u64);
    planner.plan(&pending, set, &mut |point, proposals| {
        let strategies = best(&proposals, set, top);
        if strategies.is_empty() && !proposals.is_empty() {
            let named: Vec<&str> = proposals.iter().map(|proposal| proposal.label.as_str()).collect();
            let problem = format!(
                "{}: the planner proposes {}, and the set {} has no counterpart: take another --strategies",
                point.id(),
                named.join(", "),
                set.name
            );
            return Err(Failure::work(problem));
        }
        rows.append(PlanRow::new(point, strategies, &made_by))?;
        bar.set(rows.rows().len() as u64);
        Ok(if interrupt::was_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    bar.finish();
    Ok(rows)
}

/// The best strategies in the names of a set. A label without its like there gives its probability to its counterparts, evenly.
fn best(proposals: &[Proposal], set: &StrategySet, top: usize) -> Vec<Planned> {
    let mut planned: Vec<Planned> = Vec::new();
    for proposal in proposals {
        let counterparts = counterparts(set, &proposal.label);
        for strategy in &counterparts {
            let probability = proposal.probability.map(|probability| probability / counterparts.len() as f64);
            match planned.iter_mut().find(|known| known.strategy == strategy.name) {
                Some(known) => known.probability = known.probability.zip(probability).map(|(known, more)| known + more),
                None => planned.push(Planned {
                    strategy: strategy.name.clone(),
                    probability,
                    motivation: proposal.motivation.clone(),
                }),
            }
        }
    }
    // Of equals the one that was proposed first.
    planned.sort_by(|left, right| right.probability.unwrap_or(0.0).total_cmp(&left.probability.unwrap_or(0.0)));
    planned.truncate(top);
    planned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_divided_among_counterparts_and_the_best_stay() {
        let set = StrategySet::built_in("extes15").unwrap();
        let proposal =
            |label: &str, probability| Proposal { label: label.into(), probability, motivation: String::new() };
        let proposals = [
            proposal("Affirmation and Reassurance", Some(0.5)),
            proposal("Question", Some(0.3)),
            proposal("Self-disclosure", Some(0.2)),
        ];
        let found = best(&proposals, &set, 2);
        let told: Vec<(&str, Option<f64>)> =
            found.iter().map(|planned| (planned.strategy.as_str(), planned.probability)).collect();
        assert_eq!(told, [("Clarification", Some(0.3)), ("Affirmation", Some(0.25))]);
        let unsaid = best(&[proposal("Question", None), proposal("Offer Hope", None)], &set, 5);
        assert_eq!(
            unsaid.iter().map(|planned| planned.strategy.as_str()).collect::<Vec<_>>(),
            ["Clarification", "Offer Hope"]
        );
        assert!(best(&[proposal("Self-disclosure", Some(1.0))], &set, 3).is_empty());
    }
}
