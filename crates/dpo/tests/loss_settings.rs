//! Objectives by name, and settings that make no sense.

use dpo::{Divergence, Loss, LossMix, PairLogProbs, Preference, Rules, RunningMean};

#[test]
fn objectives_are_read_by_their_names_and_by_those_of_trl() {
    for loss in Loss::ALL {
        assert_eq!(loss.name().parse::<Loss>().unwrap(), loss);
        assert_eq!(serde_json::from_str::<Loss>(&serde_json::to_string(&loss).unwrap()).unwrap(), loss);
    }
    let of_trl = [
        ("exo_pair", Loss::Exo),
        ("nca_pair", Loss::Nca),
        ("bco_pair", Loss::Bco),
        ("sppo_hard", Loss::Sppo),
        ("aot_pair", Loss::AotUnpaired),
        ("aot_unpaired", Loss::AotUnpaired),
        ("apo_zero", Loss::ApoZero),
        ("kto_pair", Loss::KtoPair),
        ("sigmoid_norm", Loss::SigmoidNorm),
    ];
    for (name, loss) in of_trl {
        assert_eq!(Loss::parse(name).unwrap(), loss);
    }
    let message = Loss::parse("sigmoit").unwrap_err().to_string();
    assert!(message.contains("`sigmoit`") && message.contains("sigmoid, robust"), "{message}");
}

#[test]
fn mixes_are_read_as_they_are_written() {
    for (text, written) in [("ipo", "ipo=1"), (" sigmoid , sft = 0.2 ", "sigmoid=1,sft=0.2"), ("exo_pair=2,", "exo=2")]
    {
        assert_eq!(text.parse::<LossMix>().unwrap().to_string(), written);
    }
    for (text, problem) in [
        ("", "no loss is named"),
        ("sigmoid=0", "not above 0"),
        ("sigmoid=inf", "not above 0"),
        ("sigmoid=much", "`much` is not a number"),
        ("sigmoid,sigmoid=2", "named twice"),
        ("sigmoid,dpo=2", "there is no loss `dpo`"),
    ] {
        let message = text.parse::<LossMix>().unwrap_err().to_string();
        assert!(message.contains(problem), "{text}: {message}");
    }
}

#[test]
fn settings_survive_being_written() {
    let preference = Preference {
        losses: "sigmoid=1,sft=0.2".parse().unwrap(),
        divergence: Divergence::Alpha(0.5),
        rules: Rules::Trl1,
        rpo_alpha: Some(0.3),
        ..Preference::default()
    };
    let text = serde_json::to_string(&preference).unwrap();
    assert_eq!(serde_json::from_str::<Preference>(&text).unwrap(), preference);
    assert_eq!(serde_json::from_str::<Preference>("{}").unwrap(), Preference::default());
    assert!(serde_json::from_str::<Preference>(r#"{"betta": 1}"#).unwrap_err().to_string().contains("betta"));
}

#[test]
fn divergences_are_read_by_their_names() {
    for (text, divergence) in [
        ("reverse-kl", Divergence::ReverseKl),
        ("forward_kl", Divergence::ForwardKl),
        ("js_divergence", Divergence::Js),
        ("alpha", Divergence::Alpha(1.0)),
        ("alpha_divergence=0.5", Divergence::Alpha(0.5)),
    ] {
        assert_eq!(text.parse::<Divergence>().unwrap(), divergence);
        assert_eq!(divergence.to_string().parse::<Divergence>().unwrap(), divergence);
    }
    for text in ["kl", "js=2", "alpha=0", "alpha=nan", "alpha=x"] {
        assert!(text.parse::<Divergence>().is_err(), "{text}");
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let default = Preference::default;
    let of = |loss: Loss| Preference::from(loss);
    let rows = [
        (Preference { beta: 0.0, ..default() }, "beta is 0"),
        (Preference { beta: f64::NAN, ..default() }, "beta is NaN"),
        (Preference { label_smoothing: 0.6, ..default() }, "label smoothing is 0.6"),
        (Preference { label_smoothing: -0.1, ..default() }, "label smoothing is -0.1"),
        (Preference { label_smoothing: 0.5, ..of(Loss::Robust) }, "`robust`"),
        (Preference { rules: Rules::Trl1, ..of(Loss::Exo) }, "0.001"),
        (Preference { divergence: Divergence::Alpha(-1.0), ..default() }, "alpha is -1"),
        (Preference { divergence: Divergence::Js, ..of(Loss::Sppo) }, "changes nothing in the loss `sppo=1`"),
        (Preference { rpo_alpha: Some(0.0), ..default() }, "rpo_alpha"),
        (Preference { simpo_gamma: f64::INFINITY, ..default() }, "simpo_gamma"),
        (Preference { cpo_alpha: -1.0, ..default() }, "cpo_alpha"),
        (Preference { discopop_tau: 2.0, ..default() }, "discopop_tau"),
    ];
    for (preference, problem) in rows {
        let message = preference.evaluate(&pair(), &mut RunningMean::default()).unwrap_err().to_string();
        assert!(message.contains(problem), "{message}");
    }
}

#[test]
fn batches_that_make_no_sense_are_refused() {
    let rows = [
        (PairLogProbs::default(), "without pairs"),
        (PairLogProbs { policy_rejected: vec![], ..pair() }, "policy_rejected holds 0 numbers for 1 pairs"),
        (PairLogProbs { reference_chosen: vec![], ..pair() }, "reference_chosen holds 0"),
        (PairLogProbs { chosen_tokens: vec![1, 2], ..pair() }, "chosen_tokens holds 2"),
        (PairLogProbs { rejected_tokens: vec![0], ..pair() }, "rejected_tokens of pair 0 is 0"),
        (PairLogProbs { policy_chosen: vec![f64::NAN], ..pair() }, "policy_chosen of pair 0 is NaN"),
        (
            PairLogProbs { reference_rejected: vec![f64::NEG_INFINITY], ..pair() },
            "reference_rejected of pair 0 is -inf",
        ),
    ];
    for (batch, problem) in rows {
        let message = Preference::default().evaluate(&batch, &mut RunningMean::default()).unwrap_err().to_string();
        assert!(message.contains(problem), "{message}");
    }
}

#[test]
fn a_reference_is_read_only_where_it_is_needed() {
    let without = PairLogProbs { reference_chosen: vec![], reference_rejected: vec![], ..pair() };
    for loss in Loss::ALL {
        let preference = Preference::from(loss);
        let result = preference.evaluate(&without, &mut RunningMean::default());
        assert_eq!(result.is_err(), preference.needs_reference(), "{loss}");
        let free = Preference { reference_free: true, ..preference };
        assert!(!free.needs_reference());
        free.evaluate(&without, &mut RunningMean::default()).unwrap();
    }
    assert!(Preference::from("simpo,hinge".parse::<LossMix>().unwrap()).needs_reference());
}

#[test]
fn rewards_are_those_of_the_first_objective_that_is_a_preference() {
    let of = |losses: &str, rules| {
        let preference = Preference { beta: 1.0, rules, ..losses.parse::<LossMix>().unwrap().into() };
        preference.evaluate(&pair(), &mut RunningMean::default()).unwrap().chosen_rewards[0]
    };
    assert_eq!(of("sft,sigmoid", Rules::Trl011), 2.0);
    assert_eq!(of("sigmoid,ipo", Rules::Trl011), 2.0);
    assert_eq!(of("ipo,sigmoid", Rules::Trl011), 0.5);
    assert_eq!(of("ipo,sigmoid", Rules::Trl1), 2.0);
    assert_eq!(of("cpo,sigmoid", Rules::Trl011), -6.0);
    assert_eq!(of("sft,orpo", Rules::Trl011), -1.5);
}

fn pair() -> PairLogProbs {
    PairLogProbs {
        policy_chosen: vec![-6.0],
        policy_rejected: vec![-9.0],
        reference_chosen: vec![-8.0],
        reference_rejected: vec![-8.0],
        chosen_tokens: vec![4],
        rejected_tokens: vec![3],
    }
}
