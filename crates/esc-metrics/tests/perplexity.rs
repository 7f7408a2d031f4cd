//! Perplexities by every convention.

use esc_metrics::Error;
use esc_metrics::perplexity::{Batches, Convention, Nll, Perplexity};
use proptest::prelude::*;

use crate::goldens::{assert_close, expected, family};

#[test]
fn golden_metrics_perplexities_by_all_conventions() {
    let Some(folder) = family("metrics") else { return };
    let golden = &expected(&folder)["perplexity"];
    let responses: Vec<Vec<f64>> = serde_json::from_value(golden["nll_per_response"].clone()).unwrap();
    let batches = Batches::new(golden["batch_size"].as_u64().unwrap() as usize).unwrap();
    let mut nll = Nll::default();
    responses.iter().for_each(|tokens| nll.push(tokens.iter().sum(), tokens.len()).unwrap());

    let expected = golden["expected"].as_object().unwrap();
    let conventions = [
        ("token_weighted_ppl", Convention::Token, None),
        ("mean_of_batch_means_ppl", Convention::BatchMean, Some(batches)),
        ("mean_over_samples_of_exp_batch_mean_ppl", Convention::MeanExpBatch, Some(batches)),
        ("batch_mean_times_batch_size_over_tokens_ppl", Convention::Magic, Some(batches)),
        ("mean_of_response_ppl", Convention::ResponseMean, None),
        ("mean_of_response_mean_nll_ppl", Convention::ExpResponseMean, None),
        ("drop_last_batch_token_weighted_ppl", Convention::Token, Some(batches.dropping_last())),
    ];
    assert_eq!(conventions.len(), expected.len());
    for (name, convention, batches) in conventions {
        assert_close(Perplexity::new(convention, batches).unwrap().of(&nll).unwrap(), &expected[name], name);
    }
}

#[test]
fn signatures_say_what_was_averaged() {
    let four = Batches::new(4).unwrap();
    let signature = |convention, batches| Perplexity::new(convention, batches).unwrap().signature();
    assert_eq!(signature(Convention::Token, Some(four)), "ppl|token");
    assert_eq!(signature(Convention::Token, Some(four.dropping_last())), "ppl|token|batch:4|last:dropped");
    assert_eq!(signature(Convention::BatchMean, Some(four)), "ppl|batch-mean|batch:4");
    assert_eq!(signature(Convention::MeanExpBatch, Some(four)), "ppl|mean-exp-batch|batch:4");
    assert_eq!(signature(Convention::Magic, Some(four.dropping_last())), "ppl|magic|batch:4|last:dropped");
    assert_eq!(signature(Convention::ResponseMean, None), "ppl|response-mean");
    assert_eq!(signature(Convention::ExpResponseMean, None), "ppl|exp-response-mean");
}

#[test]
fn a_full_last_batch_is_not_dropped() {
    let mut nll = Nll::default();
    (1..=4).for_each(|size| nll.push(f64::from(size), 1).unwrap());
    let dropping =
        |size| Perplexity::new(Convention::Token, Some(Batches::new(size).unwrap().dropping_last())).unwrap();
    assert_eq!(dropping(2).of(&nll).unwrap(), 2.5_f64.exp());
    assert_eq!(dropping(3).of(&nll).unwrap(), 2.0_f64.exp());
    assert!(matches!(dropping(5).of(&nll), Err(Error::Empty(_))));
}

#[test]
fn bits_per_byte_do_not_depend_on_the_tokens() {
    let (mut words, mut letters) = (Nll::default(), Nll::default());
    words.push(8.0 * std::f64::consts::LN_2, 2).unwrap();
    letters.push(8.0 * std::f64::consts::LN_2, 16).unwrap();
    assert_eq!([words.bits_per_byte(16).unwrap(), letters.bits_per_byte(16).unwrap()], [0.5; 2]);
    assert!(matches!(words.bits_per_byte(0), Err(Error::Empty(_))));
    words.append(&letters);
    assert_eq!((words.responses(), words.tokens(), words.bits_per_byte(32).unwrap()), (2, 18, 0.5));
}

#[test]
fn what_has_no_perplexity_is_an_error() {
    let mut nll = Nll::default();
    assert!(matches!(Perplexity::default().of(&nll), Err(Error::Empty(_))));
    assert!(matches!(nll.push(1.0, 0), Err(Error::Setting(_))));
    assert!(matches!(nll.push(f64::NAN, 1), Err(Error::Setting(_))));
    assert!(matches!(nll.push(f64::INFINITY, 1), Err(Error::Setting(_))));
    assert_eq!(nll.responses(), 0);
    assert!(matches!(Batches::new(0), Err(Error::Setting(_))));
    assert!(matches!(Perplexity::new(Convention::Magic, None), Err(Error::Setting(_))));
    nll.push(1e6, 1).unwrap();
    assert_eq!(Perplexity::default().of(&nll).unwrap(), f64::INFINITY);
}

proptest! {
    #[test]
    fn in_batches_of_one_the_conventions_meet(responses in prop::collection::vec((0.0..90.0, 1..30_usize), 1..20)) {
        let mut nll = Nll::default();
        responses.iter().for_each(|(sum, tokens)| nll.push(*sum, *tokens).unwrap());
        let of = |convention, size| {
            Perplexity::new(convention, Some(Batches::new(size).unwrap())).unwrap().of(&nll).unwrap()
        };
        let near = |one: f64, other: f64| (one / other - 1.0).abs() < 1e-9;
        prop_assert!(near(of(Convention::BatchMean, 1), of(Convention::ExpResponseMean, 1)));
        prop_assert!(near(of(Convention::MeanExpBatch, 1), of(Convention::ResponseMean, 1)));
        let whole = responses.len();
        prop_assert!(near(of(Convention::BatchMean, whole), of(Convention::Token, 1)));
        prop_assert!(near(of(Convention::MeanExpBatch, whole), of(Convention::Token, 1)));
    }
}
