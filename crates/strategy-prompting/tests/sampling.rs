//! Which pairs are continued: the published selections, and independence of order for ours.

use proptest::prelude::*;
use strategy_prompting::{Pair, PairSampling, python_compat_draws, sample_pairs};

#[test]
fn the_first_published_draws_are_re_created() {
    let expected: [(usize, &[usize]); 8] = [
        (335, &[1, 5, 11, 13]),
        (774, &[1, 3, 6, 8, 12]),
        (4702, &[7, 8, 9, 10]),
        (2089, &[4, 14, 15]),
        (2557, &[4, 10, 13]),
        (109, &[3, 4, 5, 8, 9, 10, 13, 14]),
        (2067, &[1, 7, 8]),
        (8654, &[2, 4, 15]),
    ];
    for examples in [9_354, 8_715] {
        let draws = python_compat_draws(examples, 15, Some(expected.len()), 0.3);
        let numbered: Vec<(usize, Vec<usize>)> =
            draws.into_iter().map(|draw| (draw.example, draw.strategies.iter().map(|s| s + 1).collect())).collect();
        assert_eq!(numbered, expected.map(|(example, strategies)| (example, strategies.to_vec())));
    }
}

#[test]
fn one_pass_of_the_published_draws_has_the_published_size() {
    for (examples, drawn, continuations) in [(9_354, 5_942, 26_698), (8_715, 5_479, 24_796)] {
        let draws = python_compat_draws(examples, 15, None, 0.3);
        assert_eq!(draws.len(), drawn);
        assert_eq!(draws.iter().map(|draw| draw.strategies.len()).sum::<usize>(), continuations);
    }
}

fn ids(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("example-{number}")).collect()
}

fn sample(sampling: PairSampling, seed: u64, ids: &[String], limit: Option<usize>) -> Vec<Pair> {
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    sample_pairs(sampling, seed, &ids, &["A", "B", "C"], limit).unwrap()
}

#[test]
fn exhaustive_sampling_takes_every_pair_once() {
    let pairs = sample(PairSampling::Exhaustive, 0, &ids(10), Some(4));
    assert_eq!(pairs.len(), 12);
    assert!(pairs.windows(2).all(|two| two[0] < two[1]));
}

#[test]
fn probability_zero_takes_none_and_one_takes_all() {
    assert!(sample(PairSampling::Probability { p: 0.0 }, 0, &ids(50), None).is_empty());
    assert_eq!(sample(PairSampling::Probability { p: 1.0 }, 0, &ids(50), None).len(), 150);
}

#[test]
fn probability_keeps_about_its_share_and_depends_on_the_seed() {
    let one = sample(PairSampling::Probability { p: 0.3 }, 1, &ids(2_000), None);
    let two = sample(PairSampling::Probability { p: 0.3 }, 2, &ids(2_000), None);
    // Standard deviation of 6,000 draws is 35.
    assert!((1_600..2_000).contains(&one.len()), "{}", one.len());
    assert_ne!(one, two);
}

#[test]
fn probabilities_outside_their_range_are_refused() {
    for p in [-0.1, 1.1, f64::NAN] {
        for sampling in [PairSampling::Probability { p }, PairSampling::PythonCompat { sample_prob: p }] {
            assert!(sample_pairs(sampling, 0, &["a"], &["A"], None).is_err());
        }
    }
}

#[test]
fn no_examples_give_no_pairs() {
    for sampling in [
        PairSampling::Exhaustive,
        PairSampling::Probability { p: 0.5 },
        PairSampling::PythonCompat { sample_prob: 0.3 },
    ] {
        assert!(sample(sampling, 0, &[], None).is_empty());
    }
}

proptest! {
    #[test]
    fn a_pair_is_taken_whatever_stands_around_it(seed: u64, order in Just(ids(40)).prop_shuffle(), p in 0.0..1.0) {
        let sampling = PairSampling::Probability { p };
        let named = |ids: &[String]| {
            let pairs = sample(sampling, seed, ids, None).into_iter();
            let mut named: Vec<_> = pairs.map(|pair| (ids[pair.example].clone(), pair.strategy)).collect();
            named.sort();
            named
        };
        prop_assert_eq!(named(&order), named(&ids(40)));
        let half: Vec<_> = named(&ids(40)).into_iter().filter(|(id, _)| order[..20].contains(id)).collect();
        prop_assert_eq!(named(&order[..20]), half);
    }
}
