//! `magic generate`: a response in one dialogue, and what it remembered.

use std::process::ExitCode;

use command_line::{Failure, Format, print_json};
use magic::{Remembered, ResponseGenerator, Sample, SampleEncoder, read_samples};
use serde::Serialize;

use crate::generator_arguments::Generate;

/// Turns of the dialogue that are printed.
const SHOWN_TURNS: usize = 4;

/// A response and what is known of it.
#[derive(Serialize)]
struct Told {
    context: Vec<String>,
    strategy: &'static str,
    motivation: String,
    /// What a person said, where that is known.
    real_response: Option<String>,
    responses: Vec<Answer>,
    /// Rows of the memory that the sample may see.
    seen: usize,
    remembered: Vec<Remembered>,
}

/// A hypothesis.
#[derive(Serialize)]
struct Answer {
    text: String,
    score: f32,
}

pub(crate) fn run(options: &Generate, format: Format) -> Result<ExitCode, Failure> {
    let generator = ResponseGenerator::open(&options.model_path, &options.machine.device.open()?)?;
    let (sample, is_real) = sample(options)?;
    let encoded = SampleEncoder::new(&generator.tokenizer, &generator.settings.encoding)
        .encode_all(&options.test_data, std::slice::from_ref(&sample))?;
    let streams = [options.sample.unwrap_or_default() as u64];
    let decoding = options.decoding.options(generator.generator.config().eos_id, options.responses)?;
    let hypotheses = generator.respond(&encoded, &streams, &decoding)?.into_iter().next().unwrap_or_default();
    let answer = |one: seq2seq::search::Decoded| Answer { text: generator.text(&one.ids), score: one.score };
    let mut remembered = generator.remembered(&encoded[0])?;
    let seen = remembered.len();
    remembered.truncate(options.remembered);
    let told = Told {
        strategy: sample.strategy.name(),
        context: sample.context,
        motivation: sample.motivation,
        real_response: is_real.then_some(sample.response),
        responses: hypotheses.into_iter().map(answer).collect(),
        seen,
        remembered,
    };
    match format {
        Format::Json => print_json(&told)?,
        Format::Text => print(&told),
    }
    Ok(ExitCode::SUCCESS)
}

/// The sample, and whether its response is somebody's.
fn sample(options: &Generate) -> Result<(Sample, bool), Failure> {
    let (mut sample, is_real) = match options.sample {
        None => (typed(options)?, false),
        Some(number) => {
            let samples = read_samples(&options.test_data)?;
            let (path, count) = (options.test_data.display(), samples.len());
            let missing =
                || Failure::wrong_use(format!("{path}: there is no sample {number} among {count}, counted from 0"));
            (samples.into_iter().nth(number).ok_or_else(missing)?, true)
        }
    };
    sample.strategy = options.strategy.unwrap_or(sample.strategy);
    if let Some(motivation) = &options.motivation {
        sample.motivation.clone_from(motivation);
    }
    Ok((sample, is_real))
}

fn typed(options: &Generate) -> Result<Sample, Failure> {
    let strategy = options.strategy.ok_or_else(|| Failure::wrong_use("--turn needs --strategy NAME"))?;
    let situation = options.situation.clone().unwrap_or_default();
    Ok(Sample {
        context: std::iter::once(situation).chain(options.turn.iter().cloned()).collect(),
        response: String::new(),
        strategy,
        response_memory: Vec::new(),
        strategy_memory: Vec::new(),
        motivation: String::new(),
    })
}

fn print(told: &Told) {
    let (situation, turns) = told.context.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    println!("situation   {situation}");
    let skipped = turns.len().saturating_sub(SHOWN_TURNS);
    if skipped > 0 {
        println!("            … {skipped} turns …");
    }
    turns[skipped..].iter().for_each(|turn| println!("            {turn}"));
    println!("strategy    {}", told.strategy);
    if !told.motivation.is_empty() {
        println!("motivation  {}", told.motivation);
    }
    for answer in &told.responses {
        println!("response    {}  ({:.3})", answer.text, answer.score);
    }
    if let Some(real) = &told.real_response {
        println!("a person    {real}");
    }
    println!("\nlooked at among {} remembered responses of the strategy:", told.seen);
    for Remembered { share, row } in &told.remembered {
        println!("  {:>5.1} %  {}  ({} turn {})", 100.0 * share, row.text, row.place.dialogue, row.place.turn);
    }
}
