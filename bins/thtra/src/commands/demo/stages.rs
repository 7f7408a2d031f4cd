use candle_core::Device;
use command_line::Failure;
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;
use thtra::{Layout, Responder, SampleDataset, Size, StageObjective};
use training::{Control, Schedule, TrainEvent, Trainer, TrainerOptions, Warmup};

use super::corpus::{DemoCorpus, LENGTHS};

pub(super) fn experiment(seeds: u64, steps: u64, lr: f64, weight: f64, dialogues: u64) -> Result<(), Failure> {
    let corpus = DemoCorpus::new(dialogues, 60)?;
    println!("vocabulary {}", corpus.tokenizer.tokenizer().vocabulary_size());
    let trials: Vec<(u64, &str)> = (1..=seeds).flat_map(|seed| ["joint", "thtra"].map(|kind| (seed, kind))).collect();
    let done: Vec<Vec<String>> = trials
        .into_par_iter()
        .map(|(seed, kind)| {
            let alone = ThreadPoolBuilder::new().num_threads(1).build()?;
            alone.install(|| one(&corpus, seed, kind, steps, lr, weight))
        })
        .collect::<Result<_, Failure>>()?;
    done.into_iter().flatten().for_each(|line| println!("{line}"));
    Ok(())
}

fn one(corpus: &DemoCorpus, seed: u64, kind: &str, steps: u64, lr: f64, weight: f64) -> Result<Vec<String>, Failure> {
    let longest = LENGTHS.max_input_length + 4;
    let responder = Responder::fresh(Size::Tiny, corpus.tokenizer.clone(), longest, seed, &Device::Cpu)?;
    let stages = match kind {
        "joint" => [(Layout::Strat, 0.0), (Layout::Strat, 0.0)],
        "thtra" => [(Layout::StratLookAhead, 0.0), (Layout::Strat, weight)],
        "situation" => [(Layout::Strat, 0.0), (Layout::Strat, weight)],
        _ => [(Layout::StratLookAhead, 0.0), (Layout::Strat, 0.0)],
    };
    let mut lines = Vec::new();
    for (number, (layout, weight)) in stages.into_iter().enumerate() {
        let train = SampleDataset::new(corpus.samples(&corpus.train, layout)?, &corpus.tokenizer);
        let valid = SampleDataset::new(corpus.samples(&corpus.held_out, Layout::Strat)?, &corpus.tokenizer);
        let objective = StageObjective::new(responder.model.model.clone())?.with_situation(weight);
        let options = TrainerOptions {
            max_steps: Some(steps),
            batch: 8,
            by_length: true,
            learning_rate: lr,
            schedule: Schedule::Linear,
            warmup: Warmup::Ratio(0.1),
            evaluate_every: steps,
            evaluation_batch: 32,
            seed: seed * 10 + number as u64,
            ..TrainerOptions::default()
        };
        let trainer = Trainer {
            objective: &objective,
            train: &train,
            evaluation: vec![(String::new(), &valid)],
            options: &options,
        };
        let begun = std::time::Instant::now();
        let mut said = String::new();
        trainer.run(&responder.model.parameters, None, false, &mut |event| {
            if let TrainEvent::Evaluation(evaluation) = event {
                said = format!(
                    "{kind:<10} seed {seed} stage {} ppl {:.3} {:?}",
                    number + 1,
                    evaluation.loss.exp(),
                    evaluation.metrics
                );
            }
            Ok(Control::Continue)
        })?;
        lines.push(format!("{said} {:.0} s", begun.elapsed().as_secs_f64()));
    }
    Ok(lines)
}
