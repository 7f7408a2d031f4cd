//! Gradients of every objective and setting against central differences of its own losses.

use dpo::{Divergence, Loss, LossMix, PairLogProbs, Preference, Rules, RunningMean};

/// Step of the differences.
const STEP: f64 = 1e-5;

/// Largest difference, absolute plus relative.
const TOLERANCE: f64 = 1e-7;

const RULES: [Rules; 3] = [Rules::Trl011, Rules::Trl1, Rules::Trl07];

#[test]
fn gradients_are_the_losses_slopes_for_every_objective_and_setting() {
    for rules in RULES {
        for loss in Loss::ALL {
            for beta in [0.1, 0.5, 2.0] {
                for label_smoothing in [0.0, 0.1, 0.3] {
                    let preference = Preference { beta, label_smoothing, rules, ..loss.into() };
                    if loss == Loss::Exo && rules == Rules::Trl1 && label_smoothing == 0.0 {
                        assert!(preference.check().is_err());
                        continue;
                    }
                    check(&preference, &falling_pairs());
                }
            }
        }
    }
}

#[test]
fn gradients_are_the_losses_slopes_under_every_divergence() {
    let divergences =
        [Divergence::ForwardKl, Divergence::Js, Divergence::Alpha(0.5), Divergence::Alpha(1.0), Divergence::Alpha(2.0)];
    let losses = ["sigmoid", "robust", "hinge", "ipo", "exo", "discopop", "sigmoid-norm"];
    for rules in RULES {
        for divergence in divergences {
            for loss in losses {
                let losses: LossMix = loss.parse().unwrap();
                for reference_free in [false, true] {
                    let settings = Preference { label_smoothing: 0.1, divergence, rules, ..Preference::default() };
                    // Without a reference log-ratios are long: a gentle β keeps differences exact.
                    let beta = if reference_free { 1e-3 } else { 0.3 };
                    check(&Preference { losses: losses.clone(), beta, reference_free, ..settings }, &short_pairs());
                }
            }
        }
    }
}

#[test]
fn gradients_are_the_losses_slopes_in_mixes() {
    for losses in ["sigmoid=1,sft=0.2", "aot=0.5,aot-unpaired=2,apo-down=0.1", "orpo=0.3,hinge=1.5,bco=0.7,kto-pair=4"]
    {
        for rpo_alpha in [None, Some(0.7)] {
            for rules in RULES {
                let losses: LossMix = losses.parse().unwrap();
                check(&Preference { rpo_alpha, rules, ..losses.into() }, &falling_pairs());
            }
        }
    }
}

#[test]
fn gradients_flow_through_the_kl_terms_with_the_rules_of_trl_0_7_only() {
    let batch = rising_pairs();
    let kto = |rules| Preference { rules, ..Loss::KtoPair.into() };
    check(&kto(Rules::Trl07), &batch);

    let beta = kto(Rules::Trl011).beta;
    let ratios =
        |policy: &[f64], reference: &[f64]| -> Vec<f64> { policy.iter().zip(reference).map(|(p, r)| p - r).collect() };
    let chosen = ratios(&batch.policy_chosen, &batch.reference_chosen);
    let rejected = ratios(&batch.policy_rejected, &batch.reference_rejected);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (chosen_kl, rejected_kl) = (mean(&chosen), mean(&rejected));
    assert!(chosen_kl > 0.0 && rejected_kl > 0.0);
    // ½·(1 − σ(β(r − KL))) falls with r by β·σ·(1 − σ)/2.
    let slope = |x: f64| beta / (2.0 + x.exp() + (-x).exp()) / 2.0;
    let detached = kto(Rules::Trl011).evaluate(&batch, &mut RunningMean::default()).unwrap();
    for (pair, (chosen, rejected)) in chosen.iter().zip(&rejected).enumerate() {
        close(&"chosen", detached.chosen_gradients[pair], -slope(beta * (chosen - rejected_kl)));
        close(&"rejected", detached.rejected_gradients[pair], slope(beta * (chosen_kl - rejected)));
    }
}

/// Compares the gradients by every log-probability of the batch.
fn check(preference: &Preference, batch: &PairLogProbs) {
    let result = preference.evaluate(batch, &mut settled()).unwrap();
    let slope = |change: &dyn Fn(&mut PairLogProbs) -> &mut f64| {
        let at = |step: f64| {
            let mut moved = batch.clone();
            *change(&mut moved) += step;
            preference.evaluate(&moved, &mut settled()).unwrap().losses.iter().sum::<f64>()
        };
        (at(STEP) - at(-STEP)) / (2.0 * STEP)
    };
    for pair in 0..batch.policy_chosen.len() {
        let chosen = slope(&|batch| &mut batch.policy_chosen[pair]);
        close(&("chosen", pair, preference), result.chosen_gradients[pair], chosen);
        let rejected = slope(&|batch| &mut batch.policy_rejected[pair]);
        close(&("rejected", pair, preference), result.rejected_gradients[pair], rejected);
    }
}

/// So many batches that one more doesn't move the mean: `bco` takes it as a constant.
fn settled() -> RunningMean {
    serde_json::from_str(r#"{"mean": 0.25, "batches": 1000000000000000}"#).unwrap()
}

fn close(what: &dyn std::fmt::Debug, value: f64, expected: f64) {
    let error = (value - expected).abs();
    assert!(error <= TOLERANCE + TOLERANCE * expected.abs(), "{what:?}: {value} is not {expected}");
}

/// Log-ratios of a size that trained models have; on average they fall, so that the KL terms are 0. No margin is near a hinge.
fn falling_pairs() -> PairLogProbs {
    PairLogProbs {
        policy_chosen: vec![-31.3, -12.5, -47.25, -20.0, -9.0],
        policy_rejected: vec![-33.0, -10.0, -52.5, -18.75, -14.0],
        reference_chosen: vec![-32.1, -11.3, -46.2, -17.7, -9.4],
        reference_rejected: vec![-31.2, -10.9, -49.9, -18.1, -11.6],
        chosen_tokens: vec![12, 5, 20, 9, 4],
        rejected_tokens: vec![11, 6, 18, 7, 8],
    }
}

/// The other way round: the KL terms are above 0.
fn rising_pairs() -> PairLogProbs {
    let PairLogProbs { policy_chosen, policy_rejected, reference_chosen, reference_rejected, .. } = falling_pairs();
    PairLogProbs {
        policy_chosen: reference_chosen,
        policy_rejected: reference_rejected,
        reference_chosen: policy_chosen,
        reference_rejected: policy_rejected,
        ..falling_pairs()
    }
}

/// Completions of a token or two.
fn short_pairs() -> PairLogProbs {
    PairLogProbs {
        policy_chosen: vec![-1.2, -2.5, -0.4],
        policy_rejected: vec![-2.9, -1.1, -3.1],
        reference_chosen: vec![-1.9, -2.2, -1.0],
        reference_rejected: vec![-2.4, -1.6, -2.2],
        chosen_tokens: vec![1, 2, 2],
        rejected_tokens: vec![2, 1, 1],
    }
}
