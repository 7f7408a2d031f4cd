//! Our side: answers the requests that the peers' programs answer too.

use std::path::Path;
use std::time::Instant;

use candle_core::Device;
use llm_runtime::{keep_freed_memory, peak_memory, set_threads};
use seq2seq::search::{DecodingOptions, DecodingRow};
use seq2seq::{Seq2SeqDataset, Seq2SeqModel, Seq2SeqObjective, TrainableSeq2Seq};
use training::{Control, Schedule, TrainEvent, Trainer, TrainerOptions, TrainingError};

use benches::Outcome;
use benches::side::next_request;

use super::Task;
use super::request::{Answer, Request};

/// Answers until the standard input ends.
pub(crate) fn answer(task: Task, folder: &Path, threads: usize) -> Outcome<()> {
    keep_freed_memory();
    set_threads(threads)?;
    match task {
        Task::Decode => decode(&Seq2SeqModel::open(folder, &Device::Cpu)?),
        Task::Candidates => candidates(&Seq2SeqModel::open(folder, &Device::Cpu)?),
        Task::Train => train(&TrainableSeq2Seq::open(folder, &Device::Cpu)?),
    }
}

fn say(answer: Answer) -> Outcome<()> {
    println!("{}", serde_json::to_string(&Answer { peak_bytes: peak_memory(), ..answer })?);
    Ok(())
}

fn ready() -> Outcome<()> {
    println!("{}", serde_json::json!({"name": "seq2seq"}));
    Ok(())
}

fn decode(model: &Seq2SeqModel) -> Outcome<()> {
    ready()?;
    while let Some(request) = next_request()? {
        let Request::Decode { inputs, beams, new } = request else { return Err("not a request to decode".into()) };
        let options = DecodingOptions {
            beam_width: beams,
            max_new_tokens: new,
            min_new_tokens: new,
            ..DecodingOptions::default()
        };
        let started = Instant::now();
        let rows: Vec<DecodingRow> = inputs.iter().map(|ids| model.decoding_row(ids)).collect();
        let found = model.generate(&rows, &options)?;
        let seconds = started.elapsed().as_secs_f64();
        let ids = found.into_iter().filter_map(|found| Some(found.into_iter().next()?.ids)).collect();
        say(Answer { seconds, ids, ..Answer::default() })?;
    }
    Ok(())
}

fn candidates(model: &Seq2SeqModel) -> Outcome<()> {
    ready()?;
    while let Some(request) = next_request()? {
        let Request::Candidates { inputs, prompts, candidates, penalty, new, least, banned } = request else {
            return Err("not a request for candidates".into());
        };
        let options = DecodingOptions {
            beam_width: candidates,
            beam_groups: candidates,
            num_return_sequences: candidates,
            diversity_penalty: penalty,
            max_new_tokens: new,
            min_length: least,
            forced_last_id: Some(model.config().eos_id),
            bad_words: banned.into_iter().map(|id| vec![id]).collect(),
            ..DecodingOptions::default()
        };
        let started = Instant::now();
        let rows: Vec<DecodingRow> = inputs
            .into_iter()
            .zip(prompts)
            .map(|(encoder_ids, prompt)| DecodingRow { prompt, encoder_ids, stream: 0 })
            .collect();
        let found = model.generate(&rows, &options)?;
        let seconds = started.elapsed().as_secs_f64();
        let ids = found.into_iter().flatten().map(|found| found.ids).collect();
        say(Answer { seconds, ids, ..Answer::default() })?;
    }
    Ok(())
}

/// The workspace's own loop; between its steps it waits for requests.
fn train(pupil: &TrainableSeq2Seq) -> Outcome<()> {
    ready()?;
    let Some(Request::Lesson { inputs, labels }) = next_request()? else {
        return Err("training without a batch".into());
    };
    let mut train = Seq2SeqDataset::new(pupil.model.config());
    for (input, labels) in inputs.into_iter().zip(&labels) {
        train.push(input, labels);
    }
    let objective = Seq2SeqObjective::new(pupil.model.clone());
    let options = TrainerOptions {
        max_steps: Some(u64::MAX),
        batch: train.len(),
        shuffle: false,
        learning_rate: 1e-5,
        schedule: Schedule::Constant,
        save_every: u64::MAX,
        evaluate_every: u64::MAX,
        ..TrainerOptions::default()
    };
    let trainer = Trainer { objective: &objective, train: &train, evaluation: Vec::new(), options: &options };
    let failed =
        |error: Box<dyn std::error::Error>| TrainingError::Setting { setting: "a request", problem: error.to_string() };
    let mut started = Instant::now();
    trainer.run(&pupil.parameters, None, false, &mut |event| {
        if let TrainEvent::Step(step) = event {
            let seconds = started.elapsed().as_secs_f64();
            let (loss, gradient_norm) = (Some(step.loss), Some(step.gradient_norm));
            say(Answer { seconds, loss, gradient_norm, ..Answer::default() }).map_err(failed)?;
        }
        let is_asked = next_request::<Request>().map_err(failed)?.is_some();
        started = Instant::now();
        Ok(if is_asked { Control::Continue } else { Control::Stop })
    })?;
    Ok(())
}
