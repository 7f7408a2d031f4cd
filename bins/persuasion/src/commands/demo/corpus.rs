//! Pairs out of built-in dialogues: the supporter's own reply, and one that helps nobody.

use std::path::Path;

use command_line::Failure;
use demo_corpus::{Generator, SEED, Split};
use dpo::{PairText, PreferencePair, write_pairs};

/// Dialogues beyond those that the demonstration model has learned from, as far as numbers go.
const FIRST_DIALOGUE: u64 = 1 << 30;

/// Writes train.jsonl, validation.jsonl and test.jsonl; each dialogue is in one of them.
pub(super) fn write(folder: &Path, pairs: usize, held_out: usize) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(Failure::at(folder))?;
    let generator = Generator::new(SEED).map_err(Failure::work)?;
    let parts = [
        ("train", Split::Train, FIRST_DIALOGUE, pairs),
        ("validation", Split::Heldout, FIRST_DIALOGUE, held_out),
        ("test", Split::Heldout, 2 * FIRST_DIALOGUE, held_out),
    ];
    for (name, split, first, count) in parts {
        let dialogues = (first..).map(|number| generator.conversation(split.index(number)));
        let pairs = dialogues.flat_map(|dialogue| {
            let group = format!("dialogue-{}", dialogue.index());
            let pairs = dialogue.pairs().into_iter().enumerate();
            pairs
                .map(move |(turn, pair)| PreferencePair {
                    id: format!("{group}-{turn}"),
                    group: group.clone(),
                    prompt: PairText::Plain(format!("{}\nSupporter:", pair.prompt)),
                    chosen: pair.chosen,
                    rejected: pair.rejected,
                    other: serde_json::Map::new(),
                })
                .collect::<Vec<_>>()
        });
        write_pairs(&folder.join(format!("{name}.jsonl")), &pairs.take(count).collect::<Vec<_>>())?;
    }
    Ok(())
}
