//! The first two stages, and a training of the same length without look-ahead and situation.

use std::path::Path;

use candle_core::Device;
use command_line::{Failure, interrupt};
use thtra::{Layout, Responder, SITUATION_WEIGHT, SampleDataset, Size, StageObjective};
use training::{Control, End, Objective, Schedule, TrainEvent, Trainer, TrainerOptions, Warmup};

use super::corpus::{DemoCorpus, LENGTHS};

/// What a responder learns in its two trainings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Strategy and response, twice.
    Joint,
    /// With the seeker's next turn, and then with the situation.
    Staged,
}

impl Kind {
    /// Layout, and weight of the situation, of each training.
    fn trainings(self) -> [(Layout, f64); 2] {
        match self {
            Self::Joint => [(Layout::Strat, 0.0), (Layout::Strat, 0.0)],
            Self::Staged => [(Layout::StratLookAhead, 0.0), (Layout::Strat, SITUATION_WEIGHT)],
        }
    }
}

/// Trains a small responder from nothing and keeps it, after each of its two trainings, in these folders. `false` after an interrupt.
pub(super) fn train(
    corpus: &DemoCorpus,
    kind: Kind,
    seed: u64,
    steps: u64,
    folders: [&Path; 2],
    progress: &(dyn Fn() + Sync),
) -> Result<bool, Failure> {
    let longest = LENGTHS.max_input_length.max(LENGTHS.max_decoder_input_length + 2);
    let responder = Responder::fresh(Size::Tiny, corpus.tokenizer.clone(), longest, seed, &Device::Cpu)?;
    for (number, ((layout, weight), folder)) in kind.trainings().into_iter().zip(folders).enumerate() {
        let train = SampleDataset::new(corpus.samples(&corpus.train, layout)?, &corpus.tokenizer);
        let objective = StageObjective::new(responder.model.model.clone())?.with_situation(weight);
        let options = TrainerOptions {
            max_steps: Some(steps),
            batch: 8,
            by_length: true,
            learning_rate: 5e-3,
            schedule: Schedule::Linear,
            warmup: Warmup::Ratio(0.1),
            seed: 2 * seed + number as u64,
            ..TrainerOptions::default()
        };
        if !learn(&responder, &objective, &train, &options, progress)? {
            return Ok(false);
        }
        responder.save(folder)?;
    }
    Ok(true)
}

fn learn<O: Objective, D: training::Dataset<Batch = O::Batch>>(
    responder: &Responder,
    objective: &O,
    train: &D,
    options: &TrainerOptions,
    progress: &(dyn Fn() + Sync),
) -> Result<bool, Failure> {
    let trainer = Trainer { objective, train, evaluation: Vec::new(), options };
    let summary = trainer.run(&responder.model.parameters, None, false, &mut |event| {
        if let TrainEvent::Step(_) = event {
            progress();
        }
        Ok(if interrupt::was_asked() { Control::Stop } else { Control::Continue })
    })?;
    Ok(summary.end != End::Stopped)
}
