//! Tests of differences between systems: against SciPy, by hand, and corpus metrics from sums.

use esc_metrics::Error;
use esc_metrics::interval::Resampling;
use esc_metrics::significance::{
    ItemSums, Paired, ZeroDifferences, compare, mean_of_sums, paired_t, sign_test, standardised_difference,
    wilcoxon_signed_rank,
};
use proptest::prelude::*;
use serde_json::Value;

use crate::goldens::{assert_close, expected, family};

fn golden_scores(golden: &Value) -> (Vec<f64>, Vec<f64>) {
    let numbers = |value: &Value| value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect();
    (numbers(&golden["a"]), numbers(&golden["b"]))
}

#[test]
fn golden_metrics_two_systems_differ_as_scipy_says() {
    let Some(folder) = family("metrics") else { return };
    let golden = &expected(&folder)["significance"];
    let (first, second) = golden_scores(golden);
    let found = compare(&first, &second, &Resampling::default()).unwrap();
    let expected = &golden["expected"];
    assert_close(found.bootstrap.difference.value, &expected["mean_diff"], "mean difference");
    let tests = found.per_item.unwrap();
    let t = tests.paired_t.unwrap();
    assert_close(t.t, &expected["paired_t"][0], "t");
    assert_close(t.p, &expected["paired_t"][1], "p of t");
    let wilcoxon = tests.wilcoxon.unwrap();
    assert_close(wilcoxon.statistic, &expected["wilcoxon_zsplit_approx"][0], "Wilcoxon's statistic");
    assert_close(wilcoxon.p, &expected["wilcoxon_zsplit_approx"][1], "p of Wilcoxon");
    assert_close(tests.standardised_difference.unwrap(), &expected["cohens_dz"], "d_z");
    let signs = &expected["sign_test_wins_losses_ties_p"];
    let found = [tests.sign_test.wins, tests.sign_test.losses, tests.sign_test.ties];
    assert_eq!(found.map(|count| Some(count as u64)), [0, 1, 2].map(|place| signs[place].as_u64()));
    assert_close(tests.sign_test.p, &signs[3], "p of the sign test");
}

#[test]
fn golden_metrics_few_items_are_swapped_in_every_way() {
    let Some(folder) = family("metrics") else { return };
    let golden = &expected(&folder)["significance"];
    let (first, second) = golden_scores(golden);
    let found = compare(&first[..14], &second[..14], &Resampling::default()).unwrap().randomisation;
    assert!(found.exact && found.trials == 1 << 14);
    assert_close(found.p, &golden["expected"]["exact_sign_flip_p_first14_two_sided"], "p");
}

#[test]
fn golden_metrics_resampling_comes_near_to_numpy() {
    let Some(folder) = family("metrics") else { return };
    let golden = &expected(&folder)["significance"];
    let (first, second) = golden_scores(golden);
    let expected = &golden["expected_monte_carlo"];
    let number = |value: &Value| value.as_f64().unwrap();
    let resampling = Resampling::new(40_000, 0.95, 1).unwrap();
    let found = compare(&first, &second, &resampling).unwrap();
    let (low, high) =
        (number(&expected["bootstrap_percentile_ci95"][0]), number(&expected["bootstrap_percentile_ci95"][1]));
    // The tolerances are those the file states.
    let difference = found.bootstrap.difference;
    assert!((difference.low - low).abs() < 0.02 * (high - low), "{difference:?}");
    assert!((difference.high - high).abs() < 0.02 * (high - low), "{difference:?}");
    assert!((found.bootstrap.p - number(&expected["bootstrap_p_a_not_better"])).abs() < 0.005);
    let randomisation = found.randomisation;
    assert!(!randomisation.exact && randomisation.trials == 40_000);
    assert!((randomisation.p - number(&expected["approx_randomisation_p_two_sided"])).abs() < 0.005);
}

#[test]
fn a_corpus_metric_is_computed_from_sums() {
    // Long responses are where the first system is better: the mean of the items' ratios says the opposite.
    let first = ItemSums::from_rows(&[[1.0, 4.0], [2.0, 5.0], [60.0, 80.0], [70.0, 90.0]]).unwrap();
    let second = ItemSums::from_rows(&[[3.0, 4.0], [4.0, 5.0], [50.0, 80.0], [60.0, 90.0]]).unwrap();
    let ratio = |sums: &[f64]| sums[0] / sums[1];
    let found = Paired::new(&first, &second, ratio).unwrap().compare(&Resampling::default());
    assert_eq!((found.first, found.second, found.items), (133.0 / 179.0, 117.0 / 179.0, 4));
    // Of all 16 swaps those of none, one or both of the first two items reach the difference, with the last two or without.
    assert_eq!((found.randomisation.p, found.randomisation.trials), (8.0 / 16.0, 16));
    assert_eq!(found.per_item, None);
    let single = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let again = single.install(|| Paired::new(&first, &second, ratio).unwrap().compare(&Resampling::default()));
    assert_eq!(found, again);
}

#[test]
fn items_of_a_group_are_drawn_together() {
    let values: Vec<f64> = (0..40).map(|item| f64::from(item / 10 % 2) + 0.01 * f64::from(item % 3)).collect();
    let names: Vec<String> = (0..40).map(|item| (item / 10).to_string()).collect();
    let groups: Vec<&str> = names.iter().map(String::as_str).collect();
    let (first, second) = (ItemSums::of_values(&values).unwrap(), ItemSums::of_values(&[0.3; 40]).unwrap());
    let grouped = (first.by_group(&groups).unwrap(), second.by_group(&groups).unwrap());
    let width = |first: &ItemSums, second: &ItemSums| {
        let interval = Paired::new(first, second, mean_of_sums).unwrap().bootstrap(&Resampling::default()).difference;
        interval.high - interval.low
    };
    assert_eq!((grouped.0.items(), grouped.0.total()), (4, first.total()));
    assert!(width(&grouped.0, &grouped.1) > 2.0 * width(&first, &second));
    assert!(matches!(first.by_group(&groups[1..]), Err(Error::Lengths { .. })));
}

#[test]
fn equal_systems_never_differ() {
    let scores: Vec<f64> = (0..30).map(|item| f64::from(item) / 7.0).collect();
    let found = compare(&scores, &scores, &Resampling::default()).unwrap();
    assert_eq!((found.bootstrap.p, found.randomisation.p), (1.0, 1.0));
    assert_eq!((found.bootstrap.difference.low, found.bootstrap.difference.high), (0.0, 0.0));
    let tests = found.per_item.unwrap();
    assert_eq!((tests.wilcoxon, tests.paired_t, tests.standardised_difference), (None, None, None));
    assert_eq!((tests.sign_test.ties, tests.sign_test.p), (30, 1.0));
}

#[test]
fn a_difference_of_rounding_errors_is_none() {
    // The systems' scores are the same numbers in another order.
    let found = compare(&[0.1, 0.2, 0.3], &[0.3, 0.2, 0.1], &Resampling::default()).unwrap();
    assert_ne!(found.first, found.second);
    assert_eq!((found.bootstrap.p, found.randomisation.p), (1.0, 1.0));
}

#[test]
fn swapping_the_systems_turns_the_sign_only() {
    let (first, second) = ([0.3, 0.9, 0.4, 0.8, 0.7, 0.75], [0.35, 0.5, 0.3, 0.6, 0.65, 0.2]);
    let one = compare(&first, &second, &Resampling::default()).unwrap();
    let other = compare(&second, &first, &Resampling::default()).unwrap();
    assert_eq!(one.randomisation, other.randomisation);
    assert_eq!(one.bootstrap.p, other.bootstrap.p);
    assert!((one.bootstrap.difference.low + other.bootstrap.difference.high).abs() < 1e-12);
    let (one, other) = (one.per_item.unwrap(), other.per_item.unwrap());
    assert_eq!(one.wilcoxon.unwrap().p, other.wilcoxon.unwrap().p);
    assert_eq!(one.paired_t.unwrap().t, -other.paired_t.unwrap().t);
}

#[test]
fn zero_differences_are_treated_in_three_ways() {
    let differences = [1.5, -0.5, 2.0, 0.0, 0.0, 3.0, -1.5, 0.5, 0.25];
    // (statistic, p) of scipy.stats.wilcoxon(…, zero_method=…, correction=False, method="asymptotic"), SciPy 1.17.1.
    let expected = [
        (ZeroDifferences::Drop, 7.0, 0.2350444507531182),
        (ZeroDifferences::Pratt, 11.0, 0.23116288560866238),
        (ZeroDifferences::Split, 12.5, 0.23490128235581542),
    ];
    for (zeros, statistic, p) in expected {
        let found = wilcoxon_signed_rank(&differences, zeros).unwrap();
        assert_eq!(found.statistic, statistic, "{zeros:?}");
        assert!((found.p - p).abs() < 1e-12, "{zeros:?}: {}", found.p);
    }
}

#[test]
fn tests_by_hand() {
    assert!((sign_test(5, 0) - 2.0 / 32.0).abs() < 1e-12);
    assert_eq!([sign_test(0, 0), sign_test(3, 3)], [1.0, 1.0]);
    // Mean 2, deviation 1, three differences.
    let t = paired_t(&[1.0, 2.0, 3.0]).unwrap();
    assert!((t.t - 2.0 * 3.0_f64.sqrt()).abs() < 1e-12 && t.degrees == 2);
    assert!((t.p - (1.0 - (12.0_f64 / 14.0).sqrt())).abs() < 1e-12);
    assert_eq!(standardised_difference(&[1.0, 2.0, 3.0]).unwrap(), 2.0);
}

#[test]
fn what_cannot_be_compared_is_an_error() {
    let settings = Resampling::default();
    assert!(matches!(compare(&[1.0], &[], &settings), Err(Error::Lengths { .. })));
    assert!(matches!(compare(&[], &[], &settings), Err(Error::Empty(_))));
    assert!(matches!(compare(&[1.0, f64::NAN], &[1.0, 2.0], &settings), Err(Error::Undefined { .. })));
    assert!(matches!(ItemSums::from_rows(&[vec![1.0], vec![1.0, 2.0]]), Err(Error::Lengths { .. })));
    assert!(matches!(ItemSums::from_rows::<[f64; 0]>(&[[]]), Err(Error::Empty(_))));
    let sums = ItemSums::from_rows(&[[0.0, 0.0]]).unwrap();
    assert!(matches!(Paired::new(&sums, &sums, mean_of_sums), Err(Error::Undefined { .. })));
    let one = ItemSums::from_rows(&[[0.0]]).unwrap();
    assert!(matches!(Paired::new(&sums, &one, |_| 0.0), Err(Error::Lengths { .. })));
    for differences in [&[][..], &[0.0, 0.0], &[1.0, f64::NAN]] {
        assert!(wilcoxon_signed_rank(differences, ZeroDifferences::Pratt).is_err());
    }
    for differences in [&[][..], &[1.0], &[0.1, 0.1, 0.1], &[1.0, f64::INFINITY]] {
        assert!(paired_t(differences).is_err() && standardised_difference(differences).is_err());
    }
}

#[test]
fn a_resample_without_a_score_counts_against_the_difference() {
    // The metric is undefined where only the second item is drawn.
    let first = ItemSums::from_rows(&[[4.0, 4.0], [0.0, 0.0]]).unwrap();
    let second = ItemSums::from_rows(&[[2.0, 4.0], [0.0, 0.0]]).unwrap();
    let found = Paired::new(&first, &second, mean_of_sums).unwrap().bootstrap(&Resampling::default());
    assert_eq!((found.difference.low, found.difference.high), (0.5, 0.5));
    let undefined = 2000 - found.difference.resamples;
    assert!((400..600).contains(&undefined));
    assert_eq!(found.p, undefined as f64 / 2000.0);
}

/// Few enough to swap in every way, or so many that swaps are sampled.
fn few_or_many_scores() -> impl Strategy<Value = Vec<(f64, f64)>> {
    let items = prop_oneof![1..10_usize, 20..30_usize];
    items.prop_flat_map(|items| prop::collection::vec((0.0..1.0, 0.0..1.0), items))
}

proptest! {
    #[test]
    fn probabilities_are_probabilities(scores in few_or_many_scores()) {
        let (first, second): (Vec<f64>, Vec<f64>) = scores.into_iter().unzip();
        let resampling = Resampling::new(50, 0.95, 3).unwrap();
        let found = compare(&first, &second, &resampling).unwrap();
        let tests = found.per_item.unwrap();
        let p = [found.bootstrap.p, found.randomisation.p, tests.sign_test.p];
        let p = p.into_iter().chain(tests.wilcoxon.map(|test| test.p)).chain(tests.paired_t.map(|test| test.p));
        for p in p {
            prop_assert!((0.0..=1.0).contains(&p));
        }
        prop_assert!(found.randomisation.p > 0.0);
    }

    #[test]
    fn any_scores_are_compared_or_refused(scores in prop::collection::vec((prop::num::f64::ANY, prop::num::f64::ANY), 0..12)) {
        let (first, second): (Vec<f64>, Vec<f64>) = scores.into_iter().unzip();
        if let Ok(found) = compare(&first, &second, &Resampling::new(20, 0.95, 3).unwrap()) {
            prop_assert!(found.first.is_finite() && found.second.is_finite());
        }
    }
}
