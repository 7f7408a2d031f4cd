//! `sra token-probe`: can the strategy be read off single tokens' hidden states?
//!
//! Responses are read behind their dialogue alone, without any instruction. The published probe splits over tokens, so that tokens
//! of one response stand on both sides; both splits are told here, and the one by conversation is the result.

use std::collections::BTreeMap;
use std::process::ExitCode;

use candle_core::Tensor;
use command_line::{Failure, Format, Progress, load_engine, must_be_local};
use esc_metrics::classification::{GroupedReport, Labelled};
use llm_runtime::{Engine, GenerationPrompt, TextModel};
use predictability::{RidgeClassifier, Split, grouped_split};
use rand::seq::SliceRandom;
use serde::Serialize;
use strategy_prompting::{
    ContinuationRecord, Dialogue, HistoryFormat, LabelledText, Layout, SystemRole, build, tidy_response,
};

use crate::adherence::{conditional_records, written};
use crate::attention_arguments::TokenProbe;

/// Penalty and test share of the published probe.
const ALPHA: f64 = 1.0;
const TEST_SHARE: f64 = 0.3;

pub(crate) fn run(options: &TokenProbe, format: Format) -> Result<ExitCode, Failure> {
    must_be_local(&options.model, "`sra token-probe` reads the model's hidden states")?;
    let mut records = conditional_records(&options.runs, None)?;
    records.shuffle(&mut llm_runtime::seeded_stream(options.seed, "token-probe"));
    records.truncate(options.responses);
    let mut engine = load_engine(&options.model, &options.runtime)?;
    let tokens = read(&records, &mut engine, options.layer)?;
    let by_conversation: Vec<&str> = tokens.owners.iter().map(|owner| records[*owner].conversation.as_str()).collect();
    let numbers: Vec<String> = (0..tokens.owners.len()).map(|number| number.to_string()).collect();
    let by_token: Vec<&str> = numbers.iter().map(String::as_str).collect();
    let told = Told {
        tokens: tokens.owners.len(),
        width: tokens.width,
        by_conversation: probe(&tokens, &by_conversation, &by_conversation, options.seed)?,
        over_tokens: probe(&tokens, &by_token, &by_conversation, options.seed)?,
    };
    match format {
        Format::Json => command_line::print_json(&told)?,
        Format::Text => print(&told, records.len()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Hidden states of all responses' tokens.
struct Tokens {
    width: usize,
    values: Vec<f32>,
    /// The response of every token.
    owners: Vec<usize>,
    labels: Vec<usize>,
    names: Vec<String>,
}

fn read(records: &[ContinuationRecord], engine: &mut Engine, layer: Option<usize>) -> Result<Tokens, Failure> {
    let numbers: BTreeMap<&str, usize> = records.iter().map(|record| (record.strategy.as_str(), 0)).collect();
    let names: Vec<String> = numbers.keys().map(|name| (*name).to_owned()).collect();
    let mut tokens = Tokens { width: 0, values: Vec::new(), owners: Vec::new(), labels: Vec::new(), names };
    let mut bar = Progress::new("reading responses", 0, records.len() as u64);
    for (number, record) in records.iter().enumerate() {
        let (ids, prompt) = dialogue_and_response(record, engine)?;
        let states = engine.hidden_states(&ids)?;
        // As published: from the prompt's length to the last token but one.
        let count = (ids.len() - 1).saturating_sub(prompt);
        if count > 0 {
            let rows = layer_of(&states, layer)?
                .narrow(0, prompt, count)
                .and_then(|rows| rows.flatten_all()?.to_vec1::<f32>());
            tokens.values.extend(rows.map_err(Failure::work)?);
            tokens.owners.extend(std::iter::repeat_n(number, count));
            let label = tokens.names.binary_search(&record.strategy).unwrap_or_default();
            tokens.labels.extend(std::iter::repeat_n(label, count));
        }
        bar.set(number as u64 + 1);
    }
    bar.finish();
    tokens.width = tokens.values.len() / tokens.owners.len().max(1);
    Ok(tokens)
}

/// Ids of the dialogue without a system text and of the response behind it, and how many belong to the dialogue.
fn dialogue_and_response(record: &ContinuationRecord, engine: &Engine) -> Result<(Vec<u32>, usize), Failure> {
    let dialogue = Dialogue::from_speakers(&record.example, &record.speakers, &record.dialog)?;
    let nothing = LabelledText { text: String::new(), parts: Vec::new() };
    let mut messages = build(Layout::Standard, &dialogue, &nothing, HistoryFormat::Prompting, SystemRole::Native);
    messages.retain(|message| !message.content.is_empty());
    let template = engine.template().ok_or_else(|| {
        Failure::wrong_use("the model has no chat template: choose a built-in one with --chat-template")
    })?;
    let rendered = template.render(&messages, GenerationPrompt::Add).map_err(Failure::work)?;
    let tokenizer = engine.tokenizer();
    let mut ids = tokenizer.encode_rendered(&rendered.text, &rendered.contents).map_err(Failure::work)?.ids;
    let prompt = ids.len();
    ids.extend(tokenizer.encode(&tidy_response(&record.text, &record.strategy)).map_err(Failure::work)?.ids);
    Ok((ids, prompt))
}

/// The hidden states of a layer: 0 is the embedding, the last is behind the final norm.
pub(crate) fn layer_of(states: &[Tensor], layer: Option<usize>) -> Result<&Tensor, Failure> {
    let last = states.len() - 1;
    let layer = layer.unwrap_or(last);
    states.get(layer).ok_or_else(|| {
        Failure::wrong_use(format!(
            "--layer {layer}: the model has states 0 (the embedding) to {last} (behind the final norm)"
        ))
    })
}

fn probe(tokens: &Tokens, groups: &[&str], conversations: &[&str], seed: u64) -> Result<GroupedReport, Failure> {
    let Split { train, test } = grouped_split(groups, TEST_SHARE, seed).map_err(Failure::work)?;
    let vectors = |items: &[usize]| -> Vec<f32> {
        items.iter().flat_map(|item| &tokens.values[item * tokens.width..(item + 1) * tokens.width]).copied().collect()
    };
    let labels = |items: &[usize]| items.iter().map(|item| tokens.labels[*item]).collect::<Vec<usize>>();
    let mut ridge = RidgeClassifier::new(tokens.width, tokens.names.len(), ALPHA).map_err(Failure::work)?;
    ridge.push(&vectors(&train), &labels(&train)).map_err(Failure::work)?;
    let found = ridge.fit().map_err(Failure::work)?.predict(&vectors(&test));
    let owners: Vec<&str> = test.iter().map(|item| conversations[*item]).collect();
    Labelled::new(&tokens.names, &labels(&test), &found)
        .and_then(|labelled| labelled.report_by_group(&owners))
        .map_err(Failure::work)
}

#[derive(Serialize)]
struct Told {
    tokens: usize,
    width: usize,
    by_conversation: GroupedReport,
    over_tokens: GroupedReport,
}

fn print(told: &Told, responses: usize) {
    println!("{} tokens of {responses} responses, {} values each", told.tokens, told.width);
    for (name, scores) in
        [("by conversation", &told.by_conversation), ("over tokens (published; leaks)", &told.over_tokens)]
    {
        let GroupedReport { report, intervals, .. } = scores;
        println!(
            "  split {name:<31} accuracy {}, macro-F1 {:.3}  (chance {:.3}, always the same {:.3})",
            written(&intervals.accuracy, 1.0, 3),
            report.macro_f1,
            report.chance,
            report.majority
        );
    }
}
