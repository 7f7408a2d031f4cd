//! `sra prepare`: raw conversations cut into examples.

use std::path::Path;
use std::process::ExitCode;

use command_line::dialogues::{corpus, cut_all};
use command_line::{Failure, Format};
use esconv_data::{CorpusForm, write_examples};
use serde::Serialize;

use crate::arguments::Prepare;

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
