//! The oven, the flour and the rest of a loaf, searched by several processes at once: start it twice with the same folder.
//!
//! ```sh
//! cargo run -p hyper-search --example bakery -- bread
//! ```

use hyper_search::{
    ActiveTrial, ImportanceOptions, Outcome, Percentile, SearchError, Study, StudyOptions, TpeOptions, TpeSampler,
    importance,
};

fn main() -> Result<(), SearchError> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| std::env::temp_dir().join("bread").display().to_string());
    let options = StudyOptions::maximize(TpeSampler::new(TpeOptions::default())?).pruner(Percentile::median()).retry(1);
    let study = Study::open_or_create(&folder, options)?;
    // What grandmother did comes first.
    study.enqueue([("oven", 220.0.into()), ("flour", "wheat".into()), ("rest", 8.into())])?;
    study.optimize(60, bake)?;

    let Some(best) = study.best()? else { return Ok(()) };
    println!("loaf {} is the best of them: {:.3}", best.number, best.value.unwrap_or_default());
    for (name, value) in best.external_parameters() {
        println!("  {name}: {value}");
    }
    let figures = study.with_history(|history| -> Result<_, SearchError> {
        let importances = importance(history, &ImportanceOptions::default())?;
        Ok([
            ("history", history.history_figure("taste")),
            ("parallel", history.parallel_figure("taste")),
            ("slices", history.slice_figure("taste")),
            ("importance", history.importance_figure(&importances)),
        ])
    })??;
    for (name, figure) in figures {
        figure.write(format!("{folder}/{name}"), &[charts::Format::Svg])?;
    }
    Ok(())
}

/// How a loaf tastes, hour by hour: what is behind the others at some hour stays behind them.
fn bake(trial: &mut ActiveTrial) -> Result<Outcome, SearchError> {
    let oven = trial.float("oven", 150.0..=280.0)?;
    let flour = trial.categorical("flour", &["wheat", "rye", "spelt"])?;
    let rest = trial.int("rest", 2..=24)?;
    // Only rye is baked with sourdough.
    let sour = if flour == "rye" { trial.log_float("sourdough", 0.01..=0.5)? } else { 0.0 };
    let heat = (-((oven - 235.0) / 30.0).powi(2)).exp();
    let mut taste = 0.0;
    for hour in 1..=rest {
        let ripe = (-((hour as f64 - 10.0) / 6.0).powi(2)).exp();
        taste = heat * ripe + if flour == "rye" { 0.3 - (sour.log10() + 1.0).powi(2) } else { 0.0 };
        trial.report(hour as u64, taste)?;
        if trial.should_prune()? {
            return Ok(Outcome::Pruned);
        }
    }
    Ok(Outcome::Complete(taste))
}
