//! `sra prepare`: raw conversations cut into examples.

use std::path::Path;
use std::process::ExitCode;

use command_line::{Failure, Format};
use demo_corpus::{Generator, Split};
use esconv_data::{Corpus, CorpusForm, Example, cut, read_corpus, read_examples, write_examples};
use serde::Serialize;

use crate::arguments::Prepare;

/// Dialogues that `demo` stands for.
const DEMO_DIALOGUES: &str = "200";

/// As many as anybody needs; they are made in memory.
const MOST_DEMO_DIALOGUES: u64 = 100_000;

/// What was prepared.
#[derive(Serialize)]
struct Summary {
    form: CorpusForm,
    conversations: usize,
    examples: usize,
    duplicates: Vec<String>,
    unknown_labels: Vec<(String, usize)>,
}

pub(crate) fn run(options: &Prepare, format: Format) -> Result<ExitCode, Failure> {
    let mut corpus = corpus(&options.input)?;
    corpus.conversations.truncate(options.limit.unwrap_or(usize::MAX));
    let examples = cut_all(&corpus, options.starting_turn);
    write_examples(&options.out, &examples)?;
    let summary = Summary {
        form: corpus.form,
        conversations: corpus.conversations.len(),
        examples: examples.len(),
        duplicates: corpus.duplicates(),
        unknown_labels: corpus.unknown_labels,
    };
    match format {
        Format::Json => command_line::print_json(&summary)?,
        Format::Text => print(&summary, &options.out),
    }
    Ok(ExitCode::SUCCESS)
}

fn print(summary: &Summary, out: &Path) {
    println!("{}: {} examples of {} conversations", out.display(), summary.examples, summary.conversations);
    for (label, count) in &summary.unknown_labels {
        println!("label without a counterpart in ESConv: {label} ({count} utterances)");
    }
    if !summary.duplicates.is_empty() {
        println!("conversations that occur more than once: {}", summary.duplicates.join(", "));
    }
}

fn cut_all(corpus: &Corpus, starting_turn: usize) -> Vec<Example> {
    corpus.conversations.iter().flat_map(|conversation| cut(conversation, starting_turn)).collect()
}

/// Prepared examples (`.jsonl`), or a corpus cut on the spot.
pub(crate) fn examples(path: &Path) -> Result<Vec<Example>, Failure> {
    let examples = match is_prepared(path) {
        true => read_examples(path)?,
        false => cut_all(&corpus(path)?, 1),
    };
    if examples.is_empty() {
        return Err(Failure::work(format!("{}: nothing to continue is in it", path.display())));
    }
    Ok(examples)
}

/// A raw corpus, or built-in dialogues.
pub(crate) fn corpus(path: &Path) -> Result<Corpus, Failure> {
    match built_in(path)? {
        Some(corpus) => Ok(corpus),
        None => Ok(read_corpus(path)?),
    }
}

/// Built-in dialogues: `demo` and `demo:N` are held out from the demonstration model, `demo-train:N` are not. A file of such a
/// name is written `./demo`.
fn built_in(path: &Path) -> Result<Option<Corpus>, Failure> {
    let Some(name) = path.to_str() else { return Ok(None) };
    let (side, count) = name.split_once(':').unwrap_or((name, DEMO_DIALOGUES));
    let split = match side {
        "demo" => Split::Heldout,
        "demo-train" => Split::Train,
        _ => return Ok(None),
    };
    let count = count.parse().ok().filter(|count| (1..=MOST_DEMO_DIALOGUES).contains(count)).ok_or_else(|| {
        Failure::wrong_use(format!("`{name}`: expected 1 to {MOST_DEMO_DIALOGUES} dialogues, as in demo:20"))
    })?;
    let generator = Generator::new(demo_corpus::SEED).map_err(Failure::work)?;
    let conversations = (0..count).map(|number| generator.conversation(split.index(number)).conversation).collect();
    Ok(Some(Corpus { form: CorpusForm::Esconv, conversations, unknown_labels: Vec::new() }))
}

/// Prepared files end in `.jsonl`; corpora do not.
pub(crate) fn is_prepared(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "jsonl")
}
