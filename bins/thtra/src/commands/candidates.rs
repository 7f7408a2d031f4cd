//! `thtra candidates`: other answers to the training samples, and how helpful they are.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use candle_core::Device;
use command_line::{Failure, Format, Progress, console, hugging_face_folder, interrupt, output_place, print_json};
use llm_runtime::{sha256_of_files, weights_sha256};
use serde::Serialize;
use strategy_prompting::RowFile;
use thtra::{
    CANDIDATE_ROWS, CANDIDATES_FILE, CandidateMaker, CandidateRow, CandidateScorer, Dialogue, DialogueTokenizer,
    EncodedDialogues, Layout, Lengths, Part, Prepared, Responder, SCORE_ROWS, Sample, SampleInDialogue, ScoreRow,
    Wanted, place_id,
};

use super::scorer::{OpenScorer, short};
use crate::align_arguments::Candidates;

pub(crate) fn run(options: &Candidates, format: Format) -> Result<ExitCode, Failure> {
    let lengths = options.lengths.lengths();
    lengths.check().map_err(Failure::wrong_use)?;
    output_place::check_folder(&options.out)?;
    let device = options.machine.device.open()?;
    let task = Task::read(options, &device)?;
    let scorer = OpenScorer::open(&options.scorer, &device)?;
    std::fs::create_dir_all(&options.out).map_err(Failure::at(&options.out))?;
    interrupt::listen();
    let made = make(options, &task)?;
    let scored = match &scorer {
        Some(scorer) if made.is_whole => Some(score(options, &task, &made.rows, scorer)?),
        _ => None,
    };
    let is_whole = made.is_whole && scored.as_ref().is_none_or(|scored| scored.is_whole);
    let summary = Summary::of(options, &task, &made, scored.as_ref());
    match format {
        Format::Json => print_json(&summary)?,
        Format::Text => print(&summary),
    }
    if is_whole {
        return Ok(ExitCode::SUCCESS);
    }
    console::complain(format_args!("{}: not all samples are done; --resume goes on", options.out.display()));
    Ok(ExitCode::from(interrupt::EXIT_CODE))
}

/// What is answered, and by whom.
struct Task {
    responder: Responder,
    dialogues: Vec<Dialogue>,
    samples: Vec<Sample>,
    /// Names model and dialogues.
    made_by: String,
}

impl Task {
    fn read(options: &Candidates, device: &Device) -> Result<Self, Failure> {
        let path = options.data_dir.join(Part::Train.file());
        let dialogues = Dialogue::read_all(&path)?;
        let folder = hugging_face_folder(&options.model, &options.machine)?;
        // Nothing is drawn: a model without strategies has nothing to say about them.
        let responder = Responder::open(&folder, 0, device)?;
        let (lengths, mut samples) = Self::samples(options, &responder.tokenizer, &dialogues)?;
        samples.truncate(options.limit.unwrap_or(usize::MAX));
        let (model, data) = (short(weights_sha256(&folder)?), short(sha256_of_files(&[&path])?));
        let [reads, says] = [lengths.max_input_length, lengths.max_decoder_input_length];
        let made_by = format!("model {model}, dialogues {data}, at most {reads} and {says} tokens");
        Ok(Self { responder, dialogues, samples, made_by })
    }

    /// All training samples, and how many tokens of them could stay.
    fn samples(
        options: &Candidates,
        tokenizer: &DialogueTokenizer,
        dialogues: &[Dialogue],
    ) -> Result<(Lengths, Vec<Sample>), Failure> {
        let Some(prepared) = &options.prepared else {
            let lengths = options.lengths.lengths();
            let encoded = EncodedDialogues::new(tokenizer, dialogues)?.lay_out(Layout::Strat, lengths);
            return Ok((lengths, encoded.samples));
        };
        let wanted = Wanted { data_dir: Some(&options.data_dir), tokenizer: Some(tokenizer), lengths: None };
        let prepared = Prepared::open(prepared, wanted)?;
        Ok((prepared.meta().lengths, prepared.read(Part::Train, Layout::Strat)?))
    }

    fn in_dialogue<'a>(&'a self, sample: &'a Sample) -> Option<SampleInDialogue<'a>> {
        Some(SampleInDialogue { sample, dialogue: self.dialogues.get(sample.dialogue)? })
    }
}

/// A file as far as it got.
struct Grown<R> {
    file: PathBuf,
    rows: RowFile<R>,
    is_whole: bool,
}

fn make(options: &Candidates, task: &Task) -> Result<Grown<CandidateRow>, Failure> {
    let maker = CandidateMaker::new(&task.responder, options.strategies(), options.candidates, &task.made_by)
        .map_err(Failure::wrong_use)?;
    let file = options.out.join(CANDIDATES_FILE);
    let mut rows = RowFile::open(&file, options.resume, maker.made_by(), CANDIDATE_ROWS)?;
    let pending: Vec<&Sample> =
        task.samples.iter().filter(|sample| !rows.contains(&place_id(sample.dialogue, sample.turn))).collect();
    let mut bar = Bar::new("answering", task.samples.len(), pending.len());
    for samples in pending.chunks(options.batch_size) {
        if interrupt::was_asked() {
            return Ok(bar.end(file, rows));
        }
        let samples: Vec<SampleInDialogue<'_>> = samples.iter().filter_map(|sample| task.in_dialogue(sample)).collect();
        for row in maker.rows(&samples)? {
            rows.append(row)?;
        }
        bar.add(samples.len());
    }
    Ok(bar.end(file, rows))
}

fn score(
    options: &Candidates,
    task: &Task,
    candidates: &RowFile<CandidateRow>,
    scorer: &OpenScorer,
) -> Result<Grown<ScoreRow>, Failure> {
    let candidates = candidates.rows();
    let made_by = candidates.first().map(|row| row.made_by.as_str()).unwrap_or_default();
    let scorer = CandidateScorer::new(&scorer.model, options.scorer.scorer_context, &scorer.name, made_by);
    let file = options.out.join(&options.scores);
    // Candidates may be resumed where no score is yet.
    let mut rows = RowFile::open(&file, options.resume, scorer.made_by(), SCORE_ROWS)?;
    let pending: Vec<&CandidateRow> =
        candidates.iter().filter(|row| !rows.contains(&place_id(row.sample_id, row.turn))).collect();
    let mut bar = Bar::new("scoring", candidates.len(), pending.len());
    for row in pending {
        if interrupt::was_asked() {
            return Ok(bar.end(file, rows));
        }
        if let Some(dialogue) = task.dialogues.get(row.sample_id) {
            rows.append(scorer.row(row, dialogue)?)?;
        }
        bar.add(1);
    }
    Ok(bar.end(file, rows))
}

/// How far a file is.
struct Bar {
    bar: Progress,
    done: usize,
    total: usize,
}

impl Bar {
    fn new(what: &'static str, total: usize, pending: usize) -> Self {
        let done = total - pending;
        Self { bar: Progress::new(what, done as u64, total as u64), done, total }
    }

    fn add(&mut self, count: usize) {
        self.done += count;
        self.bar.set(self.done as u64);
    }

    fn end<R>(self, file: PathBuf, rows: RowFile<R>) -> Grown<R> {
        self.bar.finish();
        Grown { file, rows, is_whole: self.done >= self.total }
    }
}

/// How candidates and scores stand.
#[derive(Serialize)]
struct Summary {
    candidates_file: PathBuf,
    samples: usize,
    /// Of these, those that have candidates.
    answered: usize,
    /// Candidates of a sample that say something of their own, on average.
    different_candidates: f64,
    #[serde(flatten)]
    scores: Option<Scores>,
}

/// What the model of helpfulness says on average.
#[derive(Serialize)]
struct Scores {
    scores_file: PathBuf,
    scored: usize,
    /// Of the real responses.
    gold_helpfulness: f64,
    /// Of all candidates.
    candidate_helpfulness: f64,
    /// Of the best candidate of each sample.
    best_helpfulness: f64,
}

impl Summary {
    fn of(options: &Candidates, task: &Task, made: &Grown<CandidateRow>, scored: Option<&Grown<ScoreRow>>) -> Self {
        let rows = made.rows.rows();
        Self {
            candidates_file: options.out.join(CANDIDATES_FILE),
            samples: task.samples.len(),
            answered: rows.len(),
            different_candidates: mean(rows.iter().map(|row| different(&row.responses) as f64)),
            scores: scored.map(|scored| Scores::of(&scored.file, scored.rows.rows())),
        }
    }
}

impl Scores {
    fn of(file: &Path, rows: &[ScoreRow]) -> Self {
        let candidates = |row: &ScoreRow| row.helpfulness.iter().skip(1).copied().map(f64::from).collect::<Vec<f64>>();
        Self {
            scores_file: file.to_owned(),
            scored: rows.len(),
            gold_helpfulness: mean(rows.iter().filter_map(|row| row.helpfulness.first().copied()).map(f64::from)),
            candidate_helpfulness: mean(rows.iter().flat_map(candidates)),
            best_helpfulness: mean(rows.iter().filter_map(|row| candidates(row).into_iter().reduce(f64::max))),
        }
    }
}

/// Different candidates among responses, the first of which is the real one.
fn different(responses: &[String]) -> usize {
    responses.iter().skip(1).collect::<std::collections::HashSet<_>>().len()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0f64);
    for value in values {
        sum += value;
        count += 1.0;
    }
    sum / count.max(1.0)
}

fn print(summary: &Summary) {
    let Summary { candidates_file, samples, answered, different_candidates, scores } = summary;
    let file = candidates_file.display();
    println!("{file}: {answered} of {samples} samples, {different_candidates:.1} different candidates each");
    if let Some(Scores { scores_file, scored, gold_helpfulness, candidate_helpfulness, best_helpfulness }) = scores {
        println!(
            "{}: {scored} samples; mean helpfulness of the real responses {gold_helpfulness:.4}, of the candidates \
             {candidate_helpfulness:.4}, of the best of each {best_helpfulness:.4}",
            scores_file.display()
        );
    }
}
