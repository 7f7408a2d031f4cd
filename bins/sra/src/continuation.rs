//! `sra continue`: one continuation per dialogue, strategy and layout.

use std::ops::ControlFlow;
use std::process::ExitCode;

use command_line::{
    AnyModel, Delivery, Failure, Format, dialogues, interrupt, must_be_local, output_place, program_version,
};
use esconv_data::{Example, StrategySet};
use llm_runtime::{GenerationOptions, Message, RunStatistics, TextModel, format_bytes};
use serde::Serialize;
use strategy_prompting::{
    CapturedRecord, CostEstimate, ExistingRun, InstructionTemplate, Journal, PairSampling, Progress, RunManifest,
    RunSummary, SweepPlan, SweepSettings, SystemRole, run_sweep,
};

use crate::arguments::{Continue, Generation, Sampling, Sweep};
use crate::captured;

/// Sampling probability of the published runs.
const PUBLISHED_SAMPLE_PROBABILITY: f64 = 0.3;

/// Temperature of the published runs.
const PUBLISHED_TEMPERATURE: f32 = 0.7;

pub(crate) fn run(options: &Continue, format: Format) -> Result<ExitCode, Failure> {
    if options.attention.is_some() {
        must_be_local(&options.model, "--attention looks into the model while it writes")?;
    }
    if !options.dry_run {
        output_place::check_folder(&options.out)?;
    }
    let material = Material::read(options)?;
    let plan = material
        .plan(SweepSettings { attention: options.attention, ..settings(&options.sweep, &options.generation) })?;
    let mut model = AnyModel::load(&options.model, &options.runtime, &options.server, Delivery::Whole)?;
    model.check(&plan.settings().generation)?;
    if options.dry_run {
        return dry_run(&plan, &model, options, format);
    }
    let manifest = manifest(&plan, &model)?;
    for run in &options.merge {
        let share = material.plan(RunManifest::read(run)?.settings)?;
        manifest.check_share(&self::manifest(&share, &model)?, run)?;
    }
    let existing = if options.resume { ExistingRun::Resume } else { ExistingRun::Refuse };
    interrupt::listen();
    let mut journal = Journal::open(&options.out, &manifest, existing)?;
    for run in &options.merge {
        let bring = |id: &str| options.attention.map_or(Ok(()), |_| captured::copy(run, &options.out, id));
        let taken = journal.take_over(run, &plan, &bring)?;
        tracing::info!("{}: {taken} records taken over", run.display());
    }
    let mut bar: Option<command_line::Progress> = None;
    let engine = model.engine();
    let writer =
        engine.map(|engine| captured::Writer::new(&options.out, options.attention_precision, engine.tokenizer()));
    let mut keep = |captured: CapturedRecord<'_>| writer.as_ref().map_or(Ok(()), |writer| writer.keep(captured));
    let summary = run_sweep(&plan, &mut model, &mut journal, options.on_failure, Some(&mut keep), &mut |event| {
        observe(event, &mut bar);
        if interrupt::was_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if let Some(bar) = &bar {
        bar.finish();
    }
    journal.finish()?;
    report(&summary, options, format)?;
    Ok(match (summary.stopped, summary.failed) {
        (true, _) => ExitCode::from(interrupt::EXIT_CODE),
        (false, 0) => ExitCode::SUCCESS,
        (false, _) => ExitCode::FAILURE,
    })
}

/// What the run is, and that this build of the program begins it.
pub(crate) fn manifest(plan: &SweepPlan, model: &AnyModel) -> Result<RunManifest, Failure> {
    Ok(RunManifest { created_by: program_version("sra"), ..RunManifest::new(plan, &model.identity())? })
}

/// What plans are made of.
struct Material {
    strategies: StrategySet,
    template: InstructionTemplate,
    examples: Vec<Example>,
}

impl Material {
    fn read(options: &Continue) -> Result<Self, Failure> {
        let strategies = StrategySet::by_name_or_path(&options.sweep.strategies)?;
        let template = InstructionTemplate::by_name_or_path(&options.sweep.instruction)?;
        let mut examples = dialogues::examples(&options.data)?;
        if let Some(count) = options.sweep.conversations {
            examples = first_conversations(examples, count);
        }
        Ok(Self { strategies, template, examples })
    }

    fn plan(&self, settings: SweepSettings) -> Result<SweepPlan, Failure> {
        let plan = SweepPlan::new(settings, &self.strategies, self.template.clone(), &self.examples)?;
        if plan.is_empty() {
            return Err(Failure::wrong_use(format!(
                "nothing to continue: {} examples, none chosen by --turns, --limit, --shard and the sampling",
                self.examples.len()
            )));
        }
        Ok(plan)
    }
}

fn first_conversations(examples: Vec<Example>, count: usize) -> Vec<Example> {
    let mut seen: Vec<String> = Vec::new();
    examples
        .into_iter()
        .filter(|example| {
            if !seen.contains(&example.conversation) && seen.len() < count {
                seen.push(example.conversation.clone());
            }
            seen.contains(&example.conversation)
        })
        .collect()
}

fn settings(sweep: &Sweep, generation: &Generation) -> SweepSettings {
    let sampling = match (sweep.sampling, sweep.sample_prob) {
        (Sampling::PythonCompat, probability) => {
            PairSampling::PythonCompat { sample_prob: probability.unwrap_or(PUBLISHED_SAMPLE_PROBABILITY) }
        }
        (Sampling::Exhaustive, Some(p)) => PairSampling::Probability { p },
        (Sampling::Exhaustive, None) => PairSampling::Exhaustive,
    };
    SweepSettings {
        layouts: sweep.layout.clone(),
        history_format: sweep.history_format,
        turns: sweep.turns,
        sampling,
        limit: sweep.limit,
        shard: sweep.shard,
        seed: sweep.seed,
        generation: generation_options(generation),
        attention: None,
    }
}

/// The generation options that the command line asks for.
pub(crate) fn generation_options(generation: &Generation) -> GenerationOptions {
    let default_temperature = if generation.beam_width > 1 { 0.0 } else { PUBLISHED_TEMPERATURE };
    GenerationOptions {
        max_new_tokens: generation.max_new_tokens,
        min_new_tokens: generation.min_new_tokens,
        temperature: generation.temperature.unwrap_or(default_temperature),
        top_k: generation.top_k,
        top_p: generation.top_p,
        min_p: generation.min_p,
        typical_p: generation.typical_p,
        repetition_penalty: generation.repetition_penalty,
        no_repeat_ngram_size: generation.no_repeat_ngram_size,
        beam_width: generation.beam_width,
        length_penalty: generation.length_penalty,
        stop: generation.stop.clone(),
        ..GenerationOptions::default()
    }
}

fn observe(event: Progress<'_>, bar: &mut Option<command_line::Progress>) {
    match event {
        Progress::Started { total, already_finished } => {
            *bar = Some(command_line::Progress::new("continuing", already_finished as u64, total as u64));
        }
        Progress::Finished { done, .. } => {
            if let Some(bar) = bar {
                bar.set(done as u64);
            }
        }
        Progress::Failed { failure } => {
            tracing::warn!("{} / {} / {}: {}", failure.example, failure.strategy, failure.layout, failure.error);
        }
        Progress::Text { .. } => {}
    }
}

/// What `--dry-run` prints. A server is not asked: its limits are not known, and prompt tokens are guessed.
#[derive(Serialize)]
struct DryRun<'a> {
    manifest: RunManifest,
    estimate: CostEstimate,
    context_length: Option<usize>,
    kv_memory_tokens: Option<usize>,
    cost_at_most: Option<f64>,
    out: &'a std::path::Path,
}

fn dry_run(plan: &SweepPlan, model: &AnyModel, options: &Continue, format: Format) -> Result<ExitCode, Failure> {
    const PROBES: usize = 200;
    let system_role = SystemRole::for_template(model.template());
    let estimate = plan.estimate(system_role, PROBES, &mut |messages| match model {
        AnyModel::Local(engine) => engine.count_tokens(messages).unwrap_or(0),
        AnyModel::Remote(_) => guess_tokens(messages),
    })?;
    let prices = match model {
        AnyModel::Remote(remote) => remote.options().prices,
        AnyModel::Local(_) => None,
    };
    let answer = DryRun {
        manifest: manifest(plan, model)?,
        estimate,
        context_length: model.engine().map(|engine| engine.context_length()),
        kv_memory_tokens: model.engine().map(|engine| engine.cache_tokens()),
        cost_at_most: prices.map(|prices| prices.cost(estimate.prompt_tokens, estimate.new_tokens_at_most)),
        out: &options.out,
    };
    match format {
        Format::Json => command_line::print_json(&answer)?,
        Format::Text => print_dry_run(&answer)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// English has about four letters to a token.
fn guess_tokens(messages: &[Message]) -> usize {
    messages.iter().map(|message| message.content.chars().count().div_ceil(4)).sum()
}

fn print_dry_run(answer: &DryRun<'_>) -> Result<(), Failure> {
    let DryRun { manifest, estimate, .. } = answer;
    println!("{}", toml::to_string(&manifest.settings).map_err(Failure::work)?);
    match manifest.model.dtype.as_str() {
        "" => println!("model              {}", manifest.model.name),
        dtype => println!("model              {} ({dtype})", manifest.model.name),
    }
    println!("examples           {}", estimate.examples);
    println!("continuations      {}", estimate.requests);
    match answer.context_length {
        Some(_) => println!("prompt tokens      about {} before reuse", estimate.prompt_tokens),
        None => println!("prompt tokens      roughly {} (guessed: four letters each)", estimate.prompt_tokens),
    }
    println!("new tokens         at most {}", estimate.new_tokens_at_most);
    if let Some(length) = answer.context_length {
        println!("context length     {length}");
    }
    if let Some(tokens) = answer.kv_memory_tokens {
        println!("key/value memory   {tokens} tokens");
    }
    if let Some(cost) = answer.cost_at_most {
        println!("cost               roughly at most {cost:.2}");
    }
    Ok(())
}

fn report(summary: &RunSummary, options: &Continue, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        return Ok(command_line::print_json(summary)?);
    }
    println!("{}", options.out.join(strategy_prompting::CONTINUATIONS).display());
    println!(
        "{} of {} continuations ({} from earlier runs), {} failed",
        summary.finished + summary.already_finished,
        summary.planned,
        summary.already_finished,
        summary.failed
    );
    if summary.failed > 0 {
        println!("what failed and why: {}", options.out.join(strategy_prompting::FAILURES).display());
    }
    print_statistics(&summary.statistics);
    Ok(())
}

pub(crate) fn print_statistics(statistics: &RunStatistics) {
    let share = |part: u64| 100.0 * part as f64 / statistics.prompt_tokens.max(1) as f64;
    let rate = |tokens: u64, seconds: f64| if seconds > 0.0 { tokens as f64 / seconds } else { 0.0 };
    println!("prompt tokens asked     {:>12}", statistics.prompt_tokens);
    let computed = statistics.prompt_tokens_computed;
    println!("              computed  {computed:>12}  ({:.1} %)", share(computed));
    let reused = statistics.prompt_tokens_reused;
    println!("              reused    {reused:>12}  ({:.1} %)", share(reused));
    println!("new tokens              {:>12}", statistics.generated_tokens);
    println!("time to first token     {:>12.3} s", statistics.time_to_first_token);
    println!("time                    {:>12.1} s", statistics.seconds);
    println!("new tokens per second   {:>12.1}", rate(statistics.generated_tokens, statistics.seconds));
    if statistics.peak_memory > 0 {
        println!("peak memory             {:>12}", format_bytes(statistics.peak_memory));
    }
    print_server_statistics(statistics);
}

/// What only a run with a server has to tell.
fn print_server_statistics(statistics: &RunStatistics) {
    if statistics.attempts > 0 {
        println!("the server was asked    {:>12} times", statistics.attempts);
    }
    if statistics.from_journal > 0 {
        println!("from the journal        {:>12} answers", statistics.from_journal);
    }
    if let Some(cost) = statistics.cost {
        println!("cost                    {cost:>12.4}");
    }
}
