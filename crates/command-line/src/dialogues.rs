//! Whatever `--data` names: a corpus, examples cut from one, or built-in dialogues.

use std::path::Path;

use demo_corpus::{Generator, Split};
use esconv_data::{Corpus, CorpusForm, Example, cut, read_corpus, read_examples};

use crate::Failure;

/// Dialogues that `demo` stands for.
const DEMO_DIALOGUES: &str = "200";
/// As many as anybody needs; they are made in memory.
const MOST_DEMO_DIALOGUES: u64 = 100_000;

/// Prepared examples (`.jsonl`), or a corpus cut on the spot.
///
/// # Errors
/// The file can't be read, is none that is known, or holds nothing to continue.
pub fn examples(path: &Path) -> Result<Vec<Example>, Failure> {
    let examples = match is_prepared(path) {
        true => read_examples(path)?,
        false => cut_all(&corpus(path)?, 1),
    };
    if examples.is_empty() {
        return Err(Failure::work(format!("{}: nothing to continue is in it", path.display())));
    }
    Ok(examples)
}

/// The examples of all conversations of a corpus, from supporter turn number `starting_turn` on.
pub fn cut_all(corpus: &Corpus, starting_turn: usize) -> Vec<Example> {
    corpus.conversations.iter().flat_map(|conversation| cut(conversation, starting_turn)).collect()
}

/// A raw corpus, or built-in dialogues: `demo` and `demo:N` are held out from the demonstration model, `demo-train:N` are not. A file of such a
/// name is written `./demo`.
///
/// # Errors
/// The file can't be read or is no corpus that is known, or there are not so many built-in dialogues.
pub fn corpus(path: &Path) -> Result<Corpus, Failure> {
    match built_in(path)? {
        Some(corpus) => Ok(corpus),
        None => Ok(read_corpus(path)?),
    }
}

/// Prepared files end in `.jsonl`; corpora do not.
pub fn is_prepared(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "jsonl")
}

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
