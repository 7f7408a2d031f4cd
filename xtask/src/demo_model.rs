//! The demonstration model: a small Llama trained from nothing, by this workspace's own trainer, on synthetic dialogues.
//!
//! It is taught what a strategy-steered chat model does, in the language of `fixtures/demo`: to read an instruction that names a
//! strategy, and to answer the seeker's last turn with it. Instructions mostly stand beside the last turn (the layouts
//! `c1` to `c5`). As system text in front of a dialogue they are followed in short dialogues only: the further back the system text
//! is, the more often the reply in the lesson has another strategy. So the model does on purpose what large models are known for: in
//! long dialogues it loses sight of a system text, and steering or tuning makes a difference.

use std::path::Path;
use std::sync::Arc;

use candle_core::Device;
use command_line::training_figure;
use demo_corpus::{DemoDialogue, Generator, Labels, Split};
use esconv_data::{Speaker, Strategy, StrategySet};
use llm_runtime::{
    BuiltInTemplate, ExportType, FloatType, Llama, LlamaConfig, LoadOptions, Message, ModelExport, Quantization,
    RopeScaling, Tokenizer, seeded_stream,
};
use lora::sft::{BadRecords, EncodeOptions, LearnOn, Place, SftEncoder, SftExample, SftRecord, SftTemplate};
use lora::{SftDataset, SftObjective};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use strategy_prompting::{Dialogue, HistoryFormat, InstructionTemplate, Layout, SystemRole, Turn, build};
use training::tracking::{At, EventLog, Tracker, TrackingError, read_events, truncate_after};
use training::{
    AdamWOptions, Control, FreshWeights, ParameterGroup, Parameters, RunDir, Schedule, TrainEvent, Trainer,
    TrainerOptions, VariableLoader, Warmup,
};

use crate::vocabulary;

/// Seed of the corpus, the examples, the weights and the shuffles.
const SEED: u64 = demo_corpus::SEED;
/// Optimiser steps of the shipped model.
pub(crate) const STEPS: u64 = 1600;
const VOCABULARY: usize = 4096;
const BATCH: usize = 16;
/// Held-out examples that the loss is watched on.
const HELD_OUT: usize = 256;
/// Share of the lessons, from the first, of which every word is learned: the language, and to speak of what was said. Of the others
/// only the reply is learned.
const LANGUAGE_SHARE: f64 = 0.3;
/// How often a system text in front of the dialogue is followed, by supporter turn; the last number holds for all later turns.
const FOLLOWED_AT_TURN: [f64; 4] = [1.0, 1.0, 0.5, 0.05];

fn config(vocabulary: usize) -> LlamaConfig {
    LlamaConfig {
        hidden_size: 192,
        intermediate_size: 512,
        layers: 4,
        heads: 6,
        key_value_heads: 3,
        head_dim: 32,
        vocabulary_size: vocabulary,
        context_length: 2048,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::None,
        sliding_window: None,
        tied_head: true,
        attention_bias: false,
        mlp_bias: false,
    }
}

/// Trains for `steps` optimiser steps and writes a Hugging Face folder `out/solace-demo` and `out/demo-q8_0.gguf`; goes on with an
/// interrupted run, whose records and curve are in `out/run`.
pub(crate) fn train(out: &Path, steps: u64) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let lessons = Lessons::new().map_err(|error| text(&error))?;
    let records = lessons.records(Split::Train, steps as usize * BATCH)?;
    let held_out = lessons.records(Split::Heldout, HELD_OUT)?;
    let pieces = pieces(&records)?;
    let folder = out.join("solace-demo");
    write_tokenizer(&folder, &pieces)?;
    let tokenizer = std::fs::read(folder.join("tokenizer.json")).map_err(|error| text(&error))?;
    let config_text = std::fs::read_to_string(folder.join("tokenizer_config.json")).map_err(|error| text(&error))?;
    let tokenizer = Tokenizer::from_tokenizer_json(&tokenizer, Some(&config_text)).map_err(|error| text(&error))?;
    let template = SftTemplate::from(BuiltInTemplate::Llama2.template().map_err(|error| text(&error))?);
    let encode = |records: &[SftRecord], learn_on| -> Result<Vec<SftExample>, String> {
        let options = EncodeOptions { learn_on, ..EncodeOptions::default() };
        let encoder = SftEncoder::new(&tokenizer, &template, options).map_err(|error| text(&error))?;
        let (examples, summary) = encoder.encode_all(records, BadRecords::Fail).map_err(|error| text(&error))?;
        println!("{} examples, {} tokens, {} of them learned", summary.encoded, summary.tokens, summary.learned_tokens);
        Ok(examples)
    };
    let (language, replies) = records.split_at((records.len() as f64 * LANGUAGE_SHARE) as usize);
    let mut train = encode(language, LearnOn::Everything)?;
    train.extend(encode(replies, LearnOn::LastAssistant)?);
    let (train, held_out) = (SftDataset::new(train), SftDataset::new(encode(&held_out, LearnOn::LastAssistant)?));
    let parameters =
        fit(&out.join("run"), config(pieces.len()), &train, &held_out, steps).map_err(|error| text(&error))?;
    write_model(&folder, &parameters, &config(pieces.len()))?;
    let file = out.join("demo-q8_0.gguf");
    let export = ModelExport::open(&LoadOptions::new(folder.display().to_string())).map_err(|error| text(&error))?;
    let q8_0 = ExportType::Quantized(Quantization::Q8_0);
    export.write_gguf(&file, q8_0, &|_| Ok(None)).map_err(|error| text(&error))?;
    println!("{}", file.display());
    Ok(())
}

fn fit(
    folder: &Path,
    config: LlamaConfig,
    train: &SftDataset,
    held_out: &SftDataset,
    steps: u64,
) -> Result<Parameters, Box<dyn std::error::Error>> {
    let fresh = FreshWeights::new(SEED, 0.02, &Device::Cpu);
    let loader = VariableLoader::new(&fresh);
    let llama = Arc::new(Llama::load(&loader, config, &Device::Cpu)?);
    let parameters = loader.into_parameters();
    println!("{} parameters", parameters.elements());
    let options = TrainerOptions {
        batch: BATCH,
        max_steps: Some(steps),
        // Lessons are drawn one by one and come in their order.
        shuffle: false,
        learning_rate: 3e-3,
        schedule: Schedule::CosineWithFloor { floor: 0.02 },
        warmup: Warmup::Steps(60),
        adamw: AdamWOptions {
            beta2: 0.98,
            weight_decay: 0.02,
            groups: vec![ParameterGroup {
                contains: "norm".into(),
                weight_decay: Some(0.0),
                learning_rate_factor: 1.0,
            }],
            ..AdamWOptions::default()
        },
        evaluate_every: 100,
        evaluation_batch: BATCH,
        save_every: 100,
        seed: SEED,
        ..TrainerOptions::default()
    };
    let run = RunDir::open(folder).or_else(|_| {
        let run = RunDir::create(folder)?;
        run.write_config(&options).map(|()| run)
    })?;
    let objective = SftObjective::new(llama, None);
    let trainer =
        Trainer { objective: &objective, train, evaluation: vec![("held-out".into(), held_out)], options: &options };
    let mut log = None;
    trainer.run(&parameters, Some(&run), true, &mut |event| {
        if let TrainEvent::Started { step, .. } = event {
            if run.events_file().exists() {
                truncate_after(&run.events_file(), *step)?;
            }
            log = Some(EventLog::open(&run.events_file())?);
        }
        if let Some(log) = &mut log {
            record(event, log)?;
        }
        Ok(Control::Continue)
    })?;
    let names = ["loss", "eval_replies_loss", "learning_rate"];
    run.write("curve.svg", training_figure(&read_events(&run.events_file())?, &names).svg().as_bytes())?;
    Ok(parameters)
}

fn record(event: &TrainEvent, log: &mut EventLog) -> Result<(), TrackingError> {
    match event {
        TrainEvent::Step(step) => {
            if step.step.is_multiple_of(20) {
                let (of, loss, rate) = (step.total_steps, step.loss, step.tokens_per_second);
                println!("step {} of {of}: loss {loss:.4}, {rate:.0} tokens/s", step.step);
            }
            let at = At::now(step.step, step.epoch);
            log.scalars(at, &[("loss", step.loss), ("learning_rate", step.learning_rate)])
        }
        TrainEvent::Evaluation(evaluation) => {
            println!("held-out loss {:.4}", evaluation.loss);
            let at = At::now(evaluation.step, evaluation.epoch);
            log.scalars(at, &[("eval_replies_loss", evaluation.loss)])
        }
        _ => Ok(()),
    }
}

/// What is taught: dialogues, the strategies' words, and instructions.
struct Lessons {
    generator: Generator,
    fifteen: StrategySet,
    eight: StrategySet,
    conditional: Vec<InstructionTemplate>,
    unconditional: Vec<InstructionTemplate>,
}

impl Lessons {
    fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let templates = |names: &[&str]| {
            names.iter().map(|name| InstructionTemplate::built_in(name)).collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            generator: Generator::new(SEED)?,
            fifteen: StrategySet::built_in("extes15")?,
            eight: StrategySet::built_in("esconv8")?,
            // The default of `sra continue` comes more often.
            conditional: templates(&["t4", "t4", "t4", "t4", "t1", "t2", "t3", "t5", "t6", "train"])?,
            unconditional: templates(&["train-unconditional", "chat-none"])?,
        })
    }

    fn records(&self, split: Split, count: usize) -> Result<Vec<SftRecord>, String> {
        (0..count as u64)
            .map(|number| {
                let mut draw = seeded_stream(SEED, &format!("lesson/{split:?}/{number}"));
                let messages = self.chat(split, number, &mut draw).map_err(|error| error.to_string())?;
                Ok(SftRecord::chat(Place::item("lessons", number as usize), messages))
            })
            .collect()
    }

    /// One chat: a dialogue up to a supporter's turn, laid out with an instruction, and the reply.
    fn chat(
        &self,
        split: Split,
        number: u64,
        draw: &mut ChaCha8Rng,
    ) -> Result<Vec<Message>, Box<dyn std::error::Error>> {
        let labels = if draw.random_bool(0.85) { Labels::Extes15 } else { Labels::Esconv8 };
        // Each dialogue serves four chats.
        let dialogue = self.generator.conversation_with(split.index(number / 4), labels);
        let set = match labels {
            Labels::Extes15 => &self.fifteen,
            Labels::Esconv8 => &self.eight,
        };
        let strategy = &set.strategies[draw.random_range(0..set.strategies.len())];
        let turns = dialogue.supporter_turns();
        let (layout, turn, named) = match draw.random_range(0..100) {
            0..70 => (layout_of(draw.random_range(0..100)), draw.random_range(0..turns), true),
            70..84 => (Layout::Standard, draw.random_range(0..turns), true),
            _ => (Layout::Standard, draw.random_range(0..turns), false),
        };
        let templates = if named { &self.conditional } else { &self.unconditional };
        let template = &templates[draw.random_range(0..templates.len())];
        let followed = FOLLOWED_AT_TURN[turn.min(FOLLOWED_AT_TURN.len() - 1)];
        let is_followed = layout != Layout::Standard || !named || draw.random_bool(followed);
        let spoken = if is_followed { strategy } else { &set.strategies[draw.random_range(0..set.strategies.len())] };
        let reply = dialogue
            .reply(turn, &spoken.name, draw.random_range(0..1_000_000))
            .ok_or_else(|| format!("there is no reply with {}", spoken.name))?;
        let mut messages = prompt(&dialogue, turn, layout, template, named.then_some(strategy))?;
        messages.push(Message::assistant(&reply));
        Ok(messages)
    }
}

fn layout_of(percent: u32) -> Layout {
    match percent {
        0..56 => Layout::C1HistoryFirst,
        56..68 => Layout::C1HistoryLast,
        68..78 => Layout::C3HistoryFirst,
        78..86 => Layout::C3HistoryLast,
        86..94 => Layout::C5HistoryFirst,
        _ => Layout::C5HistoryLast,
    }
}

/// The prompt before supporter turn number `turn`.
fn prompt(
    dialogue: &DemoDialogue,
    turn: usize,
    layout: Layout,
    template: &InstructionTemplate,
    strategy: Option<&Strategy>,
) -> Result<Vec<Message>, strategy_prompting::Error> {
    let said = &dialogue.conversation.dialog[..2 * turn + 1];
    let turns = said.iter().map(|utterance| Turn {
        role: match utterance.speaker {
            Speaker::Seeker => llm_runtime::Role::User,
            Speaker::Supporter => llm_runtime::Role::Assistant,
        },
        text: utterance.content.clone(),
    });
    let history = Dialogue::new("lesson", turns.collect())?;
    let instruction = template.render(&dialogue.conversation.situation, strategy)?;
    Ok(build(layout, &history, &instruction, HistoryFormat::Prompting, SystemRole::Native))
}

/// Pieces learned from the lessons; letters and punctuation never share one.
fn pieces(records: &[SftRecord]) -> Result<Vec<String>, String> {
    let template = BuiltInTemplate::Llama2.template().map_err(|error| error.to_string())?;
    let mut texts = Vec::new();
    for record in records.iter().take(4000) {
        if let lora::sft::SftContent::Chat(messages) = &record.content {
            let rendered = template.render(messages, llm_runtime::GenerationPrompt::Omit);
            texts.push(rendered.map_err(|error| error.to_string())?.text);
        }
    }
    let words: Vec<String> = texts.iter().flat_map(|text| text.split_whitespace()).flat_map(apart).collect();
    vocabulary::learn(words.iter().map(String::as_str), VOCABULARY)
}

/// A word without the punctuation around it, and the punctuation.
fn apart(word: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for letter in word.chars() {
        match parts.last_mut() {
            Some(last) if letter.is_alphanumeric() && last.ends_with(char::is_alphanumeric) => last.push(letter),
            _ => parts.push(letter.to_string()),
        }
    }
    parts
}

fn write_tokenizer(folder: &Path, pieces: &[String]) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let template = include_str!("../../crates/llm-runtime/src/template/built_in/llama2.jinja");
    write_json(&folder.join("tokenizer.json"), &vocabulary::tokenizer(pieces))?;
    write_json(&folder.join("tokenizer_config.json"), &vocabulary::tokenizer_config(template))
}

fn write_json(path: &Path, value: &serde_json::Value) -> Result<(), String> {
    std::fs::write(path, format!("{value:#}\n")).map_err(|error| format!("{}: {error}", path.display()))
}

fn write_model(folder: &Path, parameters: &Parameters, config: &LlamaConfig) -> Result<(), String> {
    parameters.save(&folder.join("model.safetensors")).map_err(|error| error.to_string())?;
    let config = config.to_hugging_face(FloatType::F32).map_err(|error| error.to_string())?;
    write_json(&folder.join("config.json"), &config)
}
