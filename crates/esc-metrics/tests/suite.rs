//! Presets, scorers and what can be asked of them.

use std::sync::Arc;

use esc_metrics::interval::Resampling;
use esc_metrics::tokenize::{PunktParameters, WhiteSpace};
use esc_metrics::{Item, METRICS, Measured, NamedMetric, Preset, Resources, RougeL, Scorer, Suite};
use proptest::prelude::*;

use crate::goldens::{Golden, assert_close};

/// The tables of NLTK, without which its words are not exactly its words.
fn with_nltk_tables() -> Option<Resources> {
    let punkt = PunktParameters::find().unwrap();
    if punkt.is_none() {
        println!("skipped: NLTK's tables are not here (set NLTK_DATA)");
    }
    Some(Resources { punkt: punkt?, ..Resources::built_in() })
}

#[test]
fn golden_metrics_the_thu_coai_preset_from_raw_texts() {
    let (Some(golden), Some(resources)) = (Golden::load(), with_nltk_tables()) else { return };
    let suite = Suite::preset(Preset::ThuCoai, &resources).unwrap();
    for set in golden.sets() {
        for row in suite.score(set.items()).unwrap().rows() {
            let name = row.name.replace("distinct", "dist");
            assert_close(row.value, &set.corpus["thu_coai"][&name], &format!("{} {name}", set.name));
        }
    }
}

#[test]
fn golden_metrics_nlg_evals_metrics_without_meteor_from_raw_texts() {
    let (Some(golden), Some(resources)) = (Golden::load(), with_nltk_tables()) else { return };
    let suite = Suite::of_names(&["bleu-coco", "rouge-l-coco", "cider"], &resources).unwrap();
    for set in golden.sets() {
        let rows = suite.score(set.items()).unwrap().rows();
        for (at, row) in rows.iter().enumerate() {
            let expected = match row.name.as_str() {
                "rouge-l" => &set.corpus["coco_nltk.rouge_l"],
                "cider" => &set.corpus["coco_nltk.cider"],
                _ => &set.corpus["coco_nltk.bleu"][at],
            };
            assert_close(row.value, expected, &format!("{} {}", set.name, row.name));
        }
    }
}

#[test]
fn multiesc_and_magic_change_the_hypotheses_first() {
    let items = [Item::new("", "& then"), Item::new("fine .. \"ok\" !!", "fine . ok !")];
    let resources = Resources::built_in();
    let values = |preset| -> Vec<f64> {
        let scored = Suite::preset(preset, &resources).unwrap().score(items.clone()).unwrap();
        scored.rows().iter().map(|row| row.value).collect()
    };
    let (plain, multiesc, magic) = (values(Preset::NlgEval), values(Preset::MultiEsc), values(Preset::Magic));
    // An empty hypothesis has no match, an ampersand has one.
    assert!(multiesc[0] > plain[0]);
    // Cleaned, the second one is its reference; and values are in percent.
    assert!(magic[0] > 100.0 * multiesc[0]);
}

#[test]
fn values_do_not_depend_on_how_items_come_in() {
    let items: Vec<Item> =
        (0..600).map(|number| Item::new(format!("a b {} c", number % 7), format!("a {} c d", number % 5))).collect();
    let metrics: Vec<_> = METRICS
        .iter()
        .filter(|metric| metric.name != "embedding")
        .map(|metric| metric.make(&Resources::built_in()).unwrap())
        .collect();
    let values = |chunk: usize| -> Vec<Vec<f64>> {
        let mut scorer = Scorer::new(metrics.clone());
        items.chunks(chunk).for_each(|chunk| scorer.push(chunk).unwrap());
        scorer.finish().unwrap().iter().map(Measured::values).collect()
    };
    assert_eq!(values(600), values(17));
    // The order of items matters to sums of floats only.
    let mut reversed = Scorer::new(metrics.clone());
    reversed.push(&items.iter().rev().cloned().collect::<Vec<_>>()).unwrap();
    let reversed: Vec<Vec<f64>> = reversed.finish().unwrap().iter().map(Measured::values).collect();
    for (one, other) in values(600).concat().into_iter().zip(reversed.concat()) {
        assert!((one - other).abs() <= 1e-9 * one.abs().max(1e-3), "{one}, {other}");
    }
}

#[test]
fn a_system_is_not_better_than_itself() {
    let items: Vec<Item> = (0..40).map(|number| Item::new(format!("a b {number}"), "a b 7 d")).collect();
    let suite = Suite::preset(Preset::Default, &Resources::built_in()).unwrap();
    let scored = suite.score(items.clone()).unwrap();
    let groups: Vec<String> = (0..40).map(|number| format!("g{}", number / 4)).collect();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let resampling = Resampling::new(200, 0.95, 1).unwrap();
    for row in scored.compare(&scored, &groups, Some(&resampling)).unwrap() {
        assert_eq!(row.first, row.second);
        if let Some(comparison) = row.comparison {
            assert_eq!((comparison.bootstrap.p, comparison.randomisation.p), (1.0, 1.0), "{}", row.name);
        }
    }
    let better: Vec<Item> = items.iter().map(|item| Item::new("a b 7 d", item.references[0].clone())).collect();
    let rows = suite.score(better).unwrap().compare(&scored, &groups, Some(&resampling)).unwrap();
    let rouge = rows.iter().find(|row| row.name == "rouge-l" && row.comparison.is_some()).unwrap();
    assert!(rouge.comparison.as_ref().unwrap().randomisation.p < 0.05, "{rouge:?}");
}

#[test]
fn systems_whose_responses_were_cleaned_differently_are_not_compared() {
    let scored =
        |preset| Suite::preset(preset, &Resources::built_in()).unwrap().score([Item::new("a b", "a c")]).unwrap();
    let (plain, cleaned) = (scored(Preset::NlgEval), scored(Preset::MultiEsc));
    assert!(plain.compare(&cleaned, &["only"], None).is_err());
    assert!(plain.compare(&plain, &["only"], None).unwrap().iter().all(|row| row.comparison.is_none()));
}

#[test]
fn intervals_hold_their_values_and_distinct_has_none() {
    let items: Vec<Item> = (0..60).map(|number| Item::new(format!("a b {}", number % 9), "a b 3 c")).collect();
    let scored = Suite::preset(Preset::Default, &Resources::built_in()).unwrap().score(items).unwrap();
    let groups: Vec<String> = (0..60).map(|number| number.to_string()).collect();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    for row in scored.rows_with_intervals(&groups, &Resampling::default()).unwrap() {
        match row.interval {
            Some((low, high)) => assert!(low <= row.value && row.value <= high, "{row:?}"),
            None => assert!(row.name.starts_with("distinct"), "{row:?}"),
        }
    }
}

#[test]
fn clear_answers_to_what_can_not_be_scored() {
    let rouge = || Arc::new(RougeL::coco(Arc::new(WhiteSpace)));
    let problem = |items: &[Item]| Measured::of(rouge(), items).err().unwrap().to_string();
    assert!(problem(&[]).contains("nothing to score"));
    let lonely = Item { hypothesis: "a".into(), references: Vec::new() };
    assert_eq!(problem(&[Item::new("a", "a"), lonely]), "item 1 has no reference");
    let unknown = NamedMetric::by_name("blue").err().unwrap().to_string();
    assert!(unknown.contains("unknown metric `blue` (known: bleu-coco"), "{unknown}");
    assert!(Preset::by_name("x").err().unwrap().to_string().contains("nlg-eval"));
    let embedding = NamedMetric::by_name("embedding").unwrap().make(&Resources::built_in());
    assert!(embedding.err().unwrap().to_string().contains("needs word vectors"));
}

/// Every metric with built-in resources.
fn all_metrics() -> Vec<Arc<dyn esc_metrics::Metric>> {
    let usable = METRICS.iter().filter(|metric| metric.name != "embedding");
    usable.map(|metric| metric.make(&Resources::built_in()).unwrap()).collect()
}

#[test]
fn hostile_texts_are_scored_without_a_panic() {
    let long = "word, \"and\" (more) ... isn't it? ".repeat(32 << 10);
    let texts = ["", " ", "\u{0}", "😢👍🏽", "שלום עולם", "مرحبا", "a", ".", "\n\n", "\u{202e}abc", "|||", &long];
    for text in texts {
        for other in ["", "fine", text] {
            let mut scorer = Scorer::new(all_metrics());
            scorer.push(&[Item::new(text, other)]).unwrap();
            for measured in scorer.finish().unwrap() {
                measured.values();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_strings_are_scored(hypothesis in "\\PC{0,60}", references in prop::collection::vec("(?s).{0,60}", 1..3)) {
        let mut scorer = Scorer::new(all_metrics());
        scorer.push(&[Item { hypothesis, references }]).unwrap();
        for measured in scorer.finish().unwrap() {
            prop_assert!(measured.values().iter().all(|value| value.is_finite()), "{}", measured.metric.signature());
        }
    }

    #[test]
    fn an_identical_pair_scores_highest(words in prop::collection::vec("[a-z]{1,6}", 5..12)) {
        let text = words.join(" ");
        let resources = Resources::built_in();
        for name in ["sacrebleu", "chrf", "rouge-l-coco", "rouge-l-thu-coai", "meteor-exact-stem", "f1"] {
            let metric = NamedMetric::by_name(name).unwrap().make(&resources).unwrap();
            let most = if ["sacrebleu", "chrf"].contains(&name) { 100.0 } else { 1.0 };
            let value = Measured::of(metric, &[Item::new(text.clone(), text.clone())]).unwrap().values()[0];
            prop_assert!((value - most).abs() < 1e-6, "{} {}", name, value);
        }
    }
}
