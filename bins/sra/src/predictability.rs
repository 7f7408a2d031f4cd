//! `sra predictability`: how well the strategy can be read off a response, from its words or from vectors.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::process::ExitCode;

use command_line::{Failure, Format, Progress, load_engine, must_be_local};
use esc_metrics::classification::{GroupedReport, Labelled};
use llm_runtime::{Engine, input_file};
use predictability::{
    Features, LogisticOptions, LogisticRegression, NgramCounter, Split, grouped_folds, grouped_split, response_text,
    strengths,
};
use safetensors::SafeTensors;
use serde::Serialize;
use strategy_prompting::{ContinuationRecord, ModelNames, tidy_response};
use text_encoder::{ReadingOptions, SentenceEncoder};

use crate::adherence::{conditional_records, counted, written};
use crate::attention_arguments::{Predictability, Reading};
use crate::classifier::sentence_encoder;

/// Folds and strengths of the published analysis.
const FOLDS: usize = 4;
const STRENGTHS: usize = 10;
/// N-grams that are told per strategy.
const TOP: usize = 10;

pub(crate) fn run(options: &Predictability, format: Format) -> Result<ExitCode, Failure> {
    if let Some(model) = &options.model {
        must_be_local(model, "the semantic reading takes the model's hidden states")?;
    }
    let records = conditional_records(&options.runs, None)?;
    let mut source = source(options)?;
    let mut sets: BTreeMap<(String, String), Vec<&ContinuationRecord>> = BTreeMap::new();
    let names: ModelNames = records.iter().map(|record| &record.model).collect();
    for record in &records {
        sets.entry((names.name(&record.model), record.layout.name().to_owned())).or_default().push(record);
    }
    let mut told = Vec::new();
    for ((model, layout), records) in sets {
        let outcome =
            predict(&records, &mut source, options).map_err(|failure| failure.about(&format!("{model} · {layout}")))?;
        told.push(Set { model, layout, outcome });
    }
    match format {
        Format::Json => command_line::print_json(&told)?,
        Format::Text => told.iter().for_each(|set| print(set, options)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the features come from.
enum Source {
    Words,
    /// The mean of the model's hidden states over the response's tokens.
    Model(Box<Engine>, Option<usize>),
    /// Vectors by record id, made elsewhere.
    Vectors(HashMap<String, Vec<f32>>),
    /// A sentence encoder's vectors of tidied responses.
    Sentences(Box<SentenceEncoder>),
}

fn source(options: &Predictability) -> Result<Source, Failure> {
    match (&options.reading, &options.embeddings, &options.model, &options.encoder) {
        (Reading::Lexical, None, None, None) => Ok(Source::Words),
        (Reading::Semantic, Some(file), None, None) => Ok(Source::Vectors(read_vectors(file)?)),
        (Reading::Semantic, None, Some(name), None) => {
            Ok(Source::Model(Box::new(load_engine(name, &options.runtime)?), options.layer))
        }
        (Reading::Semantic, None, None, Some(name)) => {
            Ok(Source::Sentences(Box::new(sentence_encoder(name, &options.runtime.model.machine)?)))
        }
        (Reading::Lexical, ..) => {
            Err(Failure::wrong_use("the lexical reading takes none of --embeddings, --model and --encoder"))
        }
        (Reading::Semantic, ..) => {
            Err(Failure::wrong_use("the semantic reading takes --embeddings, --model or --encoder, one of them"))
        }
    }
}

/// Vectors of a safetensors file: `embeddings` `[n, width]` f32, and the metadata `ids`, a JSON list of `n` record ids.
fn read_vectors(path: &Path) -> Result<HashMap<String, Vec<f32>>, Failure> {
    let wrong = |problem: String| Failure::work(format!("{}: {problem}", path.display()));
    let bytes = input_file::read(path).map_err(|error| wrong(error.to_string()))?;
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|error| wrong(error.to_string()))?;
    let ids = metadata.metadata().as_ref().and_then(|metadata| metadata.get("ids"));
    let ids = ids.ok_or_else(|| wrong("its metadata has no `ids`: write a JSON list of record ids".into()))?;
    let ids: Vec<String> =
        serde_json::from_str(ids).map_err(|error| wrong(format!("`ids` is no list of texts: {error}")))?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| wrong(error.to_string()))?;
    let tensor = tensors.tensor("embeddings").map_err(|error| wrong(error.to_string()))?;
    if tensor.dtype() != safetensors::Dtype::F32 || tensor.shape().len() != 2 || tensor.shape()[0] != ids.len() {
        let problem =
            format!("`embeddings` is {:?} {:?}, expected F32 [{}, width]", tensor.dtype(), tensor.shape(), ids.len());
        return Err(wrong(problem));
    }
    let values: Vec<f32> = tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let width = tensor.shape()[1].max(1);
    let mut seen = HashSet::new();
    if let Some(id) = ids.iter().find(|id| !seen.insert(id.as_str())) {
        // The same request to two models has the same id.
        return Err(wrong(format!("`ids` has {id} twice: keep each model's vectors in a file of their own")));
    }
    Ok(ids.into_iter().zip(values.chunks_exact(width).map(<[f32]>::to_vec)).collect())
}

/// What was found on the responses of one model and layout.
#[derive(Serialize)]
struct Set {
    model: String,
    layout: String,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Serialize)]
struct Outcome {
    report: GroupedReport,
    /// Strength that cross-validation chose.
    c: f64,
    /// Share of responses without `assistant: `, which the instruction asks for.
    format_errors: f64,
    /// N-grams that speak most for each strategy; lexical only.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    coefficients: BTreeMap<String, Vec<String>>,
    /// Accuracy on the held-out responses by supporter turn.
    by_turn: BTreeMap<usize, f64>,
}

fn predict(records: &[&ContinuationRecord], source: &mut Source, options: &Predictability) -> Result<Outcome, Failure> {
    let mut names: Vec<String> = records.iter().map(|record| record.strategy.clone()).collect();
    names.sort();
    names.dedup();
    let labels: Vec<usize> =
        records.iter().map(|record| names.binary_search(&record.strategy).unwrap_or_default()).collect();
    let groups: Vec<&str> = records.iter().map(|record| record.conversation.as_str()).collect();
    let split = grouped_split(&groups, options.test_share, options.seed).map_err(Failure::work)?;
    let folds = grouped_folds(&of(&groups, &split.train), FOLDS, options.seed).map_err(Failure::work)?;
    let (train, test, ngrams) = features(records, &split, source)?;
    let chosen = of(&labels, &split.train);
    let fitting = LogisticOptions::default();
    let model = LogisticRegression::fit_best(&train, &chosen, names.len(), &strengths(STRENGTHS), &folds, fitting)
        .map_err(Failure::work)?;
    let found = model.predict(&test);
    let report = Labelled::new(&names, &of(&labels, &split.test), &found)
        .and_then(|labelled| labelled.report_by_group(&of(&groups, &split.test)));
    let errors = records.iter().filter(|record| !response_text(&record.text, "").1).count();
    Ok(Outcome {
        report: report.map_err(Failure::work)?,
        c: model.c,
        format_errors: errors as f64 / records.len() as f64,
        coefficients: ngrams.map(|ngrams| coefficients(&model, &names, &ngrams)).unwrap_or_default(),
        by_turn: by_turn(records, &split, &labels, &found),
    })
}

fn of<T: Clone>(values: &[T], items: &[usize]) -> Vec<T> {
    items.iter().map(|item| values[*item].clone()).collect()
}

/// Features of both sides; the vocabulary is learned from the training side alone.
fn features(
    records: &[&ContinuationRecord],
    split: &Split,
    source: &mut Source,
) -> Result<(Features, Features, Option<NgramCounter>), Failure> {
    if let Source::Words = source {
        let text = |item: &usize| response_text(&records[*item].text, &records[*item].strategy).0;
        let [train, test] = [&split.train, &split.test].map(|items| items.iter().map(text).collect::<Vec<String>>());
        let ngrams = NgramCounter::fit(&train, (2, 3), 0.9, None).map_err(Failure::work)?;
        return Ok((ngrams.count(&train), ngrams.count(&test), Some(ngrams)));
    }
    let vectors = match source {
        Source::Sentences(encoder) => sentence_vectors(records, encoder)?,
        other => one_by_one(records, other)?,
    };
    let width = vectors.first().map_or(0, Vec::len);
    if let Some((record, vector)) = records.iter().zip(&vectors).find(|(_, vector)| vector.len() != width) {
        return Err(Failure::work(format!("record {}: a vector of {} values, not {width}", record.id, vector.len())));
    }
    let values = vectors.concat();
    let all = Features::Dense { width, values };
    Ok((all.select(&split.train), all.select(&split.test), None))
}

fn sentence_vectors(records: &[&ContinuationRecord], encoder: &SentenceEncoder) -> Result<Vec<Vec<f32>>, Failure> {
    let texts: Vec<String> = records.iter().map(|record| tidy_response(&record.text, &record.strategy)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    Ok(encoder.embed(&texts, &ReadingOptions::default())?)
}

fn one_by_one(records: &[&ContinuationRecord], source: &mut Source) -> Result<Vec<Vec<f32>>, Failure> {
    let mut bar = Progress::new("reading responses", 0, records.len() as u64);
    let mut vectors = Vec::with_capacity(records.len());
    for record in records {
        vectors.push(vector(record, source)?);
        bar.set(vectors.len() as u64);
    }
    bar.finish();
    Ok(vectors)
}

fn vector(record: &ContinuationRecord, source: &mut Source) -> Result<Vec<f32>, Failure> {
    match source {
        Source::Vectors(vectors) => {
            let found = vectors.get(&record.id).cloned();
            found.ok_or_else(|| Failure::work(format!("record {}: the file of embeddings does not have it", record.id)))
        }
        Source::Model(engine, layer) => mean_state(engine, *layer, &tidy_response(&record.text, &record.strategy)),
        Source::Words | Source::Sentences(_) => Ok(Vec::new()),
    }
}

/// Mean of the hidden states of a text's tokens, scaled to length 1 as sentence encoders do.
fn mean_state(engine: &mut Engine, layer: Option<usize>, text: &str) -> Result<Vec<f32>, Failure> {
    let encoding = engine.tokenizer().encode_with_bos(text).map_err(Failure::work)?;
    let states = engine.hidden_states(&encoding.ids)?;
    let state = crate::token_probe::layer_of(&states, layer)?;
    let mean = state.mean(0).and_then(|mean| mean.to_vec1::<f32>()).map_err(Failure::work)?;
    let length = mean.iter().map(|value| value * value).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    Ok(mean.into_iter().map(|value| value / length).collect())
}

fn coefficients(model: &LogisticRegression, names: &[String], ngrams: &NgramCounter) -> BTreeMap<String, Vec<String>> {
    let top =
        |class: usize| model.top_columns(class, TOP).into_iter().map(|(column, _)| ngrams.names()[column].clone());
    names.iter().enumerate().map(|(class, name)| (name.clone(), top(class).collect())).collect()
}

fn by_turn(records: &[&ContinuationRecord], split: &Split, labels: &[usize], found: &[usize]) -> BTreeMap<usize, f64> {
    let mut counts: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
    for (item, found) in split.test.iter().zip(found) {
        let count = counts.entry(records[*item].turn).or_default();
        count.0 += usize::from(labels[*item] == *found);
        count.1 += 1;
    }
    counts.into_iter().map(|(turn, (right, all))| (turn, right as f64 / all as f64)).collect()
}

fn print(set: &Set, options: &Predictability) {
    let Set { model, layout, outcome } = set;
    let Outcome { report, c, format_errors, coefficients, by_turn } = outcome;
    let GroupedReport { report, groups, intervals } = report;
    let conversations = counted(*groups, "conversation");
    println!("{model} · {layout}: {} of {conversations}", counted(report.items, "held-out response"));
    println!(
        "  accuracy {}, macro-F1 {:.3}  (chance {:.3}, always the same {:.3}; C {c:.3e})",
        written(&intervals.accuracy, 1.0, 3),
        report.macro_f1,
        report.chance,
        report.majority
    );
    if let Reading::Lexical = options.reading {
        println!("  {:.1} % of the responses lack `assistant: `", 100.0 * format_errors);
    }
    let turns: Vec<String> = by_turn.iter().map(|(turn, accuracy)| format!("{turn}: {accuracy:.2}")).collect();
    println!("  by turn  {}", turns.join("  "));
    for (strategy, ngrams) in coefficients {
        println!("  {strategy:<30} {}", ngrams.iter().take(4).cloned().collect::<Vec<_>>().join(" · "));
    }
}
