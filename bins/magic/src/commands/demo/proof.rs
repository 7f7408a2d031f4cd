//! The second table: a task that only the memory solves.
//!
//! Each strategy has a style, one word that begins the answer; which style belongs to which strategy is drawn by the seed. The dialogue tells
//! neither strategy nor style, and the strategy is given to the reader of the memory alone. So who can't look into the memory has to guess among eight.

use std::sync::Arc;

use candle_core::Device;
use command_line::{Failure, interrupt};
use llm_runtime::seeded_stream;
use memory_bank::{
    BankOptions, GeneratorOptions, MagicBatch, MagicDataset, MagicGenerator, MagicObjective, MotivationFusion, Place,
    Response, Sample, Sources, StrategyBank, TrainableMagic,
};
use rand::seq::SliceRandom;
use seq2seq::search::DecodingOptions;
use seq2seq::{Architecture, Seq2SeqConfig, Seq2SeqWeights};
use serde::Serialize;
use training::{Control, End, Trainer, TrainerOptions};

use super::spread;

const STRATEGIES: usize = 8;
/// Behind the four special tokens stand styles, questions, and what follows a style.
const FIRST_STYLE: u32 = 4;
const FIRST_QUESTION: u32 = FIRST_STYLE + STRATEGIES as u32;
const FIRST_REST: u32 = FIRST_QUESTION + 20;
const VOCABULARY: u32 = FIRST_REST + 8;
const TRAIN: usize = 400;
const HELD_OUT: usize = 160;

/// What a seed gave, in percent of right styles in held-out dialogues.
#[derive(Serialize)]
pub(super) struct Proof {
    seed: u64,
    /// Trained and asked with the memory.
    with_memory: f64,
    /// The same generator, asked without.
    memory_taken_away: f64,
    /// Trained and asked without.
    without_memory: f64,
}

/// All seeds; none after an interrupt.
pub(super) fn prove(seeds: &[u64]) -> Result<Option<Vec<Proof>>, Failure> {
    let mut proof = Vec::with_capacity(seeds.len());
    for seed in seeds {
        let task = Task::new(*seed);
        let (Some((with, bank)), Some((without, empty))) = (task.train(true)?, task.train(false)?) else {
            return Ok(None);
        };
        proof.push(Proof {
            seed: *seed,
            with_memory: task.right(&with, &bank)?,
            memory_taken_away: task.right(&with, &empty)?,
            without_memory: task.right(&without, &empty)?,
        });
    }
    Ok(Some(proof))
}

/// The task with the styles of a seed.
struct Task {
    seed: u64,
    /// The style of each strategy.
    styles: Vec<u32>,
}

impl Task {
    fn new(seed: u64) -> Self {
        let mut styles: Vec<u32> = (FIRST_STYLE..FIRST_QUESTION).collect();
        styles.shuffle(&mut seeded_stream(seed, "styles"));
        Self { seed, styles }
    }

    fn sample(&self, number: usize) -> Sample {
        let strategy = number % STRATEGIES;
        let question = FIRST_QUESTION + (number / STRATEGIES) as u32 % (FIRST_REST - FIRST_QUESTION);
        let place = |turn| Place { dialogue: format!("dialogue {number}"), turn };
        let style = self.styles[strategy];
        let tokens = vec![0, style, FIRST_REST + number as u32 % (VOCABULARY - FIRST_REST), 2];
        let said = Response { text: format!("{tokens:?}"), tokens, strategy, place: place(1), feedback: None };
        Sample {
            input: vec![0, question, 2],
            motivation: vec![0, 2],
            output: vec![0, style],
            labels: vec![style, 2],
            strategy,
            place: place(3),
            history: vec![Arc::new(said)],
        }
    }

    /// A generator that has learned the task, and its memory; none after an interrupt.
    fn train(&self, memory: bool) -> Result<Option<(Arc<MagicGenerator>, StrategyBank)>, Failure> {
        let config = Seq2SeqConfig { width: 32, ..Seq2SeqConfig::tiny(Architecture::Bart, VOCABULARY as usize) };
        let bart = Seq2SeqWeights::fresh(&config, &Device::Cpu, self.seed);
        let options = GeneratorOptions { motivation: MotivationFusion::None, ..GeneratorOptions::default() };
        let model = TrainableMagic::new(&bart, &config, STRATEGIES, options, self.seed, &Device::Cpu)?;
        let bank = StrategyBank::new(STRATEGIES, config.width, BankOptions::default(), &Device::Cpu)?;
        let objective = MagicObjective::new(model.generator.clone(), bank, 0.2);
        let objective = if memory { objective } else { objective.with_frozen_bank() };
        let train = MagicDataset::new((0..TRAIN).map(|number| self.sample(number)).collect(), None);
        let settings = TrainerOptions {
            max_steps: Some(200),
            learning_rate: 2e-3,
            batch: 16,
            seed: self.seed,
            ..TrainerOptions::default()
        };
        let trainer = Trainer { objective: &objective, train: &train, evaluation: Vec::new(), options: &settings };
        let summary = trainer.run(&model.parameters, None, false, &mut |_| {
            Ok(if interrupt::was_asked() { Control::Stop } else { Control::Continue })
        })?;
        Ok((summary.end != End::Stopped).then(|| (model.generator, objective.bank())))
    }

    /// How many first words of held-out answers have the right style, in percent.
    fn right(&self, generator: &MagicGenerator, bank: &StrategyBank) -> Result<f64, Failure> {
        let samples: Vec<Sample> = (TRAIN..TRAIN + HELD_OUT).map(|number| self.sample(number)).collect();
        let batch = MagicBatch::new(&samples, None)?;
        let memories = batch.memories(bank)?;
        let sources = Sources { inputs: &batch.inputs, motivations: &batch.motivations, memories: &memories };
        let options = DecodingOptions { max_new_tokens: 1, ..DecodingOptions::default() };
        let answers = generator.generate(&sources, &vec![0; samples.len()], &options)?;
        let said =
            |answers: &[seq2seq::search::Decoded]| answers.first().and_then(|answer| answer.ids.first().copied());
        let right =
            answers.iter().zip(&samples).filter(|(answers, sample)| said(answers) == sample.labels.first().copied());
        Ok(100.0 * right.count() as f64 / samples.len() as f64)
    }
}

pub(super) fn print(proof: &[Proof]) {
    println!("\nA style for each strategy, shown nowhere but in the memory; right styles in %:\n");
    println!("{:<44} {:>16}", "trained and asked with the memory", spread(proof.iter().map(|one| one.with_memory)));
    println!(
        "{:<44} {:>16}",
        "the same generator, asked without",
        spread(proof.iter().map(|one| one.memory_taken_away))
    );
    println!("{:<44} {:>16}", "trained and asked without", spread(proof.iter().map(|one| one.without_memory)));
    println!("{:<44} {:>16}", "by chance", "12.5");
}
