//! Training through the workspace's loop: a rule is learned, evaluation gives the perplexity, resume is exact.

use std::path::Path;

use candle_core::Device;
use seq2seq::{
    Architecture, PERPLEXITY, Seq2SeqConfig, Seq2SeqDataset, Seq2SeqObjective, TokenBatch, TrainableSeq2Seq,
};
use training::{Control, Dataset, RunDir, TrainEvent, TrainSummary, Trainer, TrainerOptions};

use crate::small::{BOTH, bits};

/// Tokens in reverse, and the end.
fn lesson(number: usize, config: &Seq2SeqConfig) -> (Vec<u32>, Vec<u32>) {
    let length = 2 + number % 3;
    let input: Vec<u32> = (0..length).map(|place| 4 + ((number * 7 + place * (3 + number % 5)) % 8) as u32).collect();
    let output = input.iter().rev().copied().chain([config.eos_id]).collect();
    (input, output)
}

fn lessons(first: usize, count: usize, config: &Seq2SeqConfig) -> Seq2SeqDataset {
    let mut set = Seq2SeqDataset::new(config);
    for number in first..first + count {
        let (input, output) = lesson(number, config);
        set.push(input, &output);
    }
    set
}

fn pupil(architecture: Architecture, dropout: f32) -> TrainableSeq2Seq {
    let config = Seq2SeqConfig { width: 32, max_positions: 12, dropout, ..Seq2SeqConfig::tiny(architecture, 12) };
    TrainableSeq2Seq::fresh(&config, 5, &Device::Cpu).unwrap()
}

fn options() -> TrainerOptions {
    TrainerOptions {
        batch: 12,
        learning_rate: 3e-3,
        by_length: true,
        evaluation_batch: 16,
        ..TrainerOptions::default()
    }
}

#[test]
fn reversing_is_learned() {
    for architecture in BOTH {
        let pupil = pupil(architecture, 0.0);
        let config = pupil.model.config().clone();
        let (train, dev) = (lessons(0, 120, &config), lessons(0, 30, &config));
        let objective = Seq2SeqObjective::new(pupil.model.clone()).with_smoothing(0.05);
        let options = TrainerOptions { epochs: 25.0, ..options() };
        let trainer =
            Trainer { objective: &objective, train: &train, evaluation: vec![("dev".into(), &dev)], options: &options };
        let mut last = None;
        let summary = trainer.run(&pupil.parameters, None, false, &mut |event| {
            if let TrainEvent::Evaluation(evaluation) = event {
                last = Some((evaluation.loss, evaluation.metrics.clone()));
            }
            Ok(Control::Continue)
        });
        assert!(summary.unwrap().best.unwrap().loss < 0.2);
        let (loss, metrics) = last.unwrap();
        assert_eq!(metrics, [(PERPLEXITY.to_owned(), loss.exp())]);
        let (input, output) = lesson(3, &config);
        let mut cache = pupil.model.start(&TokenBatch::of([input.as_slice()])).unwrap();
        let (mut said, mut next) = (Vec::new(), config.generation.decoder_start_id);
        while said.len() < output.len() {
            next = pupil.model.step(&[next], &mut cache).unwrap().argmax(1).unwrap().to_vec1().unwrap()[0];
            said.push(next);
        }
        assert_eq!(said, output);
    }
}

fn fit(pupil: &TrainableSeq2Seq, run: &Path, stop_after: Option<u64>) -> TrainSummary {
    let config = pupil.model.config();
    let (train, dev) = (lessons(0, 40, config), lessons(40, 10, config));
    let objective = Seq2SeqObjective::new(pupil.model.clone());
    let options = TrainerOptions { batch: 5, accumulate: 2, save_every: 2, max_steps: Some(8), ..options() };
    let trainer =
        Trainer { objective: &objective, train: &train, evaluation: vec![("dev".into(), &dev)], options: &options };
    let folder = RunDir::open(run).unwrap_or_else(|_| {
        let folder = RunDir::create(run).unwrap();
        folder.write_config(&options).unwrap();
        folder
    });
    let stop = |event: &TrainEvent| match event {
        TrainEvent::Step(step) if Some(step.step) == stop_after => Ok(Control::Stop),
        _ => Ok(Control::Continue),
    };
    trainer.run(&pupil.parameters, Some(&folder), true, &mut { stop }).unwrap()
}

/// Dropout, shuffles and the optimiser are as if nothing had happened.
#[test]
fn an_interrupted_run_ends_like_an_uninterrupted_one() {
    let scratch = tempfile::tempdir().unwrap();
    let run = |folder: &str, stops: &[Option<u64>]| {
        let mut last = None;
        for stop in stops {
            let pupil = pupil(Architecture::Bart, 0.1);
            let summary = fit(&pupil, &scratch.path().join(folder), *stop);
            last = Some((bits(&pupil.parameters), summary.steps));
        }
        last.unwrap()
    };
    assert!(run("parts", &[Some(3), Some(5), None]) == run("whole", &[None]));
}

#[test]
fn batches_hold_the_examples_that_were_asked_for() {
    let config = Seq2SeqConfig::tiny(Architecture::Bart, 12);
    let set = lessons(0, 6, &config);
    assert_eq!(set.lengths(), [5, 7, 9, 5, 7, 9]);
    let batch = set.batch(&[4, 0]).unwrap();
    assert_eq!((batch.inputs.lengths(), batch.outputs.lengths()), (&[3, 2][..], &[4, 3][..]));
    assert_eq!((batch.outputs.ids()[0], batch.outputs.ids()[4]), (2, 2), "the decoder's first token");
    assert!(set.batch(&[6]).unwrap_err().to_string().contains("no example 6 among 6"));
}
