//! Correlations, intervals of groups, and what is done to values before they are correlated.

use esc_metrics::Error;
use esc_metrics::correlation::{
    Correlation, kendall_tau_b, mean_ranks, pearson, spearman, within_percentiles, z_scores,
};
use esc_metrics::interval::{Interval, Resampling, wilson, wilson_of_share};
use proptest::prelude::*;

const ALL: [Correlation; 3] = [Correlation::Pearson, Correlation::Spearman, Correlation::KendallTauB];

#[test]
fn kendall_by_hand() {
    // Of ten pairs of pairs one is tied in x, one in y; seven agree, one is opposed.
    let pairs = [(1.0, 1.0), (2.0, 2.0), (2.0, 4.0), (3.0, 3.0), (4.0, 4.0)];
    assert!((kendall_tau_b(&pairs).unwrap() - 6.0 / 9.0).abs() < 1e-12);
}

#[test]
fn spearman_counts_ranks_only() {
    let pairs: Vec<(f64, f64)> = (0..6).map(|x| (f64::from(x), f64::from(x).exp())).collect();
    assert!((spearman(&pairs).unwrap() - 1.0).abs() < 1e-12 && pearson(&pairs).unwrap() < 0.95);
    assert_eq!(mean_ranks(&[3.0, 1.0, 3.0, -0.0, 0.0]), [4.5, 3.0, 4.5, 1.5, 1.5]);
}

#[test]
fn values_at_the_ends_of_f64_still_correlate() {
    for scale in [1e-120, 1e120] {
        let pairs = [(1.0, 2.0), (2.0, 1.0), (3.0, 4.0), (4.0, 3.0)].map(|(x, y)| (x * scale, y * scale));
        assert!((pearson(&pairs).unwrap() - 0.6).abs() < 1e-12);
    }
}

#[test]
fn nothing_is_correlated_with_what_does_not_vary() {
    let level = [(1.0, 5.0), (2.0, 5.0), (3.0, 5.0), (4.0, 5.0)];
    let few = [(1.0, 2.0), (2.0, 1.0), (f64::INFINITY, 3.0), (f64::NAN, f64::NAN)];
    for correlation in ALL {
        assert_eq!([correlation.of(&level), correlation.of(&few), correlation.of(&[])], [None; 3]);
        assert_eq!(correlation.interval(&level, &Resampling::default()), None);
    }
}

#[test]
fn an_interval_by_group_is_wider_where_a_group_repeats_itself() {
    let noise = |x: i32| f64::from(x * x * 31 % 17);
    let pairs: Vec<(f64, f64)> =
        (0..60).map(|item| item / 6).map(|x| (f64::from(x), f64::from(x) + noise(x))).collect();
    let names: Vec<String> = (0..60).map(|item| (item / 6).to_string()).collect();
    let groups: Vec<&str> = names.iter().map(String::as_str).collect();
    for correlation in ALL {
        let alone = correlation.interval(&pairs, &Resampling::default()).unwrap();
        let grouped = correlation.interval_by_group(&pairs, &groups, &Resampling::default()).unwrap().unwrap();
        assert_eq!(alone.value, correlation.of(&pairs).unwrap());
        assert!((grouped.value - alone.value).abs() < 1e-12);
        assert!(grouped.high - grouped.low > 1.5 * (alone.high - alone.low), "{}", correlation.name());
    }
    let short = Correlation::Pearson.interval_by_group(&pairs, &groups[1..], &Resampling::default());
    assert!(matches!(short, Err(Error::Lengths { left: 60, right: 59, .. })));
}

#[test]
fn standardised_values_have_mean_zero_and_sample_deviation_one() {
    assert_eq!(z_scores(&[1.0, 2.0, 3.0]), Some(vec![-1.0, 0.0, 1.0]));
    assert_eq!(
        [z_scores(&[]), z_scores(&[1.0]), z_scores(&[2.0, 2.0]), z_scores(&[1.0, f64::NAN])],
        [const { None }; 4]
    );
}

#[test]
fn percentiles_cut_the_tails_and_keep_their_ends() {
    let values: Vec<f64> = (0..=100).map(f64::from).chain([f64::NAN]).collect();
    let kept = within_percentiles(&values, 0.01, 0.99);
    assert_eq!(kept.iter().filter(|kept| **kept).count(), 99);
    assert_eq!([kept[0], kept[1], kept[99], kept[100], kept[101]], [false, true, true, false, false]);
    assert_eq!(within_percentiles(&[1.0, 2.0], -1.0, 0.5), [false, false]);
}

#[test]
fn an_interval_of_means_has_its_pinned_ends() {
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let values = (0..50_usize).map(|item| (names[(item * item + item / 3) % 7], ((item * 37) % 101) as f64 / 7.0));
    let found = Interval::by_group(values).unwrap();
    let expected = Interval {
        mean: 7.145714285714286,
        low: Some(6.031055900621118),
        high: Some(8.102345415778252),
        values: 50,
        groups: 7,
    };
    assert_eq!(found, expected);
    let pairs: Vec<(f64, f64)> =
        (0..50).map(|item| (f64::from((item * 37) % 101) / 7.0, f64::from((item * 53) % 97) / 3.0)).collect();
    assert_eq!(pearson(&pairs), Some(0.14629728787079277));
}

#[test]
fn an_interval_leaves_out_what_is_not_finite() {
    let values = [("a", 1.0), ("a", f64::NAN), ("b", f64::INFINITY), ("a", 3.0)];
    let found = Interval::by_group(values).unwrap();
    assert_eq!((found.mean, found.ends(), found.values, found.groups), (2.0, None, 2, 1));
    assert_eq!(Interval::by_group([("a", f64::NAN)]), None);
    let written = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Interval>(&written).unwrap(), found);
}

#[test]
fn settings_out_of_range_are_refused() {
    for (resamples, confidence) in [(0, 0.95), (10, 0.0), (10, 1.0), (10, f64::NAN)] {
        assert!(matches!(Resampling::new(resamples, confidence, 1), Err(Error::Setting(_))));
    }
    assert!(matches!(wilson(1, 10, 1.5), Err(Error::Setting(_))));
    assert!(matches!(wilson(11, 10, 0.95), Err(Error::Setting(_))));
    assert_eq!(wilson(0, 0, 0.95).unwrap(), None);
}

#[test]
fn wilson_by_hand() {
    // z = 1.96 to two digits: (0.2 + 0.19208) / 1.38416 ± 1.96 sqrt(0.016 + 0.0096) / 1.38416 at 2 of 10.
    let (low, high) = wilson(2, 10, 0.95).unwrap().unwrap();
    assert!((low - 0.0567).abs() < 1e-4 && (high - 0.5098).abs() < 1e-4);
    let (low, high) = wilson(0, 10, 0.95).unwrap().unwrap();
    assert!(low == 0.0 && (high - 0.2775).abs() < 1e-4);
}

#[test]
fn wilson_of_a_share_lies_between_those_of_whole_successes() {
    assert_eq!(wilson_of_share(0.2, 10, 0.95).unwrap(), wilson(2, 10, 0.95).unwrap());
    let lows = [0.2, 0.25, 0.3].map(|share| wilson_of_share(share, 10, 0.95).unwrap().unwrap().0);
    assert!(lows[0] < lows[1] && lows[1] < lows[2]);
    assert_eq!(wilson_of_share(0.5, 0, 0.95).unwrap(), None);
    assert!(matches!(wilson_of_share(1.1, 10, 0.95), Err(Error::Setting(_))));
}

/// Kendall's tau-b by its definition, in O(n²).
fn tau_by_definition(pairs: &[(f64, f64)]) -> Option<f64> {
    let (mut signs, mut untied_x, mut untied_y) = (0.0, 0.0, 0.0);
    for (at, one) in pairs.iter().enumerate() {
        for other in &pairs[..at] {
            let (x, y) = (f64::total_cmp(&one.0, &other.0) as i32, f64::total_cmp(&one.1, &other.1) as i32);
            signs += f64::from(x * y);
            untied_x += f64::from(x.abs());
            untied_y += f64::from(y.abs());
        }
    }
    (pairs.len() > 2 && untied_x * untied_y > 0.0).then(|| signs / f64::sqrt(untied_x * untied_y))
}

fn small_pairs() -> impl Strategy<Value = Vec<(f64, f64)>> {
    prop::collection::vec((0..8_i32, 0..8_i32).prop_map(|(x, y)| (f64::from(x), f64::from(y))), 0..60)
}

proptest! {
    #[test]
    fn tau_is_what_its_definition_says(pairs in small_pairs()) {
        match (kendall_tau_b(&pairs), tau_by_definition(&pairs)) {
            (Some(found), Some(expected)) => prop_assert!((found - expected).abs() < 1e-12),
            (found, expected) => prop_assert_eq!(found, expected),
        }
    }

    #[test]
    fn sides_and_order_may_be_swapped_and_a_sign_turns_the_sign(pairs in small_pairs()) {
        let swapped: Vec<(f64, f64)> = pairs.iter().rev().map(|(x, y)| (*y, *x)).collect();
        let turned: Vec<(f64, f64)> = pairs.iter().map(|(x, y)| (3.0 - 2.0 * x, *y)).collect();
        for correlation in ALL {
            let found = correlation.of(&pairs);
            let (swapped, turned) = (correlation.of(&swapped), correlation.of(&turned));
            prop_assert_eq!((found.is_some(), found.is_some()), (swapped.is_some(), turned.is_some()));
            if let (Some(found), Some(swapped), Some(turned)) = (found, swapped, turned) {
                prop_assert!((found - swapped).abs() < 1e-12 && (found + turned).abs() < 1e-12);
                prop_assert!(found.abs() <= 1.0);
            }
        }
    }

    #[test]
    fn any_numbers_are_correlated_or_not(pairs in prop::collection::vec((prop::num::f64::ANY, prop::num::f64::ANY), 0..20)) {
        for correlation in ALL {
            prop_assert!(correlation.of(&pairs).is_none_or(|found| found.abs() <= 1.0));
        }
        let x: Vec<f64> = pairs.iter().map(|pair| pair.0).collect();
        prop_assert!(z_scores(&x).is_none_or(|scores| scores.len() == x.len()));
        prop_assert_eq!(within_percentiles(&x, 0.25, 0.75).len(), x.len());
        let interval = Interval::by_group(x.iter().map(|value| ("one", *value)));
        prop_assert!(interval.is_none_or(|found| found.values <= x.len()));
        prop_assert_eq!(mean_ranks(&x).len(), x.len());
    }
}
