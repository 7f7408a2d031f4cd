//! What the page's tables are made of: each text once, numbers by column.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::run_files::{Generation, PairsById, Sample};
use super::{RunFiles, SampleRows};

/// A column of numbers: its name in the page, and where a sample has it.
type Column = (&'static str, fn(&Sample) -> Option<f64>);

const COLUMNS: [Column; 11] = [
    ("epoch", |sample| sample.epoch),
    ("step", |sample| Some(sample.step as f64)),
    ("loss", |sample| sample.loss),
    ("chosen_reward", |sample| sample.chosen_reward),
    ("rejected_reward", |sample| sample.rejected_reward),
    ("policy_logps_chosen", |sample| sample.policy_logps_chosen),
    ("policy_logps_rejected", |sample| sample.policy_logps_rejected),
    ("reference_logps_chosen", |sample| sample.reference_logps_chosen),
    ("reference_logps_rejected", |sample| sample.reference_logps_rejected),
    ("chosen_tokens", |sample| sample.chosen_tokens),
    ("rejected_tokens", |sample| sample.rejected_tokens),
];

type TextColumn = (&'static str, fn(&Sample) -> Option<&str>);

const PREDICTIONS: [TextColumn; 4] = [
    ("policy, along chosen", |sample| sample.policy_chosen_pred_text.as_deref()),
    ("reference, along chosen", |sample| sample.reference_chosen_pred_text.as_deref()),
    ("policy, along rejected", |sample| sample.policy_rejected_pred_text.as_deref()),
    ("reference, along rejected", |sample| sample.reference_rejected_pred_text.as_deref()),
];

/// Samples and generations for the page.
pub(super) fn page_data(run: &RunFiles, which: SampleRows) -> Value {
    let mut texts = Texts::default();
    let samples = samples(run, which, &mut texts);
    let generations = generations(run.generations.iter().flatten(), &mut texts);
    json!({ "samples": samples, "generations": generations, "texts": texts.all })
}

/// The samples that a choice keeps, in the order of the file.
fn kept(run: &RunFiles, which: SampleRows) -> Vec<&Sample> {
    let all = || run.samples.iter().flatten();
    let last = all().filter(|sample| sample.is_held_out()).map(|sample| sample.step).max();
    let is_kept = |sample: &&Sample| match which {
        SampleRows::All => true,
        SampleRows::HeldOut => sample.is_held_out(),
        SampleRows::Last => sample.is_held_out() && Some(sample.step) == last,
        SampleRows::None => false,
    };
    all().filter(is_kept).collect()
}

fn samples<'a>(run: &'a RunFiles, which: SampleRows, texts: &mut Texts<'a>) -> Value {
    let samples = kept(run, which);
    let pairs = run.pairs.as_deref().unwrap_or_default();
    let by_id = PairsById::new(pairs);
    let mut shown_pairs: Vec<Value> = Vec::new();
    let mut places: HashMap<(&str, Option<usize>), usize> = HashMap::new();
    let mut of_sample = Vec::with_capacity(samples.len());
    for sample in &samples {
        let place = by_id.place(sample);
        let number = *places.entry((&sample.example_id, place)).or_insert_with(|| {
            shown_pairs.push(match place.and_then(|place| pairs.get(place)) {
                Some(pair) => json!([
                    pair.example_id,
                    pair.split,
                    texts.place(&pair.prompt),
                    texts.place(&pair.chosen),
                    texts.place(&pair.rejected)
                ]),
                None => json!([sample.example_id, null, null, null, null]),
            });
            shown_pairs.len() - 1
        });
        of_sample.push(number);
    }
    let column = |of: fn(&Sample) -> Option<f64>| samples.iter().map(|sample| number(of(sample))).collect::<Vec<_>>();
    let columns: serde_json::Map<_, _> =
        COLUMNS.into_iter().map(|(name, of)| (name.to_owned(), Value::Array(column(of)))).collect();
    let mut predictions = serde_json::Map::new();
    for (name, of) in PREDICTIONS {
        if samples.iter().any(|sample| of(sample).is_some()) {
            let places: Vec<_> = samples.iter().map(|sample| of(sample).map(|text| texts.place(text))).collect();
            predictions.insert(name.to_owned(), json!(places));
        }
    }
    let held_out: Vec<_> = samples.iter().map(|sample| u8::from(sample.is_held_out())).collect();
    json!({ "pairs": shown_pairs, "pair": of_sample, "heldOut": held_out, "columns": columns, "predictions": predictions })
}

/// By prompt, in the order in which prompts come up.
fn generations<'a>(all: impl Iterator<Item = &'a Generation>, texts: &mut Texts<'a>) -> Value {
    let mut prompts: Vec<(&Generation, Vec<&Generation>)> = Vec::new();
    let mut places: HashMap<(&str, &str), usize> = HashMap::new();
    for generation in all {
        let place = *places.entry((&generation.example_id, &generation.prompt)).or_insert_with(|| {
            prompts.push((generation, Vec::new()));
            prompts.len() - 1
        });
        if let Some((_, replies)) = prompts.get_mut(place) {
            replies.push(generation);
        }
    }
    let mut shown = Vec::with_capacity(prompts.len());
    for (first, mut replies) in prompts {
        replies.sort_by_key(|reply| reply.step);
        let replies: Vec<_> = replies
            .into_iter()
            .map(|reply| json!({ "step": reply.step, "epoch": number(reply.epoch), "text": texts.place(&reply.generated_text), "end": reply.finish_reason }))
            .collect();
        shown.push(json!({
            "id": first.example_id,
            "prompt": texts.place(&first.prompt),
            "chosen": first.chosen.as_deref().map(|text| texts.place(text)),
            "rejected": first.rejected.as_deref().map(|text| texts.place(text)),
            "replies": replies,
        }));
    }
    Value::Array(shown)
}

/// Texts that are kept once, however often they occur.
#[derive(Default)]
struct Texts<'a> {
    all: Vec<&'a str>,
    places: HashMap<&'a str, usize>,
}

impl<'a> Texts<'a> {
    fn place(&mut self, text: &'a str) -> usize {
        *self.places.entry(text).or_insert_with(|| {
            self.all.push(text);
            self.all.len() - 1
        })
    }
}

/// A number with six digits: the page shows no more, and all of them would make most of its size.
fn number(value: Option<f64>) -> Value {
    match value {
        None => Value::Null,
        Some(value) if value.is_nan() => json!("NaN"),
        Some(f64::INFINITY) => json!("Infinity"),
        Some(f64::NEG_INFINITY) => json!("-Infinity"),
        Some(value) if value.fract() == 0.0 && value.abs() < 1e15 => json!(value as i64),
        Some(value) => json!(format!("{value:.5e}").parse().unwrap_or(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_none_is_lost() {
        let told =
            [Some(0.1 + 0.2), Some(-3.0), None, Some(f64::NAN), Some(f64::NEG_INFINITY), Some(1.0 / 3.0)].map(number);
        assert_eq!(json!(told), json!([0.3, -3, null, "NaN", "-Infinity", 0.333333]));
    }
}
