//! A step of LoRA training: ours, and torch with peft.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use benches::Outcome;
use benches::limits::Limits;
use benches::report::Report;
use benches::side::{Side, next_request};
use clap::Args;
use llm_runtime::{Llama, WeightOptions, peak_memory};
use lora::sft::SftExample;
use lora::{Adapters, LoraConfig, SftDataset, SftObjective, Targets};
use serde_json::json;
use training::{Control, Schedule, TrainEvent, Trainer, TrainerOptions, TrainingError};

use crate::model::{ModelArguments, hugging_face};
use crate::output::OutputArguments;
use crate::request::{Answer, Description, Request};
use crate::rounds;
use crate::scenario::{Case, Round, random_prompts};

#[derive(Debug, Args)]
pub(crate) struct LoraStepArguments {
    #[command(flatten)]
    step: StepArguments,
    /// Python with torch, transformers and peft (benches/peers/requirements.txt), to measure them in turn with ours on the same shape
    #[arg(long)]
    python: Option<PathBuf>,
    /// Their matrices are in bitsandbytes' 4 bits, as in QLoRA, and not in f32
    #[arg(long, requires = "python")]
    four_bit: bool,
    /// Where the peers' programs are
    #[arg(long, default_value = "benches/peers")]
    peers_folder: PathBuf,
    /// Measured steps
    #[arg(long, default_value_t = 5)]
    repetitions: usize,
    #[command(flatten)]
    output: OutputArguments,
}

/// What a step is.
#[derive(Debug, Args)]
pub(crate) struct StepArguments {
    #[command(flatten)]
    model: ModelArguments,
    /// Sequences of a step
    #[arg(long, default_value_t = 4)]
    batch: usize,
    /// Tokens of each; the second half is learned
    #[arg(long, default_value_t = 256)]
    tokens: usize,
    /// Rank of the adapter
    #[arg(long, default_value_t = 8)]
    rank: usize,
    /// Matrices that are adapted
    #[arg(long, value_delimiter = ',', default_values_t = ["q_proj".to_owned(), "v_proj".to_owned()])]
    targets: Vec<String>,
    /// Keep only layers' inputs, and compute the rest again
    #[arg(long)]
    checkpointing: bool,
}

/// Measures steps and tells them.
pub(crate) fn run(arguments: &LoraStepArguments) -> Outcome<()> {
    let StepArguments { model, batch, tokens, .. } = &arguments.step;
    if arguments.repetitions == 0 || *batch == 0 || *tokens < 2 {
        return Err("repetitions and batch must be at least 1, tokens at least 2".into());
    }
    let mut own = Command::new(std::env::current_exe()?);
    own.arg("answer-lora").args(model.words()?).args(arguments.step.words());
    let mut sides = vec![Side::start(own, model.threads())?];
    let Answer { model: Some(place), config: Some(described), .. } = sides[0].ask(&Request::Describe {})?.answer else {
        return Err("our side does not tell its model".into());
    };
    if let Some(python) = &arguments.python {
        let mut peer = Command::new(python);
        peer.arg(arguments.peers_folder.join("lora_torch_side.py")).arg("--config").arg(described.to_string());
        peer.args(["--threads", &model.threads().to_string()]).args(arguments.step.words());
        peer.args(["--device", &model.torch_device(place.device != "Cpu")]);
        peer.args(arguments.four_bit.then_some("--four-bit"));
        sides.push(Side::start(peer, model.threads())?);
    }
    let lesson = Request::Lesson { sequences: random_prompts(*batch, *tokens, place.vocabulary, 1) };
    sides.iter_mut().try_for_each(|side| side.send(&lesson))?;
    let case = Case {
        name: format!(
            "{batch} × {tokens} tokens, rank {} on {}",
            arguments.step.rank,
            arguments.step.targets.join(", ")
        ),
        round: Box::new(|_| Round { before: Vec::new(), less: None, work: Request::Step {} }),
        count: (batch * tokens) as f64,
        unit: "tokens/s",
        limit: None,
    };
    let report = Report {
        scenario: "lora-step".to_owned(),
        model: format!("{}, {} threads", model.model()?, model.threads()),
        repetitions: arguments.repetitions,
        limits: (place.device == "Cpu").then(|| Limits::measure(model.threads())),
        rows: rounds::measure(&case, &mut sides, arguments.repetitions)?,
    };
    arguments.output.tell(&report)
}

impl StepArguments {
    fn words(&self) -> Vec<String> {
        let mut words =
            vec!["--rank".to_owned(), self.rank.to_string(), "--targets".to_owned(), self.targets.join(",")];
        if self.checkpointing {
            words.push("--checkpointing".to_owned());
        }
        words
    }
}

/// Our side's process.
pub(crate) fn answer(arguments: &StepArguments) -> Outcome<()> {
    llm_runtime::set_threads(arguments.model.threads())?;
    llm_runtime::keep_freed_memory();
    let (llama, adapters) = adapted(arguments)?;
    println!("{}", json!({"name": "solace"}));
    let Some(Request::Describe {}) = next_request()? else {
        return Err("the first request is for a description".into());
    };
    let model = Description {
        dtype: String::new(),
        device: format!("{:?}", llama.device().location()),
        vocabulary: llama.config().vocabulary_size as u32,
        work: None,
        limits: None,
    };
    say(Answer { model: Some(model), config: Some(hugging_face(llama.config())), ..Answer::default() })?;
    let Some(Request::Lesson { sequences }) = next_request()? else { return Err("training without sequences".into()) };
    let examples: Vec<SftExample> = sequences
        .into_iter()
        .map(|ids| SftExample { learned: (0..ids.len()).map(|at| at >= ids.len() / 2).collect(), ids })
        .collect();
    train(arguments, llama, &adapters, &SftDataset::new(examples))
}

fn adapted(arguments: &StepArguments) -> Outcome<(Arc<Llama>, Adapters)> {
    let StepArguments { model, rank, targets, .. } = arguments;
    let adapters = Adapters::new();
    let options = WeightOptions { float: model.dtype, quantize: model.quantize, plain: model.plain_kernels };
    let device = model.device.open()?;
    let llama = Llama::open_through(Path::new(&model.model()?), options, &device, &|loader, config, device| {
        Llama::load(&adapters.wrap(loader), config, device)
    })?;
    let (alpha, targets) = (2.0 * *rank as f64, Targets::Any(targets.clone()));
    adapters.add("policy", &LoraConfig { rank: *rank, alpha, dropout: 0.0, targets, ..LoraConfig::default() }, 0)?;
    adapters.activate(&["policy"])?;
    Ok((Arc::new(llama), adapters))
}

/// The workspace's own loop; between its steps it waits for requests.
fn train(arguments: &StepArguments, llama: Arc<Llama>, adapters: &Adapters, set: &SftDataset) -> Outcome<()> {
    let objective = SftObjective::new(llama, Some(adapters.clone()));
    let options = TrainerOptions {
        max_steps: Some(u64::MAX),
        batch: set.len(),
        shuffle: false,
        learning_rate: 1e-4,
        schedule: Schedule::Constant,
        save_every: u64::MAX,
        evaluate_every: u64::MAX,
        gradient_checkpointing: arguments.checkpointing,
        ..TrainerOptions::default()
    };
    let trainer = Trainer { objective: &objective, train: set, evaluation: Vec::new(), options: &options };
    let failed =
        |error: Box<dyn std::error::Error>| TrainingError::Setting { setting: "a request", problem: error.to_string() };
    let mut begun = Instant::now();
    trainer.run(&adapters.parameters("policy")?, None, false, &mut |event| {
        if let TrainEvent::Step(_) = event {
            say(Answer { seconds: begun.elapsed().as_secs_f64(), ..Answer::default() }).map_err(failed)?;
        }
        let is_asked = next_request::<Request>().map_err(failed)?.is_some();
        begun = Instant::now();
        Ok(if is_asked { Control::Continue } else { Control::Stop })
    })?;
    Ok(())
}

fn say(answer: Answer) -> Outcome<()> {
    println!("{}", serde_json::to_string(&Answer { peak_bytes: peak_memory(), ..answer })?);
    Ok(())
}
