//! Probabilities of tokens from both kinds of models, and alignment over them.

use candle_core::{Device, Tensor};
use helpfulness::{AlignmentObjective, AlignmentOptions, ORDERED, PERPLEXITY, RankedSample, RankingDataset};
use llm_runtime::{DropoutPass, Llama, LlamaConfig, RopeScaling, ops};
use seq2seq::{Architecture, Seq2SeqBatch, Seq2SeqConfig, TrainableSeq2Seq};
use training::{
    Continuations, Control, Dataset, FreshWeights, Objective, Parameters, Pass, SequenceModel, Trainer, TrainerOptions,
    VariableLoader,
};

use crate::small::values;

fn pupil() -> TrainableSeq2Seq {
    let config = Seq2SeqConfig { width: 16, ..Seq2SeqConfig::tiny(Architecture::BlenderbotSmall, 24) };
    TrainableSeq2Seq::fresh(&config, 3, &Device::Cpu).unwrap()
}

fn llama() -> (Llama, Parameters) {
    let config = LlamaConfig {
        hidden_size: 16,
        intermediate_size: 24,
        layers: 2,
        heads: 4,
        key_value_heads: 2,
        head_dim: 4,
        vocabulary_size: 24,
        context_length: 32,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::None,
        sliding_window: None,
        tied_head: false,
        attention_bias: false,
        mlp_bias: false,
    };
    let fresh = FreshWeights::new(3, 0.2, &Device::Cpu);
    let variables = VariableLoader::new(&fresh);
    let model = Llama::load(&variables, config, &Device::Cpu).unwrap();
    (model, variables.into_parameters())
}

fn samples() -> Vec<RankedSample> {
    let sample = |context: &[u32], gold: &[u32], candidates: &[&[u32]]| RankedSample {
        context: context.to_vec(),
        gold: gold.to_vec(),
        candidates: candidates.iter().map(|tokens| tokens.to_vec()).collect(),
    };
    vec![
        sample(&[5, 6, 7], &[8, 9, 2], &[&[10, 2], &[11, 12, 13, 2], &[14, 2]]),
        sample(&[15, 16], &[17, 2], &[&[18, 19, 2], &[20, 2]]),
    ]
}

fn continuations(samples: &[RankedSample]) -> Vec<Continuations<'_>> {
    samples.iter().map(continuations_of).collect()
}

fn continuations_of(sample: &RankedSample) -> Continuations<'_> {
    let RankedSample { context, gold, candidates } = sample;
    Continuations { context, sequences: std::iter::once(gold).chain(candidates).map(Vec::as_slice).collect() }
}

/// Sharing the context changes nothing: each sequence alone with its context has the same probabilities.
#[test]
fn sequences_over_one_context_are_as_probable_as_alone() {
    let samples = samples();
    let pupil = pupil();
    let (llama, _) = llama();
    for model in [&*pupil.model as &dyn SequenceModel, &llama] {
        let together = values(&model.token_log_probs(&continuations(&samples), &Pass::evaluation()).unwrap());
        let mut rest = together.as_slice();
        for Continuations { context, sequences } in continuations(&samples) {
            for sequence in sequences {
                let alone = Continuations { context, sequences: vec![sequence] };
                let alone = values(&model.token_log_probs(&[alone], &Pass::evaluation()).unwrap());
                let (own, later) = rest.split_at(sequence.len());
                assert!(alone.iter().zip(own).all(|(alone, own)| (alone - own).abs() < 1e-5), "{alone:?} {own:?}");
                rest = later;
            }
        }
        assert!(rest.is_empty());
    }
}

#[test]
fn an_encoder_decoder_says_what_its_own_objective_says() {
    let pupil = pupil();
    let config = pupil.model.config();
    let mut batch = Seq2SeqBatch::new();
    let labels: Vec<Option<u32>> = [8, 9, 2].map(Some).to_vec();
    batch.push(&[5, 6, 7], &labels, config.generation.decoder_start_id, config.pad_id);
    let expected = values(&pupil.model.label_log_probs(&batch, 0.0, &Pass::evaluation()).unwrap());
    let own = Continuations { context: &[5, 6, 7], sequences: vec![&[8, 9, 2]] };
    assert_eq!(values(&pupil.model.token_log_probs(&[own], &Pass::evaluation()).unwrap()), expected);
}

#[test]
fn a_decoder_says_what_its_logits_say() {
    let (llama, _) = llama();
    let states = llama.sequences(&[5, 6, 8, 9], &[4], None).unwrap();
    let logits = llama.logits(&states.narrow(0, 1, 2).unwrap().contiguous().unwrap()).unwrap();
    let expected = ops::log_probs_of(&logits, &Tensor::new(&[8u32, 9], &Device::Cpu).unwrap()).unwrap();
    let own = Continuations { context: &[5, 6], sequences: vec![&[8, 9]] };
    let found = llama.token_log_probs(&[own], &Pass::evaluation()).unwrap();
    for (found, expected) in values(&found).into_iter().zip(values(&expected)) {
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }
}

#[test]
fn every_weight_gets_a_gradient_from_alignment() {
    let pass = Pass::training(DropoutPass { seed: 1, pass: 0 }, None);
    let pupil = pupil();
    let (llama, parameters) = llama();
    let of_seq2seq = AlignmentObjective::new(pupil.model.clone(), AlignmentOptions::default()).unwrap();
    let of_llama = AlignmentObjective::new(llama, AlignmentOptions::default()).unwrap();
    let losses = [
        (of_seq2seq.loss(&samples(), &pass).unwrap(), &pupil.parameters),
        (of_llama.loss(&samples(), &pass).unwrap(), &parameters),
    ];
    for (parts, parameters) in losses {
        let store = parts.sum.backward().unwrap();
        for (name, variable) in parameters.iter() {
            let gradient = store.get(variable).unwrap_or_else(|| panic!("{name} has no gradient"));
            // Softmax does not see what is added to all scores of a query.
            let is_seen = !name.ends_with("k_proj.bias");
            assert!(!is_seen || values(gradient).iter().any(|value| *value != 0.0), "the gradient of {name} is zero");
        }
    }
}

#[test]
fn alignment_puts_candidates_in_order_and_keeps_the_gold_response() {
    let pupil = pupil();
    let options = AlignmentOptions { margin: 0.05, ..AlignmentOptions::default() };
    let objective = AlignmentObjective::new(pupil.model.clone(), options).unwrap();
    let mut train = RankingDataset::new();
    samples().into_iter().for_each(|sample| train.push(sample).unwrap());
    let value = |name: &str| {
        let batch = train.batch(&[0, 1]);
        let scores = objective.evaluate(&mut std::iter::once(batch)).unwrap();
        scores.metrics.iter().find(|(metric, _)| metric == name).unwrap().1
    };
    let before = value(PERPLEXITY);
    let loop_options =
        TrainerOptions { max_steps: Some(60), batch: 1, learning_rate: 1e-2, ..TrainerOptions::default() };
    let trainer = Trainer { objective: &objective, train: &train, evaluation: Vec::new(), options: &loop_options };
    trainer.run(&pupil.parameters, None, false, &mut |_| Ok(Control::Continue)).unwrap();
    assert_eq!(value(ORDERED), 1.0);
    assert!(value(PERPLEXITY) < before / 2.0, "{} after {before}", value(PERPLEXITY));
}

#[test]
fn a_sample_without_candidates_is_learned_by_heart() {
    let pupil = pupil();
    let objective = AlignmentObjective::new(pupil.model.clone(), AlignmentOptions::default()).unwrap();
    let sample = RankedSample { candidates: Vec::new(), ..samples().remove(0) };
    let losses = objective.losses(std::slice::from_ref(&sample), &Pass::evaluation()).unwrap();
    assert!(losses.candidates.is_none() && losses.ranking.is_none());
    let parts = objective.loss(&vec![sample], &Pass::evaluation()).unwrap();
    assert!((values(&parts.sum)[0] - values(&losses.likelihood)[0] / 3.0).abs() < 1e-6);
}

#[test]
fn sequences_that_no_model_can_judge_are_refused() {
    let pupil = pupil();
    let (llama, _) = llama();
    let context: &[u32] = &[5];
    for model in [&*pupil.model as &dyn SequenceModel, &llama] {
        for batch in [
            vec![],
            vec![Continuations { context, sequences: vec![] }],
            vec![Continuations { context, sequences: vec![&[]] }],
            vec![Continuations { context: &[], sequences: vec![&[7]] }],
            vec![Continuations { context, sequences: vec![&[999]] }],
        ] {
            assert!(model.token_log_probs(&batch, &Pass::evaluation()).is_err(), "{batch:?}");
        }
    }
}
