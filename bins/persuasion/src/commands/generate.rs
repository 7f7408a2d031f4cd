//! `persuasion generate`: replies to the prompts of a file of pairs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use command_line::{AnyModel, Delivery, Failure, Format, console, interrupt, is_remote, print_json};
use dpo::{PairText, PreferencePair, ReadPairs, Wording, read_pairs};
use llm_runtime::{
    Engine, GenerationOptions, Message, ModelIdentity, Prompt, Role, TextModel, sha256_of, sha256_of_files,
};
use serde::Serialize;

use crate::generate_arguments::Generate;
use crate::subject::{Named, Subject, System};
use crate::train_arguments::WritingSettings;
use crate::wordings::{instruction, wording};
use crate::written_replies::{
    Asked, Commission, Delivered, beside_each_other, distinct_prompts, make_place, write_file,
};

/// All that decides what is written; kept beside the replies.
#[derive(Debug, Serialize)]
pub(crate) struct Settings<'a> {
    pub(crate) model: String,
    pub(crate) model_sha256: String,
    pub(crate) model_dtype: String,
    pub(crate) adapter: Option<String>,
    pub(crate) adapter_sha256: String,
    pub(crate) data_sha256: String,
    pub(crate) writing: &'a WritingSettings,
    /// Hash of what the template says.
    pub(crate) wording_sha256: String,
    pub(crate) generation: &'a GenerationOptions,
}

/// A finished call.
#[derive(Serialize)]
struct Finished<'a> {
    out: &'a Path,
    csv: &'a Path,
    prompts: usize,
    replies: usize,
    fresh: usize,
    failed: usize,
    left_out: usize,
}

pub(crate) fn run(options: &Generate, format: Format) -> Result<ExitCode, Failure> {
    check(options)?;
    let Some(named) = Named::find(&options.subject)? else {
        return Err(Failure::wrong_use("name a model with --model, or a run with --adapter"));
    };
    if options.with_base && named.adapter.is_none() {
        return Err(Failure::wrong_use("--with-base: without --adapter the model is its own base"));
    }
    make_place(&options.out, options.resume)?;
    let data = named.data(options.data.as_deref(), "validation")?;
    let pairs = distinct_prompts(read_pairs(&data, &ReadPairs::default())?.pairs, options.limit);
    let mut writer = Writer::load(&named, options)?;
    let generation = options.sampling.options();
    writer.check(&generation)?;
    interrupt::listen();
    let prompts = pairs.len();
    let asked = writer.asked(pairs)?;
    let left_out = prompts - asked.len();
    let settings = writer.settings(&named, &data, &generation)?;
    let made_by = settings.maker();
    write_file(&options.out.with_extension("metadata.json"), &serde_json::to_vec_pretty(&settings)?)?;
    let systems: &[System] = if options.with_base { &[System::Model, System::Base] } else { &[System::Model] };
    let commission = Commission {
        asked: &asked,
        systems,
        samples: options.sampling.samples,
        options: &generation,
        made_by: &made_by,
        path: &options.out,
        resume: options.resume,
    };
    let delivered = commission.fulfil(|system, act| act(writer.at_work(system)?))?;
    if delivered.stopped {
        console::tell(format_args!("interrupted: --resume goes on with {}", options.out.display()));
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    }
    let csv = options.out.with_extension("csv");
    write_csv(&csv, &named, &data, &delivered)?;
    report(options, &csv, prompts, left_out, &delivered, format)
}

fn check(options: &Generate) -> Result<(), Failure> {
    if options.sampling.samples > 1 && options.sampling.temperature == 0.0 {
        return Err(Failure::wrong_use("--samples: greedy replies are always the same; several need a --temperature"));
    }
    if options.out.extension().is_some_and(|ending| ending == "csv") {
        return Err(Failure::wrong_use(
            "--out: replies are JSON Lines; the CSV file is written beside it, name a .jsonl",
        ));
    }
    Ok(())
}

impl Settings<'_> {
    /// All in one line, with a hash that stands for the whole.
    pub(crate) fn maker(&self) -> String {
        let adapter = self.adapter.as_ref().map(|adapter| format!(" + {adapter}")).unwrap_or_default();
        let way = match self.generation.temperature {
            0.0 => "greedy".to_owned(),
            temperature => format!("temperature {temperature}, seed {}", self.generation.seed),
        };
        let all = sha256_of(serde_json::to_vec(self).unwrap_or_default());
        format!("{}{adapter} · {} · {way} · {}", self.model, self.writing.template, &all[..12])
    }
}

/// A model that replies.
enum Writer {
    /// On this machine.
    Local { subject: Box<Subject>, engine: Box<Engine> },
    /// Behind a server.
    Remote { model: Box<AnyModel>, writing: WritingSettings, wording: Wording, instruction: String },
}

impl Writer {
    fn load(named: &Named, options: &Generate) -> Result<Self, Failure> {
        let runtime = &options.subject.runtime;
        if !is_remote(&named.model) {
            if let Some(option) = options.server.first_given() {
                return Err(Failure::wrong_use(format!(
                    "{option} is about models behind servers (--model openai:NAME@URL), but `{}` is a local one",
                    named.model
                )));
            }
            let subject = Box::new(Subject::load(named, &options.subject)?);
            return Ok(Self::Local { engine: Box::new(subject.engine()?), subject });
        }
        let model = Box::new(AnyModel::load(&named.model, runtime, &options.server, Delivery::Whole)?);
        let given = &options.subject.writing;
        if given.max_length.or(given.max_prompt_length).is_some() || given.truncate.is_some() {
            let problem = "a server counts tokens for itself: --max-length, --max-prompt-length and --truncate are about local models";
            return Err(Failure::wrong_use(problem));
        }
        let writing = given.over(None);
        let instruction =
            if writing.template == "persuasion" || writing.template == "chat" { instruction()? } else { String::new() };
        let wording = match writing.template.as_str() {
            "persuasion" | "chat" | "bare" => {
                Wording::Plain(dpo::PromptTemplate { prefix: String::new(), suffix: String::new() })
            }
            path => wording(path, None)?,
        };
        Ok(Self::Remote { model, writing, wording, instruction })
    }

    fn check(&self, options: &GenerationOptions) -> Result<(), Failure> {
        match self {
            Self::Local { .. } => options.validate().map_err(Failure::wrong_use),
            Self::Remote { model, .. } => model.check(options),
        }
    }

    fn asked(&self, pairs: Vec<PreferencePair>) -> Result<Vec<Asked>, Failure> {
        match self {
            Self::Local { subject, engine } => local_prompts(subject, engine.context_length(), pairs),
            Self::Remote { wording, instruction, .. } => {
                let asked = |(place, pair): (usize, PreferencePair)| {
                    let prompt = Prompt::Chat(chat(&pair, wording, instruction));
                    Asked { place, pair, prompt, room: usize::MAX }
                };
                Ok(pairs.into_iter().enumerate().map(asked).collect())
            }
        }
    }

    fn settings<'a>(
        &'a self,
        named: &Named,
        data: &Path,
        generation: &'a GenerationOptions,
    ) -> Result<Settings<'a>, Failure> {
        match self {
            Self::Local { subject, .. } => settings(subject, named, data, generation),
            Self::Remote { model, writing, wording, instruction } => {
                let ModelIdentity { name, sha256, dtype, .. } = model.identity();
                Ok(Settings {
                    model: name,
                    model_sha256: sha256,
                    model_dtype: dtype,
                    adapter: None,
                    adapter_sha256: String::new(),
                    data_sha256: sha256_of_files(&[data])?,
                    writing,
                    wording_sha256: sha256_of(format!("{instruction}{}", said(wording))),
                    generation,
                })
            }
        }
    }

    fn at_work(&mut self, system: System) -> Result<&mut dyn TextModel, Failure> {
        match self {
            Self::Local { subject, engine } => {
                subject.switch(engine, system)?;
                Ok(engine.as_mut())
            }
            Self::Remote { model, .. } => Ok(model.as_mut()),
        }
    }
}

/// What decides the replies of a model on this machine.
pub(crate) fn settings<'a>(
    subject: &'a Subject,
    named: &Named,
    data: &Path,
    generation: &'a GenerationOptions,
) -> Result<Settings<'a>, Failure> {
    let ModelIdentity { name, sha256, dtype, .. } = subject.identity();
    Ok(Settings {
        model: name,
        model_sha256: sha256,
        model_dtype: dtype,
        adapter: named.adapter.as_ref().map(|folder| folder.display().to_string()),
        adapter_sha256: subject.adapter_sha256.clone(),
        data_sha256: sha256_of_files(&[data])?,
        writing: &subject.writing,
        wording_sha256: sha256_of(said(&subject.wording)),
        generation,
    })
}

/// Prompts as the training had them; those that can't be written within the limits are left out.
pub(crate) fn local_prompts(
    subject: &Subject,
    context: usize,
    pairs: Vec<PreferencePair>,
) -> Result<Vec<Asked>, Failure> {
    let encoder = subject.encoder()?;
    let mut asked = Vec::with_capacity(pairs.len());
    for (place, pair) in pairs.into_iter().enumerate() {
        let Some(tokens) = encoder.prompt(&pair)? else { continue };
        let room = context.saturating_sub(tokens.len());
        if room > 0 {
            asked.push(Asked { place, pair, prompt: Prompt::Tokens(tokens), room });
        }
    }
    Ok(asked)
}

/// A prompt as a server gets it: an instruction, unless the prompt brings one, and the post.
fn chat(pair: &PreferencePair, wording: &Wording, instruction: &str) -> Vec<Message> {
    let mut messages = match (&pair.prompt, wording) {
        (PairText::Chat(messages), _) => messages.clone(),
        (PairText::Plain(text), Wording::Plain(template)) => {
            vec![Message::user(format!("{}{text}{}", template.prefix, template.suffix))]
        }
        (PairText::Plain(text), Wording::Chat { .. }) => vec![Message::user(text.clone())],
    };
    let has_system = messages.first().is_some_and(|message| message.role == Role::System);
    if !has_system && !instruction.is_empty() {
        messages.insert(0, Message::system(instruction.to_owned()));
    }
    messages
}

/// What a wording says, to tell it from others.
fn said(wording: &Wording) -> String {
    match wording {
        Wording::Plain(template) => format!("{}\u{1f}{}", template.prefix, template.suffix),
        Wording::Chat { template, instruction } => format!("{}\u{1f}{instruction}", template.source()),
    }
}

/// The columns of the published runs, and ours behind them.
#[derive(Serialize)]
struct CsvRow<'a> {
    wandb_run_name: &'a str,
    wandb_run_id: &'a str,
    checkpoint_model_path: &'a str,
    checkpoint_epoch: &'a str,
    dataset_to_gen_txt: &'a str,
    sample_index: usize,
    prompt: &'a str,
    generated_text: &'a str,
    chosen: &'a str,
    rejected: &'a str,
    base_text: Option<&'a str>,
    example_id: &'a str,
    sample: usize,
    finish_reason: &'a str,
    new_tokens: usize,
}

fn write_csv(path: &Path, named: &Named, data: &Path, delivered: &Delivered) -> Result<(), Failure> {
    let run = named.run.as_ref().map(|run| run.folder.clone()).unwrap_or_default();
    let run_name = run.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let model = named.adapter.clone().unwrap_or_else(|| PathBuf::from(&named.model)).display().to_string();
    let part = data.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut table = csv::Writer::from_writer(Vec::new());
    for (row, base) in beside_each_other(&delivered.rows) {
        table.serialize(CsvRow {
            wandb_run_name: &run_name,
            wandb_run_id: "",
            checkpoint_model_path: &model,
            checkpoint_epoch: "",
            dataset_to_gen_txt: &part,
            sample_index: row.sample_index,
            prompt: &row.prompt,
            generated_text: &row.generated_text,
            chosen: &row.chosen,
            rejected: &row.rejected,
            base_text: base.map(|base| base.generated_text.as_str()),
            example_id: &row.example_id,
            sample: row.sample,
            finish_reason: &row.finish_reason,
            new_tokens: row.new_tokens,
        })?;
    }
    write_file(path, &table.into_inner().map_err(Failure::work)?)
}

fn report(
    options: &Generate,
    csv: &Path,
    prompts: usize,
    left_out: usize,
    delivered: &Delivered,
    format: Format,
) -> Result<ExitCode, Failure> {
    let Delivered { rows, fresh, failed, failure, .. } = delivered;
    let told =
        Finished { out: &options.out, csv, prompts, replies: rows.len(), fresh: *fresh, failed: *failed, left_out };
    match format {
        Format::Json => print_json(&told)?,
        Format::Text => {
            println!("replies   {} to {prompts} prompts, {fresh} of them new", rows.len());
            if left_out > 0 {
                println!("left out  {left_out} prompts that do not fit the limits or have no room behind them");
            }
            println!("written   {} and {}", options.out.display(), csv.display());
        }
    }
    if *failed > 0 {
        console::complain(format_args!("{failed} prompts got no reply ({failure}); --resume asks again"));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
