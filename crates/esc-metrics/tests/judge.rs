//! Verdicts and ratings of judges.

use esc_metrics::Error;
use esc_metrics::judge::{ExpectedRating, JudgeReport, Verdict, VerdictPair, Winner, sampled_rating};
use serde_json::Value;

use crate::goldens::{assert_close, expected, family};

fn assert_count(found: usize, expected: &Value, what: &str) {
    assert_eq!(Some(found as u64), expected.as_u64(), "{what}");
}

#[test]
fn golden_metrics_preferences_become_wins_and_ties() {
    let Some(folder) = family("metrics") else { return };
    let golden = &expected(&folder)["judge"];
    let winner = |preference: &Value| match preference.as_i64().unwrap() {
        0 => Winner::Tie,
        1.. => Winner::Second,
        _ => Winner::First,
    };
    let preferences = golden["preferences"].as_array().unwrap();
    let found = JudgeReport::of_winners(preferences.iter().map(|one| Some(winner(one)))).unwrap().reversed();
    let expected = &golden["expected"];
    assert_count(found.wins + found.ties + found.losses, &expected["n"], "items");
    assert_count(found.wins, &expected["model2_wins"], "wins");
    assert_count(found.losses, &expected["model1_wins"], "losses");
    assert_count(found.ties, &expected["ties"], "ties");
    assert_close(found.win_rate, &expected["model2_win_rate"], "win rate");
    assert_close(found.win_rate_half_ties, &expected["model2_win_rate_half_ties"], "win rate with half ties");
    assert_close(found.win_interval.0, &expected["wilson95_model2_win"][0], "lower end");
    assert_close(found.win_interval.1, &expected["wilson95_model2_win"][1], "upper end");
    assert_close(found.sign_test_p, &expected["sign_test_p"], "sign test");
}

#[test]
fn golden_metrics_swapped_verdicts_become_wins_and_ties() {
    let Some(folder) = family("metrics") else { return };
    let golden = &expected(&folder)["judge"]["position_swapped_verdicts"];
    let pairs: Vec<(Option<Verdict>, Option<Verdict>)> = serde_json::from_value(golden["pairs"].clone()).unwrap();
    let pair = |(first_as_a, second_as_a)| VerdictPair { first_as_a, second_as_a };
    let found = JudgeReport::of_verdicts(&pairs.into_iter().map(pair).collect::<Vec<_>>()).unwrap();
    let expected = &golden["expected"];
    assert_count(found.wins, &expected["model1"], "wins");
    assert_count(found.losses, &expected["model2"], "losses");
    assert_count(found.ties, &expected["tie"], "ties");
    assert_count(found.dropped, &expected["invalid"], "dropped");
    assert_close(found.win_rate, &expected["model1_win_rate"], "win rate");
    assert_close(found.win_interval.0, &expected["wilson95_model1"][0], "lower end");
    assert_close(found.win_interval.1, &expected["wilson95_model1"][1], "upper end");
    let positions = found.positions.unwrap();
    assert_close(positions.first_shown_rate, &expected["position_bias_first_shown_rate"], "first shown");
}

const A: Option<Verdict> = Some(Verdict::A);
const B: Option<Verdict> = Some(Verdict::B);
const C: Option<Verdict> = Some(Verdict::Tie);

fn pairs(verdicts: &[(Option<Verdict>, Option<Verdict>)]) -> Vec<VerdictPair> {
    verdicts
        .iter()
        .map(|(first_as_a, second_as_a)| VerdictPair { first_as_a: *first_as_a, second_as_a: *second_as_a })
        .collect()
}

#[test]
fn a_win_follows_the_answer_across_the_swap() {
    let winners = pairs(&[(A, B), (B, A), (A, A), (B, B), (C, C), (A, C), (C, A), (A, None), (None, None)]);
    let found: Vec<Option<Winner>> = winners.iter().map(VerdictPair::winner).collect();
    let tie = Some(Winner::Tie);
    assert_eq!(found, [Some(Winner::First), Some(Winner::Second), tie, tie, tie, tie, tie, None, None]);
}

#[test]
fn positions_show_what_swapping_changes() {
    // Five valid pairs: six verdicts of ten for what is shown first, three of ten for the other.
    let found = JudgeReport::of_verdicts(&pairs(&[(A, B), (A, A), (A, A), (B, B), (A, C), (None, B)])).unwrap();
    assert_eq!((found.wins, found.ties, found.losses, found.dropped), (1, 4, 0, 1));
    assert_eq!((found.win_rate, found.win_rate_half_ties), (0.2, 0.6));
    let positions = found.positions.unwrap();
    assert_eq!((positions.first_shown_rate, positions.first_shown_rate_decided), (0.6, Some(6.0 / 9.0)));
    assert_eq!(positions.swap_consistency, 0.2);
    let tied = JudgeReport::of_verdicts(&pairs(&[(C, C)])).unwrap();
    assert_eq!(tied.positions.unwrap().first_shown_rate_decided, None);
    assert_eq!(tied.positions.unwrap().swap_consistency, 1.0);
}

#[test]
fn a_reversed_report_swaps_wins_and_losses() {
    let found = JudgeReport::of_verdicts(&pairs(&[(A, B), (A, B), (B, A), (C, B), (None, A)])).unwrap();
    let reversed = found.reversed();
    assert_eq!((reversed.wins, reversed.ties, reversed.losses, reversed.dropped), (1, 1, 2, 1));
    assert_eq!(reversed.sign_test_p, found.sign_test_p);
    assert_eq!(reversed.reversed(), found);
}

#[test]
fn verdicts_are_read_as_the_letters_of_the_prompt() {
    let pair: VerdictPair = serde_json::from_str(r#"{"first_as_a":"C","second_as_a":null}"#).unwrap();
    assert_eq!((pair.first_as_a, pair.second_as_a), (C, None));
}

#[test]
fn pairs_without_any_verdict_are_an_error() {
    assert!(matches!(JudgeReport::of_verdicts(&pairs(&[(None, A)])), Err(Error::Empty(_))));
    assert!(matches!(JudgeReport::of_winners([None, None]), Err(Error::Empty(_))));
}

#[test]
fn ratings_are_averaged_over_samples_or_probabilities() {
    assert_eq!(sampled_rating(&[4, 5, 3, 4]).unwrap(), 4.0);
    assert!(matches!(sampled_rating(&[]), Err(Error::Empty(_))));
    let found = ExpectedRating::new(&[(1.0, 0.25_f64.ln()), (3.0, 0.5_f64.ln()), (5.0, f64::NEG_INFINITY)]).unwrap();
    assert!((found.weighted_sum - 1.75).abs() < 1e-12 && (found.mass - 0.75).abs() < 1e-12);
    assert!((found.mean - 7.0 / 3.0).abs() < 1e-12);
    for unusable in [&[][..], &[(f64::NAN, -1.0)], &[(1.0, f64::NAN)], &[(1.0, 0.5)], &[(1.0, f64::NEG_INFINITY)]] {
        assert!(matches!(ExpectedRating::new(unusable), Err(Error::Undefined { .. })));
    }
}
