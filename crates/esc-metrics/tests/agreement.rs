//! Agreement between raters: against scikit-learn, statsmodels and krippendorff, by hand, and under changes that must
//! not matter.

use esc_metrics::Error;
use esc_metrics::agreement::{MeasurementLevel, Ratings, Weighting, cohen_kappa, cohen_kappa_on};
use esc_metrics::correlation::{Correlation, within_percentiles, z_scores};
use esc_metrics::interval::Resampling;
use proptest::prelude::*;
use serde_json::Value;

use crate::goldens::{assert_close, expected, family, root};

const LEVELS: [MeasurementLevel; 4] =
    [MeasurementLevel::Nominal, MeasurementLevel::Ordinal, MeasurementLevel::Interval, MeasurementLevel::Ratio];

fn rows(value: &Value) -> Vec<Vec<Option<f64>>> {
    let row = |row: &Value| row.as_array().unwrap().iter().map(Value::as_f64).collect();
    value.as_array().unwrap().iter().map(row).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// Compares every alpha that the golden holds.
fn assert_alphas(ratings: &Ratings, expected: &Value) {
    let alphas = LEVELS.map(|level| (level, expected.get(level.signature().replace(['-', '|'], "_"))));
    assert!(alphas.iter().any(|(_, expected)| expected.is_some()));
    for (level, expected) in alphas {
        if let Some(expected) = expected {
            assert_close(ratings.krippendorff(level).unwrap(), expected, level.signature());
        }
    }
}

#[test]
fn golden_metrics_two_annotators_agree_as_krippendorff_and_scikit_learn_say() {
    let Some(folder) = family("metrics") else { return };
    let golden = &expected(&folder)["agreement"];
    let ratings = Ratings::new(&rows(&golden["ratings"])).unwrap();
    assert_alphas(&ratings, &golden["expected_krippendorff"]);

    let complete = &golden["expected_complete_pairs"];
    for (weighting, name) in [
        (Weighting::None, "cohen_kappa"),
        (Weighting::Linear, "cohen_kappa_linear"),
        (Weighting::Quadratic, "cohen_kappa_quadratic"),
    ] {
        assert_close(ratings.cohen(0, 1, weighting).unwrap(), &complete[name], name);
    }
    let pairs: Vec<(f64, f64)> = rows(&golden["ratings"]).iter().filter_map(|row| row[0].zip(row[1])).collect();
    assert_eq!(pairs.len() as u64, complete["n"].as_u64().unwrap());
    for correlation in [Correlation::Pearson, Correlation::Spearman, Correlation::KendallTauB] {
        let name = correlation.name().replace('-', "_");
        assert_close(correlation.of(&pairs).unwrap(), &complete[&name], &name);
    }
}

#[test]
fn golden_metrics_attention_correlates_with_preference_as_scipy_says() {
    let Some(folder) = family("metrics") else { return };
    let golden = &expected(&folder)["agreement"]["sra_vs_preference"];
    let pairs: Vec<(f64, f64)> = numbers(&golden["sra_diff"]).into_iter().zip(numbers(&golden["preference"])).collect();
    for correlation in [Correlation::Pearson, Correlation::Spearman] {
        assert_close(correlation.of(&pairs).unwrap(), &golden["expected"][correlation.name()], correlation.name());
    }
}

/// Only the family of this repository says what the published analysis does first: standardise, and cut the tails.
#[test]
fn golden_metrics_attention_without_its_tails_correlates_as_scipy_says() {
    let golden = &expected(&root().join("fixtures/goldens/metrics"))["agreement"]["sra_vs_preference"];
    let scores = z_scores(&numbers(&golden["sra_diff"])).unwrap();
    let kept = within_percentiles(&scores, 0.01, 0.99);
    let pairs = scores.into_iter().zip(numbers(&golden["preference"])).zip(kept);
    let cut: Vec<(f64, f64)> = pairs.filter_map(|(pair, kept)| kept.then_some(pair)).collect();
    let expected = &golden["expected_standardised_without_tails"];
    assert_eq!(Some(cut.len() as u64), expected["n"].as_u64());
    assert_close(Correlation::Pearson.of(&cut).unwrap(), &expected["pearson"], "pearson");
}

#[test]
fn golden_metrics_fleiss_and_randolph_are_those_of_statsmodels() {
    let Some(folder) = family("metrics") else { return };
    let golden = &expected(&folder)["agreement"]["fleiss"];
    let items = rows(&golden["ratings_items_by_raters"]);
    let ratings = Ratings::new(&items).unwrap();
    let mut categories: Vec<f64> = items.iter().flatten().flatten().copied().collect();
    categories.sort_by(f64::total_cmp);
    categories.dedup();
    let expected = &golden["expected"];
    assert_close(ratings.fleiss().unwrap(), &expected["fleiss_kappa"], "fleiss");
    assert_close(ratings.randolph(categories.len()).unwrap(), &expected["randolph_kappa"], "randolph");
    assert_alphas(&ratings, expected);
}

#[test]
fn golden_metrics_alpha_allows_gaps() {
    let Some(folder) = family("metrics") else { return };
    let golden = &expected(&folder)["agreement"]["missing"];
    let ratings = Ratings::new(&rows(&golden["ratings_items_by_raters"])).unwrap();
    assert_alphas(&ratings, &golden["expected"]);
    assert!(matches!(ratings.fleiss(), Err(Error::Undefined { .. })));
}

#[test]
fn alpha_of_the_textbook_example() {
    // Krippendorff, Computing Krippendorff's alpha-reliability (2011), section C: four observers, twelve units.
    let observers = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ];
    let unit = |unit: usize| observers.map(|row| (row[unit] > 0).then_some(f64::from(row[unit])));
    let ratings = Ratings::new(&(0..12).map(unit).collect::<Vec<_>>()).unwrap();
    let found = LEVELS.map(|level| format!("{:.3}", ratings.krippendorff(level).unwrap()));
    assert_eq!(found, ["0.743", "0.815", "0.849", "0.797"]);
}

#[test]
fn kappa_by_hand() {
    // 20 of 50 + 15 of 50 agree: observed 0.7; chance 0.5 * 0.6 + 0.5 * 0.4 = 0.5.
    let counts = [(("yes", "yes"), 20), (("yes", "no"), 5), (("no", "yes"), 10), (("no", "no"), 15)];
    let labels: Vec<(&str, &str)> = counts.iter().flat_map(|(pair, count)| vec![*pair; *count]).collect();
    let (first, second): (Vec<&str>, Vec<&str>) = labels.into_iter().unzip();
    assert!((cohen_kappa(&first, &second, Weighting::None).unwrap() - 0.4).abs() < 1e-12);
}

#[test]
fn a_label_that_nobody_used_stretches_the_scale() {
    let (first, second) = ([1, 1, 5, 5, 4], [1, 5, 5, 5, 5]);
    // On the scale 1, 4, 5 the labels are 3 places apart and 5 expected; on 1 to 5 they are 5 apart and 9.4 expected.
    let present = cohen_kappa(&first, &second, Weighting::Linear).unwrap();
    let whole = cohen_kappa_on(&[1, 2, 3, 4, 5], &first, &second, Weighting::Linear).unwrap();
    assert!((present - 2.0 / 5.0).abs() < 1e-12 && (whole - 22.0 / 47.0).abs() < 1e-12);
    assert_eq!(
        cohen_kappa(&first, &second, Weighting::None).unwrap(),
        cohen_kappa_on(&[1, 2, 3, 4, 5], &first, &second, Weighting::None).unwrap()
    );
    assert!(matches!(cohen_kappa_on(&[1, 5], &first, &second, Weighting::Linear), Err(Error::Setting(_))));
}

#[test]
fn an_interval_holds_its_coefficient_and_depends_on_the_seed_only() {
    let items: Vec<[f64; 3]> =
        (0..40).map(|item| [0, 1, 7].map(|rater| f64::from((item + item * rater / 9) % 5))).collect();
    let ratings = Ratings::complete(&items).unwrap();
    let alpha = |ratings: &Ratings| ratings.krippendorff(MeasurementLevel::Interval);
    let resampling = Resampling::new(500, 0.9, 7).unwrap();
    let found = ratings.interval(&resampling, alpha).unwrap();
    assert_eq!(found.value, alpha(&ratings).unwrap());
    assert!(found.low < found.value && found.value < found.high && found.resamples == 500);
    let single = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(single.install(|| ratings.interval(&resampling, alpha)).unwrap(), found);
    assert_ne!(ratings.interval(&resampling.with_seed(8), alpha).unwrap(), found);
    let wider = ratings.interval(&Resampling::new(500, 0.99, 7).unwrap(), alpha).unwrap();
    assert!(wider.low < found.low && found.high < wider.high);
}

#[test]
fn what_has_no_agreement_is_an_error() {
    let undefined = |result: Result<f64, Error>| matches!(result, Err(Error::Undefined { .. }));
    let same = Ratings::complete(&[[0.1, 0.1], [0.1, 0.1], [0.1, 0.1]]).unwrap();
    assert!(LEVELS.into_iter().all(|level| undefined(same.krippendorff(level))));
    assert!(undefined(same.fleiss()) && undefined(same.cohen(0, 1, Weighting::Quadratic)));
    let lonely = Ratings::new(&[[Some(1.0), None], [None, Some(2.0)]]).unwrap();
    assert!(undefined(lonely.krippendorff(MeasurementLevel::Nominal)));
    assert!(matches!(lonely.cohen(0, 1, Weighting::None), Err(Error::Empty(_))));
    assert!(matches!(lonely.cohen(0, 2, Weighting::None), Err(Error::Setting(_))));
    let negative = Ratings::complete(&[[-1.0, 1.0], [2.0, 2.0]]).unwrap();
    assert!(undefined(negative.krippendorff(MeasurementLevel::Ratio)));
    assert!(undefined(Ratings::complete(&[[1.0], [2.0]]).unwrap().fleiss()));
    assert!(matches!(negative.randolph(2), Err(Error::Setting(_))));
    assert!(matches!(Ratings::complete(&[[f64::NAN, 1.0]]), Err(Error::Setting(_))));
    assert!(matches!(Ratings::complete(&[vec![1.0], vec![]]), Err(Error::Lengths { .. })));
    assert!(matches!(Ratings::new::<[Option<f64>; 0]>(&[[]]), Err(Error::Empty(_))));
    assert!(matches!(cohen_kappa::<u8>(&[], &[], Weighting::None), Err(Error::Empty(_))));
    assert!(matches!(cohen_kappa(&[1], &[], Weighting::None), Err(Error::Lengths { .. })));
}

fn small_ratings() -> impl Strategy<Value = Vec<Vec<Option<f64>>>> {
    let rating = prop::option::weighted(0.8, (0..5_i32).prop_map(f64::from));
    (2..5_usize)
        .prop_flat_map(move |raters| prop::collection::vec(prop::collection::vec(rating.clone(), raters), 1..20))
}

/// Krippendorff's definition word by word: coincidences, then a difference for every pair of values.
fn alpha_by_definition(items: &[Vec<Option<f64>>], level: MeasurementLevel) -> Option<f64> {
    let mut coincidences = [[0.0; 5]; 5];
    for item in items {
        let ratings: Vec<usize> = item.iter().flatten().map(|rating| *rating as usize).collect();
        for (at, one) in ratings.iter().enumerate() {
            for other in ratings.iter().enumerate().filter(|(place, _)| *place != at).map(|(_, other)| other) {
                coincidences[*one][*other] += 1.0 / (ratings.len() - 1) as f64;
            }
        }
    }
    let counts = coincidences.map(|row| row.iter().sum::<f64>());
    let all: f64 = counts.iter().sum();
    let difference = |c: usize, k: usize| match level {
        MeasurementLevel::Nominal => f64::from(c != k),
        MeasurementLevel::Ordinal => {
            (counts[c.min(k)..=c.max(k)].iter().sum::<f64>() - (counts[c] + counts[k]) / 2.0).powi(2)
        }
        MeasurementLevel::Interval => (c as f64 - k as f64).powi(2),
        MeasurementLevel::Ratio if c == k => 0.0,
        MeasurementLevel::Ratio => ((c as f64 - k as f64) / (c + k) as f64).powi(2),
    };
    let sum = |weight: &dyn Fn(usize, usize) -> f64| -> f64 {
        (0..5).flat_map(|c| (0..5).map(move |k| (c, k))).map(|(c, k)| weight(c, k) * difference(c, k)).sum()
    };
    let expected = sum(&|c, k| counts[c] * counts[k] / (all - 1.0));
    (expected > 0.0).then(|| 1.0 - sum(&|c, k| coincidences[c][k]) / expected)
}

proptest! {
    #[test]
    fn alpha_is_what_its_definition_says(items in small_ratings()) {
        let ratings = Ratings::new(&items).unwrap();
        for level in LEVELS {
            let (found, expected) = (ratings.krippendorff(level).ok(), alpha_by_definition(&items, level));
            prop_assert_eq!(found.is_some(), expected.is_some());
            if let Some((found, expected)) = found.zip(expected) {
                prop_assert!((found - expected).abs() < 1e-9, "{:?}: {} but {}", level, found, expected);
            }
        }
    }

    #[test]
    fn the_order_of_raters_and_items_is_of_no_consequence(items in small_ratings()) {
        let turned: Vec<Vec<Option<f64>>> = items.iter().rev().map(|row| row.iter().rev().copied().collect()).collect();
        let (ratings, turned) = (Ratings::new(&items).unwrap(), Ratings::new(&turned).unwrap());
        for level in LEVELS {
            match (ratings.krippendorff(level), turned.krippendorff(level)) {
                (Ok(one), Ok(other)) => prop_assert!((one - other).abs() < 1e-9),
                (one, other) => prop_assert_eq!(one.is_ok(), other.is_ok()),
            }
        }
    }

    #[test]
    fn any_numbers_are_rated_or_refused(
        items in prop::collection::vec(prop::array::uniform3(prop::option::of(prop::num::f64::ANY)), 0..12),
    ) {
        if let Ok(ratings) = Ratings::new(&items) {
            for level in LEVELS {
                prop_assert!(ratings.krippendorff(level).map_or(true, f64::is_finite));
            }
            prop_assert!(ratings.fleiss().map_or(true, |kappa| kappa <= 1.0));
            prop_assert!(ratings.cohen(0, 2, Weighting::Quadratic).map_or(true, |kappa| kappa <= 1.0));
        }
    }
}
