//! `thtra helpfulness train`: a model learns how helpful responses are.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use command_line::{
    Failure, Format, Outcome, Recorder, hugging_face_folder, interrupt, open_run, output_place, print_json,
};
use helpfulness::{
    AnyModel, CalibrationReport, ExchangeLayout, FrozenEncoder, HelpfulnessConfig, HelpfulnessKind, HelpfulnessRecord,
    LabelTable, NetworkOptions, OrdinalObjective, OrdinalOptions, PreferenceDataset, PreferenceLoss,
    PreferenceObjective, RatedDataset, RecordFile, TrainableHelpfulness, fold_of, folds_by_conversation, read_held_out,
};
use llm_runtime::{format_bytes, sha256_of_files, weights_sha256};
use serde::Serialize;
use thtra::{ENCODER_FOLDER, MODEL_FOLDER, Part, SPLIT_FILE, check_leakage, read_split, record_file};
use training::{Control, Dataset, End, Objective, RunDir, TrainSummary, Trainer, TrainerOptions};

use super::report::{BINS, Judged, Judgement};
use crate::helpfulness_arguments::{HelpfulnessTrain, Kind};

/// Name of the held-out set.
const VALID: &str = "valid";

/// What `config.toml` of a run holds.
#[derive(Debug, Serialize)]
struct Settings {
    model: &'static str,
    objective: Option<PreferenceLoss>,
    annotator: Option<usize>,
    encoder: String,
    encoder_sha256: String,
    data_dir: String,
    records_sha256: String,
    held_out: String,
    leakage_check: bool,
    limit: Option<usize>,
    val_limit: Option<usize>,
    layout: ExchangeLayout,
    network: NetworkOptions,
    labels: LabelTable,
    trainer: TrainerOptions,
}

pub(crate) fn run(options: &HelpfulnessTrain, format: Format) -> Result<ExitCode, Failure> {
    let objective = objective(options)?;
    let trainer = options.loop_.options(options.kind, options.size.is_some());
    trainer.check()?;
    output_place::check_folder(&options.out)?;
    let records = Records::read(options, trainer.seed)?;
    let base = options.encoder.as_ref().map(|name| hugging_face_folder(name, &options.machine)).transpose()?;
    let settings = Settings {
        model: match options.kind {
            Kind::DPm => "d-pm",
            Kind::Ordinal => "ordinal",
        },
        objective,
        annotator: annotator(options, objective),
        encoder: options.encoder.clone().unwrap_or_else(|| "nothing (tiny)".into()),
        encoder_sha256: base.as_ref().map(|folder| weights_sha256(folder)).transpose()?.unwrap_or_default(),
        data_dir: options.data_dir.display().to_string(),
        records_sha256: sha256_of_files(&records.files)?,
        held_out: records.held_out.clone(),
        leakage_check: !options.no_leakage_check,
        limit: options.limit,
        val_limit: options.val_limit,
        layout: options.reading.layout(),
        network: options.shape.options(),
        labels: records.labels.clone(),
        trainer,
    };
    let (device, seed) = (options.machine.device.open()?, settings.trainer.seed);
    let encoder = match base {
        Some(folder) => FrozenEncoder::open(&folder, &device)?,
        None => FrozenEncoder::fresh(&records.texts(), settings.layout.longest, seed, &device)?,
    };
    let sets = Sets::new(&settings, &records, &encoder)?;
    let mut pupil = TrainableHelpfulness::fresh(encoder, sets.config(&settings, &records), seed)?;
    let run = open_run(&options.out, options.resume, &settings)?;
    let folder = run.path().join(MODEL_FOLDER);
    pupil.model.encoder.keep_in(&folder.join(ENCODER_FOLDER))?;
    interrupt::listen();
    let summary = Lesson { options, settings: &settings, pupil: &pupil, run: &run }.learn(&sets)?;
    pupil.save(&folder)?;
    if summary.end == End::Stopped {
        finished(&run, &folder, &summary, None, format)?;
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    }
    let report = CalibrationReport::new(&pupil.model.forecasts(&records.valid, &settings.labels)?, BINS)?;
    let judged = Judged { name: run.path().display().to_string(), report };
    let judgement = Judgement { records: settings.held_out.clone(), models: vec![judged] };
    judgement.write(run.path())?;
    finished(&run, &folder, &summary, Some(judgement), format)?;
    Ok(ExitCode::SUCCESS)
}

/// What is minimised; nothing to choose for the ordinal model.
fn objective(options: &HelpfulnessTrain) -> Result<Option<PreferenceLoss>, Failure> {
    let objective = match (options.kind, options.objective) {
        (Kind::DPm, objective) => Some(objective.unwrap_or_default()),
        (Kind::Ordinal, None) => None,
        (Kind::Ordinal, Some(_)) => {
            let problem = "--objective is about --kind d-pm: the ordinal model has its likelihood";
            return Err(Failure::wrong_use(problem));
        }
    };
    match options.annotator {
        Some(_) if objective != Some(PreferenceLoss::Single) => {
            Err(Failure::wrong_use("--annotator is about --objective single: the others take all annotators"))
        }
        _ => Ok(objective),
    }
}

/// Whose annotations are learned, counted from 1.
fn annotator(options: &HelpfulnessTrain, objective: Option<PreferenceLoss>) -> Option<usize> {
    (objective == Some(PreferenceLoss::Single)).then(|| options.annotator.unwrap_or(1))
}

/// What is learned from and what is held out.
struct Records {
    train: Vec<HelpfulnessRecord>,
    valid: Vec<HelpfulnessRecord>,
    labels: LabelTable,
    /// The files that were read.
    files: Vec<PathBuf>,
    /// What is held out, in words.
    held_out: String,
}

impl Records {
    fn read(options: &HelpfulnessTrain, seed: u64) -> Result<Self, Failure> {
        if options.no_leakage_check {
            tracing::warn!("nobody looks whether these records come from conversations that are to be tested on");
        }
        let file = checked(options, Part::Train)?;
        let mut files = vec![record_file(&options.data_dir, Part::Train)];
        let fold = options.fold.unwrap_or(1);
        let (mut train, mut valid, held_out) = match (options.folds, &options.dev_index) {
            (Some(folds), _) => {
                let all = folds_by_conversation(&file.records, folds, seed)?;
                let chosen = chosen(&all, fold)?;
                let (train, valid) = divided(&file.records, &chosen.training, &chosen.validation);
                (train, valid, format!("fold {fold} of {folds}"))
            }
            (None, Some(path)) => {
                let lists = read_held_out(path)?;
                let chosen = fold_of(&file.records, chosen(&lists, fold)?)?;
                files.push(path.clone());
                let (train, valid) = divided(&file.records, &chosen.training, &chosen.validation);
                (train, valid, format!("list {fold} of {}", path.display()))
            }
            (None, None) if options.fold.is_some() => {
                return Err(Failure::wrong_use("--fold chooses among --folds, or the lists of --dev-index"));
            }
            (None, None) => {
                let path = record_file(&options.data_dir, Part::Valid);
                let valid = checked(options, Part::Valid)?.records;
                files.push(path.clone());
                (file.records, valid, path.display().to_string())
            }
        };
        train.truncate(options.limit.unwrap_or(usize::MAX));
        valid.truncate(options.val_limit.unwrap_or(usize::MAX));
        let labels = match (options.table.given()?, file.labels) {
            (Some(given), _) => given,
            (None, Some(own)) => own,
            (None, None) => LabelTable::published(2)?,
        };
        Ok(Self { train, valid, labels, files, held_out })
    }

    /// All texts to learn from, for a vocabulary.
    fn texts(&self) -> Vec<&str> {
        self.train.iter().flat_map(texts_of).collect()
    }
}

fn texts_of(record: &HelpfulnessRecord) -> Vec<&str> {
    let before = std::iter::once(&record.situation).chain(&record.context);
    before.chain(record.responses.iter().map(|response| &response.text)).map(String::as_str).collect()
}

/// The records of a part, if they come from its conversations.
fn checked(options: &HelpfulnessTrain, part: Part) -> Result<RecordFile, Failure> {
    let path = record_file(&options.data_dir, part);
    let file = RecordFile::read(&path)?;
    if !options.no_leakage_check {
        check_leakage(&path, part, &file.records, &read_split(&options.data_dir.join(SPLIT_FILE))?)?;
    }
    Ok(file)
}

fn chosen<T>(folds: &[T], fold: usize) -> Result<&T, Failure> {
    let problem = || Failure::wrong_use(format!("--fold {fold}: there are {} folds", folds.len()));
    folds.get(fold.saturating_sub(1)).ok_or_else(problem)
}

fn divided(
    records: &[HelpfulnessRecord],
    training: &[usize],
    validation: &[usize],
) -> (Vec<HelpfulnessRecord>, Vec<HelpfulnessRecord>) {
    let of = |numbers: &[usize]| numbers.iter().filter_map(|number| records.get(*number).cloned()).collect();
    (of(training), of(validation))
}

/// The same as tokens, as either model learns from it.
enum Sets {
    Annotated { loss: PreferenceLoss, train: PreferenceDataset, valid: PreferenceDataset },
    Rated { train: RatedDataset, valid: RatedDataset },
}

impl Sets {
    fn new(settings: &Settings, records: &Records, encoder: &FrozenEncoder) -> Result<Self, Failure> {
        let Settings { labels, layout, .. } = settings;
        let tokenizer = encoder.tokenizer();
        let sets = match settings.objective {
            Some(loss) => {
                let set = |records: &[HelpfulnessRecord]| -> Result<PreferenceDataset, Failure> {
                    let all = PreferenceDataset::of_records(records, labels, layout, tokenizer)?;
                    Ok(settings.annotator.map(|number| all.of_annotator(number - 1)).unwrap_or(all))
                };
                Self::Annotated { loss, train: set(&records.train)?, valid: set(&records.valid)? }
            }
            None => {
                let train = RatedDataset::of_feedback(&records.train, labels, layout, tokenizer)?;
                let raters = train.raters().to_vec();
                let valid = RatedDataset::of_feedback_by(raters, &records.valid, labels, layout, tokenizer)?;
                Self::Rated { train, valid }
            }
        };
        sets.check(settings)?;
        Ok(sets)
    }

    fn check(&self, settings: &Settings) -> Result<(), Failure> {
        let (train, valid) = match self {
            Self::Annotated { train, valid, .. } => (train.len(), valid.len()),
            Self::Rated { train, valid } => (train.examples().len(), valid.examples().len()),
        };
        let of_whom = settings.annotator.map(|number| format!(" of annotator {number}")).unwrap_or_default();
        let batch = settings.trainer.batch;
        if train < batch {
            let problem = format!("{train} annotated responses{of_whom} to learn from do not fill a batch of {batch}");
            return Err(Failure::work(problem));
        }
        match valid {
            0 => {
                Err(Failure::work(format!("no annotated response{of_whom} to validate with in {}", settings.held_out)))
            }
            _ => Ok(()),
        }
    }

    fn config(&self, settings: &Settings, records: &Records) -> HelpfulnessConfig {
        let kind = match self {
            Self::Annotated { .. } => HelpfulnessKind::Preference,
            Self::Rated { train, .. } => HelpfulnessKind::Ordinal {
                options: OrdinalOptions { ratings: annotators(&records.train), ..OrdinalOptions::default() },
                raters: train.raters().to_vec(),
            },
        };
        let Settings { labels, network, layout, .. } = settings;
        HelpfulnessConfig { kind, labels: labels.clone(), network: network.clone(), layout: *layout }
    }
}

/// As many steps the scale of ratings has.
fn annotators(records: &[HelpfulnessRecord]) -> usize {
    let responses = records.iter().flat_map(|record| &record.responses);
    responses.map(|response| response.annotations.len()).max().unwrap_or(0)
}

/// A model, and where its training is recorded.
struct Lesson<'a> {
    options: &'a HelpfulnessTrain,
    settings: &'a Settings,
    pupil: &'a TrainableHelpfulness,
    run: &'a RunDir,
}

impl Lesson<'_> {
    fn learn(&self, sets: &Sets) -> Result<TrainSummary, Failure> {
        match (&self.pupil.model.model, sets) {
            (AnyModel::Preference(model), Sets::Annotated { loss, train, valid }) => {
                self.learn_from(&PreferenceObjective::new(model.clone(), *loss), train, valid)
            }
            (AnyModel::Ordinal(model), Sets::Rated { train, valid }) => {
                self.learn_from(&OrdinalObjective::new(model.clone(), train.examples().len()), train, valid)
            }
            _ => Err(Failure::work("the model does not learn from such records")),
        }
    }

    fn learn_from<O: Objective, D: Dataset<Batch = O::Batch>>(
        &self,
        objective: &O,
        train: &D,
        valid: &D,
    ) -> Result<TrainSummary, Failure> {
        let evaluation = vec![(VALID.to_owned(), valid)];
        let trainer = Trainer { objective, train, evaluation, options: &self.settings.trainer };
        let tracking = &self.options.loop_.usual.tracking;
        let mut recorder = Recorder::new(self.run, tracking, self.settings, vec![VALID.to_owned()]);
        let outcome = trainer.run(&self.pupil.parameters, Some(self.run), self.options.resume, &mut |event| {
            recorder.see(event)?;
            Ok(if interrupt::was_asked() { Control::Stop } else { Control::Continue })
        });
        recorder.finish(outcome)
    }
}

/// What a finished run tells.
#[derive(Serialize)]
struct Finished {
    model: String,
    #[serde(flatten)]
    outcome: Outcome,
    /// On what was held out; none for a run that was stopped.
    judgement: Option<Judgement>,
}

fn finished(
    run: &RunDir,
    model: &Path,
    summary: &TrainSummary,
    judgement: Option<Judgement>,
    format: Format,
) -> Result<(), Failure> {
    let told = Finished { model: model.display().to_string(), outcome: Outcome::new(run, summary), judgement };
    if format == Format::Json {
        return Ok(print_json(&told)?);
    }
    let Finished { model, outcome, judgement } = told;
    println!("run          {}", outcome.run);
    println!("model        {model}");
    println!("steps        {} of {} ({})", outcome.steps, outcome.planned_steps, outcome.ended);
    if let Some(best) = outcome.best {
        println!("best loss    {:.4}, at step {}", best.loss, best.step);
    }
    println!("time         {:.1} s", outcome.seconds);
    println!("peak memory  {}", format_bytes(outcome.peak_memory));
    if let Some(judgement) = judgement {
        print!("\n{}", judgement.in_words());
    }
    Ok(())
}
