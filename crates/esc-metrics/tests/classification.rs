//! Classes and preferences: against scikit-learn and the published preference bias, and by hand.

use esc_metrics::Error;
use esc_metrics::classification::{Averaged, ClassificationReport, Labelled, normalised_edit_distance, top_k_accuracy};
use esc_metrics::interval::{Interval, Resampling};
use esc_metrics::preference_bias::{BradleyTerry, PreferenceBias, Wins};
use proptest::prelude::*;
use serde_json::Value;

use crate::goldens::{assert_close, expected, family};

fn labels(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|label| label.as_u64().unwrap() as usize).collect()
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|class| format!("class {class}")).collect()
}

fn assert_preferences(classes: usize, gold: &[usize], predicted: &[usize], expected: &Value) {
    let found = PreferenceBias::new(classes, gold, predicted).unwrap();
    let preferences = expected["bradley_terry_preference_sum8_20iter"].as_array().unwrap();
    assert_eq!(found.preferences.len(), preferences.len());
    for (class, (found, expected)) in found.preferences.iter().zip(preferences).enumerate() {
        assert_close(*found, expected, &format!("preference {class}"));
    }
    assert_close(found.bias, &expected["preference_bias_B"], "bias");
}

#[test]
fn golden_metrics_strategies_score_as_scikit_learn_says() {
    let Some(folder) = family("metrics") else { return };
    let golden = &expected(&folder)["strategy"];
    let names: Vec<String> = serde_json::from_value(golden["labels"].clone()).unwrap();
    let (gold, predicted) = (labels(&golden["gold"]), labels(&golden["pred"]));
    let expected = &golden["expected"];
    let found = Labelled::new(&names, &gold, &predicted).unwrap().report(Averaged::Present);
    assert_close(found.accuracy, &expected["accuracy"], "accuracy");
    assert_close(found.macro_f1, &expected["macro_f1_Q"], "macro-F1");
    assert_close(found.weighted_f1, &expected["weighted_f1"], "weighted F1");
    assert_close(found.micro_f1, &expected["micro_f1"], "micro-F1");
    assert_close(found.matthews, &expected["matthews"], "Matthews");
    assert_close(found.cohen_kappa.unwrap(), &expected["cohen_kappa"], "kappa");
    let classes = expected["per_class"].as_array().unwrap();
    assert_eq!(found.classes.len(), classes.len());
    for (class, expected) in found.classes.iter().zip(classes) {
        assert_close(class.precision, &expected[0], &class.name);
        assert_close(class.recall, &expected[1], &class.name);
        assert_close(class.f1, &expected[2], &class.name);
        assert_eq!(Some(class.support as u64), expected[3].as_u64());
    }
    let confusion: Vec<Vec<usize>> = serde_json::from_value(expected["confusion"].clone()).unwrap();
    assert_eq!(found.confusion, confusion);
    assert_preferences(names.len(), &gold, &predicted, expected);
}

#[test]
fn golden_metrics_a_class_that_is_never_predicted() {
    let Some(folder) = family("metrics") else { return };
    let golden = &expected(&folder)["strategy"];
    let names: Vec<String> = serde_json::from_value(golden["labels"].clone()).unwrap();
    let small = &golden["small"];
    let (gold, predicted) = (labels(&small["gold"]), labels(&small["pred"]));
    let labelled = Labelled::new(&names, &gold, &predicted).unwrap();
    let (present, all) = (labelled.report(Averaged::Present), labelled.report(Averaged::All));
    let expected = &small["expected"];
    assert_close(present.accuracy, &expected["accuracy"], "accuracy");
    assert_close(present.macro_f1, &expected["macro_f1_present_labels"], "macro-F1 of present classes");
    assert_close(all.macro_f1, &expected["macro_f1_all8"], "macro-F1 of all classes");
    assert_close(present.weighted_f1, &expected["weighted_f1"], "weighted F1");
    assert_preferences(names.len(), &gold, &predicted, expected);
}

#[test]
fn golden_metrics_the_true_class_is_among_the_best() {
    let Some(folder) = family("metrics") else { return };
    let golden = &expected(&folder)["strategy"]["topk"];
    let scores: Vec<Vec<f64>> = serde_json::from_value(golden["scores"].clone()).unwrap();
    let gold = labels(&golden["gold"]);
    let expected = golden["expected"].as_object().unwrap();
    for (name, expected) in expected {
        let k = name.strip_prefix("top").unwrap().parse().unwrap();
        assert_close(top_k_accuracy(&scores, &gold, k).unwrap(), expected, name);
    }
}

#[test]
fn absent_classes_count_only_if_all_are_averaged() {
    let names = names(4);
    let labelled = Labelled::new(&names, &[0, 0, 1, 1], &[0, 1, 1, 1]).unwrap();
    let (present, all) = (labelled.report(Averaged::Present), labelled.report(Averaged::All));
    let (first, second) = (2.0 / 3.0, 4.0 / 5.0);
    assert_eq!((present.macro_f1, all.macro_f1), ((first + second) / 2.0, (first + second) / 4.0));
    assert_eq!((present.macro_precision, present.macro_recall), ((1.0 + 2.0 / 3.0) / 2.0, 0.75));
    assert_eq!((present.chance, present.majority, present.accuracy), (0.25, 0.5, 0.75));
    assert_eq!(present.confusion[0], [1, 1, 0, 0]);
    assert_eq!((present.classes[2].precision, present.classes[2].recall, present.classes[2].f1), (0.0, 0.0, 0.0));
    // Σ right · items - Σ gold · predicted = 12 - (2 + 6); both spreads: 16 - 8 and 16 - 10.
    assert!((present.matthews - 4.0 / 48.0_f64.sqrt()).abs() < 1e-12);
    assert_eq!(present.cohen_kappa, Some(0.5));
}

#[test]
fn always_the_same_answer_has_no_correlation() {
    let names = names(2);
    let found = Labelled::new(&names, &[0, 1, 0], &[0, 0, 0]).unwrap().report(Averaged::Present);
    assert_eq!((found.matthews, found.cohen_kappa), (0.0, Some(0.0)));
    let found = Labelled::new(&names, &[0, 0], &[0, 0]).unwrap().report(Averaged::Present);
    assert_eq!((found.matthews, found.cohen_kappa, found.macro_f1), (0.0, None, 1.0));
}

#[test]
fn intervals_by_group_hold_accuracy_and_macro_f1() {
    let names = names(3);
    let gold: Vec<usize> = (0..90).map(|item| item % 3).collect();
    let predicted: Vec<usize> =
        (0..90).map(|item| if item * item % 7 < 4 { item % 3 } else { (item + 1) % 3 }).collect();
    let owners: Vec<String> = (0..90).map(|item| (item / 5).to_string()).collect();
    let groups: Vec<&str> = owners.iter().map(String::as_str).collect();
    let labelled = Labelled::new(&names, &gold, &predicted).unwrap();
    let report = labelled.report(Averaged::Present);
    let resampling = Resampling::default();
    let found = labelled.intervals(Averaged::Present, &groups, &resampling).unwrap();
    let macro_f1 = found.macro_f1.unwrap();
    assert_eq!((found.accuracy.mean, macro_f1.value), (report.accuracy, report.macro_f1));
    assert_eq!((found.accuracy.values, found.accuracy.groups), (90, 18));
    let (low, high) = found.accuracy.ends().unwrap();
    assert!(low < report.accuracy && report.accuracy < high);
    assert!(macro_f1.low < report.macro_f1 && report.macro_f1 < macro_f1.high);
    let right = gold.iter().zip(&predicted).map(|(gold, predicted)| f64::from(gold == predicted));
    assert_eq!(Some(found.accuracy), Interval::by_group(groups.iter().copied().zip(right)));
    assert!(matches!(labelled.intervals(Averaged::Present, &groups[1..], &resampling), Err(Error::Lengths { .. })));
    let both = labelled.report_by_group(&groups).unwrap();
    assert_eq!((both.report, both.intervals, both.groups), (report, found, 18));
    // One group does not tell how much groups differ.
    let alone = labelled.report_by_group(&["one"; 90]).unwrap();
    assert_eq!((alone.groups, alone.intervals.accuracy.ends(), alone.intervals.macro_f1), (1, None, None));
}

#[test]
fn of_equal_scores_the_lower_class_comes_first() {
    let scores = [[0.4, 0.4, 0.2], [0.3, 0.3, 0.3]];
    assert_eq!(top_k_accuracy(&scores, &[1, 1], 1).unwrap(), 0.0);
    assert_eq!(top_k_accuracy(&scores, &[0, 0], 1).unwrap(), 1.0);
    assert_eq!(top_k_accuracy(&scores, &[2, 1], 2).unwrap(), 0.5);
    assert_eq!(top_k_accuracy(&scores, &[2, 2], 3).unwrap(), 1.0);
}

#[test]
fn edit_distances_by_hand() {
    let distance = |first: &str, second: &str| {
        normalised_edit_distance(&first.chars().collect::<Vec<_>>(), &second.chars().collect::<Vec<_>>())
    };
    assert_eq!(distance("kitten", "sitting"), 3.0 / 7.0);
    assert_eq!([distance("", ""), distance("abc", ""), distance("", "abc")], [0.0, 1.0, 1.0]);
    assert_eq!([distance("abc", "abc"), distance("abc", "xyz"), distance("ab", "ba")], [0.0, 1.0, 1.0]);
}

#[test]
fn what_cannot_be_scored_is_an_error() {
    let names = names(2);
    assert!(matches!(Labelled::new(&names, &[0], &[]), Err(Error::Lengths { .. })));
    assert!(matches!(Labelled::new(&names, &[], &[]), Err(Error::Empty(_))));
    assert!(matches!(Labelled::new(&names, &[0], &[2]), Err(Error::Setting(_))));
    assert!(matches!(top_k_accuracy(&[[1.0]], &[], 1), Err(Error::Lengths { .. })));
    assert!(matches!(top_k_accuracy::<[f64; 1]>(&[], &[], 1), Err(Error::Empty(_))));
    assert!(matches!(top_k_accuracy(&[[1.0]], &[0], 0), Err(Error::Setting(_))));
    assert!(matches!(top_k_accuracy(&[[1.0]], &[1], 1), Err(Error::Undefined { .. })));
    assert!(matches!(top_k_accuracy(&[[f64::NAN]], &[0], 1), Err(Error::Undefined { .. })));
}

#[test]
fn a_class_that_is_never_mistaken_has_no_preference() {
    let message = |result: Result<PreferenceBias, Error>| result.unwrap_err().to_string();
    assert!(message(PreferenceBias::new(2, &[0, 1, 1], &[0, 1, 0])).contains("class 0"));
    // 2 is predicted for 1 only, which is never predicted: neither has any preference, and 0 / 0 is their ratio.
    assert!(message(PreferenceBias::new(4, &[0, 3, 1, 2], &[3, 0, 2, 0])).contains("class 2"));
    // Two classes that are never predicted are no such case.
    let found = PreferenceBias::new(4, &[0, 1, 2, 3], &[1, 0, 0, 1]).unwrap();
    assert!(found.preferences[..2].iter().all(|one| *one > 0.0) && found.preferences[2..] == [0.0, 0.0]);
    assert!(matches!(PreferenceBias::new(2, &[0], &[]), Err(Error::Lengths { .. })));
    assert!(matches!(PreferenceBias::new(2, &[0], &[2]), Err(Error::Setting(_))));
    assert!(matches!(PreferenceBias::new(1, &[0], &[0]), Err(Error::Setting(_))));
    assert!(PreferenceBias::new(2, &[], &[]).is_err());
}

#[test]
fn a_model_without_preference_has_no_bias() {
    let found = PreferenceBias::new(3, &[0, 1, 1, 2, 2, 0], &[1, 0, 2, 1, 0, 2]).unwrap();
    assert!(found.bias < 1e-12 && found.preferences.iter().all(|one| (one - 1.0).abs() < 1e-12));
}

#[test]
fn strengths_of_two_are_their_odds() {
    let mut wins = Wins::new(2).unwrap();
    (0..3).for_each(|_| wins.win(0, 1).unwrap());
    wins.win(1, 0).unwrap();
    let found = BradleyTerry::fit(&wins).unwrap();
    assert!((found.strengths[0] / found.strengths[1] - 3.0).abs() < 1e-9);
    assert!((found.strengths[0] * found.strengths[1] - 1.0).abs() < 1e-9);
    assert!((found.probability(0, 1).unwrap() - 0.75).abs() < 1e-9);
    assert!((found.log_likelihood - (3.0 * 0.75_f64.ln() + 0.25_f64.ln())).abs() < 1e-9);
    assert_eq!(found.probability(0, 2), None);
    // Two ties are a win for each: 4 : 2.
    wins.tie(0, 1).unwrap();
    wins.tie(1, 0).unwrap();
    assert!((BradleyTerry::fit(&wins).unwrap().probability(0, 1).unwrap() - 4.0 / 6.0).abs() < 1e-9);
}

#[test]
fn strengths_need_a_chain_of_wins_both_ways() {
    let mut wins = Wins::new(3).unwrap();
    wins.win(0, 1).unwrap();
    wins.win(1, 0).unwrap();
    wins.win(0, 2).unwrap();
    assert!(matches!(BradleyTerry::fit(&wins), Err(Error::Undefined { .. })));
    wins.win(2, 1).unwrap();
    assert!(BradleyTerry::fit(&wins).is_ok());
    assert!(matches!(wins.win(1, 1), Err(Error::Setting(_))));
    assert!(matches!(wins.tie(0, 3), Err(Error::Setting(_))));
    assert!(matches!(Wins::new(1), Err(Error::Setting(_))));
}

fn labelled_items() -> impl Strategy<Value = (Vec<usize>, Vec<usize>)> {
    prop::collection::vec((0..5_usize, 0..5_usize), 1..60).prop_map(|items| items.into_iter().unzip())
}

fn renamed(labels: &[usize]) -> Vec<usize> {
    labels.iter().map(|label| (label + 2) % 5).collect()
}

proptest! {
    #[test]
    fn renaming_classes_changes_no_score((gold, predicted) in labelled_items()) {
        let names = names(5);
        let score = |gold: &[usize], predicted: &[usize]| -> ClassificationReport {
            Labelled::new(&names, gold, predicted).unwrap().report(Averaged::Present)
        };
        let (one, other) = (score(&gold, &predicted), score(&renamed(&gold), &renamed(&predicted)));
        let scores = |report: &ClassificationReport| {
            [report.accuracy, report.macro_f1, report.weighted_f1, report.matthews, report.cohen_kappa.unwrap_or(7.0)]
        };
        for (one, other) in scores(&one).into_iter().zip(scores(&other)) {
            prop_assert!((one - other).abs() < 1e-12);
        }
        prop_assert_eq!(one.classes[0].support, other.classes[2].support);
    }

    #[test]
    fn preferences_sum_to_the_classes_or_are_undefined((gold, predicted) in labelled_items()) {
        match PreferenceBias::new(5, &gold, &predicted) {
            Ok(found) => {
                prop_assert!((found.preferences.iter().sum::<f64>() - 5.0).abs() < 1e-9);
                prop_assert!(found.bias.is_finite() && found.preferences.iter().all(|one| *one >= 0.0));
            }
            Err(error) => prop_assert!(error.to_string().starts_with("preference-bias: ")),
        }
    }

    #[test]
    fn at_the_maximum_every_player_wins_as_often_as_expected(
        games in prop::collection::vec((0..4_usize, 1..4_usize), 1..80),
    ) {
        let mut wins = Wins::new(4).unwrap();
        let games = games.into_iter().map(|(winner, step)| (winner, (winner + step) % 4));
        let games: Vec<(usize, usize)> = games.collect();
        games.iter().for_each(|(winner, loser)| wins.win(*winner, *loser).unwrap());
        if let Ok(found) = BradleyTerry::fit(&wins) {
            for player in 0..4 {
                let won = games.iter().filter(|game| game.0 == player).count() as f64;
                let expected: f64 = games.iter().filter_map(|(winner, loser)| match player {
                    _ if player == *winner => found.probability(player, *loser),
                    _ if player == *loser => found.probability(player, *winner),
                    _ => None,
                }).sum();
                prop_assert!((won - expected).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn an_edit_distance_is_symmetric_and_at_most_one(first in "[abc]{0,9}", second in "[abc]{0,9}") {
        let distance = normalised_edit_distance(first.as_bytes(), second.as_bytes());
        prop_assert_eq!(distance, normalised_edit_distance(second.as_bytes(), first.as_bytes()));
        prop_assert!((0.0..=1.0).contains(&distance));
        prop_assert_eq!(distance == 0.0, first == second);
    }
}
