//! `persuasion eval`: what a model is worth on held-out pairs, and its replies.

mod copying;
mod pairs;
mod systems;
mod table;
mod texts;
mod verdicts;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use command_line::{
    Failure, Format, NO_ENGINE, Progress, console, interrupt, load_pretrained, must_be_local, print_json,
};
use dpo::{
    EncodedPair, PairLogProbs, PairTokenLogProbs, Preference, PreferencePair, ReadPairs, ReferenceLogProbs,
    RunningMean, read_pairs,
};
use esc_metrics::interval::Resampling;
use llm_runtime::Llama;
use serde::Serialize;
use training::SequenceModel;

use self::copying::Runs;
use self::pairs::{PairEvaluation, PairNumbers, Tuned};
use self::systems::Origin;
use self::texts::TextReport;
use self::verdicts::{Judged, MatchReport};
use crate::commands::generate::{local_prompts, settings};
use crate::eval_arguments::Eval;
use crate::pair_draw::draw;
use crate::subject::{Named, Subject, System};
use crate::written_replies::{Commission, distinct_prompts, make_place, write_file};

/// All that is found; written as `evaluation.json`.
#[derive(Debug, Serialize)]
pub(crate) struct Evaluation {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    adapter: Option<String>,
    /// What the run was held against, if that was another model; it stands where else the base does.
    #[serde(skip_serializing_if = "Option::is_none")]
    reference_model: Option<String>,
    /// Likewise, if it was the adapter that the run began with.
    #[serde(skip_serializing_if = "Option::is_none")]
    reference_adapter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    /// Pairs that do not fit the limits.
    left_out: usize,
    /// What an interval holds.
    confidence: f64,
    #[serde(flatten)]
    on_pairs: Option<PairEvaluation>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    replies: Vec<TextReport>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    win_rates: Vec<MatchReport>,
}

/// What a step gives: its result, or nothing because somebody interrupted.
type Step<T> = Result<Option<T>, Failure>;

pub(crate) fn run(options: &Eval, format: Format) -> Result<ExitCode, Failure> {
    let named = Named::find(&options.subject)?;
    check(options, named.as_ref())?;
    let resampling = resampling(options)?;
    let out = out(options, named.as_ref())?;
    make_places(options, &out)?;
    interrupt::listen();
    let mut evaluation = Evaluation {
        model: named.as_ref().map(|named| named.model.clone()),
        adapter: named.as_ref().and_then(|named| Some(named.adapter.as_ref()?.display().to_string())),
        reference_model: named.as_ref().and_then(Named::reference_model).map(str::to_owned),
        reference_adapter: named.as_ref().and_then(Named::reference_adapter).map(|folder| folder.display().to_string()),
        data: None,
        left_out: 0,
        confidence: options.bootstrap.confidence,
        on_pairs: None,
        replies: Vec::new(),
        win_rates: Vec::new(),
    };
    let mut origins = systems::read(&options.replies.generations)?;
    let learned = learned(options, named.as_ref())?;
    if let Some(named) = &named {
        let Some(generated) = on_model(options, named, &resampling, &out, &mut evaluation)? else {
            return interrupted();
        };
        origins.extend(generated);
    }
    for origin in &origins {
        let texts = origin.texts();
        evaluation.replies.push(TextReport::of(
            &origin.name,
            &texts,
            learned.as_ref(),
            &resampling,
            options.bootstrap.seed,
        )?);
    }
    let Some(failed) = judged(options, &origins, &out, &mut evaluation)? else { return interrupted() };
    write_file(&out, &[serde_json::to_vec_pretty(&evaluation)?, b"\n".to_vec()].concat())?;
    match format {
        Format::Json => print_json(&evaluation)?,
        Format::Text => {
            print!("{}", table::table(&evaluation));
            println!("\nwritten    {}", out.display());
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn interrupted() -> Result<ExitCode, Failure> {
    console::tell(format_args!("interrupted: --resume goes on with the replies and verdicts that are there"));
    Ok(ExitCode::from(interrupt::EXIT_CODE))
}

/// Refuses what does not fit together, before anything is loaded.
fn check(options: &Eval, named: Option<&Named>) -> Result<(), Failure> {
    let has_replies = options.replies.generate.is_some() || !options.replies.generations.is_empty();
    match named {
        Some(named) => must_be_local(&named.model, "log-probabilities of given replies are computed inside the model")?,
        None if options.replies.generations.is_empty() => {
            return Err(Failure::wrong_use(
                "name a run with --adapter, a model with --model, or replies with --generations",
            ));
        }
        None => {}
    }
    match &options.judging.judge {
        Some(_) if !has_replies => {
            return Err(Failure::wrong_use(
                "--judge: there are no replies; name some with --generations, or write some with --generate",
            ));
        }
        Some(_) => drop(verdicts::template(&options.judging.judge_template)?),
        None => {
            let given = (!options.judging.against.is_empty()).then_some("--against");
            if let Some(option) = given.or(options.judging.server.first_given()) {
                return Err(Failure::wrong_use(format!("{option} is about the judge: name one with --judge")));
            }
        }
    }
    Ok(())
}

fn resampling(options: &Eval) -> Result<Resampling, Failure> {
    let bootstrap = &options.bootstrap;
    Resampling::new(bootstrap.resamples, bootstrap.confidence, bootstrap.seed).map_err(Failure::wrong_use)
}

/// Where the evaluation goes.
fn out(options: &Eval, named: Option<&Named>) -> Result<PathBuf, Failure> {
    let of_run = || Some(named?.run.as_ref()?.folder.join("outputs").join("evaluation.json"));
    options
        .out
        .clone()
        .or_else(of_run)
        .ok_or_else(|| Failure::wrong_use("no run has a place for the evaluation: name a file with --out"))
}

/// Places of all that is written, so that nothing is found out only at the end.
fn make_places(options: &Eval, out: &Path) -> Result<(), Failure> {
    make_place(out, true)?;
    if options.replies.generate.is_some() {
        make_place(&beside(out, "replies"), options.resume)?;
    }
    if options.judging.judge.is_some() {
        make_place(&beside(out, "verdicts"), options.resume)?;
    }
    Ok(())
}

/// A file beside the evaluation.
fn beside(out: &Path, what: &str) -> PathBuf {
    let stem = out.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    out.with_file_name(format!("{stem}-{what}.jsonl"))
}

/// Runs of words of the replies that were learned from.
fn learned(options: &Eval, named: Option<&Named>) -> Result<Option<Runs>, Failure> {
    let of_run = || {
        let path = named?.run.as_ref()?.data.join("train.jsonl");
        path.is_file().then_some(path)
    };
    let has_replies = options.replies.generate.is_some() || !options.replies.generations.is_empty();
    let Some(path) = options.replies.train_data.clone().or_else(of_run).filter(|_| has_replies) else {
        return Ok(None);
    };
    let mut runs = Runs::default();
    for pair in read_pairs(&path, &ReadPairs::default())?.pairs {
        runs.add(&pair.chosen);
        runs.add(&pair.rejected);
    }
    Ok(Some(runs))
}

/// What needs the model: numbers of pairs, and replies if they are to be written. The model is gone afterwards, so that a judge has room.
fn on_model(
    options: &Eval,
    named: &Named,
    resampling: &Resampling,
    out: &Path,
    evaluation: &mut Evaluation,
) -> Step<Vec<Origin>> {
    let data = named.data(options.data.as_deref(), "test")?;
    let mut pairs = read_pairs(&data, &ReadPairs::default())?.pairs;
    draw(&mut pairs, options.limit);
    let objective = objective(options, named)?;
    let subject = Subject::load(named, &options.subject)?;
    evaluation.data = Some(data.display().to_string());
    let (encoded, counts) = subject.encoder()?.encode_all(&pairs)?;
    if encoded.is_empty() {
        return Err(Failure::work(format!("{}: none of its {} pairs fits the limits", data.display(), pairs.len())));
    }
    evaluation.left_out = counts.left_out;
    let (places, encoded): (Vec<usize>, Vec<Arc<EncodedPair>>) = encoded.into_iter().unzip();
    let kept: Vec<&PreferencePair> = places.iter().map(|place| &pairs[*place]).collect();
    let reference = reference(options, named)?;
    let held_against: &dyn SequenceModel = match &reference {
        Some(model) => model.as_ref(),
        None => subject.view(System::Base),
    };
    let Some(base) = log_probs(held_against, &encoded, options.evaluation_batch, "base model")? else {
        return Ok(None);
    };
    drop(reference);
    let model = match subject.has_adapter() {
        true => match log_probs(subject.view(System::Model), &encoded, options.evaluation_batch, "with adapter")? {
            Some(model) => Some(model),
            None => return Ok(None),
        },
        false => None,
    };
    evaluation.on_pairs = PairEvaluation::of(&numbers(&kept, &base, model.as_deref(), &objective)?, resampling);
    match options.replies.generate {
        Some(count) => generated(options, named, &subject, (&data, pairs, count), out),
        None => Ok(Some(Vec::new())),
    }
}

/// The other model that the run was held against, if there was one.
fn reference(options: &Eval, named: &Named) -> Result<Option<Arc<Llama>>, Failure> {
    let Some(model) = named.reference_model() else { return Ok(None) };
    let build: llm_runtime::BuildLlama<'_> = &|loader, config, device| Llama::load(loader, config, device);
    let options = named.model_options(&options.subject.runtime.model)?;
    Ok(Some(load_pretrained(model, &options, NO_ENGINE, build)?.llama))
}

/// What the rewards are made of: as in the run.
fn objective(options: &Eval, named: &Named) -> Result<Preference, Failure> {
    let of_run = named.run.as_ref().map(|run| run.objective.preference.clone());
    let mut preference = of_run.unwrap_or_default();
    preference.beta = options.beta.unwrap_or(preference.beta);
    preference.check().map_err(Failure::wrong_use)?;
    Ok(preference)
}

/// Of all tokens of all pairs.
fn log_probs(
    model: &dyn SequenceModel,
    pairs: &[Arc<EncodedPair>],
    batch: usize,
    what: &'static str,
) -> Step<Vec<Arc<PairTokenLogProbs>>> {
    let mut bar = Progress::new(what, 0, pairs.len() as u64);
    let mut rows = Vec::with_capacity(pairs.len());
    for chunk in pairs.chunks(batch) {
        if interrupt::was_asked() {
            bar.finish();
            return Ok(None);
        }
        let found = ReferenceLogProbs::compute(model, chunk, batch, &mut |_| ())?;
        rows.extend((0..chunk.len()).filter_map(|place| found.get(place).cloned()));
        bar.set(rows.len() as u64);
    }
    bar.finish();
    Ok(Some(rows))
}

fn numbers<'a>(
    pairs: &[&'a PreferencePair],
    base: &'a [Arc<PairTokenLogProbs>],
    model: Option<&'a [Arc<PairTokenLogProbs>]>,
    objective: &Preference,
) -> Result<Vec<PairNumbers<'a>>, Failure> {
    let rewards = model.map(|model| rewards(base, model, objective)).transpose()?;
    let words = |text: &str| text.split_whitespace().count();
    let tuned = |place: usize| {
        let (chosen_reward, rejected_reward) = *rewards.as_ref()?.get(place)?;
        Some(Tuned { log_probs: model?.get(place)?, chosen_reward, rejected_reward })
    };
    let each = pairs.iter().zip(base).enumerate();
    Ok(each
        .map(|(place, (pair, base))| PairNumbers {
            group: &pair.group,
            words: [words(&pair.chosen), words(&pair.rejected)],
            base,
            model: tuned(place),
        })
        .collect())
}

/// Rewards of chosen and rejected replies, as the objective has them.
fn rewards(
    base: &[Arc<PairTokenLogProbs>],
    model: &[Arc<PairTokenLogProbs>],
    objective: &Preference,
) -> Result<Vec<(f64, f64)>, Failure> {
    let sum = |values: &[f32]| values.iter().map(|value| f64::from(*value)).sum();
    let chosen = |rows: &[Arc<PairTokenLogProbs>]| rows.iter().map(|row| sum(&row.chosen)).collect::<Vec<f64>>();
    let rejected = |rows: &[Arc<PairTokenLogProbs>]| rows.iter().map(|row| sum(&row.rejected)).collect::<Vec<f64>>();
    let batch = PairLogProbs {
        policy_chosen: chosen(model),
        policy_rejected: rejected(model),
        reference_chosen: chosen(base),
        reference_rejected: rejected(base),
        chosen_tokens: base.iter().map(|row| row.chosen.len()).collect(),
        rejected_tokens: base.iter().map(|row| row.rejected.len()).collect(),
    };
    let losses = objective.evaluate(&batch, &mut RunningMean::default())?;
    Ok(losses.chosen_rewards.into_iter().zip(losses.rejected_rewards).collect())
}

/// Writes replies to the first prompts, with the adapter and without.
fn generated(
    options: &Eval,
    named: &Named,
    subject: &Subject,
    (data, pairs, count): (&Path, Vec<PreferencePair>, usize),
    out: &Path,
) -> Step<Vec<Origin>> {
    let generation = llm_runtime::GenerationOptions {
        max_new_tokens: options.replies.max_new_tokens,
        ..llm_runtime::GenerationOptions::default()
    };
    let mut engine = subject.engine()?;
    let asked = local_prompts(subject, engine.context_length(), distinct_prompts(pairs, Some(count)))?;
    let made_by = settings(subject, named, data, &generation)?.maker();
    let systems: &[System] = if subject.has_adapter() { &[System::Model, System::Base] } else { &[System::Model] };
    let commission = Commission {
        asked: &asked,
        systems,
        samples: 1,
        options: &generation,
        made_by: &made_by,
        path: &beside(out, "replies"),
        resume: options.resume,
    };
    let delivered = commission.fulfil(|system, act| {
        subject.switch(&mut engine, system)?;
        act(&mut engine)
    })?;
    if delivered.failed > 0 {
        console::tell(format_args!("warning: {} prompts got no reply ({})", delivered.failed, delivered.failure));
    }
    Ok((!delivered.stopped).then(|| systems::of_rows("", delivered.rows)))
}

/// Lets the judge compare, if there is one; tells whether pairs could not be judged.
fn judged(options: &Eval, origins: &[Origin], out: &Path, evaluation: &mut Evaluation) -> Step<bool> {
    let Some(judge) = &options.judging.judge else { return Ok(Some(false)) };
    let matches = systems::matches(origins, &options.judging.against)?;
    let path = beside(out, "verdicts");
    let runtime = &options.subject.runtime;
    let kept = (path.as_path(), options.resume, options.bootstrap.confidence);
    let Judged { reports, failed, failure, stopped } =
        verdicts::judge(judge, &options.judging, runtime, &matches, kept)?;
    if stopped {
        return Ok(None);
    }
    if failed > 0 {
        console::complain(format_args!("{failed} pairs could not be judged ({failure}); --resume asks again"));
    }
    evaluation.win_rates = reports;
    Ok(Some(failed > 0))
}
