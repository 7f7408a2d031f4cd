//! What holds of objectives whatever the numbers.

use dpo::{Divergence, Loss, PairLogProbs, PairLosses, Preference, Rules, RunningMean};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn swapping_chosen_and_rejected_mirrors_rewards_and_margins(batch in batches(), loss in losses(), rules in rules()) {
        let preference = Preference { label_smoothing: 0.1, rules, ..loss.into() };
        let (straight, swapped) = (evaluated(&preference, &batch), evaluated(&preference, &mirrored(&batch)));
        prop_assert_eq!(&straight.chosen_rewards, &swapped.rejected_rewards);
        prop_assert_eq!(&straight.rejected_rewards, &swapped.chosen_rewards);
        for (margin, other) in margins(&straight).into_iter().zip(margins(&swapped)) {
            prop_assert_eq!(margin, -other);
        }
    }

    /// With half of the labels wrong it makes no difference which is which.
    #[test]
    fn with_half_smoothed_labels_swapping_changes_no_loss(batch in batches()) {
        for loss in [Loss::Sigmoid, Loss::Exo, Loss::Cpo] {
            let preference = Preference { label_smoothing: 0.5, cpo_alpha: 0.0, ..loss.into() };
            let (straight, swapped) = (evaluated(&preference, &batch), evaluated(&preference, &mirrored(&batch)));
            for (left, right) in straight.losses.iter().zip(&swapped.losses) {
                prop_assert!(near(*left, *right), "{loss}: {left} is not {right}");
            }
        }
    }

    #[test]
    fn as_beta_vanishes_the_policy_is_forgotten(batch in batches(), label_smoothing in 0.0..0.4) {
        let ln_2 = std::f64::consts::LN_2;
        let limits = [
            (Loss::Sigmoid, ln_2),
            (Loss::Robust, ln_2),
            (Loss::Hinge, 1.0),
            (Loss::Nca, 2.0 * ln_2),
            (Loss::Bco, 2.0 * ln_2),
            (Loss::Aot, ln_2),
            (Loss::AotUnpaired, ln_2),
            (Loss::ApoZero, 1.0),
            (Loss::ApoDown, 1.0),
            (Loss::KtoPair, 0.5),
            (Loss::SigmoidNorm, ln_2),
        ];
        for (loss, limit) in limits {
            let result = evaluated(&Preference { beta: 1e-12, label_smoothing, ..loss.into() }, &batch);
            for value in result.losses {
                prop_assert!((value - limit).abs() < 1e-8, "{loss}: {value} is not {limit}");
            }
        }
    }

    #[test]
    fn without_smoothing_losses_fall_when_chosen_rises_and_rejected_falls(batch in batches()) {
        for loss in [Loss::Sigmoid, Loss::Robust, Loss::Hinge, Loss::Bco, Loss::Aot, Loss::AotUnpaired, Loss::ApoZero, Loss::KtoPair] {
            let result = evaluated(&loss.into(), &batch);
            prop_assert!(result.chosen_gradients.iter().all(|slope| *slope <= 0.0), "{loss}");
            prop_assert!(result.rejected_gradients.iter().all(|slope| *slope >= 0.0), "{loss}");
        }
    }

    #[test]
    fn only_coupled_objectives_see_other_pairs(batch in batches(), loss in losses()) {
        let preference = Preference { label_smoothing: 0.1, cpo_alpha: 0.0, ..loss.into() };
        // Their cross-entropy is the batch's.
        if loss.couples_pairs() || matches!(loss, Loss::Sft | Loss::Orpo) {
            return Ok(());
        }
        let together = evaluated(&preference, &batch);
        for (pair, expected) in together.losses.iter().enumerate() {
            prop_assert_eq!(evaluated(&preference, &alone(&batch, pair)).losses[0], *expected);
        }
    }

    #[test]
    fn the_order_of_pairs_makes_no_difference(batch in batches(), loss in losses(), rules in rules()) {
        let preference = Preference { label_smoothing: 0.1, rules, ..loss.into() };
        let (straight, turned) = (evaluated(&preference, &batch), evaluated(&preference, &reversed(&batch)));
        for (left, right) in straight.losses.iter().zip(turned.losses.iter().rev()) {
            prop_assert!(near(*left, *right), "{loss}: {left} is not {right}");
        }
        for (left, right) in straight.rejected_gradients.iter().zip(turned.rejected_gradients.iter().rev()) {
            prop_assert!(near(*left, *right), "{loss}: {left} is not {right}");
        }
    }

    /// However far policy and reference are apart.
    #[test]
    fn losses_and_gradients_are_finite(batch in wide_batches(), loss in losses(), rules in rules(), divergence in divergences()) {
        let heeds = Preference { divergence, ..loss.into() }.check().is_ok();
        let divergence = if heeds { divergence } else { Divergence::ReverseKl };
        let result = evaluated(&Preference { label_smoothing: 0.1, divergence, rules, ..loss.into() }, &batch);
        for values in [&result.losses, &result.chosen_gradients, &result.rejected_gradients] {
            prop_assert!(values.iter().all(|value| value.is_finite()), "{loss} {divergence} {rules}: {values:?}");
        }
    }

    #[test]
    fn weights_multiply_losses_and_gradients_but_no_rewards(batch in batches(), loss in losses(), weight in 0.1..3.0) {
        let once = evaluated(&loss.into(), &batch);
        let mix = format!("{loss}={weight}").parse::<dpo::LossMix>().unwrap();
        let weighted = evaluated(&mix.into(), &batch);
        prop_assert_eq!(&once.chosen_rewards, &weighted.chosen_rewards);
        for pair in 0..once.losses.len() {
            prop_assert!(near(once.losses[pair] * weight, weighted.losses[pair]));
            prop_assert!(near(once.chosen_gradients[pair] * weight, weighted.chosen_gradients[pair]));
            prop_assert!(near(once.rejected_gradients[pair] * weight, weighted.rejected_gradients[pair]));
        }
    }

    #[test]
    fn reference_free_is_a_reference_of_probability_one(batch in batches(), loss in losses()) {
        let free = Preference { reference_free: true, ..loss.into() };
        let zeros = vec![0.0; batch.policy_chosen.len()];
        let certain = PairLogProbs { reference_chosen: zeros.clone(), reference_rejected: zeros, ..batch.clone() };
        prop_assert_eq!(evaluated(&free, &batch), evaluated(&loss.into(), &certain));
    }
}

#[test]
fn an_untrained_policy_has_the_known_losses() {
    let ln_2 = std::f64::consts::LN_2;
    let beta = 0.2;
    let known = [
        (Loss::Sigmoid, ln_2),
        (Loss::Robust, ln_2),
        (Loss::Hinge, 1.0),
        (Loss::Ipo, 1.0 / (4.0 * beta * beta)),
        (Loss::Nca, 2.0 * ln_2),
        (Loss::Bco, 2.0 * ln_2),
        (Loss::Sppo, 1.0 / (2.0 * beta * beta)),
        (Loss::Aot, ln_2),
        (Loss::AotUnpaired, ln_2),
        (Loss::ApoZero, 1.0),
        (Loss::ApoDown, 1.0),
        (Loss::KtoPair, 0.5),
        (Loss::Discopop, (ln_2 + 1.0) / 2.0),
        (Loss::SigmoidNorm, ln_2),
    ];
    for (loss, value) in known {
        for rules in RULES {
            let result = evaluated(&Preference { beta, rules, ..loss.into() }, &untrained());
            assert!(result.losses.iter().all(|loss| near(*loss, value)), "{loss}: {:?}", result.losses);
            assert!(margins(&result).iter().all(|margin| *margin == 0.0), "{loss}");
        }
    }
}

#[test]
fn an_untrained_policy_learns_nothing_from_half_smoothed_labels() {
    for loss in [Loss::Sigmoid, Loss::Exo, Loss::Aot, Loss::AotUnpaired] {
        let result = evaluated(&Preference { label_smoothing: 0.5, ..loss.into() }, &untrained());
        let slopes = result.chosen_gradients.iter().chain(&result.rejected_gradients);
        assert!(slopes.into_iter().all(|slope| slope.abs() < 1e-15), "{loss}: {result:?}");
    }
}

#[test]
fn objectives_without_a_reference_have_their_hand_values() {
    let batch = PairLogProbs {
        policy_chosen: vec![-10.0],
        policy_rejected: vec![-14.0],
        chosen_tokens: vec![10],
        rejected_tokens: vec![7],
        ..PairLogProbs::default()
    };
    let value = |preference: &Preference| evaluated(preference, &batch).losses[0];
    let softplus = |x: f64| x.exp().ln_1p();
    let near = |value: f64, expected: f64| assert!((value - expected).abs() < 1e-6, "{value} is not {expected}");

    let simpo = Preference { beta: 2.0, ..Loss::Simpo.into() };
    near(value(&simpo), 0.201413);
    assert_eq!(evaluated(&simpo, &batch).chosen_rewards, [-2.0]);
    assert_eq!(evaluated(&simpo, &batch).rejected_rewards, [-4.0]);

    // The cross-entropy is 10/10.
    near(value(&Loss::Cpo.into()), 0.513015 + 1.0);
    near(value(&Preference { cpo_alpha: 0.5, ..Loss::Cpo.into() }), 0.513015 + 0.5);
    near(value(&Loss::CpoHinge.into()), 0.6 + 1.0);
    near(value(&Loss::CpoIpo.into()), 16.0 + 1.0);
    assert_eq!(evaluated(&Loss::Cpo.into(), &batch).rejected_rewards, [-1.4000000000000001]);

    near(value(&Preference { beta: 0.25, ..Loss::Orpo.into() }), 1.0 + 0.25 * softplus(-1.313262));
    near(value(&Loss::Sft.into()), 1.0);
}

#[test]
fn nll_weighs_tokens_not_pairs() {
    let batch = PairLogProbs {
        policy_chosen: vec![-10.0, -2.0],
        policy_rejected: vec![-1.0, -1.0],
        chosen_tokens: vec![5, 1],
        rejected_tokens: vec![1, 1],
        ..PairLogProbs::default()
    };
    let result = evaluated(&Loss::Sft.into(), &batch);
    assert_eq!(result.losses, [2.0, 2.0]);
    // Of the sum of two equal losses.
    assert_eq!(result.chosen_gradients, [-2.0 / 6.0; 2]);
    assert_eq!(result.rejected_gradients, [0.0; 2]);
}

#[test]
fn bco_remembers_the_rewards_of_earlier_batches() {
    let of = |chosen: f64, rejected: f64| PairLogProbs {
        policy_chosen: vec![chosen],
        policy_rejected: vec![rejected],
        reference_chosen: vec![0.0],
        reference_rejected: vec![0.0],
        chosen_tokens: vec![1],
        rejected_tokens: vec![1],
    };
    let preference = Preference { beta: 1.0, ..Loss::Bco.into() };
    let mut memory = RunningMean::default();
    preference.evaluate(&of(-1.0, -3.0), &mut memory).unwrap();
    assert_eq!(memory.mean(), -2.0);
    let second = preference.evaluate(&of(-4.0, -8.0), &mut memory).unwrap();
    assert_eq!(memory.mean(), -4.0);
    assert!(near(second.losses[0], 2f64.ln() + (-4f64).exp().ln_1p()));

    let mut untouched = RunningMean::default();
    Preference { rules: Rules::Trl1, ..preference }.evaluate(&of(-4.0, -8.0), &mut untouched).unwrap();
    Preference::default().evaluate(&of(-4.0, -8.0), &mut untouched).unwrap();
    assert_eq!(untouched, RunningMean::default());
}

/// What pulls one up pulls the other down.
#[test]
fn identical_completions_pull_nowhere() {
    for loss in [Loss::Sigmoid, Loss::Robust, Loss::Hinge, Loss::Exo] {
        let batch = PairLogProbs {
            policy_rejected: vec![-20.0, -11.0],
            reference_rejected: vec![-21.5, -9.0],
            policy_chosen: vec![-20.0, -11.0],
            reference_chosen: vec![-21.5, -9.0],
            ..untrained()
        };
        let result = evaluated(&loss.into(), &batch);
        for (chosen, rejected) in result.chosen_gradients.iter().zip(&result.rejected_gradients) {
            assert!(near(*chosen, -rejected), "{loss}");
        }
    }
}

const RULES: [Rules; 3] = [Rules::Trl011, Rules::Trl1, Rules::Trl07];

fn rules() -> impl Strategy<Value = Rules> {
    proptest::sample::select(&RULES)
}

fn losses() -> impl Strategy<Value = Loss> {
    proptest::sample::select(&Loss::ALL)
}

fn divergences() -> impl Strategy<Value = Divergence> {
    proptest::sample::select(vec![
        Divergence::ReverseKl,
        Divergence::ForwardKl,
        Divergence::Js,
        Divergence::Alpha(0.5),
        Divergence::Alpha(2.0),
    ])
}

fn batches() -> impl Strategy<Value = PairLogProbs> {
    batches_within(60.0)
}

fn wide_batches() -> impl Strategy<Value = PairLogProbs> {
    batches_within(20_000.0)
}

fn batches_within(lowest: f64) -> impl Strategy<Value = PairLogProbs> {
    let sums = move || (-lowest..0.0, -lowest..0.0, -lowest..0.0, -lowest..0.0);
    let row = (sums(), 1..40_usize, 1..40_usize);
    proptest::collection::vec(row, 1..7).prop_map(|rows| {
        let mut batch = PairLogProbs::default();
        for ((policy_chosen, policy_rejected, reference_chosen, reference_rejected), chosen, rejected) in rows {
            batch.policy_chosen.push(policy_chosen);
            batch.policy_rejected.push(policy_rejected);
            batch.reference_chosen.push(reference_chosen);
            batch.reference_rejected.push(reference_rejected);
            batch.chosen_tokens.push(chosen);
            batch.rejected_tokens.push(rejected);
        }
        batch
    })
}

fn untrained() -> PairLogProbs {
    PairLogProbs {
        policy_chosen: vec![-20.0, -11.0],
        policy_rejected: vec![-30.0, -10.0],
        reference_chosen: vec![-20.0, -11.0],
        reference_rejected: vec![-30.0, -10.0],
        chosen_tokens: vec![10, 4],
        rejected_tokens: vec![12, 3],
    }
}

fn mirrored(batch: &PairLogProbs) -> PairLogProbs {
    let batch = batch.clone();
    PairLogProbs {
        policy_chosen: batch.policy_rejected,
        policy_rejected: batch.policy_chosen,
        reference_chosen: batch.reference_rejected,
        reference_rejected: batch.reference_chosen,
        chosen_tokens: batch.rejected_tokens,
        rejected_tokens: batch.chosen_tokens,
    }
}

fn alone(batch: &PairLogProbs, pair: usize) -> PairLogProbs {
    PairLogProbs {
        policy_chosen: vec![batch.policy_chosen[pair]],
        policy_rejected: vec![batch.policy_rejected[pair]],
        reference_chosen: vec![batch.reference_chosen[pair]],
        reference_rejected: vec![batch.reference_rejected[pair]],
        chosen_tokens: vec![batch.chosen_tokens[pair]],
        rejected_tokens: vec![batch.rejected_tokens[pair]],
    }
}

fn reversed(batch: &PairLogProbs) -> PairLogProbs {
    let mut batch = batch.clone();
    let columns = [
        &mut batch.policy_chosen,
        &mut batch.policy_rejected,
        &mut batch.reference_chosen,
        &mut batch.reference_rejected,
    ];
    columns.into_iter().for_each(|column| column.reverse());
    batch.chosen_tokens.reverse();
    batch.rejected_tokens.reverse();
    batch
}

fn evaluated(preference: &Preference, batch: &PairLogProbs) -> PairLosses {
    preference.evaluate(batch, &mut RunningMean::default()).unwrap()
}

fn margins(losses: &PairLosses) -> Vec<f64> {
    losses.chosen_rewards.iter().zip(&losses.rejected_rewards).map(|(chosen, rejected)| chosen - rejected).collect()
}

fn near(left: f64, right: f64) -> bool {
    (left - right).abs() <= 1e-9 * (1.0 + right.abs())
}
