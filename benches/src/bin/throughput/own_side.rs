//! Our side: a process that answers requests with the engine.

use std::ops::ControlFlow;
use std::time::Instant;

use benches::Outcome;
use benches::limits::Limits;
use benches::model_work::ModelWork;
use benches::side::next_request;
use clap::{Args, ValueEnum};
use llm_runtime::{
    AttentionProbe, Continuation, Engine, EngineOptions, Event, GenerationOptions, LoadOptions, Prompt, ScoreRequest,
    Span, SpanChoice, TextModel, WeightOptions, format_bytes, peak_memory,
};
use serde_json::json;

use crate::model::{ModelArguments, hugging_face};
use crate::request::{Answer, Description, Request};

/// What the process is started with.
#[derive(Debug, Args)]
pub(crate) struct Answering {
    #[command(flatten)]
    model: ModelArguments,
    /// Sequences at a time
    #[arg(long)]
    batch: usize,
    /// Tokens of a sequence, new ones included
    #[arg(long)]
    context: usize,
    /// What is kept of attention
    #[arg(long, value_enum, default_value_t = Level::None)]
    attention: Level,
}

/// How much of attention is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    None,
    Spans,
    Layers,
    Full,
}

impl Level {
    fn probe(self) -> Option<AttentionProbe> {
        match self {
            Self::None => None,
            Self::Spans => Some(AttentionProbe::spans(spans())),
            Self::Layers => Some(AttentionProbe::layers(spans())),
            Self::Full => Some(AttentionProbe::full(spans())),
        }
    }
}

/// Twenty spans, nested like those of a prompt: a system text, its parts, and turns.
fn spans() -> SpanChoice {
    SpanChoice::new(|prompt| {
        let tokens = prompt.tokens.len();
        let span = |number: usize, tokens| Span { label: format!("span {number}"), bytes: 0..0, tokens };
        let mut spans = vec![span(0, 1..tokens), span(1, 1..tokens / 2), span(2, 10..18), span(3, 10..60)];
        let turn = tokens / 16;
        spans.extend((0..16).map(|number| span(4 + number, number * turn..(number + 1) * turn)));
        spans
    })
}

/// Answers until the standard input ends.
pub(crate) fn answer(arguments: &Answering) -> Outcome<()> {
    llm_runtime::keep_freed_memory();
    llm_runtime::set_threads(arguments.model.threads())?;
    let mut engine = load(arguments)?;
    println!("{}", json!({"name": name(arguments)}));
    while let Some(request) = next_request()? {
        let answer = respond(&mut engine, arguments, request)?;
        println!("{}", serde_json::to_string(&Answer { peak_bytes: peak_memory(), ..answer })?);
    }
    Ok(())
}

fn name(arguments: &Answering) -> String {
    let kernels = if arguments.model.plain_kernels { ", candle's kernels" } else { "" };
    let attention = match arguments.attention {
        Level::None => String::new(),
        level => format!(", attention: {}", level.to_possible_value().as_ref().map_or("", |value| value.get_name())),
    };
    format!("solace{kernels}{attention}")
}

fn load(arguments: &Answering) -> Outcome<Engine> {
    let Answering { model, batch, context, .. } = arguments;
    let engine = EngineOptions {
        batch: *batch,
        kv_memory: model.kv_memory,
        kv_type: model.kv_type,
        context_length: Some(*context),
        ..EngineOptions::default()
    };
    let options = LoadOptions {
        device: model.device,
        weights: WeightOptions { float: model.dtype, quantize: model.quantize, plain: model.plain_kernels },
        engine,
        embedded: Some(ModelArguments::demo()),
        ..LoadOptions::new(&model.model()?)
    };
    let engine = Engine::load(&options, &|_| ())?;
    // Sequences would wait for each other, which is not what is measured.
    if engine.cache_tokens() < batch * context {
        let (there, asked) = (engine.cache_tokens(), format_bytes(model.kv_memory));
        return Err(format!(
            "{batch} sequences of {context} tokens do not fit the {there} tokens of --kv-memory {asked}: give more"
        )
        .into());
    }
    Ok(engine)
}

fn respond(engine: &mut Engine, arguments: &Answering, request: Request) -> Outcome<Answer> {
    match request {
        Request::Describe {} => describe(engine, arguments),
        Request::Generate { prompts, new_tokens, fresh } => {
            if fresh {
                engine.clear_cache();
            }
            generate(engine, prompts, new_tokens, arguments.attention)
        }
        Request::Score { prompts, continuations } => {
            engine.clear_cache();
            score(engine, prompts, continuations)
        }
        Request::Lesson { .. } | Request::Step {} => Err("this side does not train".into()),
    }
}

fn describe(engine: &Engine, arguments: &Answering) -> Outcome<Answer> {
    let config = engine.model().config();
    let place = engine.model().device();
    let (dtype, device) = (engine.identity().dtype, format!("{:?}", place.location()));
    let work = arguments.model.bits_per_weight(config).map(|bits| ModelWork::of(config, bits));
    let limits = if place.is_cpu() { None } else { Some(Limits::of_device(place)?) };
    let model = Some(Description { dtype, device, vocabulary: config.vocabulary_size as u32, work, limits });
    Ok(Answer { model, config: Some(hugging_face(config)), ..Answer::default() })
}

fn generate(engine: &mut Engine, prompts: Vec<Vec<u32>>, new_tokens: usize, level: Level) -> Outcome<Answer> {
    let options = GenerationOptions { max_new_tokens: new_tokens, ignore_eos: true, ..GenerationOptions::default() };
    let mut requests = prompts.into_iter().enumerate().map(|(key, prompt)| llm_runtime::Request {
        probe: level.probe(),
        ..llm_runtime::Request::new(key as u64, Prompt::Tokens(prompt), options.clone())
    });
    let mut failed = None;
    let begun = Instant::now();
    let statistics = engine.generate(&mut requests, &mut |event| match event {
        Event::Failed { error, .. } => {
            failed = Some(error);
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    })?;
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(Answer {
            seconds: begun.elapsed().as_secs_f64(),
            first_token_seconds: statistics.time_to_first_token,
            ..Answer::default()
        }),
    }
}

fn score(engine: &mut Engine, prompts: Vec<Vec<u32>>, continuations: Vec<Vec<u32>>) -> Outcome<Answer> {
    let pairs = prompts.into_iter().zip(continuations);
    let requests: Vec<ScoreRequest> = pairs
        .map(|(prompt, continuation)| ScoreRequest::new(Prompt::Tokens(prompt), Continuation::Tokens(continuation)))
        .collect();
    let begun = Instant::now();
    engine.score(&requests)?.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(Answer { seconds: begun.elapsed().as_secs_f64(), ..Answer::default() })
}
