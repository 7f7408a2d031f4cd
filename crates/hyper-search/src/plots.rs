//! What a search has found, as figures.

use charts::{Axis, Bars, Boxes, Figure, Panel, ParallelCoordinates, Plot, Scatter};
use serde_json::Value;

use crate::{Direction, Distribution, History, Trial, TrialState};

/// Slices stand in so many columns.
const COLUMNS: usize = 3;

impl History<'_> {
    /// The values of complete and pruned trials by number, and the best value so far.
    pub fn history_figure(&self, value_name: &str) -> Figure {
        let of = |state: TrialState| {
            let there = self.trials.iter().filter(move |trial| trial.state == state);
            there.filter_map(|trial| Some((trial.number as f64, trial.value?)))
        };
        let mut best: Option<f64> = None;
        let so_far: Vec<(f64, f64)> = of(TrialState::Complete)
            .flat_map(|(number, value)| {
                let before = best.unwrap_or(value);
                let now = self.direction.best_of([before, value]).unwrap_or(value);
                best = Some(now);
                // A step, not a slope: nothing was found in between.
                [(number, before), (number, now)]
            })
            .collect();
        let mut scatter = Scatter::new().series("complete", of(TrialState::Complete));
        if of(TrialState::Pruned).next().is_some() {
            scatter = scatter.series("pruned, at the last step", of(TrialState::Pruned));
        }
        let panel = Panel::new("", scatter.line("best so far", so_far))
            .x(Axis::linear("trial").whole_numbers())
            .y(Axis::linear(value_name));
        Figure::new(format!("{}: history", self.study)).subtitle(self.counts()).panel(panel)
    }

    /// A line for each complete trial across its value and its parameters; the best are the strongest.
    pub fn parallel_figure(&self, value_name: &str) -> Figure {
        let trials: Vec<&Trial> = self.valued().collect();
        let mut plot = ParallelCoordinates::new()
            .axis(Axis::linear(value_name), trials.iter().map(|trial| trial.value.unwrap_or(f64::NAN)));
        for (name, distribution) in self.parameters() {
            let values = trials.iter().map(|trial| internal(trial, &name));
            plot = match distribution {
                Distribution::Categorical { choices } => plot.categories(
                    name.clone(),
                    choices.iter().map(shown),
                    values.map(|value| value.map(|place| place as usize)),
                ),
                numeric => plot.axis(axis(&name, numeric), values.map(|value| value.unwrap_or(f64::NAN))),
            };
        }
        if self.direction == Direction::Minimize {
            plot = plot.low_is_strong();
        }
        let panel = Panel::new("", plot).height(320.0);
        Figure::new(format!("{}: parameters and values", self.study)).subtitle(self.counts()).panel(panel)
    }

    /// The values of complete trials by each parameter, in a panel of its own.
    pub fn slice_figure(&self, value_name: &str) -> Figure {
        let figure = Figure::new(format!("{}: values by parameter", self.study)).columns(COLUMNS).panel_height(200.0);
        self.parameters().into_iter().fold(figure.subtitle(self.counts()), |figure, (name, distribution)| {
            let points = || {
                let seen = |trial: &Trial| Some((internal(trial, &name)?, trial.value?));
                self.valued().filter_map(seen)
            };
            let (plot, x): (Plot, Axis) = match distribution {
                Distribution::Categorical { choices } => {
                    let of = |choice: usize| points().filter(move |(place, _)| *place == choice as f64);
                    let samples =
                        (0..choices.len()).map(|choice| of(choice).map(|(_, value)| value).collect::<Vec<_>>());
                    (Boxes::new(choices.iter().map(shown)).series("", samples).into(), Axis::linear(&name))
                }
                numeric => (Scatter::new().series("", points()).into(), axis(&name, numeric)),
            };
            figure.panel(Panel::new("", plot).x(x).y(Axis::linear(value_name)))
        })
    }

    /// Bars of how much each parameter matters, as [`importance`](crate::importance()) tells it.
    pub fn importance_figure(&self, importances: &[(String, f64)]) -> Figure {
        let bars = Bars::new(importances.iter().map(|(name, _)| name))
            .series("", importances.iter().map(|(_, share)| *share))
            .horizontal()
            .with_values(2);
        let panel = Panel::new("", bars).x(Axis::linear("importance").starting_at(0.0));
        Figure::new(format!("{}: importance of parameters", self.study)).subtitle(self.counts()).panel(panel)
    }

    fn valued(&self) -> impl Iterator<Item = &Trial> {
        self.complete().filter(|trial| trial.value.is_some())
    }

    /// The parameters of complete trials, in the order in which they were first asked for.
    fn parameters(&self) -> Vec<(String, &Distribution)> {
        let mut known: Vec<(String, &Distribution)> = Vec::new();
        for trial in self.complete() {
            for (name, _) in &trial.parameters {
                let is_new = known.iter().all(|(other, _)| other != name);
                if let Some(distribution) = trial.distributions.get(name).filter(|_| is_new) {
                    known.push((name.clone(), distribution));
                }
            }
        }
        known
    }

    fn counts(&self) -> String {
        let count = |state| self.trials.iter().filter(|trial| trial.state == state).count();
        let states = [
            (TrialState::Complete, "complete"),
            (TrialState::Pruned, "pruned"),
            (TrialState::Failed, "failed"),
            (TrialState::Running, "running"),
            (TrialState::Waiting, "waiting"),
        ];
        let told = states.map(|(state, name)| (count(state), name));
        let parts: Vec<String> =
            told.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}")).collect();
        if parts.is_empty() { String::from("no trials") } else { format!("trials: {}", parts.join(", ")) }
    }
}

fn internal(trial: &Trial, name: &str) -> Option<f64> {
    trial.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
}

fn axis(name: &str, distribution: &Distribution) -> Axis {
    match distribution {
        Distribution::Float { log: true, .. } | Distribution::Int { log: true, .. } => Axis::log10(name),
        Distribution::Int { .. } => Axis::linear(name).whole_numbers(),
        _ => Axis::linear(name),
    }
}

fn shown(choice: &Value) -> String {
    choice.as_str().map_or_else(|| choice.to_string(), String::from)
}
