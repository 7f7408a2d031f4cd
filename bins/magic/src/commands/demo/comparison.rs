//! The first table: memory on and off, motivation none and concat, over seeds.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::Device;
use command_line::{Failure, Progress, interrupt};
use magic::Strategy;
use memory_bank::{
    BankOptions, GeneratorOptions, MagicBatch, MagicDataset, MagicGenerator, MagicObjective, MotivationFusion, Sources,
    StrategyBank, TrainableMagic,
};
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;
use seq2seq::search::DecodingOptions;
use seq2seq::{Architecture, Seq2SeqConfig, Seq2SeqWeights};
use serde::Serialize;
use training::{Control, End, Schedule, TrainEvent, Trainer, TrainerOptions, Warmup};

use super::corpus::{DemoCorpus, LONGEST, strategy};
use super::spread;

/// One training.
#[derive(Serialize)]
pub(super) struct Trial {
    memory: bool,
    motivation: MotivationFusion,
    seed: u64,
    /// Of the held-out responses.
    perplexity: f64,
    /// Share of greedy responses that follow their strategy, by the corpus' own classifier, in percent.
    followed: f64,
}

/// All trainings; none after an interrupt.
pub(super) fn compare(seeds: &[u64], steps: u64) -> Result<Option<Vec<Trial>>, Failure> {
    let corpus = DemoCorpus::new()?;
    let settings: Vec<(bool, MotivationFusion, u64)> = [MotivationFusion::None, MotivationFusion::Concat]
        .into_iter()
        .flat_map(|motivation| [false, true].map(|memory| (memory, motivation)))
        .flat_map(|(memory, motivation)| seeds.iter().map(move |seed| (memory, motivation, *seed)))
        .collect();
    let bar = Mutex::new((Progress::new("training", 0, settings.len() as u64 * steps), 0));
    let progress = || {
        let mut bar = bar.lock().unwrap_or_else(PoisonError::into_inner);
        bar.1 += 1;
        let done = bar.1;
        bar.0.set(done);
    };
    let trials = settings.into_par_iter().map(|(memory, motivation, seed)| {
        // Small models gain nothing from several threads, several models do.
        let alone = ThreadPoolBuilder::new().num_threads(1).build()?;
        alone.install(|| try_out(&corpus, memory, motivation, seed, steps, &progress))
    });
    let trials: Vec<Option<Trial>> = trials.collect::<Result<_, Failure>>()?;
    bar.lock().unwrap_or_else(PoisonError::into_inner).0.finish();
    Ok(trials.into_iter().collect())
}

fn try_out(
    corpus: &DemoCorpus,
    memory: bool,
    motivation: MotivationFusion,
    seed: u64,
    steps: u64,
    progress: &(dyn Fn() + Sync),
) -> Result<Option<Trial>, Failure> {
    let model = fresh(corpus, motivation, seed)?;
    let bank =
        StrategyBank::new(Strategy::ALL.len(), model.generator.config().width, BankOptions::default(), &Device::Cpu)?;
    let objective = MagicObjective::new(model.generator.clone(), bank, 0.2);
    // Without a memory to write, all find it empty.
    let objective = if memory { objective } else { objective.with_frozen_bank() };
    let (train, held_out) =
        (MagicDataset::new(corpus.train.clone(), None), MagicDataset::new(corpus.held_out.clone(), None));
    let options = TrainerOptions {
        max_steps: Some(steps),
        batch: 8,
        by_length: true,
        learning_rate: 7e-3,
        schedule: Schedule::Linear,
        warmup: Warmup::Ratio(0.1),
        evaluate_every: steps,
        evaluation_batch: 16,
        seed,
        ..TrainerOptions::default()
    };
    let mut perplexity = f64::NAN;
    let trainer = Trainer {
        objective: &objective,
        train: &train,
        evaluation: vec![(String::new(), &held_out)],
        options: &options,
    };
    let summary = trainer.run(&model.parameters, None, false, &mut |event| {
        match event {
            TrainEvent::Step(_) => progress(),
            TrainEvent::Evaluation(evaluation) => perplexity = evaluation.loss.exp(),
            _ => {}
        }
        Ok(if interrupt::was_asked() { Control::Stop } else { Control::Continue })
    })?;
    if summary.end == End::Stopped {
        return Ok(None);
    }
    let followed = followed(corpus, &model.generator, &objective.bank())?;
    Ok(Some(Trial { memory, motivation, seed, perplexity, followed }))
}

/// A small generator with fresh weights.
fn fresh(corpus: &DemoCorpus, motivation: MotivationFusion, seed: u64) -> Result<TrainableMagic, Failure> {
    let tiny = Seq2SeqConfig::tiny(Architecture::Bart, corpus.tokenizer.vocabulary_size());
    let config = Seq2SeqConfig { max_positions: LONGEST, ..tiny };
    let bart = Seq2SeqWeights::fresh(&config, &Device::Cpu, seed);
    let options = GeneratorOptions { motivation, ..GeneratorOptions::default() };
    Ok(TrainableMagic::new(&bart, &config, Strategy::ALL.len(), options, seed, &Device::Cpu)?)
}

/// How many greedy responses to held-out dialogues follow their strategy, in percent.
fn followed(corpus: &DemoCorpus, generator: &Arc<MagicGenerator>, bank: &StrategyBank) -> Result<f64, Failure> {
    let options = DecodingOptions { max_new_tokens: 48, ..DecodingOptions::default() };
    let mut right = 0;
    for (encoded, texts) in corpus.held_out.chunks(32).zip(corpus.held_out_texts.chunks(32)) {
        let batch = MagicBatch::new(encoded, None)?;
        let memories = batch.memories(bank)?;
        let sources = Sources { inputs: &batch.inputs, motivations: &batch.motivations, memories: &memories };
        let responses = generator.generate(&sources, &vec![0; encoded.len()], &options)?;
        right += responses
            .iter()
            .zip(texts)
            .filter(|(responses, sample)| {
                let text =
                    responses.first().map(|response| corpus.tokenizer.decode_text(&response.ids)).unwrap_or_default();
                strategy(demo_corpus::classify(&text).strategy) == sample.strategy
            })
            .count();
    }
    Ok(100.0 * right as f64 / corpus.held_out.len() as f64)
}

pub(super) fn print(trials: &[Trial]) {
    println!("Held-out dialogues of the built-in corpus; mean ± standard deviation over seeds:\n");
    println!("{:<12} {:<8} {:>18} {:>24}", "motivation", "memory", "perplexity", "follows its strategy, %");
    for motivation in [MotivationFusion::None, MotivationFusion::Concat] {
        for memory in [false, true] {
            let own = || trials.iter().filter(|trial| trial.memory == memory && trial.motivation == motivation);
            let name = if motivation == MotivationFusion::None { "none" } else { "concat" };
            println!(
                "{name:<12} {:<8} {:>18} {:>24}",
                if memory { "on" } else { "off" },
                spread(own().map(|trial| trial.perplexity)),
                spread(own().map(|trial| trial.followed))
            );
        }
    }
}
