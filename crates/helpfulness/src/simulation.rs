//! Raters whose disagreement is known, to see whether a model finds it.
//!
//! Responses are of several kinds, each with a value; words tell the kind. Every conversation has one rater, with a severity and a discrimination of
//! their own, who rates by the formula of [`crate::OrdinalModel`] on a scale of five steps. The rating becomes five annotations, as that of
//! records does.

use llm_runtime::seeded_stream;
use rand::{Rng, RngExt};

use crate::{AnnotatedResponse, ConversationId, HelpfulnessRecord};

/// Between the five steps of the scale.
const THRESHOLDS: [f64; 4] = [-1.8, -0.6, 0.6, 1.8];
/// Labels of the published table that mean helpful and unhelpful.
const LABELS: [&str; 2] = ["Simple Reflection", "Warn"];
/// Words that tell the kind of a response, two of each.
const TELLING: [[&str; 2]; 6] = [
    ["listen", "understand"],
    ["together", "support"],
    ["maybe", "perhaps"],
    ["anyway", "whatever"],
    ["nonsense", "complain"],
    ["fault", "shame"],
];
/// Words that tell nothing.
const FILLERS: [&str; 8] = ["you", "feel", "work", "friend", "today", "this", "and", "sleep"];

/// A world of responses and raters.
#[derive(Debug, Clone, PartialEq)]
pub struct Simulation {
    /// What responses of each kind are worth.
    values: [f64; 6],
    severity_deviation: f64,
    discrimination_deviation: f64,
    seed: u64,
}

/// A record whose truth is known.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulatedRecord {
    /// What a model may see.
    pub record: HelpfulnessRecord,
    /// The kind of its response.
    pub kind: usize,
    /// The severity of its rater.
    pub severity: f64,
}

impl Simulation {
    /// A world in which severities deviate by `severity_deviation` (0: all raters are alike, and only chance divides them) and logarithms of
    /// discriminations by a fifth.
    pub fn new(severity_deviation: f64, seed: u64) -> Self {
        let values = [2.2, 1.3, 0.5, -0.3, -1.1, -1.9];
        Self { values, severity_deviation, discrimination_deviation: 0.2, seed }
    }

    /// Number of kinds of responses.
    pub fn kinds(&self) -> usize {
        self.values.len()
    }

    /// All words, for a vocabulary.
    pub fn words() -> Vec<&'static str> {
        TELLING.iter().flatten().chain(&FILLERS).copied().collect()
    }

    /// Conversations of `responses` each. Others have other raters for each `part` (`training`, `validation`).
    pub fn records(&self, part: &str, conversations: usize, responses: usize) -> Vec<SimulatedRecord> {
        let mut records = Vec::with_capacity(conversations * responses);
        for number in 0..conversations {
            let name = format!("{part}-{number}");
            let mut random = seeded_stream(self.seed, &format!("simulation/{name}"));
            let severity = self.severity_deviation * normal(&mut random);
            let discrimination = (self.discrimination_deviation * normal(&mut random)).exp();
            for _ in 0..responses {
                let kind = random.random_range(0..self.kinds());
                let steps = distribution(self.values[kind], severity, discrimination);
                let helpful = 1 + drawn(&steps, &mut random);
                let annotation = |annotator: usize| Some(LABELS[usize::from(annotator >= helpful)].to_owned());
                let annotations = (0..5).map(annotation).collect();
                let response = AnnotatedResponse { text: response(kind, &mut random), annotations };
                let record = HelpfulnessRecord {
                    conversation: Some(ConversationId::Name(name.clone())),
                    situation: words(&mut random, 2),
                    context: vec![words(&mut random, 3)],
                    responses: vec![response],
                    ..HelpfulnessRecord::default()
                };
                records.push(SimulatedRecord { record, kind, severity });
            }
        }
        records
    }

    /// The share of annotations that say helpful, over all raters there might be: what a model should expect of a response of this kind.
    pub fn helpful_share(&self, kind: usize) -> f64 {
        let mut sums = (0.0, 0.0);
        for (severity, one) in grid(self.severity_deviation) {
            for (logarithm, other) in grid(self.discrimination_deviation) {
                let steps = distribution(self.values[kind], severity, logarithm.exp());
                let rating: f64 = steps.iter().enumerate().map(|(step, share)| (step + 1) as f64 * share).sum();
                sums = (sums.0 + one * other * rating / 5.0, sums.1 + one * other);
            }
        }
        sums.0 / sums.1
    }
}

/// Points of a normal distribution with this deviation, and their weights.
fn grid(deviation: f64) -> impl Iterator<Item = (f64, f64)> {
    (-40..=40).map(move |step| {
        let z = f64::from(step) / 10.0;
        (z * deviation, (-0.5 * z * z).exp())
    })
}

/// Probabilities of the five steps.
fn distribution(value: f64, severity: f64, discrimination: f64) -> [f64; 5] {
    let below = THRESHOLDS.map(|threshold| 1.0 / (1.0 + (-discrimination * (threshold + severity - value)).exp()));
    [below[0], below[1] - below[0], below[2] - below[1], below[3] - below[2], 1.0 - below[3]]
}

fn drawn(shares: &[f64], random: &mut impl Rng) -> usize {
    let mut rest: f64 = random.random();
    for (step, share) in shares.iter().enumerate() {
        rest -= share;
        if rest < 0.0 {
            return step;
        }
    }
    shares.len() - 1
}

/// By Box and Muller's transform.
fn normal(random: &mut impl Rng) -> f64 {
    let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.random::<f64>()).cos()
}

fn response(kind: usize, random: &mut impl Rng) -> String {
    let telling = TELLING[kind][random.random_range(0..2)];
    let filler = words(random, 1);
    if random.random() { format!("{telling} {filler}") } else { format!("{filler} {telling}") }
}

fn words(random: &mut impl Rng, count: usize) -> String {
    let words: Vec<&str> = (0..count).map(|_| FILLERS[random.random_range(0..FILLERS.len())]).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LabelTable, Votes};

    #[test]
    fn annotations_are_as_frequent_as_they_should_be() {
        let simulation = Simulation::new(0.8, 3);
        let table = LabelTable::published(2).unwrap();
        let mut sums = vec![(0u32, 0u32); simulation.kinds()];
        for simulated in simulation.records("training", 2000, 6) {
            let classes = table.classes_of(&simulated.record.responses[0].annotations).unwrap();
            let votes = Votes::of(&classes, 2).unwrap();
            let sum = &mut sums[simulated.kind];
            *sum = (sum.0 + votes.counts()[0], sum.1 + votes.total());
        }
        for (kind, (helpful, all)) in sums.into_iter().enumerate() {
            let (found, expected) = (f64::from(helpful) / f64::from(all), simulation.helpful_share(kind));
            assert!((found - expected).abs() < 0.02, "kind {kind}: {found}, expected {expected}");
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_world() {
        let records = |seed, part| Simulation::new(0.5, seed).records(part, 3, 2);
        assert_eq!(records(1, "a"), records(1, "a"));
        assert_ne!(records(1, "a"), records(2, "a"));
        assert_ne!(records(1, "a"), records(1, "b"));
    }
}
