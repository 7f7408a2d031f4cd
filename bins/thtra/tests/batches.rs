//! Samples in batches, and a trainer that takes them.

use candle_core::Device;
use proptest::prelude::*;
use seq2seq::{Architecture, Seq2SeqConfig, Seq2SeqObjective, TrainableSeq2Seq};
use thtra::{EncodedDialogues, Layout, Lengths, SampleBatch, SampleDataset, Strategy, bucketed};
use training::{BatchPlan, Control, Dataset, LossParts, Objective, Pass, Trainer, TrainerOptions, TrainingError};

use crate::program::{dialogue, tokenizer};

/// Samples of `count` dialogues, two each.
fn dataset(count: usize, layout: Layout) -> SampleDataset {
    let tokenizer = tokenizer();
    let dialogues: Vec<_> = (0..count)
        .map(|number| {
            let text = "a".repeat(1 + number % 7);
            let (first, second) = (Strategy::ALL[number % 8], Strategy::ALL[(number + 1) % 8]);
            dialogue(&[("hi", None), (text.as_str(), Some(first)), ("no", None), ("ok", Some(second))])
        })
        .collect();
    let encoded = EncodedDialogues::new(&tokenizer, &dialogues).unwrap().lay_out(layout, Lengths::default());
    SampleDataset::new(encoded.samples, &tokenizer)
}

#[test]
fn a_batch_holds_both_streams_of_its_samples() {
    let set = dataset(3, Layout::Strat);
    let batch = set.batch(&[3, 0]).unwrap();
    let samples = [&set.samples()[3], &set.samples()[0]];
    assert_eq!(batch.strategies, samples.map(|sample| sample.strategy));
    let situation = batch.situation.unwrap();
    let inputs: Vec<&[u32]> = batch.response.inputs.sequences().collect();
    let labels = |labels: Vec<u32>| labels.into_iter().map(Some).collect::<Vec<_>>();
    assert_eq!(batch.response.labels, labels(samples.map(|sample| sample.labels.clone()).concat()));
    assert_eq!(situation.labels, labels(samples.map(|sample| sample.situation_labels.clone()).concat()));
    for (place, sample) in samples.into_iter().enumerate() {
        assert_eq!(inputs[place], sample.encoder_ids);
        for (fed, labels) in [(&batch.response.outputs, &sample.labels), (&situation.outputs, &sample.situation_labels)]
        {
            let fed = fed.sequences().nth(place).unwrap();
            assert_eq!((fed[0], &fed[1..]), (tokenizer().bos(), &labels[..labels.len() - 1]));
        }
    }
    assert!(dataset(1, Layout::Vanilla).batch(&[0, 1]).unwrap().situation.is_none());
    let told = set.batch(&[6]).unwrap_err().to_string();
    assert!(told.contains("there is no sample 6 among 6"), "{told}");
}

#[test]
fn lengths_are_those_of_encoder_and_decoder() {
    let set = dataset(2, Layout::Strat);
    let expected: Vec<usize> =
        set.samples().iter().map(|sample| sample.encoder_ids.len() + sample.labels.len()).collect();
    assert_eq!(set.lengths(), expected);
}

fn plan(options: &TrainerOptions) -> BatchPlan {
    let TrainerOptions { batch, by_length, batches_per_pool, drop_incomplete, seed, .. } = *options;
    BatchPlan { size: batch, by_length, batches_per_pool, drop_incomplete, seed }
}

proptest! {
    /// Buckets are whole batches but for the last, so that at most one batch of an epoch is dropped, and never two of a bucket.
    #[test]
    fn bucketed_batches_are_full_and_hold_each_sample_at_most_once(count in 0usize..900, batch in 1usize..9, seed: u64, epoch in 0u64..3) {
        let plan = plan(&bucketed(TrainerOptions { batch, seed, ..TrainerOptions::default() }));
        let lengths: Vec<usize> = (0..count).map(|number| 1 + number * 37 % 101).collect();
        let batches = plan.epoch(epoch, &lengths);
        prop_assert_eq!(batches.len(), count / batch);
        prop_assert!(batches.iter().all(|examples| examples.len() == batch));
        let mut seen = batches.concat();
        seen.sort_unstable();
        seen.dedup();
        prop_assert_eq!(seen.len(), count / batch * batch);
        prop_assert_eq!(plan.epoch(epoch, &lengths), batches);
    }
}

#[test]
fn samples_of_like_lengths_come_together_within_buckets_of_a_hundred_batches() {
    let options = bucketed(TrainerOptions { batch: 4, ..TrainerOptions::default() });
    let lengths: Vec<usize> = (0..400).collect();
    // One bucket holds them all: each batch has four lengths that follow each other, longest first.
    for examples in plan(&options).epoch(0, &lengths) {
        assert!(examples[0] % 4 == 3 && examples.windows(2).all(|pair| pair[0] == pair[1] + 1), "{examples:?}");
    }
    assert_ne!(plan(&options).epoch(0, &lengths), plan(&options).epoch(1, &lengths));
}

/// The likelihood of the responses alone.
struct Responses(Seq2SeqObjective);

impl Objective for Responses {
    type Batch = SampleBatch;

    fn loss(&self, batch: &SampleBatch, pass: &Pass) -> Result<LossParts, TrainingError> {
        self.0.loss(&batch.response, pass)
    }
}

#[test]
fn a_trainer_takes_full_batches_only() {
    let size = tokenizer().tokenizer().vocabulary_size();
    let config = Seq2SeqConfig { width: 16, ..Seq2SeqConfig::tiny(Architecture::BlenderbotSmall, size) };
    let pupil = TrainableSeq2Seq::fresh(&config, 1, &Device::Cpu).unwrap();
    let objective = Responses(Seq2SeqObjective::new(pupil.model.clone()));
    let train = dataset(5, Layout::Strat);
    let run = |batch| {
        let options = bucketed(TrainerOptions { batch, epochs: 2.0, ..TrainerOptions::default() });
        let trainer = Trainer { objective: &objective, train: &train, evaluation: Vec::new(), options: &options };
        trainer.run(&pupil.parameters, None, false, &mut |_| Ok(Control::Continue))
    };
    // Ten samples: two batches of four an epoch.
    let summary = run(4).unwrap();
    assert_eq!((summary.steps, summary.total_steps), (4, 4));
    let told = run(11).unwrap_err().to_string();
    assert!(told.contains("10 examples fill no batch of 11"), "{told}");
}
